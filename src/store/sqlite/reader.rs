//! The thread that reads: answers stretches one after the other, over a connection of its own.
//!
//! Each read is one short transaction that touches the groups it wants and ends before its answer is sent, so that it
//! neither sees half a commit nor holds up the log. What it serves was checked to the last bit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use tokio::sync::mpsc;

use crate::model::{Epoch, Seq};
use crate::store::gather::Gather;
use crate::store::{Boot, Event, Found, Pos, ReadError, RoomKey, Stretch, Ticket};

use super::rows::{self, GroupRow, RoomRow, State};
use super::schema;
use super::writer::Told;

/// The reader.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) path: PathBuf,
    pub(super) boot: Boot,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) told: Arc<Told>,
}

impl Reader {
    /// Answers until nobody can ask any more.
    pub(super) fn run(self, reads: &Receiver<(Ticket, Stretch)>) {
        let mut connection = None;
        while let Ok((ticket, stretch)) = reads.recv() {
            let read = self.connect(&mut connection).and_then(|connection| self.read(connection, &stretch));
            let answer = read.map_err(|error| {
                // What is wrong with the connection may be over with the next one.
                connection = None;
                tracing::error!(room = &*stretch.room.0, %error, "a stretch of messages could not be read");
                ReadError(error.to_string().into())
            });
            if self.events.blocking_send(Event::Read(ticket, answer)).is_err() {
                break;
            }
        }
    }

    fn connect<'a>(&self, connection: &'a mut Option<Connection>) -> rusqlite::Result<&'a mut Connection> {
        if connection.is_none() {
            *connection = Some(schema::open_reader(&self.path)?);
        }
        connection.as_mut().ok_or(rusqlite::Error::QueryReturnedNoRows)
    }

    fn read(&self, connection: &mut Connection, stretch: &Stretch) -> rusqlite::Result<Found> {
        // Before the transaction begins: what it sees beyond that was not told yet.
        let told = *self.told.lock();
        let transaction = connection.transaction()?;
        read(&transaction, stretch, told, self.boot).map(|(found, _)| found)
    }
}

/// Reads a stretch as it stands before a place, and the numbering of its room, where there is such a room.
pub(super) fn read(
    transaction: &Transaction<'_>,
    stretch: &Stretch,
    told: u64,
    boot: Boot,
) -> rusqlite::Result<(Found, Option<Epoch>)> {
    let Some(room) = find_room(transaction, &stretch.room)? else { return Ok((Found::default(), None)) };
    let found = Search { transaction, room: &room, told }.run(stretch, boot)?;
    Ok((found, Some(room.epoch)))
}

/// The room of a key. Rows that cannot be trusted are as if they were not there: the writer has said so.
pub(super) fn find_room(transaction: &Transaction<'_>, key: &RoomKey) -> rusqlite::Result<Option<RoomRow>> {
    let sql = format!("SELECT {} FROM rooms WHERE key = ?1 AND state = 0", rows::ROOM);
    let mut statement = transaction.prepare_cached(&sql)?;
    let mut rows = statement.query([&*key.0])?;
    while let Some(row) = rows.next()? {
        let room = RoomRow::read(row);
        if room.state == State::Live && room.room == *key {
            return Ok(Some(room));
        }
    }
    Ok(None)
}

/// One read in its transaction.
struct Search<'a> {
    transaction: &'a Transaction<'a>,
    room: &'a RoomRow,
    told: u64,
}

/// A group's place among the others.
#[derive(Clone, Copy, Debug)]
struct Mark {
    first: u64,
    end: u64,
    floor: u64,
    last_ts: u64,
    /// The place of its last message.
    last_pos: u64,
}

