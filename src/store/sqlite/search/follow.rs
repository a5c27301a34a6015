//! Following the messages: what was told goes into the index, what was erased goes out of it, in steps of some milliseconds.
//!
//! It trusts no index that it did not see to be of this store. Every step begins and ends with an index that says how far it is.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::store::{Boot, Hits, Query, Scope, Searched, Words};

use super::super::erased::Erased;
use super::super::rows;
use super::Fault;
use super::index::{self, Doc, Index, Part, State, room_token};
use super::source::{self, Source};

/// For how long one search goes on to look: others wait for it, and whoever gets nothing in that time does better to ask otherwise.
const LOOKED: Duration = Duration::from_millis(500);

/// Parts that are looked at in one sweep: with one every two seconds more are taken away than messages can fill.
const SWEPT: usize = 8;

/// An index and the messages that it is of.
#[derive(Debug)]
pub(in crate::store::sqlite) struct Follower {
    source: Source,
    index: Index,
    rooms: Searched,
    /// The part whose rooms were looked at last, to see whether anything of it is kept.
    swept: i64,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum Step {
    /// There is more to do.
    More,
    /// All is in it.
    Through,
}

impl Follower {
    /// Opens the index of a store, or begins it anew where it is none of that.
    pub(in crate::store::sqlite) fn open(messages: &Path, end: u64, rooms: Searched) -> Result<Self, Fault> {
        let path = index::beside(messages);
        let mut source = Source::open(messages).map_err(Fault::Messages)?;
        let store = source.secret().map_err(Fault::Messages)?;
        let opened = Index::open(&path).map_err(Fault::Index);
        let (index, why) = match opened {
            Ok(index) => match is_of(&index.state, &mut source, &store, end)? {
                None => (index, None),
                why => (anew(&path, index)?, why),
            },
            Err(Fault::Index(error)) if is_damage(&error) => {
                index::remove(&path).map_err(Fault::File)?;
                (Index::open(&path).map_err(Fault::Index)?, Some(error.to_string()))
            }
            Err(fault) => return Err(fault),
        };
        let mut follower = Self { source, index, rooms, swept: 0 };
        if let Some(why) = why {
            tracing::info!(path = %path.display(), why, "the index of searches is made anew");
        }
        if follower.index.state.store != store {
            let erased = follower.source.erased().map_err(Fault::Messages)?.count;
            let state = State { store, next: 1, mark: String::new(), erased, is_whole: false };
            follower.index.add(&[], state).map_err(Fault::Index)?;
        }
        follower.sweep_all()?;
        Ok(follower)
    }

    /// Takes the index away, to be made anew.
    pub(in crate::store::sqlite) fn remove(messages: &Path) -> Result<(), Fault> {
        index::remove(&index::beside(messages)).map_err(Fault::File)
    }

    /// Other rooms are searched from now on.
    pub(super) fn search_rooms(&mut self, rooms: Searched) -> Result<(), Fault> {
        self.rooms = rooms;
        self.sweep_all()
    }

    /// Whether the index once had all there was.
    pub(super) const fn is_whole(&self) -> bool {
        self.index.state.is_whole
    }

    /// Messages that are not in it yet, or places that hold none any more.
    pub(in crate::store::sqlite) const fn behind(&self, end: u64) -> u64 {
        end.saturating_sub(self.index.state.next)
    }

