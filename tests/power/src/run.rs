//! Cuts, one after the other: mount, start, check, publish, lose the power, keep what is left.
//!
//! Owns the folders of a run and goes on from what one cut left to the next; now and then with an empty disk.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::check::{Check, Failure};
use crate::disk::Disk;
use crate::ledger::{Fact, Kind, Ledger, PLACES};
use crate::load::{self, Plan, SHORT, Tally};
use crate::mount::Mount;
use crate::random::Random;
use crate::server::{DEADLINE, News, Server};

/// News that may wait; there are a handful for each cut.
const NEWS: usize = 64;

/// Bytes of a long body at most: some hundred of them fill the log up to a checkpoint.
const LONG: u64 = 40_000;

/// A connection's thread, which gives what it saw.
type Load = JoinHandle<Vec<Fact>>;

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Losses of power.
    pub cuts: u64,
    /// Of them while the server started.
    pub starting: u64,
    /// Of them while it stopped.
    pub stopping: u64,
    /// Of them with a sync before it that was to fail.
    pub failing: u64,
    /// Messages acknowledged while the power was to go.
    pub acknowledged: u64,
    /// Sends that were repeated with their key.
    pub repeated: u64,
    /// Disks that were begun empty.
    pub disks: u64,
    /// Changes and syncs of the disk.
    pub steps: u64,
}

/// A time between two losses of power.
struct Lived {
    /// Whether the server has ended by itself.
    has_ended: bool,
    loads: Vec<Load>,
    tally: Option<Arc<Tally>>,
}

/// A run.
#[derive(Debug)]
pub struct Run {
    program: PathBuf,
    folder: PathBuf,
    random: Random,
    ledger: Ledger,
    disk: Option<Disk>,
    next: Arc<AtomicU64>,
    senders: u64,
    /// The files that the last start found.
    before: Vec<(OsString, Vec<u8>)>,
    /// What was done.
    pub figures: Figures,
}

