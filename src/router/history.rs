//! The past: reading a stretch of what was said, and blanking a message.
//!
//! It reads the room's own log and waits for no store; what a page leaves out, it says with `more`.

use std::sync::Arc;

use super::Router;
use super::disk::unavailable;
use super::hall::Hall;
use super::halls::HallId;
use super::publish::gone;
use super::rights::{Act, no_such_room};
use crate::model::{
    Chunk, Code, ConnId, Draft, ErrorEvent, Event, History, HistoryPage, Line, OkEvent, Place, RoomName, Seq, Tag,
};
use crate::protocol::json::{MessageHead, SenderPart};
use crate::store::{Found, ReadError, RoomKey, Stretch, Write};

/// What of a line is left for the envelope of a listing: an id of 64 bytes, escaped, a name and the numbers.
pub(super) const ENVELOPE_BYTES: usize = 768;

impl Router {
    pub(super) fn history(&mut self, id: ConnId, tag: Tag, wanted: &History) -> Result<(), ErrorEvent> {
        let hall_id = match &wanted.place {
            Place::Room(room) => self.hall_for(id, room, Act::Read)?,
            Place::Direct(nick) => self.known_direct_hall(id, nick)?,
        };
        self.flush(hall_id);
        self.trim(hall_id);
        let Some((hall, conn)) = self.halls.get(hall_id).zip(self.conns.get(&id)) else { return Err(gone()) };
        let place = hall.place_for(conn.identity());
        if !is_in_memory(hall, wanted) {
            return self.history_on_disk(id, tag, hall_id, wanted);
        }
        let (page, gap) = page(hall, place.clone(), wanted, self.config.limits.max_line - ENVELOPE_BYTES);
        let newest = page.messages.last().map(|(chunk, line)| Seq(chunk.first().0 + u64::from(*line)));
        if let Some((first, last)) = gap {
            self.tell(id, Event::Gap { place, first, last });
        }
        self.tell(id, Event::History(tag, Box::new(page)));
        if let Some(newest) = newest {
            self.mark_shown(id, hall_id, newest);
        }
        Ok(())
    }

    /// Reads a page that is not in memory.
    fn history_on_disk(&mut self, id: ConnId, tag: Tag, hall_id: HallId, wanted: &History) -> Result<(), ErrorEvent> {
        let Some((hall, conn)) = self.halls.get(hall_id).zip(self.conns.get(&id)) else { return Err(gone()) };
        let Some(name) = hall.room_name() else { return Err(gone()) };
        let (place, newest) = (hall.place_for(conn.identity()), hall.room.log.newest());
        let Bounds { first, end, reset, gap } = bounds(wanted, hall.oldest(), newest);
        let bytes = self.config.limits.max_line - ENVELOPE_BYTES;
        let epoch = hall.room.log.epoch().clone();
        let is_forward = is_forward(wanted);
        let stretch = Stretch {
            since: wanted.since.unwrap_or(0),
            until: wanted.until.unwrap_or(u64::MAX),
            is_forward,
            ..Stretch::of(name, place.clone(), first..end, wanted.limit as usize, bytes)
        };
        self.read_page(id, tag, hall_id, (stretch, gap), move |found| {
            let (messages, more) = pick(&found, is_forward, bytes);
            HistoryPage { place, seq: newest, epoch, reset, messages, more }
        });
        Ok(())
    }

    pub(super) fn redact(&mut self, id: ConnId, tag: Tag, room: &Arc<RoomName>, seq: Seq) -> Result<(), ErrorEvent> {
        let hall_id = self.hall_for(id, room, Act::Read)?;
        self.flush(hall_id);
        let Some((hall, conn)) = self.halls.get(hall_id).zip(self.conns.get(&id)) else { return Err(gone()) };
        let Some((chunk, line)) = find(hall, seq) else {
            if hall.disk.is_some() && hall.room.queue.is_none() && seq >= hall.oldest() && seq <= hall.room.log.newest()
            {
                self.redact_read(id, tag, room, hall_id, seq);
                return Ok(());
            }
            let words = format!("{room} holds no message {seq}");
            return Err(ErrorEvent::new(Code::BadRequest, words).room(room));
        };
        let is_own = chunk.message(line).sender.identity == *conn.identity();
        self.hall_for(id, room, Act::Redact(is_own))?;
        if hall.disk.is_none() {
            self.blanked(id, tag, room, hall_id, seq);
            return Ok(());
        }
        self.begin_wait(id);
        self.redact_on_disk(id, tag, room, hall_id, seq);
        Ok(())
    }

