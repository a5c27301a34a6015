//! The directory that a store lives in: made where it is missing, for its owner's eyes alone, and held by one server.
//!
//! Knows the names of the files in it and nothing of what is in them.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::OpenError;

/// The file that SQLite writes.
pub(super) const DATABASE: &str = "messages.db";

/// A directory that no other server uses while this is held.
#[derive(Debug)]
pub(super) struct Directory {
    database: PathBuf,
    _lock: Lock,
}

/// The lock alone. It ends when the file is closed, also when the process is killed.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    /// Locks a directory that is there.
    pub(super) fn take(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory { path: path.to_owned(), source };
        let lock = private(&path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(OpenError::Taken(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl Directory {
    /// Makes what is missing, and locks it.
    pub(super) fn hold(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError::Directory { path: path.to_owned(), source };
        make(path).map_err(failed)?;
        let lock = Lock::take(path)?;
        let database = path.join(DATABASE);
        // SQLite gives the files beside it the same rights.
        private(&database).map_err(failed)?;
        // A file is there to stay once its directory is written.
        File::open(path).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(Self { database, _lock: lock })
    }

    /// The file that SQLite writes; its log is beside it.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }
}

/// Makes a directory and those above it that are missing, each there to stay before anything is put into it.
fn make(path: &Path) -> io::Result<()> {
    let above = match path.parent() {
        // The root is always there.
        None => return Ok(()),
        Some(above) if above.as_os_str().is_empty() => Path::new("."),
        Some(above) => above,
    };
    let sync = || File::open(above).and_then(|above| above.sync_all());
    if path.is_dir() {
        // Made by a server that was killed before it could sync that, perhaps. Where it was not, the one above may be
        // nobody's to open.
        let _ = sync();
        return Ok(());
    }
    make(above)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => return Err(error),
        _ => {}
    }
    match sync() {
        // One may be let in to make something and yet not to look.
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
