//! Takes the power from a running server, many times, and holds what comes back against what was acknowledged.
//!
//! `linehub-power --server PROGRAM [--seed N] CUTS`. Then the control, without which it proves nothing: the same with a
//! copy of the program that syncs less has to be caught. Exit code 0 when both came out so, 1 when not, 77 where no file
//! system can be mounted.

mod check;
mod client;
mod control;
mod disk;
mod ledger;
mod load;
mod mount;
mod random;
mod ruin;
mod run;
mod server;

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use check::Failure;
use disk::Disk;
use mount::Mount;
use random::Random;
use run::{Figures, Run};

/// Cuts between two lines of the report.
const LINE: u64 = 50;

/// Cuts that the control has at least: it is caught within a handful.
const CONTROL: u64 = 20;

/// What the trial is asked to do.
struct Wanted {
    server: PathBuf,
    seed: u64,
    cuts: u64,
}

fn main() -> ExitCode {
    let wanted = match wanted() {
        Ok(wanted) => wanted,
        Err(words) => {
            eprintln!("linehub-power: {words}");
            return ExitCode::from(2);
        }
    };
    // Where that is not allowed the mounts are seen by others, and otherwise the same.
    let _ = keep_to_oneself();
    let folder = env::temp_dir().join(format!("linehub-power-{}", std::process::id()));
    if let Err(error) = mount_once(&folder) {
        println!("NOT DONE: no file system can be mounted here by FUSE: {error}");
        // What is left there harms nobody.
        let _ = fs::remove_dir_all(&folder);
        return ExitCode::from(77);
    }
    let code = trial(&wanted, &folder).unwrap_or_else(|error| {
        println!("the trial itself failed: {error}");
        ExitCode::FAILURE
    });
    if code == ExitCode::SUCCESS {
        // What is left there harms nobody.
        let _ = fs::remove_dir_all(&folder);
    }
    code
}

/// The real program and then the control.
fn trial(wanted: &Wanted, folder: &Path) -> io::Result<ExitCode> {
    println!("{} cuts of {}, seed {}", wanted.cuts, wanted.server.display(), wanted.seed);
    let folders = (folder.join("trial"), folder.join("control"));
    let begun = Instant::now();
    let mut run = Run::new(&wanted.server, &folders.0, wanted.seed)?;
    if let Some(words) = cut(&mut run, wanted.cuts, begun)? {
        println!("VIOLATION at cut {} of seed {}: {words}", run.figures.cuts, wanted.seed);
        run.show(&folder.join("found"))?;
        println!("the server's log:\n{}", fs::read_to_string(run.log())?);
        println!("the files that it found: {}", folder.join("found").display());
        return Ok(ExitCode::FAILURE);
    }
    println!("held: {}", words(&run.figures, begun.elapsed()));
    println!("lost 0, doubled 0, out of order 0");

    fs::create_dir_all(&folders.1)?;
    let weaker = folders.1.join("linehub");
    control::weaken(&wanted.server, &weaker)?;
    let begun = Instant::now();
    let mut run = Run::new(&weaker, &folders.1, wanted.seed)?;
    let most = wanted.cuts.max(CONTROL);
    let Some(words) = cut(&mut run, most, begun)? else {
        println!("the control was not caught: a server with synchronous=NORMAL came through {most} cuts");
        return Ok(ExitCode::FAILURE);
    };
    println!("control: synchronous=NORMAL was caught at cut {}: {words}", run.figures.cuts);
    Ok(ExitCode::SUCCESS)
}

/// So many cuts; the broken promise that ended them early.
fn cut(run: &mut Run, cuts: u64, begun: Instant) -> io::Result<Option<String>> {
    for at in 1..=cuts {
        match run.cut() {
            Ok(()) => {}
            Err(Failure::Promise(words)) => return Ok(Some(words)),
            Err(Failure::Trial(error)) => return Err(error),
        }
        if at % LINE == 0 && at < cuts {
            println!("{}", words(&run.figures, begun.elapsed()));
        }
    }
    Ok(None)
}

fn words(figures: &Figures, elapsed: Duration) -> String {
    let Figures { cuts, starting, stopping, failing, acknowledged, repeated, disks, steps } = figures;
    format!(
        "{cuts} cuts ({starting} while starting, {stopping} while stopping, {failing} after a sync that fails), {acknowledged} acknowledged, {repeated} repeated \
         with their key, {disks} empty disks, {steps} changes and syncs, {} s",
        elapsed.as_secs()
    )
}

fn wanted() -> Result<Wanted, String> {
    let mut arguments = env::args().skip(1);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (mut server, mut seed, mut cuts) = (None, clock, 20);
    let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} takes a value"));
        match &*argument {
            "--server" => server = Some(PathBuf::from(value()?)),
            "--seed" => seed = number(value()?)?,
            _ => cuts = number(argument)?,
        }
    }
    let server = server.ok_or("--server is missing")?;
    Ok(Wanted { server, seed, cuts })
}

/// Whether a file system can be mounted at all.
fn mount_once(folder: &Path) -> io::Result<()> {
    let point = folder.join("mount");
    fs::create_dir_all(&point)?;
    File::options().read(true).write(true).open("/dev/fuse")?;
    let mount = Mount::new(Disk::new(Random::new(0)), &point, Box::new(|| {}))?;
    mount.remains().map(drop)
}

/// Mounts that nobody else sees, and that are gone with this process, however it ends.
fn keep_to_oneself() -> nix::Result<()> {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
    let none: Option<&str> = None;
    nix::mount::mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)
}
