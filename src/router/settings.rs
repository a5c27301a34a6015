//! What rooms are set to: `create`, `delete` and topics.
//!
//! What a setting means is the room's own business; here it is compared, set and told.

use std::borrow::Cow;
use std::sync::Arc;

use super::Router;
use super::halls::HallId;
use super::publish::gone;
use super::rights::{self, Act};
use crate::model::{Code, ConnId, Create, ErrorEvent, Event, HistoryKind, Kind, OkEvent, Part, Place, RoomName, Tag};

/// Bytes of a topic: a paragraph, which still fits a listing of many rooms.
const TOPIC_BYTES_MAX: usize = 1_024;

impl Router {
    pub(super) fn create(&mut self, id: ConnId, tag: Tag, wanted: &Create) -> Result<(), ErrorEvent> {
        let room = &wanted.room;
        check_settings(wanted)?;
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
            if wanted.kind.is_some_and(|kind| kind != hall.room.settings.kind) && hall.room.log.newest().0 > 0 {
                let words = "a room that has messages keeps its kind: delete it first";
                return Err(ErrorEvent::new(Code::RoomExists, words).room(room));
            }
            hall.room.set(wanted);
            hall.room.created = true;
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
        self.ok(id, tag, ok);
        Ok(())
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
        let Some(hall) = self.halls.remove(hall_id) else { return Err(gone()) };
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
        self.ok(id, tag, OkEvent { op: "delete", place, ..OkEvent::default() });
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
        self.ok(id, tag, OkEvent { op: "topic", place, topic: Some(Arc::clone(&topic)), ..OkEvent::default() });
        if is_set {
            self.tell_members(hall_id, id, || Event::Topic {
                room: Arc::clone(room),
                topic: Arc::clone(&topic),
                by: Arc::clone(&by),
            });
        }
        self.touch(hall_id);
        Ok(())
    }
}

/// Whether the settings make sense together.
fn check_settings(wanted: &Create) -> Result<(), ErrorEvent> {
    let refuse = |code, words: &'static str| Err(ErrorEvent::new(code, words).room(&wanted.room));
    if wanted.history == Some(HistoryKind::Disk) {
        return refuse(Code::Unavailable, "this server keeps history in memory only");
    }
    if wanted.kind == Some(Kind::Queue) && !wanted.room.fits_queue() {
        return refuse(Code::BadName, "a queue room's name has at most 59 bytes");
    }
    if wanted.topic.as_ref().is_some_and(|topic| topic.len() > TOPIC_BYTES_MAX) {
        return refuse(Code::TooLarge, "a topic has at most 1,024 bytes");
    }
    Ok(())
}
