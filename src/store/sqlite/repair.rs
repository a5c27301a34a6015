//! Keeping what can be kept of a damaged store: every row that is well goes into a new file, the old one is kept aside.
//!
//! A table that cannot be read to its end is read from both, and messages by their index too. A room that lost something gets
//! a new epoch, and its numbers go on. Nothing that fails its checksum is kept, and the old file is not changed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row, params};

use crate::model::Seq;
use crate::store::{Retention, RoomKey};

use super::archive::Archive;
use super::backup::{Target, not_copied};
use super::commit::insert_group;
use super::directory::Lock;
use super::reseal::reseal;
use super::restore::{RestoreError, move_aside};
use super::rows::{self, GroupRow, Numbers, RoomRow, State};
use super::verify::Damage;
use super::{OpenError, schema};

/// Stretches that were lost and are said of one room.
const LOST_MAX: usize = 1_000;

/// Writes a new store of all that is well in a damaged one, and says what was lost; where the old one is now.
pub fn repair(archive: Archive, data: &Path, say: &mut dyn FnMut(&Damage)) -> Result<PathBuf, RestoreError> {
    let _lock = Lock::take(data)?;
    let failed = |source| OpenError::Directory { path: data.to_owned(), source };
    let target = Target::within(data, false).map_err(failed)?;
    let copied = schema::create(&target.part).and_then(|to| {
        to.execute_batch("BEGIN")?;
        let salvage = Salvage {
            from: &archive.connection,
            to: &to,
            say,
            rooms: BTreeMap::new(),
            gone: BTreeSet::new(),
            end_pos: 0,
        };
        salvage.run()?;
        to.execute_batch("COMMIT")?;
        to.close().map_err(|(_, error)| error)
    });
    copied.map_err(|error| not_copied(&error))?;
    // From here on nothing can be missing but the name: the old store makes way at the last moment.
    target.settle()?;
    drop(archive);
    let aside = move_aside(data, "damaged")?;
    target.finish()?;
    Ok(aside)
}

/// A repair on its way.
struct Salvage<'a> {
    from: &'a Connection,
    to: &'a Connection,
    say: &'a mut dyn FnMut(&Damage),
    /// The rooms that are kept, by their number.
    rooms: BTreeMap<i64, RoomRow>,
    /// Rooms whose messages are not missed: deleted ones.
    gone: BTreeSet<i64>,
    end_pos: u64,
}

