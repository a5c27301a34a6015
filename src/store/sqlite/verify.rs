//! Looks at all that a store holds, and says what is damaged: by room and numbers where it is messages.
//!
//! The structure of the file is SQLite's own check; every row is read and held against its checksum, and the rows of a room
//! against its numbers. What cannot be read is said like anything else, and the rest is looked at all the same. Each room
//! is one transaction, so that a server beside it can go on emptying its log. Nothing is changed.

use std::collections::HashMap;
use std::fmt;

use crc32fast::Hasher;
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::model::{RoomName, Seq};
use crate::store::RoomKey;

use super::archive::Archive;
use super::rows::{self, GroupRow, RoomRow, State};

/// Stretches without messages that are remembered of one room, in case that its bytes say that some are lost.
const HOLES_MAX: usize = 1_000;

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The room, where it is one's.
    pub room: Option<RoomKey>,
    /// Numbers of messages, both inclusive, where it is theirs.
    pub numbers: Option<(Seq, Seq)>,
    /// What is wrong.
    pub what: Box<str>,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(room) = &self.room {
            // What is damaged may be the name.
            match RoomName::parse(&room.0) {
                Ok(_) => write!(f, "room {}, ", room.0)?,
                Err(_) => write!(f, "room {:?}, ", room.0)?,
            }
        }
        match self.numbers {
            Some((first, last)) if first == last => write!(f, "number {first}: ")?,
            Some((first, last)) => write!(f, "numbers {first} to {last}: ")?,
            None => {}
        }
        f.write_str(&self.what)
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rooms that are served.
    pub rooms: u64,
    /// Their messages that are well, finished work among them.
    pub messages: u64,
    /// What was said to be damaged.
    pub damages: u64,
}

/// A check on its way.
struct Check<'a> {
    found: Verified,
    say: &'a mut dyn FnMut(&Damage),
}

impl Archive {
    /// Looks at everything, and says each damage as it is found.
    pub fn verify(&mut self, say: &mut dyn FnMut(&Damage)) -> Verified {
        let mut check = Check { found: Verified::default(), say };
        let done = check.structure(&self.connection);
        check.unread(done, "the structure of the file");
        let ids = ids(&self.connection);
        for id in check.unread(ids, "the rooms").unwrap_or_default() {
            let done = self.connection.transaction().and_then(|transaction| check.room(&transaction, id));
            check.unread(done, "a room, or some of it,");
        }
        let done = self.connection.transaction().and_then(|transaction| check.strays(&transaction));
        check.unread(done, "which messages are of no room");
        let done = self.connection.transaction().and_then(|transaction| check.keys(&transaction));
        check.unread(done, "the idempotency keys");
        for table in ["kv", "meta"] {
            let done = check.values(&self.connection, table);
            check.unread(done, "the values beside the messages");
        }
        check.found
    }
}

fn ids(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    connection.prepare("SELECT id FROM rooms ORDER BY id")?.query_map([], |row| row.get(0))?.collect()
}

