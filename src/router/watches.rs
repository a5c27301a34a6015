//! Patterns that somebody observes, and how their observers get what is said.
//!
//! Observers of one pattern share one [`Watch`], and a hall knows the watches that cover it, so that a room costs nothing
//! more for each observer. One who is in the room too, or observes it by another pattern, gets one copy.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use slotmap::{SlotMap, new_key_type};
use smallvec::SmallVec;

use super::conns::{CatchUp, Conn};
use super::hall::Hall;
use super::halls::HallId;
use super::publish::feed;
use super::rights::{self, Act, Standing};
use super::{ConnIndex, Router};
use crate::model::{Chunk, ConnId, Event, Kind, Pattern, RoomName};
use crate::outbox::Outbox;
use crate::store::Pos;

/// How often observers are told how far they have come, at most.
const CURSOR_EVERY: Duration = Duration::from_secs(1);

/// What that takes of an outbox.
const CURSOR_COST: usize = 256;

new_key_type! {
    /// A pattern for as long as somebody observes it.
    pub(super) struct WatchId;
}

/// A pattern and who observes it.
#[derive(Debug)]
struct Watch {
    pattern: Arc<Pattern>,
    observers: ConnIndex<Observer>,
    /// Whether its observers are to be told how far they have come.
    is_due: bool,
}

/// One who observes a pattern.
#[derive(Debug)]
struct Observer {
    outbox: Outbox,
    echo: bool,
    /// Whether it is behind in some room, or has not joined again since it was resumed: then every room counts as one it
    /// is behind in.
    is_behind: bool,
    is_paused: bool,
    /// The cursor that it was told last.
    told: Pos,
}

/// All patterns that somebody observes.
#[derive(Debug, Default)]
pub(super) struct Watches {
    slots: SlotMap<WatchId, Watch>,
    by_pattern: HashMap<Box<str>, WatchId>,
    /// Those whose observers are to be told how far they have come.
    due: Vec<WatchId>,
    /// And when.
    due_at: Option<Instant>,
}

impl Watches {
    /// When observers are next told how far they have come.
    pub(super) const fn next_deadline(&self) -> Option<Instant> {
        self.due_at
    }

    /// Has the observers of a pattern told how far they have come.
    fn tell_soon(&mut self, id: WatchId, now: Instant) {
        let Some(watch) = self.slots.get_mut(id).filter(|watch| !watch.is_due) else { return };
        watch.is_due = true;
        self.due.push(id);
        self.due_at.get_or_insert(now + CURSOR_EVERY);
    }

    /// The patterns that cover a room.
    pub(super) fn covering(&self, room: &RoomName) -> SmallVec<[WatchId; 2]> {
        self.slots.iter().filter(|(_, watch)| watch.pattern.matches(room)).map(|(id, _)| id).collect()
    }

    /// The pattern of a watch.
    pub(super) fn pattern(&self, id: WatchId) -> Option<&Arc<Pattern>> {
        self.slots.get(id).map(|watch| &watch.pattern)
    }

    /// The watch of a pattern that a connection observes.
    pub(super) fn find(&self, pattern: &Pattern, conn: ConnId) -> Option<WatchId> {
        let id = *self.by_pattern.get(pattern.key())?;
        self.slots.get(id)?.observers.contains_key(&conn).then_some(id)
    }

    /// Lets an observer get what comes next, or has every room count as one it is behind in.
    fn set_behind(&mut self, id: WatchId, conn: ConnId, is_behind: bool) {
        if let Some(observer) = self.slots.get_mut(id).and_then(|watch| watch.observers.get_mut(&conn)) {
            observer.is_behind = is_behind;
        }
    }

    /// Whether a connection observes a hall, and gets it.
    fn reaches(&self, hall: &Hall, conn: ConnId) -> bool {
        hall.watches.iter().any(|id| {
            self.slots.get(*id).and_then(|watch| watch.observers.get(&conn)).is_some_and(|seen| !seen.is_paused)
        })
    }
}

