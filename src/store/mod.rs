//! The store: where messages outlive the process, as one contract that several engines can keep.
//!
//! A [`Store`] takes batches of writes in the order given and never makes its caller wait: it takes a batch or refuses it.
//! What became of them comes back as one ordered stream of [`Event`]s, and only what that stream says is committed may be
//! shown or acknowledged. Reads go beside the writes and are answered on the same stream. Nothing above knows which engine
//! it is, and the stream may carry messages that other servers appended.
//!
//! What every engine promises, held for each by the suite in `contract`:
//!
//! - A batch is committed as a whole or not at all, and batches in the order in which they were given.
//! - The messages of a room are numbered from 1 in the order of their commits; no number is skipped or given twice, over
//!   restart and crash too. `pos` grows over all rooms: every message has one, the numbers may have holes.
//! - [`Event::Committed`] and [`Event::Done`] come after the sync, never before. Every ticket that was taken is answered once.
//! - After a failure nothing is committed until the engine has looked at what is really there, which it tells with
//!   [`Event::Restored`]; the tickets in flight are answered with [`Event::Failed`], their outcome unknown.
//! - What was told is read by every read given in afterwards, and no read is answered with a message before it was told.
//! - The time of a message is never below that of the one before it in its room.
//! - A search finds what is there and was told, the newest first, and holds all that is wanted; it may miss the newest messages for
//!   some seconds. What was redacted, deleted or let go is never found: not by an answer that comes behind the telling of it.
//!   No search costs a write anything but its share of the machine.

#[cfg(test)]
mod contract;
#[cfg(test)]
mod double;
mod gather;
mod record;
mod search;
pub mod sqlite;
mod words;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{Chunk, Epoch, Place, RoomName, Seq};

#[cfg(test)]
pub use double::{Disk, Double};
pub use record::{Boot, Group, GroupDraft, Record};
pub use search::{Hit, Hits, Lag, Query, Scope, Searched, Unsearchable};
pub use words::Words;

/// A room as the store knows it: the compared form of its name, or the pair whose direct messages it holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomKey(pub Arc<str>);

impl RoomKey {
    /// The key of a room.
    pub fn of(room: &RoomName) -> Self {
        Self(room.key().into())
    }
}

/// What a caller names a write or a read by, to know its answer again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A place in the one order of all that the store holds; later is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pos(pub u64);

/// What a room keeps; 0 means no limit. A group that is kept in part counts as a whole by its bytes, and by age a message
/// goes with the newest of its group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Messages, to the last one.
    pub messages: u64,
    /// Bytes as they are stored; the newest group stays, however large.
    pub bytes: u64,
    /// How old the messages may become, also while nobody appends.
    pub age: Duration,
}

/// One thing to be made lasting.
#[derive(Clone, Debug)]
pub enum Write {
    /// Messages behind those that the room has; answered by [`Event::Committed`].
    Append {
        /// Known again by this.
        ticket: Ticket,
        /// Where.
        room: RoomKey,
        /// The numbering, where the room is new to the store; else its own one stays.
        epoch: Epoch,
        /// What the room keeps from now on; zeros mean everything.
        keep: Retention,
        /// The messages.
        group: Arc<Group>,
    },
    /// A message loses its headers, its body and its key, everywhere that the store keeps them.
    Redact {
        /// Known again by this.
        ticket: Ticket,
        /// Where.
        room: RoomKey,
        /// Which.
        seq: Seq,
    },
    /// Work that is done: these messages are gone, whatever the room keeps.
    Finish {
        /// Known again by this.
        ticket: Ticket,
        /// Where.
        room: RoomKey,
        /// Which, in any order.
        seqs: Vec<Seq>,
    },
    /// A room with all it holds is gone; one with its name later is another, with another epoch.
    Delete {
        /// Known again by this.
        ticket: Ticket,
        /// Which.
        room: RoomKey,
    },
    /// A value beside the messages.
    Put {
        /// Known again by this.
        ticket: Ticket,
        /// Its name, such as `room/lobby`.
        name: Box<str>,
        /// What it is from now on; `None` takes it away.
        value: Option<Box<[u8]>>,
    },
}

impl Write {
    /// What its answer bears.
    pub const fn ticket(&self) -> Ticket {
        match self {
            Self::Append { ticket, .. }
            | Self::Redact { ticket, .. }
            | Self::Finish { ticket, .. }
            | Self::Delete { ticket, .. }
            | Self::Put { ticket, .. } => *ticket,
        }
    }

    /// Bytes that it takes on its way.
    pub fn cost(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Append { group, .. } => group.bytes().len(),
                Self::Finish { seqs, .. } => size_of_val(&seqs[..]),
                Self::Put { name, value, .. } => name.len() + value.as_ref().map_or(0, |value| value.len()),
                Self::Redact { .. } | Self::Delete { .. } => 0,
            }
    }
}

