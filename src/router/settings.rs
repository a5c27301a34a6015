//! What rooms are set to: `create`, `delete` and topics.
//!
//! What a setting means is the room's own business; here it is compared, set and told.

use std::borrow::Cow;
use std::sync::Arc;

use super::Router;
use super::disk::{OnDisk, Then, unavailable};
use super::halls::HallId;
use super::publish::gone;
use super::rights::{self, Act};
use super::saved::Saving;
use crate::model::{Code, ConnId, Create, ErrorEvent, Event, HistoryKind, Kind, OkEvent, Part, Place, RoomName, Tag};

/// Bytes of a topic: a paragraph, which still fits a listing of many rooms.
const TOPIC_BYTES_MAX: usize = 1_024;

impl Router {
    pub(super) fn create(&mut self, id: ConnId, tag: Tag, wanted: &Create) -> Result<(), ErrorEvent> {
        let room = &wanted.room;
        check_settings(wanted)?;
        if wanted.history == Some(HistoryKind::Disk) && !self.disk.exists() {
            return Err(unavailable("this server keeps history in memory only").room(room));
        }
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let identity = conn.identity().clone();
        let stood = self.halls.find(room).is_some();
        let hall_id = self.hall_or_new(room, &identity)?;
        self.flush(hall_id);
        self.touch(hall_id);
        let standing = self.standing(id, hall_id);
        let Some(hall) = self.halls.get_mut(hall_id) else { return Err(gone()) };
        if stood {
            rights::check(Act::Join, &standing, &hall.room, room)?;
        }
        let difference = hall.room.difference(wanted);
        let existed = stood && difference.is_none();
        if !existed {
            rights::check(Act::Configure(difference.unwrap_or("kind")), &standing, &hall.room, room)?;
            let has_messages = hall.room.log.newest().0 > 0 || hall.is_busy();
            let moves = |history| history != hall.room.settings.history;
            let is_disk = |history| history == HistoryKind::Disk;
            let moves_disk = wanted.history.is_some_and(|to| moves(to) && (is_disk(to) || hall.disk.is_some()));
            if moves_disk && has_messages {
                let words = "a room that has messages keeps them where they are: delete it first";
                return Err(ErrorEvent::new(Code::RoomExists, words).room(room));
            }
            if wanted.kind.is_some_and(|kind| kind != hall.room.settings.kind) && has_messages {
                let words = "a room that has messages keeps its kind: delete it first";
                return Err(ErrorEvent::new(Code::RoomExists, words).room(room));
            }
            let becomes_private = wanted.private == Some(true) && hall.room.owner.is_none();
            if becomes_private && wanted.history == Some(HistoryKind::Disk) {
                let words = "a private room on disk needs an owner with an account: leave `history` out, or `private`";
                return Err(ErrorEvent::new(Code::Forbidden, words).room(room));
            }
            hall.room.set(wanted);
            if becomes_private && hall.disk.is_some() {
                // No guest could come back to it in another life of the server.
                hall.room.set(&Create { history: Some(HistoryKind::Memory), ..Create::new(Arc::clone(room)) });
            }
            hall.room.created = true;
            let is_on_disk = hall.room.settings.history == HistoryKind::Disk;
            if is_on_disk != hall.disk.is_some() {
                hall.disk = is_on_disk.then(|| Box::new(OnDisk::new()));
            }
            if wanted.private == Some(true) {
                hall.room.invited.insert(identity);
            }
            if hall.room.settings.kind == Kind::Fanout && hall.room.settings.history == HistoryKind::None {
                // What comes is not kept, so what is would have a hole behind it.
                let bytes = hall.room.log.bytes();
                hall.room.log.clear();
                self.halls.history_bytes -= bytes;
            }
            self.now_a_queue(hall_id);
        }
        let ok = OkEvent { op: "create", place: Some(Place::Room(Arc::clone(room))), existed, ..OkEvent::default() };
        let hall = self.halls.get(hall_id);
        let is_safe = hall.is_some_and(|hall| matches!(hall.saving, Saving::Saved | Saving::Unasked));
        if existed && is_safe {
            self.ok(id, tag, ok);
        } else {
            self.save_and_answer(id, tag, hall_id, ok, |_| {});
        }
        Ok(())
    }

    /// Saves what a room is set to, and answers when that is safe; `then` tells the others.
    fn save_and_answer(
        &mut self,
        id: ConnId,
        tag: Tag,
        hall_id: HallId,
        ok: OkEvent,
        then: impl FnOnce(&mut Self) + Send + 'static,
    ) {
        self.begin_wait(id);
        self.save(hall_id, Self::answered_when_safe(id, tag, ok, then));
    }

