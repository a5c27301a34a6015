//! Comings and goings, new nicks and topics: what members are told beside messages, in the order it happened.
//!
//! Each takes its place behind what was said before, so a hall's draft is delivered first.

use std::borrow::Cow;
use std::sync::Arc;

use super::Router;
use super::hall::Member;
use super::halls::HallId;
use crate::model::{ConnId, Event, Nick, Part, Seq};

impl Router {
    pub(super) fn announce_joined(&mut self, id: ConnId, hall: HallId) {
        let Some((room, nick)) = self.who_where(id, hall) else { return };
        self.announce(id, hall, || Event::Joined { room: Arc::clone(&room), nick: Arc::clone(&nick) });
    }

    pub(super) fn announce_left(&mut self, id: ConnId, hall: HallId, reason: Option<&str>) {
        let Some((room, nick)) = self.who_where(id, hall) else { return };
        self.announce(id, hall, || Event::Left {
            room: Arc::clone(&room),
            nick: Arc::clone(&nick),
            reason: reason.map(|words| Cow::Owned(words.to_owned())),
            by: None,
        });
    }

    fn who_where(&self, id: ConnId, hall: HallId) -> Option<(Arc<crate::model::RoomName>, Arc<Nick>)> {
        let room = self.halls.get(hall)?.room_name()?;
        Some((Arc::clone(room), Arc::clone(self.conns.get(&id)?.nick())))
    }

    /// Tells the members of a small room that want to know, but not the one it is about.
    fn announce(&mut self, about: ConnId, hall_id: HallId, event: impl Fn() -> Event) {
        self.flush(hall_id);
        let Some(hall) = self.halls.get(hall_id) else { return };
        if hall.listed > self.config.limits.presence_members {
            return;
        }
        let wants = |(conn, member): &(&ConnId, &Member)| {
            **conn != about && member.part != Part::Observer && self.conns.get(*conn).is_some_and(|conn| conn.presence)
        };
        let told: Vec<ConnId> = hall.members.iter().filter(wants).map(|(conn, _)| *conn).collect();
        for conn in told {
            self.offer(conn, hall_id, event());
        }
    }

    /// Tells a member the news of a room, where its outbox has room: news can be asked for again and never grow one that is
    /// not read. That some were missed is told once they are.
    pub(super) fn offer(&mut self, id: ConnId, hall_id: HallId, event: Event) {
        let (Some(conn), Some(hall)) = (self.conns.get(&id), self.halls.get_mut(hall_id)) else { return };
        let Some(member) = hall.members.get_mut(&id) else { return };
        if !conn.outbox.has_room(conn.pending + event.cost()) {
            member.missed_presence = true;
            conn.outbox.await_drained();
            return;
        }
        self.tell_missed_presence(id, hall_id);
        self.tell(id, event);
    }

    /// Tells a member that it missed news of a room, where it did.
    pub(super) fn tell_missed_presence(&mut self, id: ConnId, hall_id: HallId) {
        let member = self.halls.get_mut(hall_id).and_then(|hall| hall.members.get_mut(&id));
        if !member.is_some_and(|member| std::mem::take(&mut member.missed_presence)) {
            return;
        }
        let Some((hall, conn)) = self.halls.get(hall_id).zip(self.conns.get(&id)) else { return };
        let next = conn.lagging.get(&hall_id).map_or(hall.room.log.newest().next(), |lag| lag.next);
        let place = hall.place_for(conn.identity());
        self.tell(id, Event::Lagged { place, missed: 0, next, presence: true });
    }

    /// Tells everyone who shares a room with a connection that it has another nick.
    pub(super) fn announce_nick(&mut self, id: ConnId, was: &Arc<Nick>) {
        let Some(conn) = self.conns.get(&id) else { return };
        let nick = Arc::clone(conn.nick());
        let halls = conn.halls.clone();
        let mut told = std::collections::HashSet::from([id]);
        for hall_id in halls {
            self.flush(hall_id);
            let Some(hall) = self.halls.get(hall_id) else { continue };
            // Where it only observes, nobody knows that it is there.
            if hall.members.get(&id).is_none_or(|member| member.part == Part::Observer) {
                continue;
            }
            let hearers = hall.members.iter().filter(|(_, member)| member.part != Part::Observer);
            let new: Vec<ConnId> = hearers.map(|(conn, _)| *conn).filter(|conn| told.insert(*conn)).collect();
            for conn in new {
                self.offer(conn, hall_id, Event::Nick { nick: Arc::clone(&nick), was: Arc::clone(was) });
            }
        }
    }

    /// Notes that a connection was shown the direct messages up to a number.
    pub(super) fn mark_shown(&mut self, id: ConnId, hall: HallId, up_to: Seq) {
        let (Some(conn), Some(hall)) = (self.conns.get(&id), self.halls.get_mut(hall)) else { return };
        if let super::hall::HallName::Direct(parties) = &mut hall.name {
            for party in parties.iter_mut().filter(|party| party.identity == *conn.identity()) {
                party.shown = party.shown.max(up_to);
            }
        }
    }
}
