//! Commits: what the store says is done, told and delivered in the store's order.
//!
//! Numbers come from here for rooms on disk: a message is acknowledged, encoded and given to the members when its commit
//! arrives, and not before. What failed is said to those who asked for it.

use std::sync::Arc;

use super::Router;
use super::conns::CatchUp;
use super::disk::{Flight, Sent, unavailable};
use super::hall::Member;
use super::halls::HallId;
use crate::model::{Chunk, ConnId, Event, Part, Place, RoomName, Seq, Tag};
use crate::room::Log;
use crate::store::{Committed, Pos, Ticket};

impl Router {
    /// Takes what the store says.
    pub fn stored(&mut self, event: crate::store::Event) {
        use crate::store::Event as Said;
        match event {
            Said::Committed(committed) => self.committed(&committed),
            Said::Done(ticket) => {
                if let Some(then) = self.disk.writes.remove(&ticket) {
                    then(self, true);
                }
            }
            Said::Failed(tickets) => {
                self.disk.is_down = true;
                self.fail(&tickets, "the disk has failed: it is not known whether this was stored");
            }
            Said::Trimmed(room, oldest) => {
                let hall = self.halls.find_key(&room).and_then(|hall| self.halls.get_mut(hall));
                if let Some(disk) = hall.and_then(|hall| hall.disk.as_mut()) {
                    disk.oldest = disk.oldest.max(oldest);
                }
            }
            Said::Read(ticket, found) => {
                self.read_done(ticket, found);
                self.read_again();
            }
            Said::Found(ticket, found) => {
                if let Some(then) = self.disk.searches.remove(&ticket) {
                    then(self, found);
                }
            }
            Said::Restored(contents) => self.restored(*contents),
        }
    }

    /// Lets connections go on whose messages are safe now.
    pub(super) fn go_on(&mut self) {
        while let Some(id) = self.disk.released.pop() {
            self.carry_on(id);
        }
    }

    fn committed(&mut self, committed: &Committed) {
        let flight = committed.ticket.and_then(|ticket| self.disk.appends.remove(&ticket));
        let made_for = flight.as_ref().map(|flight| flight.hall);
        let hall_id = self.hall_of(committed, made_for);
        let last_pos = Pos(committed.pos.0 + u64::from(committed.group.count()) - 1);
        self.disk.last_pos = last_pos;
        let name = flight.as_ref().map(|flight| Arc::clone(&flight.name));
        let name = name.or_else(|| RoomName::parse(&committed.room.0).ok().map(Arc::new));
        let Some(name) = name else { return };
        let place = Place::Room(name);
        let (boot, first, floor) = (self.disk.boot, committed.first, committed.floor);
        let chunks = committed.group.chunks(boot, &place, first, floor, |_| true);
        if let Some(flight) = flight {
            let times = chunks.iter().flat_map(|chunk| chunk.lines().iter().map(|line| line.ts));
            let stored: Vec<(Seq, u64)> = (first.0..).map(Seq).zip(times).collect();
            self.acknowledge(&place, flight, &stored);
        }
        let Some(hall_id) = hall_id else { return };
        if let Some(disk) = self.halls.get_mut(hall_id).and_then(|hall| hall.disk.as_mut()) {
            disk.last_pos = last_pos;
        }
        for chunk in chunks {
            self.take_in(hall_id, &chunk);
        }
        self.note_cursors(hall_id);
    }

    /// The hall that a commit is for, where it still has that numbering: the very one that took the messages, or the room's
    /// where another server did. A room that was deleted meanwhile leaves nothing to one of its name.
    fn hall_of(&mut self, committed: &Committed, made_for: Option<HallId>) -> Option<HallId> {
        let id = match committed.ticket {
            Some(_) => made_for?,
            None => self.halls.find_key(&committed.room)?,
        };
        let hall = self.halls.get_mut(id)?;
        if hall.room.log.epoch() != &committed.epoch {
            if hall.room.log.newest() != Seq(0) {
                return None;
            }
            // Another server brought the room into being first, or the store still has one that it was to delete.
            hall.room.log = Log::new(committed.epoch.clone());
        }
        Some(id)
    }

    /// Takes committed messages into a hall and delivers them.
    pub(super) fn take_in(&mut self, hall_id: HallId, chunk: &Arc<Chunk>) {
        self.flush_answers();
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        if chunk.first() > hall.room.log.newest().next() {
            let (before, last_ts) = (Seq(chunk.first().0 - 1), 0);
            self.jump(hall_id, before, last_ts);
            self.refill_hall(hall_id);
        }
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        if chunk.first() != hall.room.log.newest().next() {
            return;
        }
        hall.room.log.advance(chunk);
        hall.forget_by_count();
        self.keep(hall_id, chunk);
        self.deliver(hall_id, chunk);
        self.touch(hall_id);
    }