    /// Looks on disk whose a message is, and blanks it.
    fn redact_read(&mut self, id: ConnId, tag: Tag, room: &Arc<RoomName>, hall_id: HallId, seq: Seq) {
        let stretch = Stretch::of(room, Place::Room(Arc::clone(room)), seq..seq.next(), 1, 1);
        self.begin_wait(id);
        let (room, asked) = (Arc::clone(room), tag.clone());
        let then = move |router: &mut Self, found: Result<Found, ReadError>| {
            let chunks = found.map(|found| found.chunks).unwrap_or_default();
            let holds = |chunk: &&Arc<Chunk>| chunk.first() <= seq && seq <= chunk.last();
            let allowed = match chunks.iter().find(holds).zip(router.conns.get(&id)) {
                Some((chunk, conn)) => {
                    let message = chunk.message((seq.0 - chunk.first().0) as usize);
                    let is_own = message.sender.identity == *conn.identity();
                    router.hall_for(id, &room, Act::Redact(is_own)).map(|_| ())
                }
                None => Err(unavailable("the message cannot be read").room(&room)),
            };
            match allowed {
                Ok(()) => router.redact_on_disk(id, tag, &room, hall_id, seq),
                Err(error) => {
                    router.error(id, tag, error.op("redact"));
                    router.release(id);
                }
            }
        };
        if !self.read(stretch, Box::new(then)) {
            self.error(id, asked, unavailable("too much is being read: try again").op("redact"));
            self.release(id);
        }
    }

    /// Blanks a message where it is kept for good, then in memory, and tells of it.
    fn redact_on_disk(&mut self, id: ConnId, tag: Tag, room: &Arc<RoomName>, hall_id: HallId, seq: Seq) {
        let key = RoomKey::of(room);
        let room = Arc::clone(room);
        self.write(
            |ticket| Write::Redact { ticket, room: key, seq },
            Box::new(move |router, is_done| {
                if is_done {
                    router.blanked(id, tag, &room, hall_id, seq);
                } else {
                    let words = "the disk has failed: it is not known whether this was taken back";
                    router.error(id, tag, unavailable(words).op("redact").room(&room));
                }
                router.release(id);
            }),
        );
    }

    /// Blanks a message in memory, if it is there, and in what is being read, and tells of it.
    fn blanked(&mut self, id: ConnId, tag: Tag, room: &Arc<RoomName>, hall_id: HallId, seq: Seq) {
        self.taken_back(room, seq);
        if let Some((chunk, line)) = self.halls.get(hall_id).and_then(|hall| find(hall, seq)) {
            let blanked = without_body(&chunk, line);
            self.put_back(hall_id, seq, &blanked, line);
        }
        let place = Some(Place::Room(Arc::clone(room)));
        self.ok(id, tag, OkEvent { op: "redact", place, ..OkEvent::default() });
        let Some(by) = self.conns.get(&id).map(|conn| Arc::clone(conn.nick())) else { return };
        self.tell_members(hall_id, id, || Event::Redacted { room: Arc::clone(room), seq, by: Arc::clone(&by) });
    }

    /// Lets go of what is too old, before somebody reads.
    pub(super) fn trim(&mut self, hall_id: HallId) {
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let before = hall.room.log.bytes();
        hall.forget_by_age(self.now.unix_ms);
        hall.room.log.trim(hall.tail(self.now.unix_ms));
        let freed = before - hall.room.log.bytes();
        self.halls.history_bytes -= freed;
    }

