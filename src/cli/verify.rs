//! `linehub verify`: reads all that a store holds, and says what is damaged.
//!
//! On the directory of a stopped server and beside a running one alike; it changes nothing.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;

use linehub::store::sqlite::{Archive, Damage};

use super::Failure;
use super::data::{DataArgs, not_opened};

#[derive(Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    data: DataArgs,
}

pub(super) fn run(args: &VerifyArgs) -> Result<(), Failure> {
    let directory = args.data.directory()?;
    let mut archive = Archive::open(&directory).map_err(|error| not_opened(&error))?;
    let words = verified(&mut archive, &directory)?;
    // Who closed the pipe has seen enough; the exit code still tells.
    let _ = writeln!(io::stdout(), "{words}");
    Ok(())
}

/// Looks at all of a store and prints what is damaged; what to say where nothing is.
pub(super) fn verified(archive: &mut Archive, directory: &Path) -> Result<String, Failure> {
    let mut out = io::stdout().lock();
    let mut say = |damage: &Damage| {
        let _ = writeln!(out, "{damage}");
    };
    let found = archive.verify(&mut say);
    let path = directory.display();
    if found.damages > 0 {
        let words = if found.damages == 1 { "1 damage".to_owned() } else { format!("{} damages", found.damages) };
        return Err(Failure::Running(format!(
            "{path}: {words}, printed above; {} messages of {} rooms are well",
            found.messages, found.rooms
        )));
    }
    Ok(format!("{path}: ok, {} messages of {} rooms", found.messages, found.rooms))
}
