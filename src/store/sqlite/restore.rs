//! Putting a backup in the place of a store that no server has.
//!
//! The copy gets a name only when it is whole, every room of it has a new epoch, and all is synced; what was there before is
//! kept aside. Whether the backup is well is for whoever restores it to see before, by `verify`.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::Backup;

use super::OpenError;
use super::archive::Archive;
use super::backup::{BackupError, Target, not_copied, open_target};
use super::directory::{DATABASE, Lock};
use super::reseal::reseal;
use super::rows::State;
use super::schema;

/// What belongs to a store: its file, and what is made from it and can be made anew. Each may have a log beside it.
const FILES: [&str; 2] = [DATABASE, "search.db"];

/// Why a backup was not put in place.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory cannot be used, or a server has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup cannot be copied.
    #[error(transparent)]
    Copy(#[from] BackupError),
    /// Nothing can be restored from itself.
    #[error("{path} is the data directory itself: name a backup", path = .0.display())]
    IsData(PathBuf),
    /// Nothing is written over.
    #[error("{path} holds a store already: name another directory, or say --replace, which keeps the old store aside", path = .0.display())]
    Exists(PathBuf),
    /// It changed since it was looked at, or cannot be read any more.
    #[error("the backup is damaged: nothing was restored")]
    Damaged,
    /// What is there cannot be kept aside.
    #[error("the old store in {path} cannot be moved aside: {source}", path = .path.display())]
    Aside {
        /// Where it is.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Puts a backup into a data directory; where the store that was there is now, if there was one.
pub fn restore(
    backup: &mut Archive,
    from: &Path,
    data: &Path,
    must_replace: bool,
) -> Result<Option<PathBuf>, RestoreError> {
    let failed = |source| OpenError::Directory { path: data.to_owned(), source };
    let is_new = !data.exists();
    DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    if fs::canonicalize(from).map_err(failed)? == fs::canonicalize(data).map_err(failed)? {
        return Err(RestoreError::IsData(data.to_owned()));
    }
    let _lock = Lock::take(data)?;
    let is_there = holds_store(data).map_err(failed)?;
    if is_there && !must_replace {
        return Err(RestoreError::Exists(data.to_owned()));
    }
    let target = Target::within(data, is_new).map_err(failed)?;
    let copied = copy(backup, &target.part).map_err(|error| not_copied(&error))?;
    if !copied {
        return Err(RestoreError::Damaged);
    }
    // From here on nothing can be missing but the name: the old store makes way at the last moment.
    target.settle()?;
    let aside = if is_there { Some(move_aside(data, "replaced")?) } else { None };
    target.finish()?;
    Ok(aside)
}

/// Copies everything and gives each room a new epoch; whether all was well.
fn copy(backup: &Archive, part: &Path) -> rusqlite::Result<bool> {
    let mut copy = open_target(part)?;
    Backup::new(&backup.connection, &mut copy)?.step(-1)?;
    let rooms = schema::rooms(&copy)?;
    let transaction = copy.transaction()?;
    for room in rooms {
        let is_well = match room.state {
            State::Live => reseal(&transaction, room)?,
            State::Gone => true,
            State::Damaged => false,
        };
        if !is_well {
            return Ok(false);
        }
    }
    transaction.commit()?;
    copy.close().map_err(|(_, error)| error)?;
    Ok(true)
}

fn holds_store(data: &Path) -> io::Result<bool> {
    match fs::metadata(data.join(DATABASE)) {
        Ok(found) => Ok(found.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Moves a store into a directory of its own beside where it was.
pub(super) fn move_aside(data: &Path, word: &str) -> Result<PathBuf, RestoreError> {
    let failed = |source| RestoreError::Aside { path: data.to_owned(), source };
    let stamp = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ");
    let aside = data.join(format!("{word}-{stamp}"));
    DirBuilder::new().mode(0o700).create(&aside).map_err(failed)?;
    for file in FILES {
        for end in ["", "-wal", "-shm"] {
            let name = format!("{file}{end}");
            match fs::rename(data.join(&name), aside.join(&name)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
                _ => {}
            }
        }
    }
    File::open(&aside).and_then(|aside| aside.sync_all()).map_err(failed)?;
    Ok(aside)
}
