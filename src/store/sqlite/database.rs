//! The database as its writer sees it: the connection, and of every room the numbers that the next commit builds on.
//!
//! What is here was read from the tables once; after any error it is thrown away and read anew. Nothing here waits, and
//! nobody else writes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension};

use crate::model::{Epoch, Seq};
use crate::store::{Contents, KnownKey, Pos, RoomKey, RoomState};

use super::OpenError;
use super::rows::{self, Numbers, RoomRow, State};
use super::schema;

/// A value beside the messages, and its name.
type Value = (Box<str>, Box<[u8]>);

/// The open database.
#[derive(Debug)]
pub(super) struct Database {
    /// Shared with the backup that is being made.
    pub(super) connection: Rc<Connection>,
    pub(super) rooms: BTreeMap<u64, Room>,
    pub(super) ids: HashMap<RoomKey, u64>,
    pub(super) next_id: u64,
    pub(super) next_pos: u64,
    /// Rooms that were deleted and whose rows are still there.
    pub(super) gone: VecDeque<u64>,
    /// Rooms that may hold more than they keep.
    pub(super) surplus: BTreeSet<u64>,
    /// Rooms up to this one were looked at for their age.
    pub(super) aged: u64,
    /// Whether overwritten text is still in the log.
    pub(super) must_scrub: bool,
    /// Whether pages are free that are to be given back.
    pub(super) has_free: bool,
    /// How long keys are remembered.
    pub(super) keys_age: Duration,
}

/// A room as the next commit needs it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) key: RoomKey,
    pub(super) epoch: Epoch,
    pub(super) seal: Hasher,
    pub(super) numbers: Numbers,
    /// Its oldest group, where that was looked up.
    pub(super) front: Option<Front>,
    /// The oldest number that was last told.
    pub(super) told: Seq,
    /// Whether it has a row.
    pub(super) is_stored: bool,
}

/// What retention needs to know of a group.
#[derive(Clone, Copy, Debug)]
pub(super) struct Front {
    pub(super) pos: u64,
    pub(super) first: Seq,
    /// The number behind its last message.
    pub(super) end: Seq,
    pub(super) last_ts: u64,
    pub(super) bytes: u64,
}

impl Room {
    pub(super) fn new(key: RoomKey, epoch: Epoch, numbers: Numbers, is_stored: bool) -> Self {
        let seal = rows::seal(&key, &epoch);
        Self { key, epoch, seal, numbers, front: None, told: numbers.oldest, is_stored }
    }

    pub(super) fn row(&self, id: u64, state: State) -> RoomRow {
        RoomRow { id, room: self.key.clone(), epoch: self.epoch.clone(), state, numbers: self.numbers }
    }

    fn state(&self) -> RoomState {
        let Numbers { oldest, newest, last_ts, end_pos, .. } = self.numbers;
        RoomState {
            room: self.key.clone(),
            epoch: self.epoch.clone(),
            oldest,
            newest,
            last_ts,
            last_pos: Pos(end_pos.saturating_sub(1)),
        }
    }
}

impl Database {
    /// Opens the file and reads what is there. All of it is synced then, also what an earlier process wrote and could not
    /// sync any more; where another program reads the file just now that may be left to the next checkpoint.
    pub(super) fn open(path: &Path, keys_age: Duration, must_sync: bool) -> Result<Self, OpenError> {
        let connection = schema::open_writer(path)?;
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        if !schema::checkpoint_all(&connection, schema::BUSY).map_err(failed)? {
            if must_sync {
                return Err(OpenError::Busy(path.to_owned()));
            }
            tracing::warn!(path = %path.display(), "another program reads the store: its log is not taken in yet");
        }
        let mut database = Self {
            connection: Rc::new(connection),
            rooms: BTreeMap::new(),
            ids: HashMap::new(),
            next_id: 1,
            next_pos: 1,
            gone: VecDeque::new(),
            surplus: BTreeSet::new(),
            aged: 0,
            must_scrub: false,
            has_free: false,
            keys_age,
        };
        database.load().map_err(failed)?;
        Ok(database)
    }

    /// The rooms as they are there.
    pub(super) fn states(&self) -> Vec<RoomState> {
        self.rooms.values().map(Room::state).collect()
    }

    /// All that is needed before the first connection comes.
    pub(super) fn contents(&self, now_ms: u64) -> rusqlite::Result<Contents> {
        let secret = self.secret()?;
        let keys_since = self.keys_since(now_ms);
        Ok(Contents { rooms: self.states(), values: self.values()?, keys: self.keys(keys_since)?, secret })
    }