    /// One thing more that a connection waits for.
    pub(super) fn begin_wait(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.uncommitted += 1;
        }
    }

    /// What is done when a setting is safe, or is not.
    fn answered_when_safe(id: ConnId, tag: Tag, ok: OkEvent, then: impl FnOnce(&mut Self) + Send + 'static) -> Then {
        Box::new(move |router, is_done| {
            if is_done {
                router.ok(id, tag, ok);
                then(router);
            } else {
                router.error(
                    id,
                    tag,
                    unavailable("the disk has failed: it is not known whether this was kept").op(ok.op),
                );
            }
            router.release(id);
        })
    }

    /// Where a room has become a queue room, those who were its workers already take its work, and its dead-letter room, if
    /// that stands, is one.
    fn now_a_queue(&mut self, hall_id: HallId) {
        let prefetch = self.config.queue.prefetch;
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let Some(queue) = &mut hall.room.queue else { return };
        for (conn, member) in &hall.members {
            if member.part == Part::Worker && !queue.has(*conn) {
                queue.enlist(*conn, prefetch, None);
            }
        }
        let dead = hall.room_name().and_then(|room| room.dead_letter()).and_then(|dead| self.halls.find(&dead));
        if let Some(dead) = dead.and_then(|dead| self.halls.get_mut(dead)) {
            dead.room.is_dead_letter = true;
        }
    }

    pub(super) fn delete(&mut self, id: ConnId, tag: Tag, room: &Arc<RoomName>) -> Result<(), ErrorEvent> {
        let hall_id = self.hall_for(id, room, Act::Delete)?;
        self.flush(hall_id);
        self.fail_requests_in(hall_id);
        let Some(mut hall) = self.halls.remove(hall_id) else { return Err(gone()) };
        if let Some(disk) = &mut hall.disk {
            self.disk.outlive(hall_id, disk);
        }
        let by = self.conns.get(&id).map(|conn| Arc::clone(conn.nick()));
        for (conn_id, member) in &hall.members {
            if let Some(conn) = self.conns.get_mut(conn_id) {
                conn.halls.swap_remove(&hall_id);
            }
            self.drop_unreached_lag(*conn_id);
            let Some(conn) = self.conns.get(conn_id) else { continue };
            if *conn_id == id || member.part == crate::model::Part::Observer {
                continue;
            }
            let left = Event::Left {
                room: Arc::clone(room),
                nick: Arc::clone(conn.nick()),
                reason: Some(Cow::Borrowed("deleted")),
                by: by.clone(),
            };
            self.tell(*conn_id, left);
        }
        let place = Some(Place::Room(Arc::clone(room)));
        let ok = OkEvent { op: "delete", place, ..OkEvent::default() };
        self.begin_wait(id);
        self.erase(room, Self::answered_when_safe(id, tag, ok, |_| {}));
        Ok(())
    }

    pub(super) fn topic(
        &mut self,
        id: ConnId,
        tag: Tag,
        room: &Arc<RoomName>,
        topic: Option<Box<str>>,
    ) -> Result<(), ErrorEvent> {
        let act = if topic.is_some() { Act::SetTopic } else { Act::Read };
        let hall_id = self.hall_for(id, room, act)?;
        if topic.as_ref().is_some_and(|topic| topic.len() > TOPIC_BYTES_MAX) {
            return Err(ErrorEvent::new(Code::TooLarge, "a topic has at most 1,024 bytes").room(room));
        }
        self.flush(hall_id);
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let by = Arc::clone(conn.nick());
        let Some(hall) = self.halls.get_mut(hall_id) else { return Err(gone()) };
        let is_set = topic.is_some();
        if let Some(topic) = topic {
            hall.room.topic = (!topic.is_empty()).then(|| Arc::from(topic));
        }
        let topic: Arc<str> = hall.room.topic.clone().unwrap_or_default();
        let place = Some(Place::Room(Arc::clone(room)));
        let ok = OkEvent { op: "topic", place, topic: Some(Arc::clone(&topic)), ..OkEvent::default() };
        if is_set {
            let room = Arc::clone(room);
            self.save_and_answer(id, tag, hall_id, ok, move |router| {
                router.tell_members(hall_id, id, || Event::Topic {
                    room: Arc::clone(&room),
                    topic: Arc::clone(&topic),
                    by: Arc::clone(&by),
                });
            });
        } else {
            self.ok(id, tag, ok);
        }
        self.touch(hall_id);
        Ok(())
    }
}

/// Whether the settings make sense together.
fn check_settings(wanted: &Create) -> Result<(), ErrorEvent> {
    let refuse = |code, words: &'static str| Err(ErrorEvent::new(code, words).room(&wanted.room));
    if wanted.kind == Some(Kind::Queue) && !wanted.room.fits_queue() {
        return refuse(Code::BadName, "a queue room's name has at most 59 bytes");
    }
    if wanted.topic.as_ref().is_some_and(|topic| topic.len() > TOPIC_BYTES_MAX) {
        return refuse(Code::TooLarge, "a topic has at most 1,024 bytes");
    }
    Ok(())
}