impl Check<'_> {
    fn damage(&mut self, room: Option<&RoomKey>, numbers: Option<(Seq, Seq)>, what: impl Into<Box<str>>) {
        self.found.damages += 1;
        (self.say)(&Damage { room: room.cloned(), numbers, what: what.into() });
    }

    fn unread<T>(&mut self, read: rusqlite::Result<T>, what: &str) -> Option<T> {
        read.map_err(|error| self.damage(None, None, format!("{what} cannot be read: {error}"))).ok()
    }

    fn structure(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare("PRAGMA integrity_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let said: String = row.get(0)?;
            if said != "ok" {
                // What it quotes may be what strangers wrote.
                let said: String = said.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
                self.damage(None, None, format!("the structure of the file: {said}"));
            }
        }
        Ok(())
    }

    fn room(&mut self, transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<()> {
        let sql = format!("SELECT {} FROM rooms WHERE id = ?1", rows::ROOM);
        let row = transaction.prepare_cached(&sql)?.query_row([id], |row| Ok(RoomRow::read(row))).optional()?;
        // One that went in the meantime is no damage, nor is one on its way out.
        let Some(row) = row.filter(|row| row.state != State::Gone) else { return Ok(()) };
        let key = &row.room;
        if row.state == State::Damaged {
            self.damage(Some(key), None, "its row is damaged: the room is not served");
            return Ok(());
        }
        self.found.rooms += 1;
        let sql = "SELECT count(*) FROM rooms WHERE key = ?1 AND state = 0";
        let same: i64 = transaction.prepare_cached(sql)?.query_row([&*key.0], |row| row.get(0))?;
        if same > 1 {
            self.damage(Some(key), None, "there are two rooms of this name");
        }
        self.groups(transaction, &row)?;
        let sql = "SELECT min(seq), max(seq) FROM done WHERE room = ?1 AND (seq < 1 OR seq > ?2)";
        let marks = (id, row.numbers.newest.0.cast_signed());
        let (first, last): (Option<i64>, Option<i64>) =
            transaction.prepare_cached(sql)?.query_row(marks, |row| Ok((row.get(0)?, row.get(1)?)))?;
        if let (Some(first), Some(last)) = (first, last) {
            let numbers = (Seq(first.cast_unsigned()), Seq(last.cast_unsigned()));
            self.damage(Some(key), Some(numbers), "marks of finished work that there never was");
        }
        Ok(())
    }

    fn groups(&mut self, transaction: &Transaction<'_>, room: &RoomRow) -> rusqlite::Result<()> {
        let mut walk = Walk::default();
        let newest = room.numbers.newest;
        let seal = rows::seal(&room.room, &room.epoch);
        let sql = format!("SELECT {} FROM groups WHERE room = ?1 ORDER BY first", rows::GROUP);
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query([room.id.cast_signed()])?;
        while let Some(row) = rows.next()? {
            let Some(row) = GroupRow::read(row) else {
                self.damage(Some(&room.room), None, format!("messages behind number {} have no number", walk.last));
                continue;
            };
            let last = Seq(row.first.0.saturating_add(row.count.max(1)) - 1);
            walk.bytes += row.data.len() as u64;
            let group = row.group(&seal).filter(|_| {
                row.first > walk.last && last <= newest && row.pos >= walk.end_pos && row.floor >= walk.last_ts
            });
            let Some(group) = group else {
                walk.damaged(self, room, row.first.min(newest), last.min(newest).max(row.first.min(newest)));
                continue;
            };
            walk.flush(self, room);
            if row.first > walk.last.next() && row.first > room.numbers.oldest {
                walk.hole(walk.last.next().max(room.numbers.oldest), Seq(row.first.0 - 1));
            }
            (walk.last, walk.end_pos, walk.last_ts) = (last, row.pos + row.count, row.last_ts);
            self.found.messages += u64::from(group.count());
        }
        walk.flush(self, room);
        if walk.last < newest {
            walk.hole(walk.last.next().max(room.numbers.oldest), newest);
        }
        if walk.bytes != room.numbers.bytes {
            walk.say_lost(self, room);
        }
        Ok(())
    }

    /// Messages and marks of rooms that there are not.
    fn strays(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        for (table, what) in [("groups", "groups of messages"), ("done", "marks of finished work")] {
            let sql =
                format!("SELECT room, count(*) FROM {table} WHERE room NOT IN (SELECT id FROM rooms) GROUP BY room");
            let mut statement = transaction.prepare(&sql)?;
            let found = statement.query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))?;
            for found in found {
                let (room, count) = found?;
                self.damage(None, None, format!("{count} {what} are of a room that there is not, number {room}"));
            }
        }
        Ok(())
    }

    fn keys(&mut self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut seals: HashMap<i64, (RoomKey, Hasher)> = HashMap::new();
        for row in super::schema::rooms(transaction)?.into_iter().filter(|row| row.state == State::Live) {
            let seal = rows::seal(&row.room, &row.epoch);
            seals.insert(row.id.cast_signed(), (row.room, seal));
        }
        let mut statement = transaction.prepare("SELECT pos, room, crc, data FROM keys ORDER BY pos")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (pos, id, crc): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let Some((key, seal)) = seals.get(&id) else { continue };
            let data = row.get_ref(3)?.as_bytes().unwrap_or_default();
            if crc != i64::from(rows::keys_crc(seal, pos.cast_unsigned(), data)) {
                let key = key.clone();
                self.damage(Some(&key), None, "idempotency keys are damaged: repeats of their messages are not known");
            }
        }
        Ok(())
    }

    fn values(&mut self, connection: &Connection, table: &str) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(&format!("SELECT name, value, crc FROM {table} ORDER BY name"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let name = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default());
            let value = row.get_ref(1)?.as_bytes().unwrap_or_default();
            if row.get_ref(2)?.as_i64().ok() != Some(i64::from(rows::value_crc(&name, value))) {
                self.damage(None, None, format!("the value {name:?} is damaged"));
            }
        }
        Ok(())
    }
}

/// A walk over the groups of one room.
#[derive(Default)]
struct Walk {
    /// The number of the last message that is well.
    last: Seq,
    end_pos: u64,
    last_ts: u64,
    bytes: u64,
    /// Damaged numbers that may go on with the next group.
    open: Option<(Seq, Seq)>,
    holes: Vec<(Seq, Seq)>,
}

impl Walk {
    fn damaged(&mut self, check: &mut Check<'_>, room: &RoomRow, first: Seq, last: Seq) {
        match &mut self.open {
            Some((_, end)) if first <= end.next() => *end = last.max(*end),
            _ => {
                self.flush(check, room);
                self.open = Some((first, last));
            }
        }
        self.last = self.last.max(last);
    }

    fn flush(&mut self, check: &mut Check<'_>, room: &RoomRow) {
        if let Some(numbers) = self.open.take() {
            check.damage(Some(&room.room), Some(numbers), "the messages are damaged");
        }
    }

    fn hole(&mut self, first: Seq, last: Seq) {
        if first <= last && self.holes.len() < HOLES_MAX {
            self.holes.push((first, last));
        }
    }

    fn say_lost(&self, check: &mut Check<'_>, room: &RoomRow) {
        let (is, was) = (self.bytes, room.numbers.bytes);
        check.damage(Some(&room.room), None, format!("it holds {is} bytes of messages where there were {was}"));
        for numbers in &self.holes {
            check.damage(Some(&room.room), Some(*numbers), "no messages; lost, unless they were finished work");
        }
    }
}
