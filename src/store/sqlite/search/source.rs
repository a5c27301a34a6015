//! The messages as the index sees them: read in short transactions over a connection of its own, each checked to the last bit.
//!
//! It reads and never writes, and holds no transaction longer than one call.

use std::collections::HashMap;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::model::Seq;
use crate::store::{Boot, Group, GroupDraft, Hit, Query, Record, Words};

use super::super::database::meta;
use super::super::erased::{self, List};
use super::super::rows::{self, GroupRow, RoomRow, State};
use super::super::schema;

/// Rows of groups that are read at once: some milliseconds of work where each holds one message.
const GROUPS: usize = 512;

/// Bytes of groups after which no more are read.
const BYTES: usize = 1 << 20;

/// The columns of a group, with its room behind them.
fn columns() -> String {
    format!("{}, room", rows::GROUP)
}

/// The file of the messages.
#[derive(Debug)]
pub(super) struct Source {
    connection: Connection,
}

/// A group and whose it is.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) row: GroupRow,
    pub(super) room: u64,
}

/// Groups in the order of their commits.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) groups: Vec<Told>,
    /// Their rooms, where those stand.
    pub(super) rooms: HashMap<u64, RoomRow>,
    /// Whether there may be more.
    pub(super) more: bool,
}

impl Source {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        Ok(Self { connection: schema::open_reader(path)? })
    }

    /// What tells this store from any other.
    pub(super) fn secret(&self) -> rusqlite::Result<Vec<u8>> {
        Ok(meta(&self.connection, "secret")?.unwrap_or_default())
    }

    /// What was erased.
    pub(super) fn erased(&self) -> rusqlite::Result<List> {
        Ok(List::parse(&meta(&self.connection, erased::NAME)?.unwrap_or_default()))
    }

    /// The next groups from a place on, and before another.
    pub(super) fn batch(&mut self, from: u64, end: u64) -> rusqlite::Result<Batch> {
        let transaction = self.connection.transaction()?;
        let sql = format!("SELECT {} FROM groups WHERE pos >= ?1 AND pos < ?2 ORDER BY pos", columns());
        let mut batch = Batch::default();
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query([from.cast_signed(), end.cast_signed()])?;
        let mut bytes = 0;
        while let Some(row) = rows.next()? {
            if batch.groups.len() == GROUPS || bytes >= BYTES {
                batch.more = true;
                break;
            }
            let room = row.get_ref(7)?.as_i64().unwrap_or_default().cast_unsigned();
            let Some(row) = GroupRow::read(row) else { continue };
            bytes += row.data.len();
            batch.groups.push(Told { row, room });
        }
        for told in &batch.groups {
            if !batch.rooms.contains_key(&told.room) {
                batch.rooms.extend(room(&transaction, told.room)?.map(|row| (told.room, row)));
            }
        }
        Ok(batch)
    }

    /// A room, where it stands.
    pub(super) fn room(&mut self, id: u64) -> rusqlite::Result<Option<RoomRow>> {
        room(&self.connection.transaction()?, id)
    }

    /// The place of the oldest message that a room keeps.
    pub(super) fn oldest(&self, room: u64) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT pos FROM groups WHERE room = ?1 ORDER BY first LIMIT 1";
        let found = self.connection.prepare_cached(sql)?.query_row([room.cast_signed()], |row| row.get::<_, i64>(0));
        Ok(found.optional()?.map(i64::cast_unsigned))
    }

    /// What tells whether a place still holds what it held: the room's numbering and the group's numbers.
    pub(super) fn mark(&mut self, pos: u64) -> rusqlite::Result<Option<String>> {
        let transaction = self.connection.transaction()?;
        let Some(told) = group(&transaction, pos)? else { return Ok(None) };
        let Some(room) = room(&transaction, told.room)? else { return Ok(None) };
        Ok(Some(mark(&told, &room)))
    }

    /// The rooms by their keys.
    pub(super) fn id(&self, key: &str) -> rusqlite::Result<Option<u64>> {
        let sql = "SELECT id FROM rooms WHERE key = ?1 AND state = 0";
        let found = self.connection.prepare_cached(sql)?.query_row([key], |row| row.get::<_, i64>(0)).optional()?;
        Ok(found.map(i64::cast_unsigned))
    }

    /// Begins to look at messages that an index named.
    pub(super) fn look(&mut self, boot: Boot) -> rusqlite::Result<Look<'_>> {
        Ok(Look { transaction: self.connection.transaction()?, boot, rooms: HashMap::new(), last: None })
    }
}

