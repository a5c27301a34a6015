//! The engine inside the process: one SQLite file, one thread that writes it and one that reads it; and a second file, an index
//! of the first, with a thread that searches it.
//!
//! [`open`] gives the handle, the stream of events and what is there. The handle only puts batches and reads into bounded
//! queues; `writer` commits, `reader` answers, `trim` lets go, `search` finds. When the last handle is dropped, what was taken is
//! committed and told, and the file is closed. Nothing outside of this folder names SQLite.

mod archive;
mod backup;
mod commit;
mod database;
mod directory;
mod erased;
mod import;
mod inbox;
mod reader;
mod reindex;
mod repair;
mod reseal;
mod restore;
mod rows;
mod schema;
mod search;
#[cfg(test)]
pub(in crate::store) mod tests;
mod trim;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::{Boot, Contents, Event, Lag, Query, Refused, Searched, Store, Stretch, Ticket, Write};
pub use archive::{Archive, ExportError, Piece};
pub use backup::{BackupError, Backups, back_up};
pub use import::{Brought, Import, ImportError};
pub use repair::repair;
pub use restore::{RestoreError, restore};
pub use verify::{Damage, Verified};

use directory::Directory;
use inbox::Inbox;
use reader::Reader;
pub use reindex::reindex;
use search::{Desk, Searcher};
use writer::{Told, Writer};

/// Bytes of batches that may wait for the disk: what a disk of 50 MB a second writes in a third of a second, and less than
/// the connections may have uncommitted all together, so that a slow disk is told to clients before memory is full.
pub const STORE_QUEUE: usize = 16 << 20;

/// Reads that may wait: each is a few hundred bytes, and whoever waits behind as many does better to ask again.
const READS: usize = 1024;

/// Events that may wait for the router; it takes all there are in each round, and the threads here wait for it.
const EVENTS: usize = 4096;

/// What an engine needs to know.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// This life of the server.
    pub boot: Boot,
    /// How long idempotency keys are remembered.
    pub keys_age: Duration,
    /// Bytes of batches that may wait; [`STORE_QUEUE`] but in tests.
    pub queue_bytes: usize,
}

/// A store that is open.
#[derive(Debug)]
pub struct Opened {
    /// The way to it. Dropping the last one ends the engine.
    pub store: Arc<dyn Store>,
    /// What it says. It has to be taken until it ends: the engine waits for that, also at its own end.
    pub events: mpsc::Receiver<Event>,
    /// What it holds.
    pub contents: Contents,
    /// The way to have it copied.
    pub backups: Backups,
    /// Resolves when all is committed, told and closed.
    pub closed: oneshot::Receiver<()>,
}

/// Why a store cannot be opened, for whoever starts the server.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or used.
    #[error("the data directory {path} cannot be used: {source}", path = .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Another server is there.
    #[error("the data directory {path} is in use by another server", path = .0.display())]
    Taken(PathBuf),
    /// There is nothing to be looked at.
    #[error("there is no store in {path}: name the data directory of a server with --data", path = .0.display())]
    Missing(PathBuf),
    /// SQLite cannot use the file.
    #[error("the store {path} cannot be opened: {source}", path = .path.display())]
    Database {
        /// Which.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// Another program is reading it, so that it cannot be seen to be well again.
    #[error("the store {path} is held by another program", path = .0.display())]
    Busy(PathBuf),
    /// Written by a later version of the program.
    #[error("the store {path} has form {version}, which is newer than this program; use a newer one", path = .path.display())]
    Newer {
        /// Which.
        path: PathBuf,
        /// What it is.
        version: i32,
    },
    /// A database, but not ours.
    #[error("{path} is a database of another program", path = .0.display())]
    Foreign(PathBuf),
    /// The index of searches cannot be made.
    #[error("{0}")]
    Index(Box<str>),
    /// No thread could be had.
    #[error("no thread could be started for the store: {0}")]
    Thread(std::io::Error),
}

/// Opens the store in a directory, which is made where it is missing. Waits for the disk.
pub fn open(path: &Path, options: Options) -> Result<Opened, OpenError> {
    let directory = Directory::hold(path)?;
    let (events, said) = mpsc::channel(EVENTS);
    let (reads, stretches) = sync_channel(READS);
    let (ended, closed) = oneshot::channel();
    let (began, beginning) = sync_channel(1);
    let inbox = Arc::new(Inbox::new(options.queue_bytes));
    let desk = Arc::new(Desk::default());
    let told = Arc::new(Told::new(Arc::clone(&desk)));
    let searcher = Searcher {
        path: directory.database().to_owned(),
        boot: options.boot,
        events: events.clone(),
        told: Arc::clone(&told),
        desk: Arc::clone(&desk),
    };
    let reader = Reader {
        path: directory.database().to_owned(),
        boot: options.boot,
        events: events.clone(),
        told: Arc::clone(&told),
    };
    let writer = Writer::new(directory, options, Arc::clone(&inbox), events, told);
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let searcher = named("store-search").spawn(move || searcher.run()).map_err(OpenError::Thread)?;
    let reader = named("store-reader").spawn(move || {
        reader.run(&stretches);
        // Both have to be through before the files are closed. One that failed has said so itself.
        let _ = searcher.join();
    });
    let reader = reader.map_err(OpenError::Thread)?;
    // The database never leaves the thread that it was opened on.
    named("store-writer").spawn(move || writer.run(&began, reader, ended)).map_err(OpenError::Thread)?;
    let contents = beginning.recv().map_err(|_| OpenError::Thread(std::io::Error::other("it ended at once")))??;
    let backups = Backups { inbox: Arc::clone(&inbox), data: path.to_owned() };
    Ok(Opened { store: Arc::new(Sqlite { inbox, reads, desk }), events: said, contents, backups, closed })
}

/// The handle.
#[derive(Debug)]
struct Sqlite {
    inbox: Arc<Inbox>,
    reads: SyncSender<(Ticket, Stretch)>,
    desk: Arc<Desk>,
}

impl Store for Sqlite {
    fn write(&self, batch: Vec<Write>) -> Result<(), Refused> {
        self.inbox.put(batch)
    }

    fn read(&self, ticket: Ticket, stretch: Stretch) -> Result<(), Refused> {
        self.reads.try_send((ticket, stretch)).map_err(|refused| match refused {
            TrySendError::Full(_) => Refused::Full,
            TrySendError::Disconnected(_) => Refused::Failed,
        })
    }

    fn search(&self, ticket: Ticket, query: Query) -> Result<(), Refused> {
        self.desk.search(ticket, query)
    }

    fn index(&self, rooms: Searched) {
        self.desk.index(rooms);
    }

    fn lag(&self) -> Lag {
        self.desk.lag()
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.inbox.close();
        self.desk.close();
    }
}