    fn put_back(&mut self, hall_id: HallId, seq: Seq, chunk: &Arc<Chunk>, line: usize) {
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        if let Some(queue) = &mut hall.room.queue {
            queue.replace(seq, chunk, line as u32);
            self.halls.count_queued(hall_id);
            return;
        }
        let before = hall.room.log.bytes();
        hall.room.log.replace(Arc::clone(chunk));
        let after = hall.room.log.bytes();
        self.halls.history_bytes = self.halls.history_bytes - before + after;
    }

    /// A hall that somebody may read, by its room; for listings.
    pub(super) fn readable(&self, id: ConnId, room: &Arc<RoomName>) -> Result<&Hall, ErrorEvent> {
        let hall = self.hall_for(id, room, Act::Read)?;
        self.halls.get(hall).ok_or_else(|| no_such_room(room))
    }
}

/// One kept message of a hall.
fn find(hall: &Hall, seq: Seq) -> Option<(Arc<Chunk>, usize)> {
    match &hall.room.queue {
        Some(queue) => {
            let task = queue.task(seq)?;
            Some((Arc::clone(&task.chunk), task.line as usize))
        }
        None => hall.room.log.message(seq).map(|(chunk, line)| (Arc::clone(chunk), line)),
    }
}

/// The time of the first kept message from a number on.
fn time_from(hall: &Hall, seq: Seq) -> Option<u64> {
    let seq = hall.room.queue.as_ref().map_or(Some(seq), |queue| queue.first_from(seq))?;
    find(hall, seq).map(|(chunk, line)| chunk.lines()[line].ts)
}

/// What a request asks for, by numbers.
struct Bounds {
    first: Seq,
    /// Behind the last.
    end: Seq,
    reset: bool,
    /// Numbers asked for that are gone.
    gap: Option<(Seq, Seq)>,
}

fn bounds(wanted: &History, oldest: Seq, newest: Seq) -> Bounds {
    let reset = wanted.after.is_some_and(|after| after > newest);
    let after = wanted.after.filter(|_| !reset);
    let first = after.map_or(Seq(1), Seq::next);
    let end = wanted.before.map_or(newest.next(), |before| before.min(newest.next()));
    let gap = (after.is_some() && first < oldest && first < end).then(|| (first, Seq(oldest.0.min(end.0) - 1)));
    Bounds { first: first.max(oldest), end, reset, gap }
}

/// Whether a request reads towards what is newer.
fn is_forward(wanted: &History) -> bool {
    wanted.after.is_some() || wanted.since.is_some()
}

/// Whether all that a request asks for is in memory.
fn is_in_memory(hall: &Hall, wanted: &History) -> bool {
    let log = &hall.room.log;
    if hall.disk.is_none() || hall.room.queue.is_some() || log.oldest() <= hall.oldest() {
        return true;
    }
    let Bounds { first, end, .. } = bounds(wanted, hall.oldest(), log.newest());
    if first >= log.oldest() || first >= end {
        return true;
    }
    if wanted.since.is_some_and(|since| log.since(since) > log.oldest()) {
        return true;
    }
    !is_forward(wanted) && wanted.until.is_none() && end.0.saturating_sub(u64::from(wanted.limit)) >= log.oldest().0
}

/// What a page holds of what was read, oldest first, and whether there is more. What was read may be larger by its last message.
fn pick(found: &Found, is_forward: bool, bytes_max: usize) -> (Vec<(Arc<Chunk>, u32)>, bool) {
    let lines = |chunk: &Arc<Chunk>| 0..chunk.lines().len() as u32;
    let all = found.chunks.iter().flat_map(|chunk| lines(chunk).map(move |line| (Arc::clone(chunk), line)));
    let mut all: Vec<(Arc<Chunk>, u32)> = all.collect();
    let mut left = bytes_max;
    let fits = |(chunk, line): &&(Arc<Chunk>, u32)| {
        let bytes = chunk.message(*line as usize).line.len();
        let fits = bytes <= left || left == bytes_max;
        left = left.saturating_sub(bytes);
        fits
    };
    let fitting =
        if is_forward { all.iter().take_while(fits).count() } else { all.iter().rev().take_while(fits).count() };
    let more = found.more || fitting < all.len();
    if is_forward {
        all.truncate(fitting);
    } else {
        all.drain(..all.len() - fitting);
    }
    (all, more)
}

