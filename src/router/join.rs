//! Joining and leaving: memberships and where they begin to read.
//!
//! It says where a member begins and hands it over to catching up; it never writes to a connection what was said
//! before.

use std::sync::Arc;

use super::Router;
use super::conns::CatchUp;
use super::hall::{Hall, Member};
use super::halls::HallId;
use super::publish::gone;
use super::rights::{self, Act};
use crate::model::{
    Code, ConnId, ErrorEvent, Event, Join, Kind, OkEvent, Part, Pattern, Place, RoomName, Seq, Start, Tag, Target,
};
use crate::store::Pos;

/// What the others in a room hear of one who leaves it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told<'a> {
    /// Nothing: one who is resumed goes on elsewhere.
    Nothing,
    /// That it left.
    Plainly,
    /// That it left, and why.
    Because(&'a str),
}

impl Router {
    pub(super) fn join(&mut self, id: ConnId, tag: Tag, join: &Join) -> Result<(), ErrorEvent> {
        match &join.target {
            Target::Place(place) => {
                let hall = match place {
                    Place::Room(room) => self.joinable(id, room, join)?,
                    Place::Direct(nick) => self.direct_hall(id, nick)?,
                };
                self.join_hall(id, tag, hall, join)
            }
            Target::Pattern(pattern) => self.observe(id, tag, pattern, join),
        }
    }

    /// The hall of a room that a connection may join in the way it wants.
    fn joinable(&mut self, id: ConnId, room: &Arc<RoomName>, join: &Join) -> Result<HallId, ErrorEvent> {
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let (identity, places) = (conn.identity().clone(), conn.places());
        let is_in = self.halls.find(room).is_some_and(|hall| conn.halls.contains(&hall));
        if !is_in && places >= self.config.limits.max_rooms_per_connection {
            return Err(too_many_places());
        }
        let hall_id = self.hall_or_new(room, &identity)?;
        // One that was made just now and is not joined after all goes away when the round ends.
        self.touch(hall_id);
        let standing = self.standing(id, hall_id);
        let Some(hall) = self.halls.get(hall_id) else { return Err(gone()) };
        rights::check(Act::Join, &standing, &hall.room, room)?;
        if !is_in && hall.members.len() >= self.config.limits.max_members {
            return Err(ErrorEvent::new(Code::RoomFull, format!("{room} has as many members as it may")));
        }
        if matches!(join.start, Start::Cursor(_)) {
            let words = "a `cursor` is for patterns: join a room with `after`, `last` or `since`";
            return Err(ErrorEvent::new(Code::BadRequest, words));
        }
        if hall.room.queue.is_some() && !matches!(join.start, Start::Now | Start::Recent(_)) {
            let words = "a queue room gives its backlog to workers: join it without `after`, `last` and `since`";
            return Err(ErrorEvent::new(Code::BadRequest, words));
        }
        Ok(hall_id)
    }

    fn join_hall(&mut self, id: ConnId, tag: Tag, hall_id: HallId, join: &Join) -> Result<(), ErrorEvent> {
        // What is drafted was said before the join, so it is none of the live messages behind it.
        self.flush(hall_id);
        self.touch(hall_id);
        self.trim(hall_id);
        let Some(hall) = self.halls.get(hall_id) else { return Err(gone()) };
        let was_in = hall.members.get(&id).map(|member| member.part);
        let part = join.part.or(was_in).unwrap_or_default();
        let newest = hall.room.log.newest();
        let (start, reset) = start_of(hall, &join.start, newest);
        let Some(conn) = self.conns.get_mut(&id) else { return Err(gone()) };
        conn.stays |= join.stay;
        let ok = OkEvent {
            op: "join",
            place: Some(hall.place_for(conn.identity())),
            seq: Some(newest),
            epoch: Some(hall.room.log.epoch().clone()),
            reset,
            ..OkEvent::default()
        };
        self.ok(id, tag, ok);
        self.mark_shown(id, hall_id, newest);
        self.add_member(id, hall_id, part, true);
        self.set_worker(id, hall_id, join);
        let is_listed = part != Part::Observer;
        if is_listed && was_in.is_none_or(|before| before == Part::Observer) {
            self.announce_joined(id, hall_id);
        } else if !is_listed && was_in.is_some_and(|before| before != Part::Observer) {
            self.announce_left(id, hall_id, None);
        }
        if let Some(from) = start {
            self.replay(id, hall_id, from);
        }
        Ok(())
    }