    /// The time from which on keys are remembered.
    pub(super) fn keys_since(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.keys_age.as_millis() as u64)
    }

    fn load(&mut self) -> rusqlite::Result<()> {
        let number = |sql: &str| -> rusqlite::Result<u64> {
            // What is no number any more is damaged; the rows of rooms, which have a checksum, say it too.
            let found =
                self.connection.query_row(sql, [], |row| Ok(row.get_ref(0)?.as_i64().unwrap_or(0))).optional()?;
            Ok(found.unwrap_or(0).max(0).cast_unsigned())
        };
        let mut id = number("SELECT max(id) FROM rooms")?.max(number("SELECT max(room) FROM groups")?);
        id = id.max(number("SELECT max(room) FROM keys")?).max(number("SELECT max(room) FROM done")?);
        let mut pos = number("SELECT pos + count FROM groups ORDER BY pos DESC LIMIT 1")?;
        pos = pos.max(number("SELECT max(pos) + 1 FROM keys")?).max(self.stored_pos()?);

        for row in schema::rooms(&self.connection)? {
            match row.state {
                State::Live => {
                    pos = pos.max(row.numbers.end_pos);
                    self.ids.insert(row.room.clone(), row.id);
                    self.rooms.insert(row.id, Room::new(row.room, row.epoch, row.numbers, true));
                }
                State::Gone => {
                    pos = pos.max(row.numbers.end_pos);
                    self.gone.push_back(row.id);
                }
                State::Damaged => self.set_aside(&row)?,
            }
        }
        (self.next_id, self.next_pos) = (id + 1, pos.max(1));
        Ok(())
    }

    /// Takes a room whose row cannot be trusted out of service. Its messages stay in the file for someone to look at; a
    /// room of that name begins anew.
    fn set_aside(&self, row: &RoomRow) -> rusqlite::Result<()> {
        tracing::error!(room = &*row.room.0, id = row.id, "the row of a room is damaged: it is not served any more");
        let sql = "UPDATE rooms SET state = 2 WHERE id = ?1 AND state <> 2";
        self.connection.execute(sql, [row.id.cast_signed()])?;
        Ok(())
    }

    /// The place behind all that deleted rooms had.
    fn stored_pos(&self) -> rusqlite::Result<u64> {
        Ok(self.meta("end_pos")?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes))
    }

    /// What keys are hashed with, made at the first opening. Where it is lost, so is the meaning of the keys.
    fn secret(&self) -> rusqlite::Result<[u8; 16]> {
        if let Some(secret) = self.meta("secret")?.and_then(|bytes| bytes.try_into().ok()) {
            return Ok(secret);
        }
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        self.connection.execute("DELETE FROM keys", [])?;
        self.set_meta("secret", &secret)?;
        Ok(secret)
    }

    /// A value of the store's own.
    pub(super) fn meta(&self, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
        meta(&self.connection, name)
    }

    /// Sets a value of the store's own.
    pub(super) fn set_meta(&self, name: &str, value: &[u8]) -> rusqlite::Result<()> {
        let sql = "INSERT OR REPLACE INTO meta (name, value, crc) VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute((name, value, rows::value_crc(name, value)))?;
        Ok(())
    }

    fn values(&self) -> rusqlite::Result<Vec<Value>> {
        let mut statement = self.connection.prepare("SELECT name, value, crc FROM kv ORDER BY name")?;
        let mut rows = statement.query([])?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            let name = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
            let value = row.get_ref(1)?.as_bytes().unwrap_or_default();
            if row.get_ref(2)?.as_i64().ok() == Some(i64::from(rows::value_crc(&name, value))) {
                values.push((name.into(), value.into()));
            } else {
                tracing::error!(name, "a value is damaged and left out");
            }
        }
        Ok(values)
    }

    fn keys(&self, since: u64) -> rusqlite::Result<Vec<(RoomKey, KnownKey)>> {
        let sql = "SELECT pos, room, crc, data FROM keys WHERE last_ts >= ?1 ORDER BY pos";
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query([since.cast_signed()])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let number = |at| row.get_ref(at)?.as_i64().map(i64::cast_unsigned).or(Ok::<_, rusqlite::Error>(0));
            let (pos, id, crc) = (number(0)?, number(1)?, number(2)?);
            // Those of a room that is gone are meaningless.
            let Some(room) = self.rooms.get(&id) else { continue };
            let data = row.get_ref(3)?.as_bytes().unwrap_or_default();
            if crc != u64::from(rows::keys_crc(&room.seal, pos, data)) {
                tracing::error!(room = &*room.key.0, pos, "idempotency keys are damaged and left out");
                continue;
            }
            let known = rows::decode_keys(data).filter(|known| known.ts >= since);
            keys.extend(known.map(|known| (room.key.clone(), known)));
        }
        Ok(keys)
    }
}

/// A value of the store's own, where it is there and whole.
pub(super) fn meta(connection: &Connection, name: &str) -> rusqlite::Result<Option<Vec<u8>>> {
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?));
    let mut statement = connection.prepare_cached("SELECT value, crc FROM meta WHERE name = ?1")?;
    let Some((value, crc)) = statement.query_row([name], row).optional()? else { return Ok(None) };
    if crc != i64::from(rows::value_crc(name, &value)) {
        tracing::error!(name, "a value of the store is damaged");
        return Ok(None);
    }
    Ok(Some(value))
}
