//! Searching: what is asked of a store, and what it finds.
//!
//! Plain data of the contract; `words` says what of a text counts. An engine finds messages by an index that may be behind,
//! and gives only such as are there and hold what was asked for.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Group, RoomKey, Words};
use crate::model::{Epoch, Seq};

/// Messages to be found.
#[derive(Clone, Debug)]
pub struct Query {
    /// What they hold, all of it.
    pub words: Words,
    /// Where.
    pub scope: Scope,
    /// Unix milliseconds after which nothing is wanted; the greatest number for no bound.
    pub until: u64,
    /// Messages at most.
    pub count: usize,
    /// Bytes of bodies and headers after which no more are taken; one message always is.
    pub bytes: usize,
}

/// Where messages are looked for.
#[derive(Clone, Debug)]
pub enum Scope {
    /// In one room.
    Room(RoomKey),
    /// In all but these.
    AllBut(HashSet<RoomKey>),
}

impl Scope {
    /// Whether a room is looked at.
    pub fn has(&self, room: &RoomKey) -> bool {
        match self {
            Self::Room(only) => only == room,
            Self::AllBut(others) => !others.contains(room),
        }
    }
}

/// What was found of a [`Query`].
#[derive(Debug, Default)]
pub struct Hits {
    /// The messages, the one that was committed last first.
    pub hits: Vec<Hit>,
    /// Whether there are more, or may be: as long was looked as one search may.
    pub more: bool,
}

/// A message that was found.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Where.
    pub room: RoomKey,
    /// The room's numbering.
    pub epoch: Epoch,
    /// Its number.
    pub seq: Seq,
    /// The message alone, with the time it counts by.
    pub message: Group,
}

/// Why nothing can be found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsearchable {
    /// The index is made anew.
    #[error("the index is being built: try again in a while")]
    Building,
    /// Something failed, which is in the log.
    #[error("the index cannot be read: try again later")]
    Failed,
}

/// How far searches are behind the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Messages that are not found yet.
    pub messages: u64,
    /// For how long that has been so.
    pub age: Duration,
}

/// Which rooms are searched.
#[derive(Clone)]
pub struct Searched(pub Arc<dyn Fn(&RoomKey) -> bool + Send + Sync>);

impl Searched {
    /// Whether a room is.
    pub fn has(&self, room: &RoomKey) -> bool {
        (self.0)(room)
    }
}

impl fmt::Debug for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Searched")
    }
}
