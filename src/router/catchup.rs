//! Catching up: the one way by which a connection that is behind in a hall gets what it missed.
//!
//! A join with `after`, `last` or `since`, a feed that was full, and a `latest` room's newest value all begin here, as
//! a number that the connection needs next. As much is put into its outbox as fits; when that is written, its writer says
//! so and the next stretch follows, at the speed the peer reads. What is no longer kept is said, with its numbers.

use std::ops::Range;
use std::sync::Arc;

use super::Router;
use super::conns::CatchUp;
use super::halls::HallId;
use super::publish::feed_others;
use crate::model::{Chunk, ConnId, Event, Item, Kind, Seq};
use crate::outbox::{ITEM_COST, Outbox};
use crate::store::Pos;

/// How far one stretch came.
enum Reached {
    /// The end: the connection is live again.
    Newest,
    /// What its outbox holds.
    Full,
    /// What is in memory: the next messages are being read.
    Reading,
}

impl Router {
    /// Notes that a connection is behind in a hall from a number on.
    pub(super) fn fall_behind(&mut self, id: ConnId, hall: HallId, from: CatchUp) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.outbox.is_deaf() {
            return;
        }
        let was_behind = !conn.lagging.is_empty();
        conn.lagging.entry(hall).or_insert(from);
        if !was_behind {
            self.set_observer_behind(id, true);
            // Nothing waits to be written any more: then nobody would say so later.
            if self.conns.get(&id).is_some_and(|conn| !conn.outbox.await_drained()) {
                self.catch_up(id);
            }
        }
    }

    /// Everything put into a connection's outbox is written.
    pub(super) fn drained(&mut self, id: ConnId) {
        self.catch_up(id);
        let Some(conn) = self.conns.get(&id) else { return };
        for hall in conn.halls.clone() {
            self.tell_missed_presence(id, hall);
            self.touch(hall);
        }
    }

    /// Gives a connection that is behind as much as its outbox takes.
    pub(super) fn catch_up(&mut self, id: ConnId) {
        self.flush_answers();
        loop {
            let Some(conn) = self.conns.get(&id) else { return };
            if conn.lagging.is_empty() {
                break;
            }
            let next = conn.lagging.iter().find(|(_, lag)| lag.reading.is_none());
            let Some((hall, from)) = next.map(|(hall, from)| (*hall, *from)) else { return };
            // Numbered but not delivered messages are none that it missed: they come by the ordinary way.
            self.flush(hall);
            match self.stretch(id, hall, from) {
                Reached::Newest => self.caught_up(id, hall),
                Reached::Reading => {}
                Reached::Full => {
                    let Some(conn) = self.conns.get_mut(&id) else { return };
                    // Another room's turn is next, so that one which never pauses does not keep the rest from being read.
                    if let Some(from) = conn.lagging.shift_remove(&hall) {
                        conn.lagging.insert(hall, from);
                    }
                    if conn.outbox.await_drained() {
                        return;
                    }
                }
            }
        }
        self.set_observer_behind(id, false);
        self.finish_if_done(id);
    }

    fn caught_up(&mut self, id: ConnId, hall: HallId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.lagging.shift_remove(&hall);
        }
        if let Some(member) = self.halls.get_mut(hall).and_then(|hall| hall.members.get_mut(&id)) {
            member.is_live = true;
        }
    }

    /// Feeds one hall's messages from a number on.
    fn stretch(&mut self, id: ConnId, hall_id: HallId, from: CatchUp) -> Reached {
        let limit = self.feed_limit();
        let (Some(conn), Some(hall)) = (self.conns.get(&id), self.halls.get(hall_id)) else { return Reached::Newest };
        if !self.is_reached(id, hall) {
            return Reached::Newest;
        }
        let log = &hall.room.log;
        let mut at = from;
        if hall.room.settings.kind == Kind::Latest {
            at.next = at.next.max(log.newest());
        }
        let mut told = None;
        if at.next < hall.oldest() {
            told = Some(lost(at, hall.oldest(), hall.place_for(conn.identity())));
            at.next = hall.oldest();
        }
        let is_older = at.next < log.oldest() || at.after > Pos(0);
        let is_on_disk = hall.disk.is_some() && is_older && at.next <= log.newest();
        let echo = conn.echo;
        let outbox = conn.outbox.clone();
        if let Some(event) = told {
            self.tell(id, event);
            self.flush_answers();
        }
        if is_on_disk {
            return if self.read_on(id, hall_id, at) { Reached::Full } else { Reached::Reading };
        }
        let Some(hall) = self.halls.get(hall_id) else { return Reached::Newest };
        let mut fed = 0;
        let reached = loop {
            if at.next > hall.room.log.newest() {
                break Reached::Newest;
            }
            let Some(chunk) = hall.room.log.find(at.next) else { break Reached::Newest };
            let lines = chunk.from(at.next);
            match put(&outbox, id, chunk, &lines, (echo, at.replay_until), limit) {
                Some(bytes) => fed += bytes,
                None => break Reached::Full,
            }
            at.next = chunk.last().next();
        };
        self.total.add(fed);
        self.mark_shown(id, hall_id, Seq(at.next.0 - 1));
        if let Some(lag) = self.conns.get_mut(&id).and_then(|conn| conn.lagging.get_mut(&hall_id)) {
            *lag = at;
        }
        reached
    }

    /// Forgets where a connection is behind in halls it no longer gets.
    pub(super) fn drop_unreached_lag(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let is_gone = |hall: &HallId| self.halls.get(*hall).is_none_or(|hall| !self.is_reached(id, hall));
        let gone: Vec<HallId> = conn.lagging.keys().filter(|hall| is_gone(hall)).copied().collect();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        for hall in gone {
            conn.lagging.shift_remove(&hall);
        }
        if conn.lagging.is_empty() {
            self.set_observer_behind(id, false);
        }
    }
}

/// What is said of numbers that are gone: to one who asked for them, which; to one who was slow, how many.
pub(super) fn lost(at: CatchUp, oldest: Seq, place: crate::model::Place) -> Event {
    if at.is_replay() {
        Event::Gap { place, first: at.next, last: Seq(oldest.0 - 1) }
    } else {
        Event::Lagged { place, missed: oldest.0 - at.next.0, next: oldest, presence: false }
    }
}

/// Puts lines of a chunk into an outbox; the bytes they took, or `None` where they do not fit.
pub(super) fn put(
    outbox: &Outbox,
    conn: ConnId,
    chunk: &Arc<Chunk>,
    lines: &Range<usize>,
    (echo, replay_until): (bool, Seq),
    limit: usize,
) -> Option<usize> {
    let cost = chunk.span(lines).len() + 2 * ITEM_COST;
    if !outbox.fits(cost, limit) {
        return None;
    }
    let replayed = (replay_until.next().0.saturating_sub(chunk.first().0) as usize).clamp(lines.start, lines.end);
    let feed = |from: usize, to: usize, replay: bool| {
        outbox.feed(Item::Feed { chunk: Arc::clone(chunk), from: from as u16, to: to as u16, replay }).ok()
    };
    let mut bytes = 0;
    if lines.start < replayed {
        bytes += feed(lines.start, replayed, true)?;
    }
    if replayed < lines.end {
        bytes += if echo {
            feed(replayed, lines.end, false)?
        } else {
            feed_others(outbox, conn, chunk, replayed..lines.end, usize::MAX)?
        };
    }
    Some(bytes)
}