    /// Sends what a connection asked to have again.
    fn replay(&mut self, id: ConnId, hall_id: HallId, from: CatchUp) {
        if let Some(member) = self.halls.get_mut(hall_id).and_then(|hall| hall.members.get_mut(&id)) {
            member.is_live = false;
        }
        if let Some(conn) = self.conns.get_mut(&id) {
            // A replay asked for again begins where it was asked to, whatever was going on before.
            conn.lagging.shift_remove(&hall_id);
        }
        self.fall_behind(id, hall_id, from);
        self.catch_up(id);
    }

    /// Puts a connection into a hall, or changes as what it is there.
    pub(super) fn add_member(&mut self, id: ConnId, hall_id: HallId, part: Part, is_live: bool) {
        let (Some(conn), Some(hall)) = (self.conns.get_mut(&id), self.halls.get_mut(hall_id)) else { return };
        let is_new = conn.halls.insert(hall_id);
        conn.directs += usize::from(is_new && hall.room_name().is_none());
        let is_behind = conn.lagging.contains_key(&hall_id);
        let is_live = is_live && !is_behind;
        let was_listed = hall.members.get(&id).is_some_and(|member| member.part != Part::Observer);
        hall.listed = hall.listed - usize::from(was_listed) + usize::from(part != Part::Observer);
        match hall.members.get_mut(&id) {
            Some(member) => {
                member.part = part;
                member.is_live |= is_live;
            }
            None => {
                hall.members.insert(id, Member::new(conn.outbox.clone(), part, is_live, conn.echo));
            }
        }
    }