impl Router {
    /// Makes a connection observe a pattern.
    pub(super) fn watch(&mut self, id: ConnId, pattern: &Arc<Pattern>, is_paused: bool) {
        let told = self.disk.last_pos;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let observer = Observer {
            outbox: conn.outbox.clone(),
            echo: conn.echo,
            is_behind: !conn.lagging.is_empty(),
            is_paused,
            told,
        };
        let watch = match self.watches.by_pattern.get(pattern.key()) {
            Some(watch) => *watch,
            None => self.new_watch(pattern),
        };
        if let Some(conn) = self.conns.get_mut(&id)
            && !conn.watches.contains(&watch)
        {
            conn.watches.push(watch);
        }
        if let Some(there) = self.watches.slots.get_mut(watch) {
            there.observers.insert(id, observer);
        }
        if !is_paused {
            self.replay_latest(id, watch);
        }
    }

    fn new_watch(&mut self, pattern: &Arc<Pattern>) -> WatchId {
        let watch = Watch { pattern: Arc::clone(pattern), observers: ConnIndex::default(), is_due: false };
        let watch = self.watches.slots.insert(watch);
        self.watches.by_pattern.insert(pattern.key().into(), watch);
        let covered: Vec<HallId> = self.halls_under(pattern);
        for hall in covered {
            // What is drafted was said before anybody observed it.
            self.flush(hall);
            if let Some(hall) = self.halls.get_mut(hall) {
                hall.watches.push(watch);
            }
        }
        watch
    }

    fn halls_under(&self, pattern: &Pattern) -> Vec<HallId> {
        self.halls.under(pattern).map(|(id, _)| id).collect()
    }

    /// An observer gets at once the newest value of each `latest` room that its pattern covers.
    fn replay_latest(&mut self, id: ConnId, watch: WatchId) {
        let Some(pattern) = self.watches.pattern(watch).cloned() else { return };
        for hall_id in self.halls_under(&pattern) {
            self.trim(hall_id);
            let Some(hall) = self.halls.get(hall_id) else { continue };
            let is_latest = hall.room.settings.kind == Kind::Latest && hall.oldest() <= hall.room.log.newest();
            if is_latest && !hall.has(id) && self.may_observe(id, hall) {
                let newest = hall.room.log.newest();
                self.fall_behind(id, hall_id, CatchUp::replay(newest, newest));
            }
        }
    }

    /// Those who get a hall by a pattern and are not behind.
    pub(super) fn observers_of(&self, hall_id: HallId) -> Vec<ConnId> {
        let Some(hall) = self.halls.get(hall_id) else { return Vec::new() };
        let watches = hall.watches.iter().filter_map(|watch| self.watches.slots.get(*watch));
        let observers = watches.flat_map(|watch| &watch.observers);
        let live = observers.filter(|(conn, observer)| !observer.is_paused && !hall.has(**conn));
        let may = live.filter(|(conn, _)| !hall.room.settings.private || self.may_observe(**conn, hall));
        may.map(|(conn, _)| *conn).collect()
    }

    /// Has an observer get what was said behind a place, in each room on disk that its pattern covers.
    pub(super) fn replay_behind(&mut self, id: ConnId, pattern: &Pattern, after: Pos) {
        for hall_id in self.halls_under(pattern) {
            let Some(hall) = self.halls.get(hall_id) else { continue };
            let Some(disk) = &hall.disk else { continue };
            let is_wanted = disk.last_pos > after && hall.room.queue.is_none();
            if is_wanted && !hall.has(id) && self.may_observe(id, hall) {
                let from = CatchUp { after, ..CatchUp::replay(hall.oldest(), hall.room.log.newest()) };
                self.fall_behind(id, hall_id, from);
            }
        }
        let Some(id_of_watch) = self.watches.find(pattern, id) else { return };
        if let Some(observer) = self.watches.slots.get_mut(id_of_watch).and_then(|watch| watch.observers.get_mut(&id)) {
            observer.told = after;
        }
        self.watches.tell_soon(id_of_watch, self.now.instant);
    }

    /// Notes that those who observe a hall have come further.
    pub(super) fn note_cursors(&mut self, hall_id: HallId) {
        let Some(hall) = self.halls.get(hall_id) else { return };
        for watch in hall.watches.clone() {
            self.watches.tell_soon(watch, self.now.instant);
        }
    }

