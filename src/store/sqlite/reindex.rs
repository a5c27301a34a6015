//! Making the index of searches anew, for a store that no server uses.
//!
//! It changes no message.

use std::path::Path;
use std::time::Duration;

use crate::store::Searched;

use super::OpenError;
use super::database::Database;
use super::directory::Directory;
use super::search::{Follower, Step};

/// Makes the index anew; how many places of messages were looked at.
pub fn reindex(path: &Path, rooms: Searched) -> Result<u64, OpenError> {
    if !path.join("messages.db").exists() {
        let source = std::io::Error::new(std::io::ErrorKind::NotFound, "there are no messages");
        return Err(OpenError::Directory { path: path.to_owned(), source });
    }
    let directory = Directory::hold(path)?;
    let messages = directory.database();
    let end = Database::open(messages, Duration::ZERO, false)?.next_pos;
    let failed = |fault: super::search::Fault| OpenError::Index(fault.to_string().into());
    Follower::remove(messages).map_err(failed)?;
    let mut follower = Follower::open(messages, end, rooms).map_err(failed)?;
    while follower.step(end).map_err(failed)? == Step::More {}
    Ok(end - 1 - follower.behind(end))
}
