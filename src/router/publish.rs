//! Publishing: a `send` gets its number, is encoded once, and reaches everyone in the room as part of one shared chunk.
//!
//! This is the hot path. For each message it works out the room once for a run of sends to the same one, numbers it, and
//! appends it to the hall's draft; for each round and room it seals the draft and puts one reference into each outbox.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::Router;
use super::conns::{CatchUp, Conn};
use super::hall::HallName;
use super::halls::HallId;
use super::rights::{self, Act};
use crate::model::{
    Chunk, Code, ConnId, Draft, ErrorEvent, Event, HistoryKind, Item, Kind, Outcome, Place, Send, Seq, Tag,
};
use crate::outbox::{ITEM_COST, Outbox};
use crate::protocol::json::MessageHead;
use crate::room::Key;

/// Bytes at which a draft is sealed before its round ends: large enough that a system call is cheap for each message,
/// small enough to stay in a processor's cache until all members have it.
pub(super) const CHUNK_BYTES: usize = 64 << 10;

// A line of a chunk is named by 16 bits, and no line is shorter than its fixed words.
const _: () = assert!(CHUNK_BYTES / 64 < u16::MAX as usize);

/// The hall that the last send of a parcel went to, so that a run of sends to one place looks it up once.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastPlace {
    place: u32,
    hall: HallId,
}

impl Router {
    /// Accepts one message.
    pub(super) fn send(
        &mut self,
        id: ConnId,
        (bytes, places): (&Bytes, &[Place]),
        last: &mut Option<LastPlace>,
        tag: Tag,
        send: &Send,
    ) -> Outcome {
        let place = &places[send.place as usize];
        let hall = match last {
            Some(last) if last.place == send.place => last.hall,
            _ => match self.hall_to_send_to(id, place) {
                Ok(hall) => {
                    *last = Some(LastPlace { place: send.place, hall });
                    hall
                }
                Err(error) => return self.refuse(id, tag, "send", place, error),
            },
        };
        match self.accept(id, hall, bytes, place, &tag, send) {
            // What is on its way to the disk is answered when it is there.
            Ok(None) => Outcome::Done,
            Ok(Some((seq, ts, dup))) => {
                if tag.wants_ok()
                    && let Some(place) = self.place_of(id, hall)
                {
                    self.tell(id, Event::Sent { tag, place, seq, ts, dup });
                }
                Outcome::Done
            }
            Err(error) => self.refuse(id, tag, "send", place, error),
        }
    }

    fn refuse(&mut self, id: ConnId, tag: Tag, op: &'static str, place: &Place, error: ErrorEvent) -> Outcome {
        let error = match place {
            Place::Room(room) => error.op(op).room(room),
            Place::Direct(_) => error.op(op),
        };
        self.error(id, tag, error);
        Outcome::Refused
    }

    /// The hall that a connection may send to.
    fn hall_to_send_to(&mut self, id: ConnId, place: &Place) -> Result<HallId, ErrorEvent> {
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        match place {
            Place::Direct(nick) => self.direct_hall(id, nick),
            Place::Room(room) => {
                let identity = conn.identity().clone();
                let hall = self.hall_or_new(room, &identity)?;
                let standing = self.standing(id, hall);
                let Some(there) = self.halls.get(hall) else { return Err(gone()) };
                let checked = rights::check(Act::Send, &standing, &there.room, room);
                if checked.is_err() {
                    // One that was made just now goes away when the round ends.
                    self.touch(hall);
                }
                checked.map(|()| hall)
            }
        }
    }

