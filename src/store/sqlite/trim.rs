//! Letting go: what rooms no longer keep, rooms that were deleted, keys that are too old, pages that are free.
//!
//! All of it happens on the writer in bounded steps, a few groups beside each commit and more while nothing waits, so that
//! nobody's message is held up by what others leave behind.

use rusqlite::OptionalExtension;

use crate::model::Seq;

use super::commit::Work;
use super::database::{Database, Front, Room};

/// Groups that go beside a commit, and twice as many as it appends: some milliseconds at most, and faster than they come.
const GROUPS: u32 = 32;

/// Rooms of which the age is looked at in one tick: a look costs some 10 µs.
const ROOMS: usize = 256;

/// Marks of finished work that go in one step.
const MARKS: i64 = 1024;

/// Rows of keys that are looked at in one tick; beside commits twice as many as they add.
const KEY_ROWS: u32 = 256;

/// Free pages that are worth nothing unless there are as many: those are used again by what comes next.
const FREE_PAGES: i64 = 1024;

/// Pages given back in one step, 1 MiB.
const PAGES: i64 = 256;

impl Database {
    /// Lets go of some of what rooms do not keep, inside a transaction.
    pub(super) fn trim(&mut self, work: &mut Work, now_ms: u64) -> rusqlite::Result<()> {
        let mut budget = GROUPS + 2 * work.appended;
        while let Some(&id) = self.surplus.first() {
            if !self.trim_room(work, id, now_ms, &mut budget)? {
                // Another one's turn comes when this one is through: none adds more than the budget takes.
                break;
            }
            self.surplus.remove(&id);
        }
        Ok(())
    }

    /// Whether something is left to do without waiting for anyone's message.
    pub(super) fn has_leavings(&self) -> bool {
        !self.surplus.is_empty() || !self.gone.is_empty() || self.has_free
    }

    /// One step of all this, in a transaction of its own.
    pub(super) fn tick(&mut self, now_ms: u64) -> rusqlite::Result<Work> {
        let mut work = Work::default();
        let aged: Vec<u64> = self.rooms.range(self.aged + 1..).map(|(id, _)| *id).take(ROOMS).collect();
        self.aged = aged.last().copied().filter(|_| aged.len() == ROOMS).unwrap_or(0);
        for id in aged {
            if self.has_surplus(id, now_ms)? {
                self.surplus.insert(id);
            }
        }
        let is_erasing = !self.gone.is_empty();
        if is_erasing {
            self.connection.pragma_update(None, "secure_delete", true)?;
        }
        self.begin()?;
        self.trim(&mut work, now_ms)?;
        self.bury()?;
        self.forget(KEY_ROWS, now_ms)?;
        self.end(&mut work)?;
        if is_erasing {
            self.must_scrub = true;
            self.connection.pragma_update(None, "secure_delete", "FAST")?;
        }
        self.vacuum()?;
        Ok(work)
    }

    /// Forgets keys that are too old, looking at some of the oldest rows.
    pub(super) fn forget(&self, rows: u32, now_ms: u64) -> rusqlite::Result<()> {
        if rows > 0 {
            let since = self.keys_since(now_ms).cast_signed();
            let sql = "DELETE FROM keys WHERE last_ts < ?1 AND pos IN (SELECT pos FROM keys ORDER BY pos LIMIT ?2)";
            self.connection.prepare_cached(sql)?.execute((since, rows))?;
        }
        Ok(())
    }

    /// Takes a step in removing a room that was deleted.
    fn bury(&mut self) -> rusqlite::Result<()> {
        let Some(&id) = self.gone.front() else { return Ok(()) };
        let room = id.cast_signed();
        let sql = "DELETE FROM groups WHERE pos IN (SELECT pos FROM groups WHERE room = ?1 LIMIT ?2)";
        let groups = self.connection.prepare_cached(sql)?.execute([room, i64::from(GROUPS)])?;
        let sql = "DELETE FROM done WHERE room = ?1 AND seq IN (SELECT seq FROM done WHERE room = ?1 LIMIT ?2)";
        let marks = self.connection.prepare_cached(sql)?.execute([room, MARKS])?;
        if groups == 0 && marks == 0 {
            // The place of its messages is never given again.
            self.set_meta("end_pos", &self.next_pos.to_le_bytes())?;
            self.connection.prepare_cached("DELETE FROM keys WHERE room = ?1")?.execute([room])?;
            self.connection.prepare_cached("DELETE FROM rooms WHERE id = ?1")?.execute([room])?;
            self.gone.pop_front();
        }
        Ok(())
    }