    /// Takes a connection out of a hall.
    pub(super) fn remove_member(&mut self, id: ConnId, hall_id: HallId, told: Told<'_>) {
        self.flush(hall_id);
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let Some(member) = hall.members.get(&id) else { return };
        let is_listed = member.part != Part::Observer;
        hall.listed -= usize::from(is_listed);
        match told {
            Told::Because(words) if is_listed => self.announce_left(id, hall_id, Some(words)),
            Told::Plainly if is_listed => self.announce_left(id, hall_id, None),
            _ => {}
        }
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        hall.members.swap_remove(&id);
        let is_direct = hall.room_name().is_none();
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.halls.swap_remove(&hall_id);
            conn.directs -= usize::from(is_direct);
        }
        self.retire_worker(id, hall_id);
        self.drop_unreached_lag(id);
        self.touch(hall_id);
    }

    fn observe(&mut self, id: ConnId, tag: Tag, pattern: &Arc<Pattern>, join: &Join) -> Result<(), ErrorEvent> {
        if !matches!(join.part, None | Some(Part::Observer)) {
            return Err(ErrorEvent::new(Code::BadRequest, "a pattern only observes: leave `as` out"));
        }
        let cursor = match join.start {
            Start::Now => None,
            Start::Cursor(cursor) => Some(cursor),
            _ => {
                let words = "a pattern begins with what comes next, or behind a `cursor`: leave `after`, `last` and `since` out";
                return Err(ErrorEvent::new(Code::BadRequest, words));
            }
        };
        let Some(conn) = self.conns.get_mut(&id) else { return Err(gone()) };
        if conn.places() >= self.config.limits.max_rooms_per_connection && self.watches.find(pattern, id).is_none() {
            return Err(too_many_places());
        }
        conn.stays |= join.stay;
        let newest = self.disk.last_pos;
        let reset = cursor.is_some_and(|cursor| cursor > newest.0);
        // What is replayed is not there yet: who breaks off in the middle of it begins where it began.
        let given = match cursor {
            Some(_) if reset => Some(0),
            Some(cursor) => Some(cursor),
            None => self.disk.exists().then_some(newest.0),
        };
        let ok = OkEvent { op: "join", pattern: Some(Arc::clone(pattern)), cursor: given, reset, ..OkEvent::default() };
        self.ok(id, tag, ok);
        self.flush_all();
        self.watch(id, pattern, false);
        if let Some(cursor) = cursor {
            self.replay_behind(id, pattern, if reset { Pos(0) } else { Pos(cursor) });
        }
        self.catch_up(id);
        Ok(())
    }

    pub(super) fn leave(&mut self, id: ConnId, tag: Tag, target: &Target) -> Result<(), ErrorEvent> {
        let ok = match target {
            Target::Pattern(pattern) => {
                if !self.unwatch(id, pattern) {
                    let words = format!("you do not observe {}", pattern.shown());
                    return Err(ErrorEvent::new(Code::NotJoined, words));
                }
                OkEvent { op: "leave", pattern: Some(Arc::clone(pattern)), ..OkEvent::default() }
            }
            Target::Place(place) => {
                let hall = match place {
                    Place::Room(room) => self.halls.find(room),
                    Place::Direct(nick) => self.direct_hall(id, nick).ok(),
                };
                let is_in = |hall: &HallId| self.conns.get(&id).is_some_and(|conn| conn.halls.contains(hall));
                let Some(hall) = hall.filter(is_in) else { return Err(not_joined(place)) };
                let place = self.place_of(id, hall);
                self.remove_member(id, hall, Told::Plainly);
                OkEvent { op: "leave", place, ..OkEvent::default() }
            }
        };
        self.ok(id, tag, ok);
        self.finish_if_done(id);
        Ok(())
    }

    /// Tells a connection of a message in its own hall; for events that name no chunk.
    pub(super) fn tell_members(&mut self, hall_id: HallId, except: ConnId, event: impl Fn() -> Event) {
        let Some(hall) = self.halls.get(hall_id) else { return };
        let told: Vec<ConnId> = hall
            .members
            .iter()
            .filter(|(conn, member)| **conn != except && member.part != Part::Observer)
            .map(|(conn, _)| *conn)
            .collect();
        for conn in told {
            self.offer(conn, hall_id, event());
        }
    }
}

/// Where a join begins to read, where it replays anything, and whether its numbering is another.
fn start_of(hall: &Hall, start: &Start, newest: Seq) -> (Option<CatchUp>, bool) {
    let log = &hall.room.log;
    let oldest = hall.oldest();
    let mut since = 0;
    let (next, reset) = match start {
        Start::Now if hall.room.settings.kind == Kind::Latest => (newest, false),
        Start::Now | Start::Cursor(_) => return (None, false),
        Start::Recent(_) if hall.room.queue.is_some() => return (None, false),
        Start::After(after, epoch) => {
            let is_other = epoch.as_ref().is_some_and(|epoch| epoch != log.epoch()) || *after > newest;
            (if is_other { oldest } else { after.next() }, is_other)
        }
        Start::Last(count) | Start::Recent(count) => (Seq((newest.0 + 1).saturating_sub(*count)).max(oldest), false),
        Start::Since(ts) => match log.since(*ts) {
            // Older ones may be on disk.
            first if first <= log.oldest() && oldest < log.oldest() => {
                since = *ts;
                (oldest, false)
            }
            first => (first.max(oldest), false),
        },
    };
    let from = CatchUp { since, ..CatchUp::replay(next.max(Seq(1)), newest) };
    ((next <= newest).then_some(from), reset)
}

fn too_many_places() -> ErrorEvent {
    ErrorEvent::new(Code::TooManyRooms, "you are in as many rooms as one connection may: leave one first")
}

pub(super) fn not_joined(place: &Place) -> ErrorEvent {
    match place {
        Place::Room(room) => ErrorEvent::new(Code::NotJoined, format!("you are not in {room}")).room(room),
        Place::Direct(nick) => ErrorEvent::new(Code::NotJoined, format!("you exchange no messages with {nick}")),
    }
}