    /// Numbers and encodes one message, unless its key says that it is a repeat.
    fn accept(
        &mut self,
        id: ConnId,
        hall_id: HallId,
        bytes: &Bytes,
        place: &Place,
        tag: &Tag,
        send: &Send,
    ) -> Result<Option<(Seq, u64, bool)>, ErrorEvent> {
        // Direct messages name who they are for, so a draft of theirs holds one direction.
        if matches!(place, Place::Direct(_)) {
            let draft = self.halls.get(hall_id).and_then(|hall| hall.draft.as_ref());
            if draft.is_some_and(|(of, _)| of != place) {
                self.flush(hall_id);
            }
        }
        let queued_bytes = self.halls.queued_bytes;
        let (Some(conn), Some(hall)) = (self.conns.get(&id), self.halls.get_mut(hall_id)) else { return Err(gone()) };
        let key = send.key.as_deref().map(|text| Key::new(conn.identity(), text, &self.disk.secret));
        if let Some(key) = key {
            let keys = &mut hall.room.keys;
            keys.expire(self.config.history.dedup_window, self.now.instant);
            if let Some(stored) = keys.find(key) {
                return Ok(Some((stored.seq, stored.ts, true)));
            }
            if hall.disk.as_mut().is_some_and(|disk| disk.waits_with(key, id, tag)) {
                self.begin_wait(id);
                return Ok(None);
            }
            let remembered = keys.len() + hall.disk.as_ref().map_or(0, |disk| disk.pending_keys());
            if remembered >= self.config.history.dedup_keys {
                let mut error = ErrorEvent::new(Code::RateLimited, "the room remembers as many keys as it may");
                error.retry_after_ms = keys.oldest().map(|oldest| {
                    let free_at = oldest + self.config.history.dedup_window;
                    // Rounded up: who comes back then is not too early.
                    free_at.saturating_duration_since(self.now.instant).as_millis() as u64 + 1
                });
                return Err(error);
            }
        }
        if hall.room.queue.is_some() {
            let waiting = hall.disk.as_ref().map_or(0, |disk| disk.uncommitted);
            rights::check_backlog(&hall.room, waiting, send.body.len())?;
            if queued_bytes >= self.config.limits.memory_history_bytes {
                let words = "all queues together hold as much as the server may: wait until some of it is done";
                return Err(ErrorEvent::new(Code::RoomFull, words));
            }
        }
        if hall.disk.is_some() {
            return self.accept_on_disk(id, hall_id, bytes, (tag, send, key)).map(|()| None);
        }
        // Whoever it is for is named as they write themselves.
        let to = matches!(hall.name, HallName::Direct(_)).then(|| hall.place_for(conn.identity()));
        let place = to.as_ref().unwrap_or(place);
        let (seq, ts) = hall.room.log.number(self.now.unix_ms);
        if let Some(key) = key {
            hall.room.keys.insert(key, seq, ts, self.now.instant);
        }
        let (_, draft) = hall.draft.get_or_insert_with(|| {
            let at = match &hall.name {
                HallName::Room(room, _) => Place::Room(Arc::clone(room)),
                HallName::Direct(_) => place.clone(),
            };
            (at, Draft::new(seq, self.spare.pop().unwrap_or_default()))
        });
        let headers = send.headers.map(|span| span.of(bytes));
        encode(draft, &hall.name, place, conn, ts, headers, send.body.of(bytes));
        let is_full = draft.bytes.len() >= CHUNK_BYTES || hall.room.queue.is_some();
        if !hall.is_dirty {
            hall.is_dirty = true;
            self.dirty.push(hall_id);
        }
        if is_full {
            self.flush(hall_id);
        }
        Ok(Some((seq, ts, false)))
    }

    /// Delivers everything that is numbered.
    pub(super) fn flush_all(&mut self) {
        self.flush_answers();
        for at in 0..self.dirty.len() {
            self.flush(self.dirty[at]);
        }
    }

    /// Seals a hall's draft, keeps it, and puts it into the outbox of everyone there.
    pub(super) fn flush(&mut self, id: HallId) {
        self.flush_answers();
        let Some(hall) = self.halls.get_mut(id) else { return };
        if hall.disk.is_some() {
            return self.stage(id);
        }
        let Some((place, draft)) = hall.draft.take() else { return };
        let (chunk, spare) = draft.seal(place);
        self.put_by(spare);
        self.keep(id, &chunk);
        self.deliver(id, &chunk);
    }

    /// Keeps a buffer to encode in for the next draft, so that its memory is not fetched anew each round.
    fn put_by(&mut self, buffer: Vec<u8>) {
        /// Drafts of one round beyond which buffers are let go: rooms that are spoken in at once, on a busy server.
        const SPARES: usize = 64;
        if self.spare.len() < SPARES && buffer.capacity() <= 2 * CHUNK_BYTES {
            self.spare.push(buffer);
        }
    }

    /// Puts a chunk into the room's history.
    pub(super) fn keep(&mut self, id: HallId, chunk: &Arc<Chunk>) {
        let Some(hall) = self.halls.get_mut(id) else { return };
        let before = hall.room.log.bytes();
        if let Some(queue) = &mut hall.room.queue {
            for (at, _) in chunk.lines().iter().enumerate() {
                queue.push(Seq(chunk.first().0 + at as u64), Arc::clone(chunk), at as u32);
            }
            hall.room.log.pass();
        } else if hall.room.settings.kind == Kind::Latest {
            // The value alone: the rest of its chunk would stay in memory with it.
            hall.room.log.clear();
            hall.room.log.keep(Arc::new(chunk.tail(chunk.lines().len() - 1)));
        } else if hall.room.settings.history != HistoryKind::None {
            hall.room.log.keep(Arc::clone(chunk));
            hall.room.log.trim(hall.tail(self.now.unix_ms));
        } else {
            hall.room.log.pass();
        }
        let after = hall.room.log.bytes();
        self.halls.history_bytes = self.halls.history_bytes + after - before;
        self.halls.count_queued(id);
        self.make_room(id, after.saturating_sub(before));
    }

