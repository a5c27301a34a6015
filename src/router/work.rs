//! Queue rooms: giving work to workers, and what becomes of it.
//!
//! Which message goes to whom is [`crate::room::Queue`]'s decision; here it is asked with what only the router knows, whether a
//! worker can take more, and its answer is carried out.

use std::sync::Arc;
use std::time::Duration;

use super::Router;
use super::disk::unavailable;
use super::hall::HallName;
use super::halls::HallId;
use super::join::not_joined;
use super::publish::{CHUNK_BYTES, gone};
use super::rights::Act;
use crate::model::{
    Code, ConnId, Draft, ErrorEvent, Event, Identity, Join, Message, OkEvent, Part, Place, RoomName, Seq, Tag,
};
use crate::protocol::json::SenderPart;
use crate::room::{Given, Task, Verdict};
use crate::store::{Record, RoomKey, Write};

impl Router {
    /// Lets a member of a queue room take work, or no longer.
    pub(super) fn set_worker(&mut self, id: ConnId, hall_id: HallId, join: &Join) {
        let prefetch = join.prefetch.unwrap_or(self.config.queue.prefetch);
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let is_worker = hall.members.get(&id).is_some_and(|member| member.part == Part::Worker);
        match &mut hall.room.queue {
            Some(queue) if is_worker => queue.enlist(id, prefetch, join.ack_wait),
            _ if is_worker => {}
            _ => self.retire_worker(id, hall_id),
        }
        self.touch(hall_id);
    }

    /// Takes a worker away: what it held waits for another, and its questions have no answer.
    pub(super) fn retire_worker(&mut self, id: ConnId, hall_id: HallId) {
        if let Some(queue) = self.halls.get_mut(hall_id).and_then(|hall| hall.room.queue.as_mut()) {
            queue.dismiss(id);
        }
        self.drop_requests_in(id, hall_id);
        self.touch(hall_id);
    }

    /// Gives out as much work as workers take, oldest first: what came now waits for what is still to be read.
    pub(super) fn dispatch_work(&mut self, hall_id: HallId) {
        let mut starved: Vec<ConnId> = Vec::new();
        loop {
            let Some(hall) = self.halls.get_mut(hall_id) else { return };
            let wait = hall.room.settings.ack_wait;
            let unfilled = hall.disk.as_ref().and_then(|disk| disk.unfilled.as_ref()).map(|unfilled| unfilled.start);
            let next = hall.room.queue.as_ref().and_then(crate::room::Queue::next);
            if unfilled.is_some_and(|unfilled| next.is_some_and(|next| next >= unfilled)) {
                break;
            }
            let Some(mut queue) = hall.room.queue.take() else { return };
            let max_line = self.config.limits.max_line;
            let given = queue.give(wait, self.now.instant, |conn| {
                let can = self.can_take(conn, max_line);
                if !can && !starved.contains(&conn) {
                    starved.push(conn);
                }
                can
            });
            if let Some(hall) = self.halls.get_mut(hall_id) {
                hall.room.queue = Some(queue);
            }
            let Some(Given { worker, task }) = given else { break };
            let Task { chunk, line, attempts, .. } = task;
            self.tell(worker, Event::Work { chunk, line, attempt: attempts });
        }
        for id in starved {
            if let Some(conn) = self.conns.get_mut(&id) {
                conn.is_starved = true;
                conn.outbox.await_drained();
            }
        }
        self.set_alarm(hall_id);
    }

