//! Taking messages into a new room of a store that no server has: with the numbers, times and senders that they bring.
//!
//! One transaction, so that a room comes in whole or not at all; one group in memory at a time. It decides nothing about what
//! a message may hold: whoever reads the messages does.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{RoomName, Sender, Seq};
use crate::store::{Boot, GroupDraft, Record, RoomKey};

use super::OpenError;
use super::archive::{Archive, unread};
use super::commit;
use super::database::{Database, Room};
use super::directory::Directory;
use super::reseal::new_epoch;
use super::rows::{GroupRow, Numbers, State};
use super::schema;

/// Bytes and messages after which a group is written, as the server does.
const GROUP_BYTES: usize = 64 << 10;
const GROUP_COUNT: u32 = 4_096;

/// The last millisecond of the year 9999, beyond which no calendar goes.
const TS_MAX: u64 = 253_402_300_799_999;

/// What is counted without loss by every client.
const SEQ_MAX: u64 = 1 << 53;

/// Why messages were not taken.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The store is not there, or a server has it.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Nothing is mixed with what is there.
    #[error("there is a room {0} already: name one that is new")]
    Exists(Box<str>),
    /// It does not fit behind those before it.
    #[error("{0}")]
    Message(Box<str>),
    /// The store cannot be written.
    #[error("the store cannot be written: {0}")]
    Store(Box<str>),
}

/// A message to be taken.
#[derive(Clone, Debug)]
pub struct Brought<'a> {
    /// Its number.
    pub seq: Seq,
    /// Who said it.
    pub sender: Arc<Sender>,
    /// When, in Unix milliseconds.
    pub ts: u64,
    /// The `headers` object, where there is one.
    pub headers: Option<&'a str>,
    /// The body: any JSON value.
    pub body: &'a str,
    /// Whether the body was taken out.
    pub redacted: bool,
}

/// A room that is coming in. Nothing of it is there before [`Import::finish`].
#[derive(Debug)]
pub struct Import {
    database: Database,
    id: u64,
    room: Room,
    boot: Boot,
    draft: GroupDraft,
    first: Seq,
    next: Seq,
    last_ts: u64,
    _directory: Directory,
}

impl Import {
    /// Begins with a room that the store does not have.
    pub fn begin(data: &Path, name: &RoomName) -> Result<Self, ImportError> {
        // A directory without a store is more likely a mistake than meant.
        drop(Archive::open(data)?);
        let directory = Directory::hold(data)?;
        let database = Database::open(directory.database(), Duration::MAX, true)?;
        let key = RoomKey::of(name);
        if database.ids.contains_key(&key) {
            return Err(ImportError::Exists(name.shown().into()));
        }
        let boot = Boot::random().map_err(|error| ImportError::Store(error.to_string().into()))?;
        let room = Room::new(key, new_epoch().map_err(|error| failed(&error))?, Numbers::default(), false);
        database.begin().map_err(|error| failed(&error))?;
        let (id, draft) = (database.next_id, GroupDraft::new(boot));
        let (first, next) = (Seq(0), Seq(0));
        Ok(Self { database, id, room, boot, draft, first, next, last_ts: 0, _directory: directory })
    }

    /// Takes the next message.
    pub fn take(&mut self, message: &Brought<'_>) -> Result<(), ImportError> {
        let refused = |words: String| Err(ImportError::Message(words.into()));
        let Brought { seq, ts, .. } = *message;
        if seq < self.next.max(Seq(1)) {
            return refused(format!("number {seq} does not come after {}", self.next.0.saturating_sub(1)));
        }
        if seq.0 > SEQ_MAX || ts > TS_MAX {
            return refused("a number or a time that is too large".to_owned());
        }
        if ts < self.last_ts {
            return refused(format!("`ts` {ts} is before that of the message before, {}", self.last_ts));
        }
        let is_full = self.draft.bytes() >= GROUP_BYTES || self.draft.count() >= GROUP_COUNT;
        if is_full || seq != self.next {
            self.write()?;
            self.first = seq;
        }
        self.draft.push(&Record {
            sender: Arc::clone(&message.sender),
            to: None,
            ts,
            headers: message.headers.map(str::as_bytes),
            body: message.body.as_bytes(),
            key: None,
            redacted: message.redacted,
        });
        (self.next, self.last_ts) = (seq.next(), ts);
        Ok(())
    }

    /// Makes the room lasting.
    pub fn finish(mut self) -> Result<(), ImportError> {
        self.write()?;
        if self.room.numbers.newest == Seq(0) {
            return Err(ImportError::Message("there is no message in it".into()));
        }
        let row = self.room.row(self.id, State::Live);
        let connection = &self.database.connection;
        let written = commit::write_room(connection, &row, true).and_then(|()| connection.execute_batch("COMMIT"));
        // Where another program reads it just now, the log is taken in by the next who opens it.
        let written = written.and_then(|()| schema::checkpoint_all(connection, schema::BUSY));
        written.map(drop).map_err(|error| failed(&error))
    }

    /// Writes the group that was gathered.
    fn write(&mut self) -> Result<(), ImportError> {
        if self.draft.count() == 0 {
            return Ok(());
        }
        let group = std::mem::replace(&mut self.draft, GroupDraft::new(self.boot)).seal();
        let numbers = &mut self.room.numbers;
        let row = GroupRow::new(&self.room.seal, self.database.next_pos, self.first, numbers.last_ts, &group);
        commit::insert_group(&self.database.connection, self.id, &row).map_err(|error| failed(&error))?;
        self.database.next_pos += row.count;
        if numbers.oldest == Seq(0) {
            numbers.oldest = self.first;
        }
        numbers.newest = Seq(self.first.0 + row.count - 1);
        numbers.last_ts = row.last_ts;
        numbers.bytes += row.data.len() as u64;
        numbers.end_pos = self.database.next_pos;
        self.first = self.next;
        Ok(())
    }
}

fn failed(error: &rusqlite::Error) -> ImportError {
    ImportError::Store(unread(error).0)
}