    /// Gives some pages back to the system where many are free.
    fn vacuum(&mut self) -> rusqlite::Result<()> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let free = pragma("freelist_count")?;
        let enough = FREE_PAGES.max(pragma("page_count")? / 8);
        if free <= enough {
            self.has_free = false;
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(&format!("PRAGMA incremental_vacuum({PAGES})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        let left = pragma("freelist_count")?;
        self.has_free = enough < left && left < free;
        Ok(())
    }

    /// Lets go of a room's oldest groups while it has too much; whether it is through.
    fn trim_room(&mut self, work: &mut Work, id: u64, now_ms: u64, budget: &mut u32) -> rusqlite::Result<bool> {
        while self.has_surplus(id, now_ms)? {
            if *budget == 0 {
                return Ok(false);
            }
            let Some(front) = self.front(id)? else { return Ok(true) };
            self.drop_group(id, &front)?;
            work.changed.insert(id);
            *budget -= 1;
        }
        Ok(true)
    }

    fn has_surplus(&mut self, id: u64, now_ms: u64) -> rusqlite::Result<bool> {
        let Some(front) = self.front(id)? else { return Ok(false) };
        let Some(Room { numbers, .. }) = self.rooms.get(&id) else { return Ok(false) };
        let keep = numbers.keep;
        let is_newest = front.end > numbers.newest;
        let age = keep.age.as_millis() as u64;
        Ok(front.end <= numbers.oldest
            || keep.bytes > 0 && numbers.bytes > keep.bytes && !is_newest
            || age > 0 && front.last_ts < now_ms.saturating_sub(age))
    }

    /// Takes a group with its marks away; what is kept begins behind it where it was the first.
    pub(super) fn drop_group(&mut self, id: u64, group: &Front) -> rusqlite::Result<()> {
        let Some(room) = self.rooms.get_mut(&id) else { return Ok(()) };
        let (first, end) = (group.first.0.cast_signed(), group.end.0.cast_signed());
        let sql = "DELETE FROM groups WHERE pos = ?1";
        self.connection.prepare_cached(sql)?.execute([group.pos.cast_signed()])?;
        let sql = "DELETE FROM done WHERE room = ?1 AND seq >= ?2 AND seq < ?3";
        self.connection.prepare_cached(sql)?.execute([id.cast_signed(), first, end])?;
        room.numbers.bytes = room.numbers.bytes.saturating_sub(group.bytes);
        room.front = None;
        let next = self.first_group(id)?.map(|next| next.first);
        if let Some(room) = self.rooms.get_mut(&id) {
            let kept = next.unwrap_or(room.numbers.newest.next());
            room.numbers.oldest = room.numbers.oldest.max(kept.min(room.numbers.newest.next()));
        }
        Ok(())
    }

    /// The oldest group of a room, if it has one.
    fn front(&mut self, id: u64) -> rusqlite::Result<Option<Front>> {
        let Some(room) = self.rooms.get(&id) else { return Ok(None) };
        if room.front.is_some() || room.numbers.oldest > room.numbers.newest {
            return Ok(room.front);
        }
        let front = self.first_group(id)?;
        if let Some(room) = self.rooms.get_mut(&id) {
            room.front = front;
        }
        Ok(front)
    }

    fn first_group(&self, id: u64) -> rusqlite::Result<Option<Front>> {
        self.look_up("WHERE room = ?1 AND first >= ?2 ORDER BY first LIMIT 1", id, Seq(0))
    }

    /// The group that holds a number, if one does.
    pub(super) fn group_at(&self, id: u64, seq: Seq) -> rusqlite::Result<Option<Front>> {
        let found = self.look_up("WHERE room = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1", id, seq)?;
        Ok(found.filter(|group| seq < group.end))
    }

    fn look_up(&self, which: &str, id: u64, seq: Seq) -> rusqlite::Result<Option<Front>> {
        let Some(newest) = self.rooms.get(&id).map(|room| room.numbers.newest) else { return Ok(None) };
        // The length of `data` stands in front of it, so that it is not read.
        let sql = format!("SELECT pos, first, count, last_ts, length(data) FROM groups {which}");
        let found = |row: &rusqlite::Row<'_>| {
            let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
            let (first, count) = (Seq(number(1)?), number(2)?);
            // Where these are damaged they still lead to no number that the room never had.
            let end = Seq(first.0.saturating_add(count)).min(newest.next()).max(first.next());
            Ok(Front { pos: number(0)?, first, end, last_ts: number(3)?, bytes: number(4)? })
        };
        self.connection.prepare_cached(&sql)?.query_row([id.cast_signed(), seq.0.cast_signed()], found).optional()
    }
}
