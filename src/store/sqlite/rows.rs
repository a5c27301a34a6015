//! Rows and their checksums: what a room, a group and a group's keys look like in the tables.
//!
//! Every checksum begins with the room's key and epoch, so that a row which came to another room, or to a later room of the
//! same name, is seen as damaged. Nothing here changes a table.

use std::time::Duration;

use bytes::Bytes;
use crc32fast::Hasher;
use rusqlite::Row;
use rusqlite::types::ValueRef;

use crate::model::{Epoch, Seq};
use crate::store::{Boot, Group, KnownKey, Retention, RoomKey};

/// What a row of `rooms` is: served, deleted by someone and on its way out, or not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Live = 0,
    Gone = 1,
    Damaged = 2,
}

/// The numbers of a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) oldest: Seq,
    pub(super) newest: Seq,
    pub(super) last_ts: u64,
    /// Of the groups kept.
    pub(super) bytes: u64,
    /// Behind the place of its newest message.
    pub(super) end_pos: u64,
    pub(super) keep: Retention,
}

/// A row of `rooms`.
#[derive(Clone, Debug)]
pub(super) struct RoomRow {
    pub(super) id: u64,
    pub(super) room: RoomKey,
    pub(super) epoch: Epoch,
    pub(super) state: State,
    pub(super) numbers: Numbers,
}

/// The columns that [`RoomRow::read`] wants.
pub(super) const ROOM: &str =
    "id, key, epoch, state, oldest, newest, last_ts, bytes, end_pos, keep_messages, keep_bytes, keep_age_ms, crc";

impl RoomRow {
    /// A row as it stands, its state [`State::Damaged`] where its checksum is wrong.
    pub(super) fn read(row: &Row<'_>) -> Self {
        let text = |at| match row.get_ref(at) {
            Ok(ValueRef::Text(text)) => str::from_utf8(text).unwrap_or_default().into(),
            _ => "".into(),
        };
        let number = |at| integer(row, at).unwrap_or_default();
        let numbers = Numbers {
            oldest: Seq(number(4)),
            newest: Seq(number(5)),
            last_ts: number(6),
            bytes: number(7),
            end_pos: number(8),
            keep: Retention { messages: number(9), bytes: number(10), age: Duration::from_millis(number(11)) },
        };
        let state = match number(3) {
            0 => State::Live,
            1 => State::Gone,
            _ => State::Damaged,
        };
        let mut read = Self { id: number(0), room: RoomKey(text(1)), epoch: Epoch(text(2)), state, numbers };
        if integer(row, 12) != Some(u64::from(read.crc())) {
            read.state = State::Damaged;
        }
        read
    }

    /// The checksum of the whole row.
    pub(super) fn crc(&self) -> u32 {
        let Numbers { oldest, newest, last_ts, bytes, end_pos, keep } = self.numbers;
        let age = keep.age.as_millis() as u64;
        let numbers = [self.id, self.state as u64, oldest.0, newest.0, last_ts, bytes, end_pos];
        sum(seal(&self.room, &self.epoch), &numbers, &[keep.messages, keep.bytes, age])
    }
}

/// What every checksum of a room's rows begins with.
pub(super) fn seal(room: &RoomKey, epoch: &Epoch) -> Hasher {
    let mut hasher = Hasher::new();
    for text in [&room.0, &epoch.0] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher
}

fn sum(mut hasher: Hasher, numbers: &[u64], more: &[u64]) -> u32 {
    for number in numbers.iter().chain(more) {
        hasher.update(&number.to_le_bytes());
    }
    hasher.finalize()
}

/// The checksum of a value beside the messages.
pub(super) fn value_crc(name: &str, value: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(name.as_bytes());
    hasher.update(&[0]);
    hasher.update(value);
    hasher.finalize()
}

/// A row of `groups`.
#[derive(Clone, Debug)]
pub(super) struct GroupRow {
    pub(super) pos: u64,
    pub(super) first: Seq,
    pub(super) count: u64,
    pub(super) floor: u64,
    pub(super) last_ts: u64,
    pub(super) crc: u32,
    pub(super) data: Bytes,
}

/// The columns that [`GroupRow::read`] wants.
pub(super) const GROUP: &str = "pos, first, count, floor, last_ts, crc, data";

impl GroupRow {
    /// A row for a group that has its numbers.
    pub(super) fn new(seal: &Hasher, pos: u64, first: Seq, floor: u64, group: &Group) -> Self {
        let (count, last_ts) = (u64::from(group.count()), floor.max(group.last_ts()));
        let row = Self { pos, first, count, floor, last_ts, crc: 0, data: group.bytes().clone() };
        Self { crc: row.sum(seal), ..row }
    }

    /// A row as it stands; `None` where it is no such row at all.
    pub(super) fn read(row: &Row<'_>) -> Option<Self> {
        let data = row.get_ref(6).ok()?.as_blob().ok()?;
        Some(Self {
            pos: integer(row, 0)?,
            first: Seq(integer(row, 1)?),
            count: integer(row, 2)?,
            floor: integer(row, 3)?,
            last_ts: integer(row, 4)?,
            crc: u32::try_from(integer(row, 5)?).ok()?,
            data: Bytes::copy_from_slice(data),
        })
    }

    /// The messages, if every bit of the row is as it was written.
    pub(super) fn group(&self, seal: &Hasher) -> Option<Group> {
        let group = (self.sum(seal) == self.crc).then(|| Group::parse(&self.data)).flatten()?;
        (u64::from(group.count()) == self.count).then_some(group)
    }

    fn sum(&self, seal: &Hasher) -> u32 {
        let mut hasher = seal.clone();
        hasher.update(&self.data);
        sum(hasher, &[self.pos, self.first.0, self.count], &[self.floor, self.last_ts])
    }
}

/// The keys of a group, as they are stored: number, time, key.
pub(super) fn encode_keys(group: &Group, first: Seq, floor: u64) -> Vec<u8> {
    let mut data = Vec::with_capacity(group.keyed() as usize * KEY_BYTES);
    for (seq, record) in (first.0..).zip(group.records(Boot(0))) {
        if let Some(key) = record.key {
            data.extend_from_slice(&seq.to_le_bytes());
            data.extend_from_slice(&floor.max(record.ts).to_le_bytes());
            data.extend_from_slice(&key.to_le_bytes());
        }
    }
    data
}

/// Bytes of one key.
const KEY_BYTES: usize = 8 + 8 + 16;

/// The keys of a group, read back.
pub(super) fn decode_keys(data: &[u8]) -> impl Iterator<Item = KnownKey> + '_ {
    data.chunks_exact(KEY_BYTES).map(|bytes| {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let key = u128::from_le_bytes(std::array::from_fn(|byte| bytes[16 + byte]));
        KnownKey { key, seq: Seq(number(0)), ts: number(8) }
    })
}

/// The checksum of a row of keys.
pub(super) fn keys_crc(seal: &Hasher, pos: u64, data: &[u8]) -> u32 {
    let mut hasher = seal.clone();
    hasher.update(data);
    sum(hasher, &[pos], &[])
}

fn integer(row: &Row<'_>, at: usize) -> Option<u64> {
    row.get_ref(at).ok()?.as_i64().ok().map(i64::cast_unsigned)
}