impl Salvage<'_> {
    fn run(mut self) -> rusqlite::Result<()> {
        self.values("meta")?;
        self.values("kv")?;
        self.find_rooms()?;
        self.groups()?;
        self.marks()?;
        self.keys()?;
        for room in std::mem::take(&mut self.rooms).into_values() {
            self.room(room)?;
        }
        // No place is given again, also of what was lost.
        let end_pos = self.end_pos.to_le_bytes();
        let sql = "INSERT OR REPLACE INTO meta (name, value, crc) VALUES ('end_pos', ?1, ?2)";
        self.to.execute(sql, params![end_pos, rows::value_crc("end_pos", &end_pos)]).map(drop)
    }

    fn lost(&mut self, room: Option<&RoomKey>, numbers: Option<(Seq, Seq)>, what: impl Into<Box<str>>) {
        (self.say)(&Damage { room: room.cloned(), numbers, what: what.into() });
    }

    fn values(&mut self, table: &str) -> rusqlite::Result<()> {
        let (mut lost, mut end_pos) = (Vec::new(), 0);
        let sql = format!("INSERT OR IGNORE INTO {table} (name, value, crc) VALUES (?1, ?2, ?3)");
        let is_whole = both_ways(self.from, "name, value, crc", table, "name", |row| {
            let name = String::from_utf8_lossy(row.get_ref(0)?.as_bytes().unwrap_or_default()).into_owned();
            let value = row.get_ref(1)?.as_bytes().unwrap_or_default();
            let crc = rows::value_crc(&name, value);
            if row.get_ref(2)?.as_i64().ok() != Some(i64::from(crc)) {
                lost.push(format!("the value {name:?} is lost"));
                return Ok(());
            }
            if name == "end_pos" {
                end_pos = value.try_into().map_or(0, u64::from_le_bytes);
            }
            self.to.prepare_cached(&sql)?.execute(params![name, value, crc]).map(drop)
        })?;
        self.end_pos = self.end_pos.max(end_pos);
        if !is_whole {
            lost.push(format!("values of `{table}` may be lost: rooms without theirs get those of the configuration"));
        }
        for words in lost {
            self.lost(None, None, words);
        }
        Ok(())
    }

    fn find_rooms(&mut self) -> rusqlite::Result<()> {
        let mut found = BTreeMap::new();
        let is_whole = both_ways(self.from, rows::ROOM, "rooms", "id", |row| {
            let room = RoomRow::read(row);
            found.insert(room.id.cast_signed(), room);
            Ok(())
        })?;
        if !is_whole {
            self.lost(None, None, "rooms may be lost with all they held");
        }
        let live = |room: &RoomRow| room.state == State::Live;
        let mut taken = BTreeSet::new();
        for room in found.values() {
            self.end_pos = self.end_pos.max(if room.state == State::Damaged { 0 } else { room.numbers.end_pos });
        }
        // Those that are served come first: a name has one room.
        let (well, damaged): (BTreeMap<_, _>, BTreeMap<_, _>) = found.into_iter().partition(|(_, room)| live(room));
        for (id, room) in well.into_iter().chain(damaged) {
            match room.state {
                State::Gone => drop(self.gone.insert(id)),
                _ if taken.insert(room.room.clone()) => drop(self.rooms.insert(id, room)),
                _ => self.lost(
                    Some(&room.room),
                    None,
                    "an older room of this name, set aside when it was damaged, is lost",
                ),
            }
        }
        Ok(())
    }

    fn groups(&mut self) -> rusqlite::Result<()> {
        let columns = format!("{}, room", rows::GROUP);
        let (rooms, gone, to) = (&self.rooms, &self.gone, self.to);
        let (mut end_pos, mut strays) = (0, BTreeSet::new());
        let mut keep = |row: &Row<'_>| {
            let Ok(id) = row.get::<_, i64>(7) else { return Ok(()) };
            let Some(room) = rooms.get(&id) else {
                if !gone.contains(&id) {
                    strays.insert(id);
                }
                return Ok(());
            };
            let Some(group) = GroupRow::read(row) else { return Ok(()) };
            if group.group(&rows::seal(&room.room, &room.epoch)).is_none() {
                return Ok(());
            }
            end_pos = end_pos.max(group.pos + group.count);
            // Whoever is found by both ways is kept once.
            let known = to.prepare_cached("SELECT 1 FROM groups WHERE pos = ?1 OR (room = ?2 AND first = ?3)")?;
            let (pos, first) = (group.pos.cast_signed(), group.first.0.cast_signed());
            let is_known = { known }.exists(params![pos, id, first])?;
            if is_known { Ok(()) } else { insert_group(to, room.id, &group) }
        };
        if !both_ways(self.from, &columns, "groups", "pos", &mut keep)? {
            // What lies between what cannot be read is found by the index.
            let sql = format!("SELECT {columns} FROM groups WHERE pos = ?1");
            let index = "groups INDEXED BY groups_by_room";
            both_ways(self.from, "pos", index, "room, first", |row| {
                let Ok(pos) = row.get::<_, i64>(0) else { return Ok(()) };
                let mut statement = self.from.prepare_cached(&sql)?;
                // One that cannot be read is lost; the next one may not be.
                let Ok(mut found) = statement.query([pos]) else { return Ok(()) };
                match found.next() {
                    Ok(Some(row)) => keep(row),
                    _ => Ok(()),
                }
            })?;
        }
        self.end_pos = self.end_pos.max(end_pos);
        for id in strays {
            self.lost(None, None, format!("messages of a room that is not known any more, number {id}, are lost"));
        }
        Ok(())
    }

    fn marks(&mut self) -> rusqlite::Result<()> {
        let (rooms, to) = (&self.rooms, self.to);
        let is_whole = both_ways(self.from, "room, seq", "done", "room, seq", |row| {
            let (Ok(id), Ok(seq)) = (row.get(0), row.get::<_, i64>(1)) else { return Ok(()) };
            if rooms.contains_key(&id) && seq > 0 {
                to.prepare_cached("INSERT OR IGNORE INTO done (room, seq) VALUES (?1, ?2)")?.execute([id, seq])?;
            }
            Ok(())
        })?;
        if !is_whole {
            self.lost(None, None, "marks of finished work may be lost: that work comes again");
        }
        Ok(())
    }

    fn keys(&mut self) -> rusqlite::Result<()> {
        let (rooms, to) = (&self.rooms, self.to);
        // What is lost of them only makes a repeat look like a new message.
        both_ways(self.from, "pos, room, last_ts, crc, data", "keys", "pos", |row| {
            let number = |at| row.get_ref(at).map_or(-1, |value| value.as_i64().unwrap_or(-1));
            let (pos, id, last_ts, crc) = (number(0), number(1), number(2), number(3));
            let data = row.get_ref(4)?.as_bytes().unwrap_or_default();
            let Some(room) = rooms.get(&id) else { return Ok(()) };
            if crc == i64::from(rows::keys_crc(&rows::seal(&room.room, &room.epoch), pos.cast_unsigned(), data)) {
                let sql = "INSERT OR IGNORE INTO keys (pos, room, last_ts, crc, data) VALUES (?1, ?2, ?3, ?4, ?5)";
                to.prepare_cached(sql)?.execute(params![pos, id, last_ts, crc, data])?;
            }
            Ok(())
        })
        .map(drop)
    }

    /// Writes a room's row, by what was kept of its messages.
    fn room(&mut self, mut room: RoomRow) -> rusqlite::Result<()> {
        let id = room.id.cast_signed();
        let kept = kept(self.to, id)?;
        let is_known = room.state == State::Live;
        let key = room.room.clone();
        if !is_known {
            if kept.bytes == 0 {
                self.lost(Some(&key), None, "its row is damaged and no message is known to be its: it is lost");
                return Ok(());
            }
            let oldest = kept.first;
            room.numbers = Numbers { oldest, keep: Retention::default(), ..Numbers::default() };
        }
        let numbers = &mut room.numbers;
        let is_whole = is_known && kept.bytes == numbers.bytes && kept.last <= numbers.newest;
        numbers.newest = numbers.newest.max(kept.last);
        numbers.last_ts = numbers.last_ts.max(kept.last_ts);
        numbers.end_pos = numbers.end_pos.max(kept.end_pos);
        numbers.bytes = kept.bytes;
        let numbers = *numbers;
        room.state = State::Live;
        super::commit::write_room(self.to, &room, true)?;
        // Marks of what there never was would finish messages to come.
        self.to
            .execute("DELETE FROM done WHERE room = ?1 AND seq > ?2", params![id, numbers.newest.0.cast_signed()])?;
        if is_whole {
            return Ok(());
        }
        for hole in kept.holes(numbers.oldest, numbers.newest) {
            self.lost(Some(&key), Some(hole), "lost, unless it was finished work");
        }
        let words = if is_known { "it lost messages" } else { "its row was lost, and is made anew from its messages" };
        self.lost(Some(&key), None, format!("{words}: it has a new epoch"));
        // Invariant: all that was kept has been seen to be well.
        reseal(self.to, room).map(drop)
    }
}