impl Run {
    /// A run of a program in a folder that is there.
    pub fn new(program: &Path, folder: &Path, seed: u64) -> io::Result<Self> {
        fs::create_dir_all(folder.join("disk"))?;
        Ok(Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            random: Random::new(seed),
            ledger: Ledger::default(),
            disk: None,
            next: Arc::new(AtomicU64::new(1)),
            senders: 0,
            before: Vec::new(),
            figures: Figures::default(),
        })
    }

    /// The server's log of the last start.
    pub fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// One cut, with all that was promised before it checked first.
    pub fn cut(&mut self) -> Result<(), Failure> {
        self.figures.cuts += 1;
        let mut disk = self.disk.take().filter(|_| !self.random.once_in(20)).unwrap_or_else(|| {
            self.figures.disks += 1;
            self.ledger = Ledger::default();
            Disk::new(self.random.fork())
        });
        self.before = disk.files().into_iter().map(|(path, bytes)| (path, bytes.to_vec())).collect();
        if self.random.once_in(6) {
            disk.arm(self.random.among(1, 150));
        }
        fs::write(self.folder.join("config.toml"), config(self.random.once_in(3)))?;
        let (say, news) = sync_channel(NEWS);
        let alarm = say.clone();
        // Nobody waits for it any more where this cannot be heard.
        let alarm = Box::new(move || drop(alarm.try_send(News::Cut)));
        let mount = Mount::new(disk, &self.folder.join("disk"), alarm)?;
        let data = self.folder.join("disk/data");
        let server = Server::start(&self.program, &self.folder.join("config.toml"), &data, &self.log(), say.clone())?;
        let lived = self.live(&mount, &server, &news, &say)?;
        mount.disk().cut();
        server.kill(&news, lived.has_ended)?;
        self.figures.steps += mount.disk().done();
        self.disk = Some(mount.remains()?);
        for load in lived.loads {
            let facts = load.join().map_err(|_| io::Error::other("a connection's thread failed"))?;
            for fact in facts {
                self.ledger.learn(fact)?;
            }
        }
        self.figures.acknowledged += lived.tally.map_or(0, |tally| tally.kept.load(Ordering::Relaxed));
        Ok(())
    }

    /// Puts the files that the last start found into a folder, for someone to look at.
    pub fn show(&self, folder: &Path) -> io::Result<()> {
        for (path, bytes) in &self.before {
            let path = folder.join(Path::new(path).strip_prefix("/").map_err(io::Error::other)?);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, bytes)?;
        }
        Ok(())
    }

    /// From the start to the loss of power.
    fn live(
        &mut self,
        mount: &Mount,
        server: &Server,
        news: &Receiver<News>,
        say: &SyncSender<News>,
    ) -> Result<Lived, Failure> {
        let address = match wait(news)? {
            News::Listens(address) if mount.disk().disarm() => address,
            News::Ended if !mount.disk().is_cut() => {
                return Err(Failure::Promise("the server does not start".to_owned()));
            }
            which => {
                self.figures.starting += 1;
                return Ok(Lived { has_ended: matches!(which, News::Ended), loads: Vec::new(), tally: None });
            }
        };
        self.senders += 1;
        let (sender, random) = (self.senders, self.random.fork());
        let mut check = Check { ledger: &mut self.ledger, next: &self.next, sender, random };
        self.figures.repeated += check.run(address)?;

        let stops = self.random.once_in(10);
        let enough = if stops { self.random.among(20, 200) } else { u64::MAX };
        // Long ones come often enough that the log is copied and begun anew while they do.
        let (bytes, most) = if self.random.once_in(8) {
            (LONG, 16_000)
        } else {
            (SHORT, [100, 400, 1_000, 2_000, 4_000][self.random.below(5) as usize])
        };
        if self.random.once_in(8) {
            self.figures.failing += 1;
            mount.disk().fail(self.random.among(1, 60));
        }
        if !stops {
            mount.disk().arm(self.random.among(1, most));
        }
        let tally = Tally { next: Arc::clone(&self.next), kept: AtomicU64::new(0), enough, news: say.clone() };
        let tally = Arc::new(tally);
        let loads = self.publish(address, &tally, bytes);
        let mut has_ended = false;
        let mut is_asked = false;
        loop {
            match wait(news)? {
                News::Enough => {
                    mount.disk().arm(self.random.among(1, 40));
                    server.ask_to_end()?;
                    self.figures.stopping += 1;
                    is_asked = true;
                }
                News::Ended if is_asked || mount.disk().is_cut() => has_ended = true,
                News::Ended => return Err(Failure::Promise("the server has ended by itself".to_owned())),
                News::Cut | News::Listens(_) => {}
            }
            if has_ended || mount.disk().is_cut() {
                break;
            }
        }
        Ok(Lived { has_ended, loads, tally: Some(tally) })
    }

    fn publish(&mut self, address: SocketAddr, tally: &Arc<Tally>, bytes: u64) -> Vec<Load> {
        let connections = self.random.among(2, 5);
        // A message that is blanked has the log copied at once.
        let blanks = self.random.once_in(2);
        let plans = (0..=connections).map(|at| {
            self.senders += 1;
            let window = self.random.among(1, 24) as usize;
            let plan = Plan { sender: self.senders, window, bytes, blanks, works: at == 0, publishes: at > 0 };
            (plan, self.random.fork())
        });
        let plans: Vec<_> = plans.collect();
        let run = |(plan, random)| {
            let tally = Arc::clone(tally);
            thread::spawn(move || load::run(address, plan, random, &tally))
        };
        plans.into_iter().map(run).collect()
    }
}

fn wait(news: &Receiver<News>) -> Result<News, Failure> {
    let silent = |_| Failure::Promise(format!("nothing happened for {} s", DEADLINE.as_secs()));
    news.recv_timeout(DEADLINE).map_err(silent)
}

/// A small configuration with the rooms of the trial. What is kept by bytes is more at one time than at another, so that
/// there is a lot to let go of, and pages to give back.
fn config(is_narrow: bool) -> String {
    let mut text = "[[listen]]\naddr = \"127.0.0.1:0\"\nprotocol = \"json\"\n".to_owned();
    for place in PLACES {
        let setting = match place.kind {
            Kind::Whole => continue,
            Kind::Messages(keeps) => format!("keep_messages = {keeps}"),
            Kind::Bytes(keeps) => format!("keep_bytes = {}", if is_narrow { keeps / 64 } else { keeps }),
            Kind::Latest => "kind = \"latest\"".to_owned(),
            Kind::Queue => "kind = \"queue\"".to_owned(),
        };
        text.extend(["[[rooms]]\npattern = \"", place.name, "\"\n", &setting, "\n"]);
    }
    text
}
