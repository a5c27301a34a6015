//! The part of the past that is on disk alone: read beside the writes, and handed on when it has come.
//!
//! One who is behind gets a stretch at a time, as long as its outbox has room for another; a page of history is read once.
//! What is still in memory never comes this way.

use super::Router;
use super::catchup::{lost, put};
use super::conns::CatchUp;
use super::disk::unavailable;
use super::halls::HallId;
use crate::model::{ConnId, Event, HistoryPage, Seq, Tag};
use crate::store::{Found, Pos, ReadError, Stretch, Ticket};

/// Encoded bytes that are read at once for one who is behind: some hundred system calls fewer than with a page each, and a
/// quarter of an outbox as it is by default.
const STRETCH_BYTES: usize = 256 << 10;

/// Such reads under way at once: enough to keep the store's reader busy, few enough that pages of history get in between.
const READS_MAX: usize = 64;

/// Of these, those of one connection, also of one that no longer wants what it asked for.
const READS_OF_ONE_MAX: usize = 4;

/// Messages of such a stretch: as many of the shortest as it holds.
const STRETCH_COUNT: usize = STRETCH_BYTES / 64;

impl Router {
    /// Has the next messages read that a connection needs; whether it has to wait for room in its outbox first.
    pub(super) fn read_on(&mut self, id: ConnId, hall_id: HallId, at: CatchUp) -> bool {
        let limit = self.feed_limit();
        let bytes = STRETCH_BYTES.min(limit / 2);
        let (Some(conn), Some(hall)) = (self.conns.get(&id), self.halls.get(hall_id)) else { return false };
        let Some(name) = hall.room_name() else { return false };
        if !conn.outbox.fits(bytes, limit) {
            return true;
        }
        let (place, end) = (hall.place_for(conn.identity()), hall.room.log.newest().next());
        let stretch = Stretch::of(name, place, at.next..end, STRETCH_COUNT, bytes);
        let stretch = Stretch { after: at.after, since: at.since, ..stretch };
        let has_room = self.disk.reads_behind < READS_MAX && conn.reads < READS_OF_ONE_MAX;
        let reading = self.disk.ticket();
        let then = Box::new(move |router: &mut Self, found| {
            router.disk.reads_behind -= 1;
            if let Some(conn) = router.conns.get_mut(&id) {
                conn.reads -= 1;
            }
            router.read_back(id, hall_id, (reading, end), found);
        });
        if has_room && self.read_as(reading, stretch, then) {
            self.disk.reads_behind += 1;
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.reads += 1;
            }
        } else {
            // The next read that ends makes room.
            self.disk.unread.insert((id, hall_id));
        }
        let lag = self.conns.get_mut(&id).and_then(|conn| conn.lagging.get_mut(&hall_id));
        if let Some(lag) = lag {
            *lag = CatchUp { reading: Some(reading), ..at };
        }
        false
    }

    /// Asks again for what the store had no room for.
    pub(super) fn read_again(&mut self) {
        if self.disk.is_down {
            return;
        }
        if let Some(hall) = self.disk.unfilled.pop_front() {
            self.refill_hall(hall);
        }
        // One who has left meanwhile, or whose outbox is full, makes no use of the room: the next one in line has it. Each is
        // looked at once, since those for whom there is no room are put back.
        for _ in 0..self.disk.unread.len() {
            let Some((id, hall)) = self.disk.unread.shift_remove_index(0) else { return };
            if let Some(lag) = self.conns.get_mut(&id).and_then(|conn| conn.lagging.get_mut(&hall)) {
                lag.reading = None;
                self.catch_up(id);
            }
            let has_enough = self.conns.get(&id).is_some_and(|conn| conn.reads >= READS_OF_ONE_MAX);
            let is_refused = self.disk.unread.contains(&(id, hall)) && !has_enough;
            if self.disk.reads_behind >= READS_MAX || is_refused {
                return;
            }
        }
    }

    /// Hands on what was read for one who is behind.
    fn read_back(
        &mut self,
        id: ConnId,
        hall_id: HallId,
        (reading, end): (Ticket, Seq),
        found: Result<Found, ReadError>,
    ) {
        let lag = self.conns.get_mut(&id).and_then(|conn| conn.lagging.get_mut(&hall_id));
        // One who has left, or joined anew, does not wait for this any more.
        let Some(lag) = lag.filter(|lag| lag.reading == Some(reading)) else { return };
        lag.reading = None;
        let at = *lag;
        match found {
            Ok(found) => self.hand_on(id, hall_id, at, end, &found),
            // What cannot be read while the disk fails may well be there when it is well again.
            Err(_) if self.disk.is_down => {
                lag.reading = Some(reading);
                self.disk.unread.insert((id, hall_id));
                return;
            }
            Err(error) => {
                tracing::error!(%error, "history cannot be read");
                self.skip(id, hall_id, at, end);
            }
        }
        self.catch_up(id);
    }

    fn hand_on(&mut self, id: ConnId, hall_id: HallId, mut at: CatchUp, end: Seq, found: &Found) {
        let limit = self.feed_limit();
        let Some(conn) = self.conns.get(&id) else { return };
        let (echo, outbox) = (conn.echo, conn.outbox.clone());
        let mut fed = 0;
        let mut is_full = false;
        for chunk in &found.chunks {
            let lines = 0..chunk.lines().len();
            if !at.is_open() && chunk.first() > at.next {
                self.skip(id, hall_id, at, chunk.first());
            }
            (at.next, at.since, at.after) = (chunk.first(), 0, Pos(0));
            let Some(bytes) = put(&outbox, id, chunk, &lines, (echo, at.replay_until), limit) else {
                is_full = true;
                break;
            };
            fed += bytes;
            at.next = chunk.last().next();
        }
        self.total.add(fed);
        if !is_full && !found.more && at.next < end {
            if !at.is_open() {
                self.skip(id, hall_id, at, end);
            }
            at = CatchUp { next: end, since: 0, after: Pos(0), ..at };
        }
        if let Some(lag) = self.conns.get_mut(&id).and_then(|conn| conn.lagging.get_mut(&hall_id)) {
            *lag = at;
        }
    }

    /// Tells one who is behind of numbers that cannot be read, and goes on behind them.
    fn skip(&mut self, id: ConnId, hall_id: HallId, at: CatchUp, next: Seq) {
        let (Some(conn), Some(hall)) = (self.conns.get(&id), self.halls.get(hall_id)) else { return };
        let event = lost(at, next, hall.place_for(conn.identity()));
        self.tell(id, event);
        self.flush_answers();
        if let Some(lag) = self.conns.get_mut(&id).and_then(|conn| conn.lagging.get_mut(&hall_id)) {
            *lag = CatchUp { next, since: 0, after: Pos(0), reading: None, ..at };
        }
    }

    /// Has a page of history read and answers with it; `gap` are numbers asked for that were gone before.
    pub(super) fn read_page(
        &mut self,
        id: ConnId,
        tag: Tag,
        hall_id: HallId,
        (stretch, gap): (Stretch, Option<(Seq, Seq)>),
        make: impl FnOnce(Found) -> HistoryPage + Send + 'static,
    ) {
        self.begin_wait(id);
        let (asked, wanted) = (tag.clone(), stretch.clone());
        let then = Box::new(move |router: &mut Self, found: Result<Found, ReadError>| {
            match found {
                Ok(found) if router.halls.get(hall_id).is_some() => {
                    for (first, last) in missing(&found, &wanted, gap) {
                        if let Some(place) = router.place_of(id, hall_id) {
                            router.tell(id, Event::Gap { place, first, last });
                        }
                    }
                    router.tell(id, Event::History(tag, Box::new(make(found))));
                }
                Ok(_) => router.error(id, tag, unavailable("the room was deleted meanwhile").op("history")),
                Err(error) => {
                    tracing::error!(%error, "history cannot be read");
                    router.error(id, tag, unavailable("the history cannot be read").op("history"));
                }
            }
            router.release(id);
        });
        if !self.read(stretch, then) {
            self.error(id, asked, unavailable("too much is being read: try again").op("history"));
            self.release(id);
        }
    }
}

