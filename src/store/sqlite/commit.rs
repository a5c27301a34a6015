//! One commit: everything that waits, carried out in one transaction and told when it is synced.
//!
//! Numbers come from memory; the tables are only written to, but for redaction and finished work, which look at the groups
//! that they touch. On any error the caller throws the whole [`Database`] away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::{Epoch, Seq};
use crate::store::{Committed, Event, Group, Pos, Retention, RoomKey, Ticket, Write};

use super::database::{Database, Front, Room};
use super::erased::Erased;
use super::rows::{self, GroupRow, Numbers, State};

/// What a transaction has done so far.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// What will be said.
    pub(super) events: Vec<Event>,
    /// Rooms whose rows changed.
    pub(super) changed: BTreeSet<u64>,
    /// Groups appended.
    pub(super) appended: u32,
    /// Those of them with keys.
    pub(super) keyed: u32,
    /// What was redacted and deleted.
    erased: Vec<Erased>,
    /// Work that was finished, by room.
    finished: BTreeMap<u64, Vec<Seq>>,
}

impl Database {
    /// Commits batches and says what became of them.
    pub(super) fn commit(&mut self, batches: Vec<Vec<Write>>, now_ms: u64) -> rusqlite::Result<Work> {
        let erases = |write: &Write| matches!(write, Write::Redact { .. } | Write::Delete { .. });
        let must_erase = batches.iter().flatten().any(erases);
        if must_erase {
            self.connection.pragma_update(None, "secure_delete", true)?;
            self.must_scrub = true;
        }
        let mut work = Work::default();
        self.begin()?;
        for write in batches.into_iter().flatten() {
            self.carry_out(&mut work, write)?;
        }
        self.note_erased(&work.erased)?;
        self.settle_finished(&mut work)?;
        self.trim(&mut work, now_ms)?;
        self.forget(2 * work.keyed, now_ms)?;
        self.end(&mut work)?;
        if must_erase {
            self.connection.pragma_update(None, "secure_delete", "FAST")?;
        }
        Ok(work)
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    /// Writes the rows of rooms that changed, and syncs.
    pub(super) fn end(&mut self, work: &mut Work) -> rusqlite::Result<()> {
        for id in std::mem::take(&mut work.changed) {
            if let Some(room) = self.rooms.get_mut(&id) {
                let is_new = !std::mem::replace(&mut room.is_stored, true);
                if room.told != room.numbers.oldest {
                    room.told = room.numbers.oldest;
                    work.events.push(Event::Trimmed(room.key.clone(), room.told));
                }
                let row = room.row(id, State::Live);
                write_room(&self.connection, &row, is_new)?;
            }
        }
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    fn carry_out(&mut self, work: &mut Work, write: Write) -> rusqlite::Result<()> {
        let ticket = write.ticket();
        match write {
            Write::Append { room, epoch, keep, group, .. } => {
                let id = self.room(room, epoch, keep);
                return self.append(work, ticket, id, keep, group);
            }
            Write::Redact { room, seq, .. } => self.redact(work, &room, seq)?,
            Write::Finish { room, seqs, .. } => self.finish(work, &room, &seqs)?,
            Write::Delete { room, .. } => self.delete(work, &room)?,
            Write::Put { name, value, .. } => self.put(&name, value.as_deref())?,
        }
        work.events.push(Event::Done(ticket));
        Ok(())
    }

    fn room(&mut self, key: RoomKey, epoch: Epoch, keep: Retention) -> u64 {
        if let Some(id) = self.ids.get(&key) {
            return *id;
        }
        let id = self.next_id;
        self.next_id += 1;
        let numbers = Numbers { oldest: Seq(1), keep, ..Numbers::default() };
        self.ids.insert(key.clone(), id);
        self.rooms.insert(id, Room::new(key, epoch, numbers, false));
        id
    }

    fn append(
        &mut self,
        work: &mut Work,
        ticket: Ticket,
        id: u64,
        keep: Retention,
        group: Arc<Group>,
    ) -> rusqlite::Result<()> {
        // Invariant: `room` has just found or made it.
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        let (pos, first, floor) = (self.next_pos, room.numbers.newest.next(), room.numbers.last_ts);
        let row = GroupRow::new(&room.seal, pos, first, floor, &group);
        insert_group(&self.connection, id, &row)?;
        if group.keyed() > 0 {
            work.keyed += 1;
            let keys = rows::encode_keys(&group, first, floor);
            let crc = rows::keys_crc(&room.seal, pos, &keys);
            self.connection
                .prepare_cached("INSERT INTO keys (pos, room, last_ts, crc, data) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute(params![pos.cast_signed(), id.cast_signed(), row.last_ts.cast_signed(), crc, keys])?;
        }
        self.next_pos += row.count;
        let end = Seq(first.0 + row.count);
        let bytes = row.data.len() as u64;
        let numbers = &mut room.numbers;
        if numbers.oldest == first {
            room.front = Some(Front { pos, first, end, last_ts: row.last_ts, bytes });
        }
        numbers.newest = Seq(end.0 - 1);
        numbers.last_ts = row.last_ts;
        numbers.bytes += bytes;
        numbers.end_pos = self.next_pos;
        numbers.keep = keep;
        if keep.messages > 0 {
            numbers.oldest = numbers.oldest.max(Seq(end.0.saturating_sub(keep.messages)));
        }
        if keep.messages > 0 || keep.bytes > 0 {
            self.surplus.insert(id);
        }
        work.changed.insert(id);
        work.appended += 1;
        let (room, epoch) = (room.key.clone(), room.epoch.clone());
        let ticket = Some(ticket);
        work.events.push(Event::Committed(Committed { ticket, pos: Pos(pos), room, epoch, first, floor, group }));
        Ok(())
    }

    fn redact(&mut self, work: &mut Work, key: &RoomKey, seq: Seq) -> rusqlite::Result<()> {
        let Some(&id) = self.ids.get(key) else { return Ok(()) };
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        let sql = "SELECT pos, first, count, floor, last_ts, crc, data FROM groups WHERE room = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1";
        let found = self
            .connection
            .prepare_cached(sql)?
            .query_row([id.cast_signed(), seq.0.cast_signed()], |row| Ok(GroupRow::read(row)))
            .optional()?
            .flatten();
        let Some(row) = found.filter(|row| seq.0 < row.first.0.saturating_add(row.count)) else { return Ok(()) };
        let Some(group) = row.group(&room.seal) else {
            tracing::error!(
                room = &*key.0,
                seq = seq.0,
                "a message to be redacted is damaged; it is not served either"
            );
            return Ok(());
        };
        let blanked = group.redacted((seq.0 - row.first.0) as usize);
        let new = GroupRow::new(&room.seal, row.pos, row.first, row.floor, &blanked);
        self.connection
            .prepare_cached("UPDATE groups SET last_ts = ?2, crc = ?3, data = ?4 WHERE pos = ?1")?
            .execute(params![row.pos.cast_signed(), new.last_ts.cast_signed(), new.crc, &new.data[..]])?;
        room.numbers.bytes = room.numbers.bytes.saturating_sub(row.data.len() as u64) + new.data.len() as u64;
        room.front = None;
        work.changed.insert(id);
        work.erased.push(Erased::message(&row, seq));
        if group.keyed() > blanked.keyed() {
            // The row may have been forgotten already; one without keys is no harm.
            let keys = rows::encode_keys(&blanked, row.first, row.floor);
            let crc = rows::keys_crc(&room.seal, row.pos, &keys);
            self.connection.prepare_cached("UPDATE keys SET crc = ?2, data = ?3 WHERE pos = ?1")?.execute(params![
                row.pos.cast_signed(),
                crc,
                keys
            ])?;
        }
        Ok(())
    }

    fn finish(&mut self, work: &mut Work, key: &RoomKey, seqs: &[Seq]) -> rusqlite::Result<()> {
        let Some(&id) = self.ids.get(key) else { return Ok(()) };
        let Some(room) = self.rooms.get(&id) else { return Ok(()) };
        let there = room.numbers.oldest..=room.numbers.newest;
        let mut mark = self.connection.prepare_cached("INSERT OR IGNORE INTO done (room, seq) VALUES (?1, ?2)")?;
        let finished = work.finished.entry(id).or_default();
        for seq in seqs.iter().filter(|seq| there.contains(seq)) {
            mark.execute([id.cast_signed(), seq.0.cast_signed()])?;
            finished.push(*seq);
        }
        Ok(())
    }

    /// Takes away the groups that hold nothing any more but finished work.
    fn settle_finished(&mut self, work: &mut Work) -> rusqlite::Result<()> {
        for (id, mut seqs) in std::mem::take(&mut work.finished) {
            seqs.sort_unstable();
            let mut next = Seq(0);
            for seq in seqs {
                let Some(room) = self.rooms.get(&id) else { break };
                if seq < next {
                    continue;
                }
                let Some(group) = self.group_at(id, seq)? else { continue };
                next = group.end;
                let from = group.first.max(room.numbers.oldest);
                let done: i64 = self
                    .connection
                    .prepare_cached("SELECT count(*) FROM done WHERE room = ?1 AND seq >= ?2 AND seq < ?3")?
                    .query_row([id.cast_signed(), from.0.cast_signed(), group.end.0.cast_signed()], |row| row.get(0))?;
                if done.cast_unsigned() == group.end.0 - from.0 {
                    let before = room.numbers.oldest;
                    self.drop_group(id, &group)?;
                    // Who finished it knows what went by that.
                    if let Some(room) = self.rooms.get_mut(&id)
                        && room.told == before
                    {
                        room.told = room.numbers.oldest;
                    }
                    work.changed.insert(id);
                }
            }
        }
        Ok(())
    }

    fn delete(&mut self, work: &mut Work, key: &RoomKey) -> rusqlite::Result<()> {
        let Some(id) = self.ids.remove(key) else { return Ok(()) };
        let Some(room) = self.rooms.remove(&id) else { return Ok(()) };
        // Its messages go in small steps, so that nobody waits for them.
        write_room(&self.connection, &room.row(id, State::Gone), !room.is_stored)?;
        self.gone.push_back(id);
        self.surplus.remove(&id);
        work.erased.push(Erased::Room(id));
        work.changed.remove(&id);
        work.finished.remove(&id);
        Ok(())
    }

    fn put(&self, name: &str, value: Option<&[u8]>) -> rusqlite::Result<()> {
        if let Some(value) = value {
            let sql = "INSERT INTO kv (name, value, crc) VALUES (?1, ?2, ?3)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value, crc = excluded.crc";
            self.connection.prepare_cached(sql)?.execute((name, value, rows::value_crc(name, value)))?;
        } else {
            self.connection.prepare_cached("DELETE FROM kv WHERE name = ?1")?.execute([name])?;
        }
        Ok(())
    }
}

/// Adds a row of `groups`.
pub(super) fn insert_group(connection: &Connection, id: u64, row: &GroupRow) -> rusqlite::Result<()> {
    let sql = "INSERT INTO groups (pos, room, first, count, floor, last_ts, crc, data)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        row.pos.cast_signed(),
        id.cast_signed(),
        row.first.0.cast_signed(),
        row.count.cast_signed(),
        row.floor.cast_signed(),
        row.last_ts.cast_signed(),
        row.crc,
        &row.data[..]
    ])?;
    Ok(())
}

/// Writes a row of `rooms`.
pub(super) fn write_room(connection: &Connection, row: &rows::RoomRow, is_new: bool) -> rusqlite::Result<()> {
    let sql = if is_new {
        "INSERT INTO rooms (id, key, epoch, state, oldest, newest, last_ts, bytes, end_pos, keep_messages, keep_bytes, keep_age_ms, crc)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    } else {
        "UPDATE rooms SET key = ?2, epoch = ?3, state = ?4, oldest = ?5, newest = ?6, last_ts = ?7, bytes = ?8,
            end_pos = ?9, keep_messages = ?10, keep_bytes = ?11, keep_age_ms = ?12, crc = ?13 WHERE id = ?1"
    };
    let Numbers { oldest, newest, last_ts, bytes, end_pos, keep } = row.numbers;
    connection.prepare_cached(sql)?.execute(params![
        row.id.cast_signed(),
        &*row.room.0,
        &*row.epoch.0,
        row.state as i64,
        oldest.0.cast_signed(),
        newest.0.cast_signed(),
        last_ts.cast_signed(),
        bytes.cast_signed(),
        end_pos.cast_signed(),
        keep.messages.cast_signed(),
        keep.bytes.cast_signed(),
        (keep.age.as_millis() as u64).cast_signed(),
        row.crc(),
    ])?;
    Ok(())
}