    pub(super) fn ack(&mut self, id: ConnId, tag: Tag, room: &Arc<RoomName>, seqs: &[Seq]) -> Result<(), ErrorEvent> {
        let mut done: Vec<(Seq, Task)> = Vec::new();
        let worked = self.on_work(id, "ack", room, seqs, |router, hall, seq| {
            let Some(queue) = router.halls.get_mut(hall).and_then(|hall| hall.room.queue.as_mut()) else {
                return false;
            };
            let task = queue.task(seq).cloned();
            let is_held = queue.ack(id, seq);
            done.extend(task.filter(|_| is_held).map(|task| (seq, task)));
            is_held
        })?;
        let Some(hall_id) = self.halls.find(room).filter(|id| self.is_on_disk(*id)) else {
            return self.worked(id, tag, "ack", room, &worked);
        };
        let seqs: Vec<Seq> = done.iter().map(|(seq, _)| *seq).collect();
        if seqs.is_empty() {
            return self.worked(id, tag, "ack", room, &worked);
        }
        self.begin_wait(id);
        let room = Arc::clone(room);
        let key = RoomKey::of(&room);
        self.write(
            |ticket| Write::Finish { ticket, room: key, seqs },
            Box::new(move |router, is_done| {
                let answer = if is_done {
                    router.worked(id, tag.clone(), "ack", &room, &worked)
                } else {
                    router.not_ended(hall_id, done);
                    Err(unavailable("the disk has failed: the work may come again"))
                };
                if let Err(error) = answer {
                    router.error(id, tag, error.op("ack").room(&room));
                }
                router.release(id);
            }),
        );
        Ok(())
    }

    fn is_on_disk(&self, hall_id: HallId) -> bool {
        self.halls.get(hall_id).is_some_and(|hall| hall.disk.is_some())
    }

    pub(super) fn nack(
        &mut self,
        id: ConnId,
        tag: Tag,
        room: &Arc<RoomName>,
        seqs: &[Seq],
        delay: Duration,
    ) -> Result<(), ErrorEvent> {
        let mut dead: Vec<(Seq, Task)> = Vec::new();
        let worked = self.on_work(id, "nack", room, seqs, |router, hall_id, seq| {
            let now = router.now.instant;
            let Some(hall) = router.halls.get_mut(hall_id) else { return false };
            let max_deliver = hall.room.settings.max_deliver;
            let queue = hall.room.queue.as_mut();
            match queue.and_then(|queue| queue.nack(id, seq, delay, max_deliver, now)) {
                None => return false,
                Some(Verdict::Again) => {}
                Some(Verdict::Dead(task)) => dead.push((seq, task)),
            }
            true
        })?;
        if let Some(hall_id) = self.halls.find(room) {
            self.bury(hall_id, dead);
        }
        self.worked(id, tag, "nack", room, &worked)
    }

    pub(super) fn working(
        &mut self,
        id: ConnId,
        tag: Tag,
        room: &Arc<RoomName>,
        seqs: &[Seq],
    ) -> Result<(), ErrorEvent> {
        let worked = self.on_work(id, "working", room, seqs, |router, hall, seq| {
            let now = router.now.instant;
            let Some(hall) = router.halls.get_mut(hall) else { return false };
            let wait = hall.room.settings.ack_wait;
            hall.room.queue.as_mut().is_some_and(|queue| queue.working(id, seq, wait, now))
        })?;
        self.worked(id, tag, "working", room, &worked)
    }

    /// Does something to each message that a worker holds; those that it does not hold.
    fn on_work(
        &mut self,
        id: ConnId,
        op: &'static str,
        room: &Arc<RoomName>,
        seqs: &[Seq],
        mut act: impl FnMut(&mut Self, HallId, Seq) -> bool,
    ) -> Result<Vec<Seq>, ErrorEvent> {
        let hall_id = self.hall_for(id, room, Act::Read)?;
        let Some(hall) = self.halls.get(hall_id) else { return Err(gone()) };
        if !hall.has(id) {
            return Err(not_joined(&Place::Room(Arc::clone(room))));
        }
        if hall.room.queue.is_none() {
            let words = format!("{room} is no queue room: there is nothing to {op}");
            return Err(ErrorEvent::new(Code::BadRequest, words).room(room));
        }
        let strange: Vec<Seq> = seqs.iter().copied().filter(|seq| !act(self, hall_id, *seq)).collect();
        self.halls.count_queued(hall_id);
        self.touch(hall_id);
        Ok(strange)
    }