/// The numbers that a page should have and has not, both inclusive. What a damaged row says of its own numbers may be what is
/// damaged, so that they are told by those which are there.
fn missing(found: &Found, wanted: &Stretch, gap: Option<(Seq, Seq)>) -> Vec<(Seq, Seq)> {
    // Backward nobody asked where it begins, and what retention took by now is no loss.
    let from_first = wanted.since == 0 && wanted.is_forward;
    let to_end = wanted.until == u64::MAX && (!wanted.is_forward || !found.more);
    // What was gone before, and what went while this was read, are one stretch.
    let mut missing: Vec<(Seq, Seq)> = gap.filter(|_| !from_first).into_iter().collect();
    let mut next = from_first.then_some(gap.map_or(wanted.first, |(first, _)| first));
    let chunks = found.chunks.iter().map(|chunk| (chunk.first(), chunk.last().next()));
    for (first, end) in chunks.chain(to_end.then_some((wanted.end, wanted.end))) {
        if let Some(next) = next.filter(|next| *next < first) {
            missing.push((next, Seq(first.0 - 1)));
        }
        next = Some(end);
    }
    // Beside what was read, where a time or the size of the page bounds it.
    let is_told = |seq: Seq| missing.iter().any(|(first, last)| (*first..=*last).contains(&seq));
    let mut beside: Vec<_> = found.damaged.iter().filter(|(first, _)| !is_told(*first)).copied().collect();
    missing.append(&mut beside);
    missing.sort_unstable();
    missing
}