    /// Takes out what was erased, then some messages in.
    pub(in crate::store::sqlite) fn step(&mut self, end: u64) -> Result<Step, Fault> {
        self.erase()?;
        let State { next, .. } = self.index.state;
        if next >= end {
            if !self.index.state.is_whole {
                let state = State { is_whole: true, ..self.index.state.clone() };
                self.index.add(&[], state).map_err(Fault::Index)?;
            }
            return Ok(Step::Through);
        }
        let batch = self.source.batch(next, end).map_err(Fault::Messages)?;
        let mut docs = Vec::new();
        let mut state = self.index.state.clone();
        for told in &batch.groups {
            state.next = told.row.pos + told.row.count;
            let Some(room) = batch.rooms.get(&told.room) else { continue };
            state.mark = source::mark(told, room);
            if !self.rooms.has(&room.room) {
                continue;
            }
            // A damaged group is said when it is read.
            let Some(group) = told.row.group(&rows::seal(&room.room, &room.epoch)) else { continue };
            let mut ts = told.row.floor;
            for (pos, record) in (told.row.pos..).zip(group.records(Boot(0))) {
                ts = ts.max(record.ts);
                let words = Words::of_body(record.body);
                if !words.is_empty() {
                    let mut tokens = String::new();
                    words.write_tokens(&mut tokens);
                    docs.push(Doc { pos, room: told.room, ts, tokens });
                }
            }
        }
        if !batch.more {
            state.next = end;
            state.is_whole = true;
        }
        self.index.add(&docs, state).map_err(Fault::Index)?;
        Ok(if batch.more { Step::More } else { Step::Through })
    }

    /// Takes out what was redacted and deleted since the last time.
    fn erase(&mut self) -> Result<(), Fault> {
        let list = self.source.erased().map_err(Fault::Messages)?;
        let known = self.index.state.erased;
        if list.count == known {
            return Ok(());
        }
        let Some(new) = list.since(known) else { return Err(Fault::Lost) };
        let (mut places, mut rooms) = (Vec::new(), Vec::new());
        for erased in new {
            match erased {
                Erased::Message(pos) => places.push(pos),
                Erased::Room(id) => rooms.push((id, u64::MAX)),
            }
        }
        let state = State { erased: list.count, ..self.index.state.clone() };
        self.index.erase(&places, &rooms, state).map_err(Fault::Index)
    }