impl Search<'_> {
    fn run(&self, stretch: &Stretch, boot: Boot) -> rusqlite::Result<Found> {
        let mut gather = Gather::new(stretch, boot, self.room.numbers.oldest, self.room.numbers.newest);
        let Some((first, end)) = gather.range() else { return Ok(gather.found()) };
        let (first, end) = (first.0, end.0);
        // Times only choose where to begin; where to end is seen on the way.
        let is_early = |mark: &Mark| mark.last_ts < stretch.since || mark.last_pos <= stretch.after.0;
        let (first, end) = if stretch.is_forward && (stretch.since > 0 || stretch.after > Pos(0)) {
            (self.boundary(first, end, is_early)?, end)
        } else if !stretch.is_forward && stretch.until < u64::MAX {
            (first, self.boundary(first, end, |mark| mark.floor <= stretch.until)?)
        } else {
            (first, end)
        };
        // The first number may be in the middle of a group.
        let first = self.mark(first)?.filter(|mark| mark.end > first).map_or(first, |mark| mark.first);
        let order = if stretch.is_forward { "" } else { "DESC" };
        let sql = format!(
            "SELECT {} FROM groups WHERE room = ?1 AND first >= ?2 AND first < ?3 ORDER BY first {order}",
            rows::GROUP
        );
        let seal = rows::seal(&self.room.room, &self.room.epoch);
        let has_done = self.has_done()?;
        let mut statement = self.transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params![self.room.id.cast_signed(), first.cast_signed(), end.cast_signed()])?;
        let (mut behind, mut is_hidden) = (Seq(first), false);
        while let Some(row) = rows.next()? {
            let Some(row) = GroupRow::read(row) else {
                tracing::error!(room = &*self.room.room.0, "a group of messages is damaged beyond its numbers");
                is_hidden = true;
                continue;
            };
            if std::mem::take(&mut is_hidden) && stretch.is_forward && behind < row.first {
                gather.damaged(behind, Seq(row.first.0 - 1));
            }
            behind = Seq(row.first.0.saturating_add(row.count));
            if row.pos >= self.told {
                continue;
            }
            let Some(group) = row.group(&seal) else {
                let last = Seq(row.first.0.saturating_add(row.count.max(1)) - 1);
                tracing::error!(room = &*self.room.room.0, first = row.first.0, last = last.0, "messages are damaged");
                if gather.damaged(row.first, last) {
                    continue;
                }
                break;
            };
            let done = if has_done { self.done(&row)? } else { Vec::new() };
            let is_behind = |seq: Seq| row.pos + (seq.0 - row.first.0) > stretch.after.0;
            let is_out = |seq: Seq| !is_behind(seq) || done.binary_search(&seq.0).is_ok();
            if !gather.take(row.first, row.floor, &group, is_out) {
                break;
            }
        }
        if is_hidden && stretch.is_forward {
            gather.damaged(behind, Seq(end - 1));
        }
        Ok(gather.found())
    }

    /// The first number that is in no group for which `is_before` holds, where it holds for all groups up to some one.
    fn boundary(&self, mut low: u64, mut high: u64, is_before: impl Fn(&Mark) -> bool) -> rusqlite::Result<u64> {
        while low < high {
            let middle = low + (high - low) / 2;
            match self.mark(middle)? {
                Some(mark) if !is_before(&mark) => high = mark.first.clamp(low, middle),
                Some(mark) => low = mark.end.clamp(middle + 1, high.max(middle + 1)),
                None => low = middle + 1,
            }
        }
        Ok(low)
    }

    /// The group that begins at a number or last before it.
    fn mark(&self, seq: u64) -> rusqlite::Result<Option<Mark>> {
        let sql = "SELECT first, count, floor, last_ts, pos FROM groups WHERE room = ?1 AND first <= ?2
            ORDER BY first DESC LIMIT 1";
        let mark = |row: &Row<'_>| {
            let number = |at| row.get_ref(at).map(|value| value.as_i64().unwrap_or_default().cast_unsigned());
            let (first, count) = (number(0)?, number(1)?);
            let last_pos = number(4)?.saturating_add(count).saturating_sub(1);
            Ok(Mark { first, end: first.saturating_add(count), floor: number(2)?, last_ts: number(3)?, last_pos })
        };
        let key = [self.room.id.cast_signed(), seq.cast_signed()];
        self.transaction.prepare_cached(sql)?.query_row(key, mark).optional()
    }

    fn has_done(&self) -> rusqlite::Result<bool> {
        self.transaction
            .prepare_cached("SELECT 1 FROM done WHERE room = ?1 LIMIT 1")?
            .exists([self.room.id.cast_signed()])
    }

    /// The finished ones of a group, in order.
    fn done(&self, row: &GroupRow) -> rusqlite::Result<Vec<u64>> {
        let sql = "SELECT seq FROM done WHERE room = ?1 AND seq >= ?2 AND seq < ?3 ORDER BY seq";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let (first, end) = (row.first.0.cast_signed(), row.first.0.saturating_add(row.count).cast_signed());
        let seqs = statement.query_map([self.room.id.cast_signed(), first, end], |row| row.get::<_, i64>(0))?;
        seqs.map(|seq| seq.map(i64::cast_unsigned)).collect()
    }
}