    /// Tells observers where they may go on after a break, if it is time to. One who is behind is told when it is not.
    pub(super) fn tell_cursors(&mut self) {
        if self.watches.due_at.is_none_or(|at| at > self.now.instant) {
            return;
        }
        self.watches.due_at = None;
        let cursor = self.disk.last_pos;
        let mut told: Vec<(ConnId, Arc<Pattern>)> = Vec::new();
        for id in std::mem::take(&mut self.watches.due) {
            let Some(watch) = self.watches.slots.get_mut(id) else { continue };
            watch.is_due = false;
            let mut is_any_left = false;
            let waiting =
                watch.observers.iter_mut().filter(|(_, observer)| !observer.is_paused && observer.told != cursor);
            for (conn, observer) in waiting {
                if observer.is_behind || !observer.outbox.has_room(CURSOR_COST) {
                    is_any_left = true;
                } else {
                    observer.told = cursor;
                    told.push((*conn, Arc::clone(&watch.pattern)));
                }
            }
            if is_any_left {
                self.watches.tell_soon(id, self.now.instant);
            }
        }
        for (conn, pattern) in told {
            self.tell(conn, Event::Cursor { pattern, cursor: cursor.0 });
        }
    }

    fn may_observe(&self, id: ConnId, hall: &Hall) -> bool {
        let Some(conn) = self.conns.get(&id) else { return false };
        let standing = Standing { identity: conn.identity().clone(), is_member: false };
        hall.room_name().is_some_and(|name| rights::check(Act::Join, &standing, &hall.room, name).is_ok())
    }

    /// Whether a connection still gets a hall, by membership or by a pattern.
    pub(super) fn is_reached(&self, id: ConnId, hall: &Hall) -> bool {
        hall.has(id) || self.watches.reaches(hall, id)
    }

    /// Ends one pattern of a connection; whether it observed it.
    pub(super) fn unwatch(&mut self, id: ConnId, pattern: &Pattern) -> bool {
        let Some(watch) = self.watches.find(pattern, id) else { return false };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.watches.retain(|other| *other != watch);
        }
        self.unwatch_all(id, &[watch]);
        self.drop_unreached_lag(id);
        true
    }

    /// Takes a connection out of patterns.
    pub(super) fn unwatch_all(&mut self, id: ConnId, watches: &[WatchId]) {
        for watch_id in watches {
            let Some(watch) = self.watches.slots.get_mut(*watch_id) else { continue };
            watch.observers.swap_remove(&id);
            if !watch.observers.is_empty() {
                continue;
            }
            let pattern = Arc::clone(&watch.pattern);
            for hall in self.halls_under(&pattern) {
                if let Some(hall) = self.halls.get_mut(hall) {
                    hall.watches.retain(|other| other != watch_id);
                }
            }
            self.watches.by_pattern.remove(pattern.key());
            self.watches.slots.remove(*watch_id);
        }
    }

    /// Has every room that a connection observes count as one it is behind in, or no longer.
    pub(super) fn set_observer_behind(&mut self, id: ConnId, is_behind: bool) {
        let Some(conn) = self.conns.get(&id) else { return };
        for watch in &conn.watches {
            self.watches.set_behind(*watch, id, is_behind);
        }
    }

    /// Puts a chunk into the outbox of everyone who observes its hall; says what that costs, and who could not take it.
    pub(super) fn deliver_to_watches(
        &self,
        id: HallId,
        chunk: &Arc<Chunk>,
        limit: usize,
        behind: &mut Vec<ConnId>,
    ) -> usize {
        let Some(hall) = self.halls.get(id) else { return 0 };
        let mut delivered = 0;
        for (at, watch) in hall.watches.iter().enumerate() {
            let Some(watch) = self.watches.slots.get(*watch) else { continue };
            for (conn, observer) in &watch.observers {
                let has_copy = observer.is_paused || hall.has(*conn) || self.observes_earlier(hall, at, *conn);
                if has_copy || (hall.room.settings.private && !self.may_observe(*conn, hall)) {
                    continue;
                }
                let cost =
                    if observer.is_behind { None } else { feed(&observer.outbox, *conn, observer.echo, chunk, limit) };
                match cost {
                    Some(cost) => delivered += cost,
                    None => behind.push(*conn),
                }
            }
        }
        delivered
    }

    /// Whether a connection gets a hall by a pattern before the one at `at`.
    fn observes_earlier(&self, hall: &Hall, at: usize, conn: ConnId) -> bool {
        hall.watches[..at].iter().any(|watch| {
            let observer = self.watches.slots.get(*watch).and_then(|watch| watch.observers.get(&conn));
            observer.is_some_and(|observer| !observer.is_paused)
        })
    }
}

impl Conn {
    /// Memberships and patterns together, without direct messages.
    pub(super) fn places(&self) -> usize {
        self.halls.len() - self.directs + self.watches.len()
    }
}