/// A stretch of a room's messages to be read.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Where.
    pub room: RoomKey,
    /// How the messages name the place.
    pub place: Place,
    /// The first number wanted.
    pub first: Seq,
    /// The number behind the last one wanted.
    pub end: Seq,
    /// Messages at this place and before it are not wanted; places begin at 1, so 0 is no bound. Forward only.
    pub after: Pos,
    /// Unix milliseconds before which nothing is wanted; 0 for no bound.
    pub since: u64,
    /// Unix milliseconds after which nothing is wanted; the greatest number for no bound.
    pub until: u64,
    /// Whether to begin with the oldest; else with the newest.
    pub is_forward: bool,
    /// Messages at most.
    pub count: usize,
    /// Bytes of encoded messages after which no more are taken; one message always is.
    pub bytes: usize,
}

impl Stretch {
    /// The messages of a room with some numbers, the oldest first, whenever they were said.
    pub fn of(room: &RoomName, place: Place, seqs: Range<Seq>, count: usize, bytes: usize) -> Self {
        Self {
            room: RoomKey::of(room),
            place,
            first: seqs.start,
            end: seqs.end,
            after: Pos(0),
            since: 0,
            until: u64::MAX,
            is_forward: true,
            count,
            bytes,
        }
    }
}

/// What was found of a [`Stretch`], oldest first.
#[derive(Debug, Default)]
pub struct Found {
    /// Messages, encoded, and none but those that were asked for; numbers may be missing between two where messages are gone
    /// or damaged.
    pub chunks: Vec<Arc<Chunk>>,
    /// Whether the stretch holds more in the direction read.
    pub more: bool,
    /// Numbers whose messages are there and cannot be read, both inclusive.
    pub damaged: Vec<(Seq, Seq)>,
}

/// Messages that are there to stay.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Of the append, where this process made it.
    pub ticket: Option<Ticket>,
    /// The place of the first message; the others follow it.
    pub pos: Pos,
    /// Where.
    pub room: RoomKey,
    /// The room's numbering.
    pub epoch: Epoch,
    /// The number of the first message.
    pub first: Seq,
    /// Unix milliseconds below which no message's time is, whatever its record says.
    pub floor: u64,
    /// The messages.
    pub group: Arc<Group>,
}

/// What the store says.
#[derive(Debug)]
pub enum Event {
    /// Messages were committed.
    Committed(Committed),
    /// Another write was.
    Done(Ticket),
    /// Writes failed, or the store did while there were none; whether they are there is unknown until [`Event::Restored`].
    Failed(Vec<Ticket>),
    /// Older messages of a room went, by what it keeps: this is the oldest one now, or behind the newest where none is left.
    Trimmed(RoomKey, Seq),
    /// What was read, or why not.
    Read(Ticket, Result<Found, ReadError>),
    /// What was found, or why not.
    Found(Ticket, Result<Hits, Unsearchable>),
    /// The store is well again after a failure, and this is what is there; the values beside the messages are left out.
    Restored(Box<Contents>),
}

/// What a store holds of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomState {
    /// Which.
    pub room: RoomKey,
    /// Its numbering.
    pub epoch: Epoch,
    /// The oldest number kept, or one of finished work before it; behind the newest where nothing is kept.
    pub oldest: Seq,
    /// The newest number given.
    pub newest: Seq,
    /// The time of the newest message, in Unix milliseconds.
    pub last_ts: u64,
    /// The place of the newest message.
    pub last_pos: Pos,
}

/// An idempotency key that is still remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// The key, as its [`Record`] had it.
    pub key: u128,
    /// The message's number.
    pub seq: Seq,
    /// Its time, in Unix milliseconds.
    pub ts: u64,
}

/// All that is needed of a store before the first connection comes.
#[derive(Debug, Default)]
pub struct Contents {
    /// The rooms.
    pub rooms: Vec<RoomState>,
    /// The values beside them, by name.
    pub values: Vec<(Box<str>, Box<[u8]>)>,
    /// Keys of messages that are not older than was asked for, oldest first.
    pub keys: Vec<(RoomKey, KnownKey)>,
    /// Random, and the same for as long as the store lives: what keys are hashed with.
    pub secret: [u8; 16],
}

/// A batch was not taken: nothing of it will happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// As much waits as may.
    #[error("the disk is behind")]
    Full,
    /// The store has failed and is not well again.
    #[error("the disk has failed")]
    Failed,
}

/// A read that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ReadError(pub Box<str>);

/// The way to an engine.
pub trait Store: fmt::Debug + Send + Sync {
    /// Takes a batch or refuses it, at once.
    fn write(&self, batch: Vec<Write>) -> Result<(), Refused>;

    /// Takes a read or refuses it, at once.
    fn read(&self, ticket: Ticket, stretch: Stretch) -> Result<(), Refused>;

    /// Takes a search or refuses it, at once; answered by [`Event::Found`].
    fn search(&self, ticket: Ticket, query: Query) -> Result<(), Refused>;

    /// Says which rooms are searched from now on. Before that was said none is; what was said in a room while it was not
    /// searched need not be found later.
    fn index(&self, rooms: Searched);

    /// How far searches are behind.
    fn lag(&self) -> Lag;
}