    /// Takes out every room that does not stand any more, or is not searched.
    fn sweep_all(&mut self) -> Result<(), Fault> {
        let mut gone = Vec::new();
        for (id, _) in self.index.rooms(None).map_err(Fault::Index)? {
            let room = self.source.room(id).map_err(Fault::Messages)?;
            if !room.is_some_and(|room| self.rooms.has(&room.room)) {
                gone.push((id, u64::MAX));
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        self.index.erase(&[], &gone, self.index.state.clone()).map_err(Fault::Index)
    }

    /// Takes out what rooms have let go of in some parts, where that is much of a part.
    pub(super) fn sweep(&mut self) -> Result<(), Fault> {
        let parts = self.index.parts(u64::MAX).map_err(Fault::Index)?;
        let next: Vec<Part> = parts.into_iter().rev().filter(|part| part.id > self.swept).take(SWEPT).collect();
        // Behind the newest one it begins with the oldest again.
        self.swept = next.last().filter(|_| next.len() == SWEPT).map_or(0, |part| part.id);
        next.iter().try_for_each(|part| self.sweep_part(part))
    }

    fn sweep_part(&mut self, part: &Part) -> Result<(), Fault> {
        let (mut gone, mut rows, mut all) = (Vec::new(), 0, 0);
        for (id, count) in self.index.rooms(Some(part.id)).map_err(Fault::Index)? {
            all += count;
            let oldest = self.source.oldest(id).map_err(Fault::Messages)?.unwrap_or(part.last + 1);
            if oldest > part.last {
                rows += count;
                gone.push((id, part.last + 1));
            }
        }
        if rows == all {
            return self.index.drop_part(part.id).map_err(Fault::Index);
        }
        if rows > 0 && rows >= all / 4 {
            self.index.erase(&[], &gone, self.index.state.clone()).map_err(Fault::Index)?;
        }
        Ok(())
    }

    /// How much was erased so far.
    pub(super) fn erased(&self) -> Result<u64, Fault> {
        self.source.erased().map(|list| list.count).map_err(Fault::Messages)
    }

    /// What a query finds of the messages before a place.
    pub(super) fn find(&mut self, query: &Query, end: u64, boot: Boot) -> Result<Hits, Fault> {
        let mut expression = query.words.expression();
        let mut only = None;
        if let Scope::Room(room) = &query.scope {
            let Some(id) = self.source.id(&room.0).map_err(Fault::Messages)? else { return Ok(Hits::default()) };
            only = Some(self.index.parts_of(id).map_err(Fault::Query)?);
            expression = format!("\"{}\" {expression}", room_token(id));
        }
        let parts = self.index.parts(query.until).map_err(Fault::Query)?;
        let mut look = self.source.look(boot).map_err(Fault::Messages)?;
        let (mut found, mut bytes, begun) = (Hits::default(), 0, Instant::now());
        for part in parts.into_iter().filter(|part| only.as_ref().is_none_or(|only| only.contains(&part.id))) {
            let sql = format!("SELECT rowid FROM part_{0} WHERE part_{0} MATCH ?1 ORDER BY rowid DESC", part.id);
            let mut statement = self.index.connection.prepare_cached(&sql).map_err(Fault::Query)?;
            let mut rows = statement.query([&expression]).map_err(Fault::Query)?;
            while let Some(row) = rows.next().map_err(Fault::Query)? {
                let pos = row.get::<_, i64>(0).map_err(Fault::Query)?.cast_unsigned();
                let hit = if pos < end { look.at(pos, query).map_err(Fault::Messages)? } else { None };
                let is_full = found.hits.len() >= query.count || bytes >= query.bytes.max(1);
                if begun.elapsed() > LOOKED || (hit.is_some() && is_full) {
                    found.more = true;
                    return Ok(found);
                }
                bytes += hit.as_ref().map_or(0, |hit| hit.message.bytes().len());
                found.hits.extend(hit);
            }
            if begun.elapsed() > LOOKED {
                found.more = true;
                break;
            }
        }
        Ok(found)
    }
}

/// Why an index is not one of the messages, if so.
fn is_of(state: &State, source: &mut Source, store: &[u8], end: u64) -> Result<Option<String>, Fault> {
    if state.store.is_empty() {
        return Ok((state.next > 1).then(|| "it does not say whose it is".to_owned()));
    }
    if state.store != store || state.next > end {
        return Ok(Some("it is of other messages".to_owned()));
    }
    let pos = state.mark.split('/').next().and_then(|pos| pos.parse().ok());
    let there = pos.map_or(Ok(None), |pos| source.mark(pos)).map_err(Fault::Messages)?;
    // What retention has taken since tells nothing.
    if there.is_some_and(|mark| mark != state.mark) {
        return Ok(Some("the messages are not those that it is of".to_owned()));
    }
    Ok(None)
}

/// Whether an error says that what is in the file is broken.
pub(super) fn is_corruption(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    matches!(error.sqlite_error_code(), Some(Code::DatabaseCorrupt | Code::NotADatabase))
}

fn anew(path: &Path, old: Index) -> Result<Index, Fault> {
    drop(old);
    let path: PathBuf = path.to_owned();
    index::remove(&path).map_err(Fault::File)?;
    Index::open(&path).map_err(Fault::Index)
}

/// Whether an error says that the file is not what it should be, so that a new one would mend it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode as Code;
    let is_elsewhere = |code| {
        matches!(
            code,
            Code::DiskFull
                | Code::SystemIoFailure
                | Code::CannotOpen
                | Code::PermissionDenied
                | Code::ReadOnly
                | Code::OutOfMemory
                | Code::DatabaseBusy
                | Code::DatabaseLocked
        )
    };
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => !is_elsewhere(failure.code),
        rusqlite::Error::SqlInputError { error, .. } => !is_elsewhere(error.code),
        rusqlite::Error::ToSqlConversionFailure(_) => false,
        _ => true,
    }
}