    /// Goes on behind messages that were committed without anybody hearing of them; the members get them from the disk.
    pub(super) fn jump(&mut self, hall_id: HallId, newest: Seq, last_ts: u64) {
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let unheard = hall.room.log.newest().next();
        let from = CatchUp::lag(unheard);
        let freed = hall.room.log.bytes();
        let is_queue = hall.room.queue.is_some();
        hall.room.log = Log::resumed(hall.room.log.epoch().clone(), newest, last_ts.max(hall.room.log.last_ts()));
        let gets = |member: &Member| member.is_live && !(is_queue && member.part == Part::Worker);
        let live = hall.members.iter_mut().filter(|(_, member)| gets(member));
        let mut behind: Vec<ConnId> = live
            .map(|(conn, member)| {
                member.is_live = false;
                *conn
            })
            .collect();
        if let Some(disk) = hall.disk.as_mut().filter(|_| is_queue) {
            disk.await_fill(unheard..newest.next());
        }
        self.halls.history_bytes -= freed;
        behind.extend(self.observers_of(hall_id));
        for conn in behind {
            self.fall_behind(conn, hall_id, from);
        }
    }

    /// Answers those who sent what is stored now, under these numbers and times.
    fn acknowledge(&mut self, place: &Place, mut flight: Flight, stored: &[(Seq, u64)]) {
        let now = self.now.instant;
        if let Some(hall) = self.halls.get_mut(flight.hall)
            && let Some(disk) = &mut hall.disk
        {
            disk.landed(flight.sent.len());
            for (sent, (seq, ts)) in flight.sent.iter_mut().zip(stored) {
                let Some(key) = sent.key else { continue };
                sent.waiting = disk.keys.remove(&key).unwrap_or_default();
                hall.room.keys.insert(key, *seq, *ts, now);
            }
        }
        for (sent, (seq, ts)) in flight.sent.iter_mut().zip(stored) {
            let mut answer = |conn: ConnId, tag: Tag, dup: bool| {
                if tag.wants_ok() {
                    self.tell(conn, Event::Sent { tag, place: place.clone(), seq: *seq, ts: *ts, dup });
                }
            };
            answer(sent.conn, std::mem::take(&mut sent.tag), false);
            for (conn, tag) in &mut sent.waiting {
                answer(*conn, std::mem::take(tag), true);
            }
        }
        self.release_all(&flight.sent);
    }

    /// Answers those whose writes did not happen, or may not have.
    pub(super) fn fail(&mut self, tickets: &[Ticket], words: &str) {
        for ticket in tickets {
            if let Some(flight) = self.disk.appends.remove(ticket) {
                self.fail_sends(flight, words);
            }
            if let Some(then) = self.disk.writes.remove(ticket) {
                then(self, false);
            }
        }
    }

    fn fail_sends(&mut self, mut flight: Flight, words: &str) {
        if let Some(disk) = self.halls.get_mut(flight.hall).and_then(|hall| hall.disk.as_mut()) {
            disk.landed(flight.sent.len());
            for sent in &mut flight.sent {
                sent.waiting = sent.key.and_then(|key| disk.keys.remove(&key)).unwrap_or_default();
            }
        }
        for sent in &mut flight.sent {
            let own = (sent.conn, std::mem::take(&mut sent.tag));
            let others = sent.waiting.iter_mut().map(|(conn, tag)| (*conn, std::mem::take(tag)));
            for (conn, tag) in std::iter::once(own).chain(others) {
                self.error(conn, tag, unavailable(words).op("send").room(&flight.name));
            }
        }
        self.release_all(&flight.sent);
        self.touch(flight.hall);
    }

    /// Lets those go on who waited for messages: once for each run of one connection's.
    fn release_all(&mut self, sent: &[Sent]) {
        for run in sent.chunk_by(|one, next| one.conn == next.conn) {
            self.release_many(run[0].conn, run.len(), run.iter().map(|sent| sent.cost).sum());
        }
        for (conn, _) in sent.iter().flat_map(|sent| &sent.waiting) {
            self.release(*conn);
        }
    }

    /// One thing fewer that a connection waits for.
    pub(super) fn release(&mut self, id: ConnId) {
        self.release_many(id, 1, 0);
    }

    /// So many things fewer, of so many bytes together. Those of the server's own wait for no connection.
    fn release_many(&mut self, id: ConnId, things: usize, bytes: usize) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if bytes > 0 {
            conn.outbox.release(bytes);
        }
        debug_assert!(conn.uncommitted >= things, "only what it waits for comes back to it");
        conn.uncommitted = conn.uncommitted.saturating_sub(things);
        if conn.uncommitted == 0 {
            self.disk.released.push(id);
        }
    }
}