/// What [`Source::mark`] says of a group.
pub(super) fn mark(told: &Told, room: &RoomRow) -> String {
    let GroupRow { pos, first, count, last_ts, .. } = &told.row;
    format!("{pos}/{}/{}/{first}/{count}/{last_ts}", told.room, room.epoch.0)
}

fn room(transaction: &Transaction<'_>, id: u64) -> rusqlite::Result<Option<RoomRow>> {
    let sql = format!("SELECT {} FROM rooms WHERE id = ?1", rows::ROOM);
    let row = transaction.prepare_cached(&sql)?.query_row([id.cast_signed()], |row| Ok(RoomRow::read(row)));
    Ok(row.optional()?.filter(|row| row.state == State::Live))
}

/// The group that holds the message at a place.
fn group(transaction: &Transaction<'_>, pos: u64) -> rusqlite::Result<Option<Told>> {
    let sql = format!("SELECT {} FROM groups WHERE pos <= ?1 ORDER BY pos DESC LIMIT 1", columns());
    let told = |row: &rusqlite::Row<'_>| {
        let room = row.get_ref(7)?.as_i64().unwrap_or_default().cast_unsigned();
        Ok(GroupRow::read(row).map(|row| Told { row, room }))
    };
    let found = transaction.prepare_cached(&sql)?.query_row([pos.cast_signed()], told).optional()?.flatten();
    Ok(found.filter(|told| pos < told.row.pos.saturating_add(told.row.count)))
}

/// One look at several messages, all at one moment.
#[derive(Debug)]
pub(super) struct Look<'a> {
    transaction: Transaction<'a>,
    boot: Boot,
    rooms: HashMap<u64, Option<RoomRow>>,
    /// The group that was looked at last: its neighbours in the index are its own mostly.
    last: Option<(Told, Option<Group>)>,
}

impl Look<'_> {
    /// The message at a place, where it is there and is one that a query wants.
    pub(super) fn at(&mut self, pos: u64, query: &Query) -> rusqlite::Result<Option<Hit>> {
        let is_last = |told: &Told| (told.row.pos..told.row.pos.saturating_add(told.row.count)).contains(&pos);
        if !self.last.as_ref().is_some_and(|(told, _)| is_last(told)) {
            let Some(told) = group(&self.transaction, pos)? else { return Ok(None) };
            if !self.rooms.contains_key(&told.room) {
                self.rooms.insert(told.room, room(&self.transaction, told.room)?);
            }
            let room = self.rooms.get(&told.room).and_then(Option::as_ref);
            let wanted = room.filter(|room| query.scope.has(&room.room) && told.row.floor <= query.until);
            let group = wanted.and_then(|room| told.row.group(&rows::seal(&room.room, &room.epoch)));
            self.last = Some((told, group));
        }
        let Some((told, Some(group))) = &self.last else { return Ok(None) };
        let Some(Some(room)) = self.rooms.get(&told.room) else { return Ok(None) };
        let at = pos - told.row.pos;
        let seq = Seq(told.row.first.0 + at);
        let mut ts = told.row.floor;
        let found = group.records(self.boot).take(at as usize + 1).inspect(|record| ts = ts.max(record.ts)).last();
        let Some(record) = found.filter(|record| seq >= room.numbers.oldest && !record.redacted) else {
            return Ok(None);
        };
        if ts > query.until || !Words::of_body(record.body).holds(&query.words) || self.is_done(told.room, seq)? {
            return Ok(None);
        }
        let mut draft = GroupDraft::new(self.boot);
        draft.push(&Record { ts, key: None, ..record });
        Ok(Some(Hit { room: room.room.clone(), epoch: room.epoch.clone(), seq, message: draft.seal() }))
    }

    fn is_done(&self, room: u64, seq: Seq) -> rusqlite::Result<bool> {
        let sql = "SELECT 1 FROM done WHERE room = ?1 AND seq = ?2";
        self.transaction.prepare_cached(sql)?.exists([room.cast_signed(), seq.0.cast_signed()])
    }
}
