//! Backups: a copy of the store in a directory of its own, made while it is written to or while no server runs.
//!
//! Under a server the writer's own connection is what is copied, some pages after each commit: over another connection every
//! commit would begin the copy anew. What comes out is one file without a log, synced with its directory. Whether it
//! is well is for whoever asked for it to see, by `verify`.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use tokio::sync::oneshot;

use super::OpenError;
use super::archive::Archive;
use super::directory::{DATABASE, Lock};
use super::inbox::Inbox;

/// Pages of a step (256 KiB): well under a millisecond, so that no commit is seen to wait.
const STEP_PAGES: u64 = 64;

/// How long is waited where a step finds the file locked.
const LOCKED: Duration = Duration::from_millis(10);

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The store is not there, or a server has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A backup beside what it is to save is none.
    #[error("{path} is the data directory itself: name another one, best on another disk", path = .0.display())]
    IsData(PathBuf),
    /// Nothing is written over.
    #[error("{path} is not empty: name a new or an empty directory", path = .0.display())]
    NotEmpty(PathBuf),
    /// The directory cannot be made or written.
    #[error("{path} cannot be written: {source}", path = .path.display())]
    Target {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite cannot copy.
    #[error("the store cannot be copied: {0}")]
    Copy(Box<str>),
    /// One is being made already.
    #[error("another backup waits already: try again when it is done")]
    Busy,
    /// The store failed or was closed in the meantime.
    #[error("the store failed or was closed while it was copied: try again")]
    Ended,
}

/// A copy that the writer is to make.
#[derive(Debug)]
pub(super) struct Job {
    /// An empty file.
    pub(super) path: PathBuf,
    /// Told when it is whole; one that nobody waits for is given up.
    pub(super) done: oneshot::Sender<Result<(), BackupError>>,
}

/// The way to have an open store copied. It does not keep the store open.
#[derive(Clone, Debug)]
pub struct Backups {
    pub(super) inbox: Arc<Inbox>,
    pub(super) data: PathBuf,
}

impl Backups {
    /// Makes a backup in a new or an empty directory, one at a time. Dropped before its end it leaves nothing.
    pub async fn make(&self, directory: PathBuf) -> Result<(), BackupError> {
        let data = self.data.clone();
        let target = blocking(move || Target::prepare(&directory, &data)).await?;
        let (done, copied) = oneshot::channel();
        self.inbox.order(Job { path: target.part.clone(), done })?;
        copied.await.map_err(|_| BackupError::Ended)??;
        blocking(move || target.settle().and_then(|()| target.finish())).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    // Invariant: the work does not panic, and nothing else keeps it from its end.
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(BackupError::Ended))
}

/// Makes a backup of a store that no server has.
pub fn back_up(data: &Path, directory: &Path) -> Result<(), BackupError> {
    let source = Archive::open(data)?;
    let _lock = Lock::take(data)?;
    let target = Target::prepare(directory, data)?;
    let mut copy = open_target(&target.part).map_err(|error| not_copied(&error))?;
    let copied = Backup::new(&source.connection, &mut copy).and_then(|copying| {
        loop {
            match copying.step(-1)? {
                StepResult::Done => return Ok(()),
                _ => std::thread::park_timeout(LOCKED),
            }
        }
    });
    copied.map_err(|error| not_copied(&error))?;
    drop(copy);
    target.settle()?;
    target.finish()
}

pub(super) fn not_copied(error: &rusqlite::Error) -> BackupError {
    BackupError::Copy(error.to_string().into())
}

/// The file that is copied to. Nothing of it is safe before [`Target::finish`], so it keeps no journal and waits for no disk.
pub(super) fn open_target(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    Ok(connection)
}

/// A copy on its way.
pub(super) struct Copying<'a, 'b> {
    backup: Backup<'a, 'b>,
    pages: u64,
    next: u64,
    is_locked: bool,
}

impl<'a, 'b> Copying<'a, 'b> {
    pub(super) fn new(source: &'a Connection, target: &'b mut Connection) -> rusqlite::Result<Self> {
        let backup = Backup::new(source, target)?;
        Ok(Self { backup, pages: 0, next: STEP_PAGES, is_locked: false })
    }

    /// Copies some pages; whether that was the last of them. A file that grows between is copied twice as fast as it grows.
    pub(super) fn step(&mut self) -> rusqlite::Result<bool> {
        let stepped = self.backup.step(i32::try_from(self.next).unwrap_or(i32::MAX))?;
        let pages = u64::try_from(self.backup.progress().pagecount).unwrap_or(0);
        let grown = if self.pages == 0 { 0 } else { pages.saturating_sub(self.pages) };
        (self.pages, self.next) = (pages, STEP_PAGES + 2 * grown);
        self.is_locked = !matches!(stepped, StepResult::Done | StepResult::More);
        Ok(stepped == StepResult::Done)
    }

    /// How long may be waited before the next step.
    pub(super) fn patience(&self) -> Duration {
        if self.is_locked { LOCKED } else { Duration::ZERO }
    }
}

/// A directory for one store, and in it the file that becomes its database.
#[derive(Debug)]
pub(super) struct Target {
    directory: PathBuf,
    pub(super) part: PathBuf,
    is_made: bool,
    is_done: bool,
}

impl Target {
    /// Makes the directory where it is missing; what is in it is not touched.
    fn prepare(directory: &Path, data: &Path) -> Result<Self, BackupError> {
        let failed = |source| BackupError::Target { path: directory.to_owned(), source };
        let is_made = match DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => return Err(failed(error)),
        };
        if !is_made {
            if fs::canonicalize(directory).map_err(failed)? == fs::canonicalize(data).map_err(failed)? {
                return Err(BackupError::IsData(directory.to_owned()));
            }
            if fs::read_dir(directory).map_err(failed)?.next().is_some() {
                return Err(BackupError::NotEmpty(directory.to_owned()));
            }
        }
        Self::within(directory, is_made).map_err(failed)
    }

    /// The same in a directory that holds other things.
    pub(super) fn within(directory: &Path, is_made: bool) -> io::Result<Self> {
        let part = directory.join(format!("{DATABASE}.part"));
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        Ok(Self { directory: directory.to_owned(), part, is_made, is_done: false })
    }

    /// Makes one file of it that is there to stay, still without its name.
    pub(super) fn settle(&self) -> Result<(), BackupError> {
        // Without a log it can be read where nothing may be written.
        let alone = Connection::open(&self.part).and_then(|part| {
            part.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get::<_, String>(0))
        });
        alone.map_err(|error| not_copied(&error))?;
        let synced = File::open(&self.part).and_then(|part| part.sync_all());
        synced.map_err(|source| BackupError::Target { path: self.directory.clone(), source })
    }

    /// Gives what is settled its name.
    pub(super) fn finish(mut self) -> Result<(), BackupError> {
        let path = self.directory.clone();
        let failed = |source| BackupError::Target { path: path.clone(), source };
        fs::rename(&self.part, self.directory.join(DATABASE)).map_err(failed)?;
        self.is_done = true;
        File::open(&self.directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
        // A new directory is there to stay once the one above it is written.
        match fs::canonicalize(&self.directory).map_err(failed)?.parent() {
            Some(parent) if self.is_made => File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed),
            _ => Ok(()),
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if !self.is_done {
            // What cannot be taken away does no harm: it has not the name of a store.
            let _ = fs::remove_file(&self.part);
            if self.is_made {
                let _ = fs::remove_dir(&self.directory);
            }
        }
    }
}