/// The messages that a request asks for, oldest first, and the numbers it asked for that are gone.
fn page(hall: &Hall, place: Place, wanted: &History, bytes_max: usize) -> (HistoryPage, Option<(Seq, Seq)>) {
    let log = &hall.room.log;
    let queue = hall.room.queue.as_ref();
    let oldest = queue.map_or(hall.oldest(), |queue| queue.first_from(Seq(1)).unwrap_or(log.newest().next()));
    let Bounds { mut first, end, reset, gap } = bounds(wanted, oldest, log.newest());
    // Times never go down within a room, so where one is passed is found by halving.
    if let Some(since) = wanted.since {
        if hall.disk.is_some() && queue.is_none() {
            // What is older than memory holds is older than that, or the page would be read from the disk.
            first = first.max(log.oldest());
        }
        first = partition(first, end, |seq| time_from(hall, seq).is_some_and(|ts| ts < since));
    }
    let last = match wanted.until {
        Some(until) => partition(first, end, |seq| time_from(hall, seq).is_some_and(|ts| ts <= until)),
        None => end,
    };
    let forward = is_forward(wanted);
    // One more than fits says that there are more.
    let most = wanted.limit as usize + 1;
    let seqs: Box<dyn Iterator<Item = Seq>> = match (queue, forward) {
        (Some(queue), _) => Box::new(queue.page(first..last, most, !forward).into_iter()),
        (None, true) => Box::new((first.0..last.0).map(Seq)),
        (None, false) => Box::new((first.0..last.0).rev().map(Seq)),
    };
    let (mut messages, more) = take(hall, seqs, wanted.limit, bytes_max);
    if !forward {
        messages.reverse();
    }
    let page = HistoryPage { place, seq: log.newest(), epoch: log.epoch().clone(), reset, messages, more };
    (page, gap)
}

/// The messages of so many numbers as a page holds, and whether there are more.
fn take(hall: &Hall, seqs: impl Iterator<Item = Seq>, limit: u32, bytes_max: usize) -> (Vec<(Arc<Chunk>, u32)>, bool) {
    let mut messages = Vec::new();
    let mut bytes = 0;
    for seq in seqs {
        let Some((chunk, line)) = find(hall, seq) else { continue };
        bytes += chunk.message(line).line.len();
        if messages.len() == limit as usize || (bytes > bytes_max && !messages.is_empty()) {
            return (messages, true);
        }
        messages.push((chunk, line as u32));
    }
    (messages, false)
}

/// The first number in `first..end` for which `holds` is false, where it is true before and false behind.
fn partition(first: Seq, end: Seq, holds: impl Fn(Seq) -> bool) -> Seq {
    let (mut low, mut high) = (first.0, end.0.max(first.0));
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(Seq(middle)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Seq(low)
}

/// The same chunk with one message blanked.
pub(super) fn without_body(chunk: &Arc<Chunk>, blanked: usize) -> Arc<Chunk> {
    let mut draft = Draft::new(chunk.first(), Vec::with_capacity(chunk.bytes().len()));
    for at in 0..chunk.lines().len() {
        let message = chunk.message(at);
        if at == blanked {
            let part = SenderPart::new(Arc::clone(message.sender));
            MessageHead::new(message.place).redacted(&mut draft, &part, message.ts);
            continue;
        }
        let sender = draft.sender(message.sender);
        let old = chunk.lines()[at];
        let moved = draft.bytes.len() as u32;
        let start = chunk.span(&(at..at + 1)).start as u32;
        draft.bytes.extend_from_slice(message.line);
        let line = Line { end: old.end - start + moved, body: old.body - start + moved, sender, ..old };
        draft.ended(line);
    }
    draft.seal(chunk.place().clone()).0
}
