//! A new numbering for a room: its row and everything that bears its epoch in a checksum, written anew.
//!
//! Only what is well gets the new checksum, so that damage never looks like something that was meant. The numbers of messages
//! stay. The file is one that nobody serves yet.

use rusqlite::{Connection, params};

use crate::model::Epoch;

use super::rows::{self, GroupRow, RoomRow};

/// An epoch that there never was.
pub(super) fn new_epoch() -> rusqlite::Result<Epoch> {
    let random = getrandom::u64().map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    Ok(Epoch::from_random(random))
}

/// Gives a room another epoch; whether all it holds was well.
pub(super) fn reseal(connection: &Connection, mut room: RoomRow) -> rusqlite::Result<bool> {
    let id = room.id.cast_signed();
    let old = rows::seal(&room.room, &room.epoch);
    room.epoch = new_epoch()?;
    let new = rows::seal(&room.room, &room.epoch);

    let sql = format!("SELECT {} FROM groups WHERE room = ?1 ORDER BY first", rows::GROUP);
    let mut groups = connection.prepare_cached(&sql)?;
    let mut update = connection.prepare_cached("UPDATE groups SET crc = ?2 WHERE pos = ?1")?;
    // No index has the checksum, so each row is seen once.
    let mut found = groups.query([id])?;
    while let Some(row) = found.next()? {
        let Some((row, group)) = GroupRow::read(row).and_then(|row| row.group(&old).map(|group| (row, group))) else {
            return Ok(false);
        };
        let sealed = GroupRow::new(&new, row.pos, row.first, row.floor, &group);
        update.execute(params![row.pos.cast_signed(), sealed.crc])?;
    }

    let mut keys = connection.prepare_cached("SELECT pos, crc, data FROM keys WHERE room = ?1")?;
    let mut update = connection.prepare_cached("UPDATE keys SET crc = ?2 WHERE pos = ?1")?;
    let mut found = keys.query([id])?;
    while let Some(row) = found.next()? {
        let (pos, crc): (i64, i64) = (row.get(0)?, row.get(1)?);
        let data = row.get_ref(2)?.as_bytes().unwrap_or_default();
        if crc != i64::from(rows::keys_crc(&old, pos.cast_unsigned(), data)) {
            return Ok(false);
        }
        update.execute(params![pos, rows::keys_crc(&new, pos.cast_unsigned(), data)])?;
    }

    let sql = "UPDATE rooms SET epoch = ?2, crc = ?3 WHERE id = ?1";
    connection.prepare_cached(sql)?.execute(params![id, &*room.epoch.0, room.crc()])?;
    Ok(true)
}