    /// Answers what was done to work.
    fn worked(
        &mut self,
        id: ConnId,
        tag: Tag,
        op: &'static str,
        room: &Arc<RoomName>,
        strange: &[Seq],
    ) -> Result<(), ErrorEvent> {
        if !strange.is_empty() {
            let words = format!("you do not hold {} of {room}", list(strange));
            return Err(ErrorEvent::new(Code::BadRequest, words).room(room));
        }
        let place = Some(Place::Room(Arc::clone(room)));
        self.ok(id, tag, OkEvent { op, place, ..OkEvent::default() });
        Ok(())
    }

    /// Takes back what was not acked in time, and what was delayed long enough.
    pub(super) fn expire_work(&mut self, hall_id: HallId) {
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let max_deliver = hall.room.settings.max_deliver;
        let Some(queue) = hall.room.queue.as_mut() else { return };
        let dead = queue.expire(max_deliver, self.now.instant);
        self.bury(hall_id, dead);
        self.halls.count_queued(hall_id);
    }

    /// Puts messages that nobody could work on into the room's dead-letter room, as their senders sent them.
    fn bury(&mut self, hall_id: HallId, dead: Vec<(Seq, Task)>) {
        if dead.is_empty() {
            return;
        }
        let Some(room) = self.halls.get(hall_id).and_then(|hall| hall.room_name()?.dead_letter()) else { return };
        let room = Arc::new(room);
        let Ok(letters) = self.hall_or_new(&room, &Identity::Guest(0)) else {
            tracing::warn!(%room, count = dead.len(), "dead letters are lost: the server has as many rooms as it may");
            return;
        };
        for (_, task) in &dead {
            self.letter(letters, &room, task.chunk.message(task.line as usize));
        }
        self.touch(letters);
        if self.is_on_disk(hall_id) {
            self.end_buried(hall_id, dead);
        }
    }

    /// Adds one message to a dead-letter room.
    fn letter(&mut self, letters: HallId, room: &Arc<RoomName>, message: Message<'_>) {
        let headers = message.headers.map(str::as_bytes);
        let Some(hall) = self.halls.get_mut(letters) else { return };
        if hall.disk.is_some() {
            let (sender, ts) = (Arc::clone(message.sender), self.now.unix_ms);
            let (body, redacted) = (message.body.as_bytes(), message.redacted);
            return self.store_letter(letters, &Record { sender, to: None, ts, headers, body, key: None, redacted });
        }
        let (seq, ts) = hall.room.log.number(self.now.unix_ms);
        let place = Place::Room(Arc::clone(room));
        let (_, draft) =
            hall.draft.get_or_insert_with(|| (place, Draft::new(seq, self.spare.pop().unwrap_or_default())));
        if let HallName::Room(_, head) = &hall.name {
            let part = SenderPart::new(Arc::clone(message.sender));
            if message.redacted {
                head.redacted(draft, &part, ts);
            } else {
                head.message(draft, &part, ts, headers, message.body.as_bytes());
            }
        }
        if draft.bytes.len() >= CHUNK_BYTES {
            self.flush(letters);
        }
    }

    /// Takes messages that go to the dead letters off the disk, in the same batch that puts them there.
    fn end_buried(&mut self, hall_id: HallId, dead: Vec<(Seq, Task)>) {
        let Some(room) = self.halls.get(hall_id).and_then(|hall| hall.room_name()) else { return };
        let room = RoomKey::of(room);
        let seqs = dead.iter().map(|(seq, _)| *seq).collect();
        self.write(
            |ticket| Write::Finish { ticket, room, seqs },
            Box::new(move |router, is_done| {
                if !is_done {
                    router.not_ended(hall_id, dead);
                }
            }),
        );
    }
}

/// Numbers for people: a few of them.
fn list(seqs: &[Seq]) -> String {
    /// More than this in one error helps nobody.
    const SHOWN: usize = 10;
    let mut words: Vec<String> = seqs.iter().take(SHOWN).map(ToString::to_string).collect();
    if seqs.len() > SHOWN {
        words.push(format!("{} more", seqs.len() - SHOWN));
    }
    words.join(", ")
}
