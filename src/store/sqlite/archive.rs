//! A store opened to be looked at: read-only, on a stopped server's directory and beside a running server.
//!
//! It holds no lock, makes no file of its own and changes none. Each read is a short transaction, so that a server beside it
//! is not kept from emptying its log. What is wrong with the store is not found here, see `verify`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension};

use crate::model::{Chunk, Place, RoomName, Seq};
use crate::store::{Boot, Pos, ReadError, RoomKey, RoomState, Stretch};

use super::OpenError;
use super::directory::DATABASE;
use super::reader;
use super::rows::Numbers;
use super::schema;

/// Messages of one stretch, and bytes of it: what is in memory at once.
const STRETCH_COUNT: usize = 4_096;
const STRETCH_BYTES: usize = 1 << 20;

/// The store of a directory, to be looked at.
#[derive(Debug)]
pub struct Archive {
    pub(super) connection: Connection,
}

/// A part of a room, in order.
#[derive(Debug)]
pub enum Piece {
    /// Messages, encoded.
    Messages(Arc<Chunk>),
    /// Numbers whose messages are there and cannot be read, both inclusive.
    Damaged(Seq, Seq),
}

/// Why a room could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is no such room on disk.
    #[error("there is no room {0} in the store")]
    NoRoom(Arc<RoomName>),
    /// It was deleted, or its history replaced, while it was read.
    #[error("the room was deleted while it was read: what is behind number {0} is missing")]
    Replaced(Seq),
    /// The store cannot be read there.
    #[error("the store cannot be read from number {0} on: {1}; see `linehub verify`")]
    Read(Seq, ReadError),
    /// What was read cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
}

impl Archive {
    /// Opens the store in a directory, where there is one.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_file(directory, &directory.join(DATABASE))
    }

    /// Opens a file of a directory.
    pub(super) fn open_file(directory: &Path, path: &Path) -> Result<Self, OpenError> {
        let missing = || OpenError::Missing(directory.to_owned());
        match fs::metadata(path) {
            // Made and not begun, or a folder.
            Ok(found) if found.len() == 0 || !found.is_file() => return Err(missing()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(missing());
            }
            Err(source) => return Err(OpenError::Directory { path: directory.to_owned(), source }),
        }
        let connection = schema::open_archive(path)?;
        Ok(Self { connection })
    }

    /// What there is of a room.
    pub fn room(&mut self, name: &RoomName) -> Result<Option<RoomState>, ReadError> {
        let found = self.connection.transaction().and_then(|transaction| {
            let found = reader::find_room(&transaction, &RoomKey::of(name))?;
            Ok(found.map(|row| {
                let Numbers { oldest, newest, last_ts, end_pos, .. } = row.numbers;
                RoomState {
                    room: row.room,
                    epoch: row.epoch,
                    oldest,
                    newest,
                    last_ts,
                    last_pos: Pos(end_pos.saturating_sub(1)),
                }
            }))
        });
        found.map_err(|error| unread(&error))
    }

    /// Gives a room from its oldest message to the newest there is by then, a stretch at a time.
    pub fn export(
        &mut self,
        name: &Arc<RoomName>,
        mut sink: impl FnMut(Piece) -> std::io::Result<()>,
    ) -> Result<(), ExportError> {
        let room = RoomKey::of(name);
        let state = self.room(name).map_err(|error| ExportError::Read(Seq(1), error))?;
        let state = state.ok_or_else(|| ExportError::NoRoom(Arc::clone(name)))?;
        let name = self.shown(&room).map_or_else(|| Arc::clone(name), Arc::new);
        let (mut next, end) = (state.oldest, state.newest.next());
        let mut stretch = Stretch {
            room,
            place: Place::Room(name),
            first: next,
            end,
            after: Pos(0),
            since: 0,
            until: u64::MAX,
            is_forward: true,
            count: STRETCH_COUNT,
            bytes: STRETCH_BYTES,
        };
        while next < end {
            stretch.first = next;
            let (found, epoch) = self
                .connection
                .transaction()
                .and_then(|transaction| reader::read(&transaction, &stretch, u64::MAX, Boot(0)))
                .map_err(|error| ExportError::Read(next, unread(&error)))?;
            if epoch.as_ref() != Some(&state.epoch) {
                return Err(ExportError::Replaced(Seq(next.0 - 1)));
            }
            // What is damaged behind the last message is found again by the next stretch.
            next = match found.chunks.last() {
                Some(last) if found.more => last.last().next(),
                _ => end,
            };
            for piece in in_order(found.chunks, found.damaged, next) {
                sink(piece)?;
            }
        }
        Ok(())
    }

    /// A room's name as its members see it.
    fn shown(&self, room: &RoomKey) -> Option<RoomName> {
        let sql = "SELECT value FROM kv WHERE name = ?1";
        let name = format!("room/{}", room.0);
        let value: Vec<u8> = self.connection.query_row(sql, [name], |row| row.get(0)).optional().ok()??;
        let saved: serde_json::Value = serde_json::from_slice(&value).ok()?;
        RoomName::parse(saved.get("name")?.as_str()?).ok().filter(|name| name.key() == &*room.0)
    }
}

/// The messages and what is damaged between them, up to a number.
fn in_order(chunks: Vec<Arc<Chunk>>, damaged: Vec<(Seq, Seq)>, end: Seq) -> Vec<Piece> {
    let damaged = damaged.into_iter().filter(|(first, _)| *first < end);
    let mut pieces: Vec<_> = chunks.into_iter().map(|chunk| (chunk.first(), Piece::Messages(chunk))).collect();
    pieces.extend(damaged.map(|(first, last)| (first, Piece::Damaged(first, last))));
    pieces.sort_by_key(|(first, _)| *first);
    pieces.into_iter().map(|(_, piece)| piece).collect()
}

pub(super) fn unread(error: &rusqlite::Error) -> ReadError {
    ReadError(error.to_string().into())
}