/// What was kept of a room's messages.
#[derive(Default)]
struct Kept {
    first: Seq,
    last: Seq,
    last_ts: u64,
    end_pos: u64,
    bytes: u64,
    /// Numbers without messages before each group.
    holes: Vec<(Seq, Seq)>,
}

impl Kept {
    fn holes(&self, oldest: Seq, newest: Seq) -> impl Iterator<Item = (Seq, Seq)> {
        let end = (self.last.next(), newest);
        let holes = self.holes.iter().copied().chain([end]);
        holes.map(move |(first, last)| (first.max(oldest), last)).filter(|(first, last)| first <= last)
    }
}

fn kept(to: &Connection, id: i64) -> rusqlite::Result<Kept> {
    let mut kept = Kept::default();
    let sql = "SELECT pos, first, count, last_ts, length(data) FROM groups WHERE room = ?1 ORDER BY first";
    let mut statement = to.prepare_cached(sql)?;
    let mut rows = statement.query([id])?;
    while let Some(row) = rows.next()? {
        let number = |at| row.get::<_, i64>(at).map(i64::cast_unsigned);
        let (pos, first, count) = (number(0)?, number(1)?, number(2)?);
        if kept.bytes == 0 {
            kept.first = Seq(first);
        }
        if Seq(first) > kept.last.next() && kept.holes.len() < LOST_MAX {
            kept.holes.push((kept.last.next(), Seq(first - 1)));
        }
        kept.last = Seq(first + count - 1);
        kept.last_ts = number(3)?;
        kept.end_pos = kept.end_pos.max(pos + count);
        kept.bytes += number(4)?;
    }
    Ok(kept)
}

/// Reads a table from its beginning, and where that fails from its end too; whether it did not. What `keep` cannot write is
/// an error, what cannot be read is none.
fn both_ways(
    from: &Connection,
    columns: &str,
    table: &str,
    order: &str,
    mut keep: impl FnMut(&Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<bool> {
    for direction in ["", " DESC"] {
        let order = order.replace(", ", &format!("{direction}, "));
        let sql = format!("SELECT {columns} FROM {table} ORDER BY {order}{direction}");
        let Ok(mut statement) = from.prepare(&sql) else { continue };
        let Ok(mut rows) = statement.query([]) else { continue };
        loop {
            match rows.next() {
                Ok(Some(row)) => keep(row)?,
                Ok(None) if direction.is_empty() => return Ok(true),
                Ok(None) | Err(_) => break,
            }
        }
    }
    Ok(false)
}