    /// Where all histories in memory together are too large, a room pays for what it adds.
    fn make_room(&mut self, id: HallId, added: usize) {
        if self.halls.history_bytes <= self.config.limits.memory_history_bytes {
            return;
        }
        let Some(hall) = self.halls.get_mut(id) else { return };
        let before = hall.room.log.bytes();
        let mut keep = hall.tail(self.now.unix_ms);
        keep.bytes = (before.saturating_sub(added) as u64).max(1);
        hall.room.log.trim(keep);
        let freed = before - hall.room.log.bytes();
        self.halls.history_bytes -= freed;
    }

    /// Puts a chunk into the outbox of everyone in a hall; who has no room for it is behind from here on.
    pub(super) fn deliver(&mut self, id: HallId, chunk: &Arc<Chunk>) {
        let limit = self.feed_limit();
        let Some(hall) = self.halls.get_mut(id) else { return };
        let is_queue = hall.room.queue.is_some();
        let mut behind: Vec<ConnId> = Vec::new();
        let mut delivered = 0;
        for (conn, member) in &mut hall.members {
            if !member.is_live || (is_queue && member.part == crate::model::Part::Worker) {
                continue;
            }
            if let Some(cost) = feed(&member.outbox, *conn, member.echo, chunk, limit) {
                delivered += cost;
            } else {
                member.is_live = false;
                behind.push(*conn);
            }
        }
        if let HallName::Direct(parties) = &mut hall.name {
            for party in parties {
                let is_shown = hall.members.iter().any(|(conn, member)| {
                    member.is_live && self.conns.get(conn).is_some_and(|conn| *conn.identity() == party.identity)
                });
                if is_shown {
                    party.shown = chunk.last();
                }
            }
        }
        if !hall.watches.is_empty() {
            delivered += self.deliver_to_watches(id, chunk, limit, &mut behind);
        }
        self.total.add(delivered);
        for conn in behind {
            self.fall_behind(conn, id, CatchUp::lag(chunk.first()));
        }
    }

    /// Bytes of messages that may wait for one connection: its own bound, or its share where all together wait for more than
    /// they may, so that the fullest are the first to lag.
    pub(super) fn feed_limit(&self) -> usize {
        let limits = &self.config.limits;
        if self.total.bytes() < limits.outbox_total_bytes {
            limits.outbox_bytes
        } else {
            limits.outbox_total_bytes / self.conns.len().max(1)
        }
    }
}

/// Puts a chunk into one outbox, without the lines that the connection itself sent where it does not want them back; says
/// what it costs, or `None` where there is no room.
pub(super) fn feed(outbox: &Outbox, conn: ConnId, echo: bool, chunk: &Arc<Chunk>, limit: usize) -> Option<usize> {
    let lines = 0..chunk.lines().len();
    if !echo && chunk.senders().iter().any(|sender| sender.conn == conn) {
        return feed_others(outbox, conn, chunk, lines, limit);
    }
    if outbox.fits(chunk.bytes().len() + ITEM_COST, limit) { outbox.feed(item(chunk, lines)).ok() } else { None }
}

/// Puts the lines of others into an outbox: all of them or none.
pub(super) fn feed_others(
    outbox: &Outbox,
    conn: ConnId,
    chunk: &Arc<Chunk>,
    lines: Range<usize>,
    limit: usize,
) -> Option<usize> {
    let is_own = |at: usize| chunk.senders()[usize::from(chunk.lines()[at].sender)].conn == conn;
    let mut runs: SmallVec<[Range<usize>; 4]> = SmallVec::new();
    for at in lines.filter(|at| !is_own(*at)) {
        match runs.last_mut() {
            Some(run) if run.end == at => run.end = at + 1,
            _ => runs.push(at..at + 1),
        }
    }
    let bytes: usize = runs.iter().map(|run| chunk.span(run).len() + ITEM_COST).sum();
    if !runs.is_empty() && !outbox.fits(bytes, limit) {
        return None;
    }
    runs.into_iter().map(|run| outbox.feed(item(chunk, run)).ok()).sum()
}

fn item(chunk: &Arc<Chunk>, lines: Range<usize>) -> Item {
    Item::Feed { chunk: Arc::clone(chunk), from: lines.start as u16, to: lines.end as u16, replay: false }
}

fn encode(
    draft: &mut Draft,
    name: &HallName,
    place: &Place,
    conn: &Conn,
    ts: u64,
    headers: Option<&[u8]>,
    body: &[u8],
) {
    match name {
        HallName::Room(_, head) => head.message(draft, &conn.part, ts, headers, body),
        HallName::Direct(_) => {
            MessageHead::new(place).message(draft, &conn.part, ts, headers, body);
        }
    }
}

/// What is said to a connection that ended while its parcel was carried out; nobody hears it.
pub(super) fn gone() -> ErrorEvent {
    ErrorEvent::new(Code::Internal, "the connection or the room has ended")
}
