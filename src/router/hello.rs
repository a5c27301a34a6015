//! Who a connection is: `hello`, nicks, and taking an earlier connection over.
//!
//! A session's key goes to the connection that has it and to nobody else, the log included.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use super::Router;
use super::hall::HallName;
use super::halls::{HallId, random_u128};
use super::history::ENVELOPE_BYTES;
use super::publish::gone;
use super::rights::{self, Act};
use crate::model::{
    ByeReason, Code, ConnId, ErrorEvent, Event, Hello, Identity, Nick, OkEvent, Part, Pattern, RoomName, Sender, Seq,
    SessionKey, Tag, Welcome,
};
use crate::sessions::log_of;

/// Bytes that an entry of `unread` takes beside its nick.
const UNREAD_BYTES: usize = 48;

/// What of a connection outlives it, for the one that resumes it.
#[derive(Debug)]
struct Session {
    identity: Identity,
    nick: Arc<Nick>,
    rooms: Vec<(Arc<RoomName>, Part)>,
    directs: Vec<HallId>,
    patterns: Vec<Arc<Pattern>>,
}

/// Sessions that can be resumed: of connections that are open, and of those that ended not long ago.
#[derive(Debug, Default)]
pub(super) struct Parked {
    open: HashMap<SessionKey, ConnId>,
    ended: HashMap<SessionKey, (Instant, Session)>,
    /// Who they belong to, and how many to each.
    identities: HashMap<Identity, usize>,
    deadlines: BTreeSet<(Instant, SessionKey)>,
    released: Vec<HallId>,
}

impl Parked {
    /// When the next session is forgotten.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Forgets the sessions whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some((at, key)) = self.deadlines.first().copied() {
            if at > now {
                return;
            }
            self.forget(key);
        }
    }

    /// Keeps a session until a time; where there are too many, the one whose time is up first goes.
    fn insert(&mut self, key: SessionKey, until: Instant, session: Session, most: usize) {
        if self.ended.len() >= most
            && let Some((_, first)) = self.deadlines.first().copied()
        {
            self.forget(first);
        }
        *self.identities.entry(session.identity.clone()).or_default() += 1;
        self.deadlines.insert((until, key));
        self.ended.insert(key, (until, session));
    }

    fn forget(&mut self, key: SessionKey) {
        if let Some(session) = self.take(key) {
            self.released.extend(session.directs);
        }
    }

    /// The halls of direct messages that forgotten sessions no longer hold.
    pub(super) fn released(&mut self) -> Vec<HallId> {
        std::mem::take(&mut self.released)
    }

    /// Whether someone can still come back as a guest.
    pub(super) fn holds(&self, identity: &Identity) -> bool {
        self.identities.contains_key(identity)
    }

    fn take(&mut self, key: SessionKey) -> Option<Session> {
        let (at, session) = self.ended.remove(&key)?;
        self.deadlines.remove(&(at, key));
        if let Some(count) = self.identities.get_mut(&session.identity) {
            *count -= 1;
            if *count == 0 {
                self.identities.remove(&session.identity);
            }
        }
        Some(session)
    }
}

impl Router {
    pub(super) fn hello(&mut self, id: ConnId, tag: Tag, hello: &Hello) -> Result<(), ErrorEvent> {
        let Some(conn) = self.conns.get_mut(&id) else { return Err(gone()) };
        if conn.key.is_some() {
            return Err(ErrorEvent::new(Code::BadRequest, "`hello` comes once; `nick` changes the nick"));
        }
        if hello.has_credential {
            conn.is_locked = true;
            let words = "this server has no accounts: say `hello` without password or token";
            return Err(ErrorEvent::new(Code::Unauthorized, words));
        }
        let earlier = hello.resume.and_then(|key| self.parked.open.get(&key).copied());
        if let Some(nick) = &hello.nick {
            let holder = self.sessions.find(nick);
            if holder.is_some_and(|holder| holder != id && Some(holder) != earlier) {
                return Err(nick_in_use(nick));
            }
        }
        let (session, was_open) = match (hello.resume, earlier) {
            (Some(key), Some(earlier)) if earlier != id => (self.take_over(key, earlier), true),
            (Some(key), _) => (self.parked.take(key), false),
            (None, _) => (None, false),
        };
        let resumed = session.is_some();
        let was = Arc::clone(self.conns.get(&id).ok_or_else(gone)?.nick());
        self.introduce(id, hello, session.as_ref());
        let key = SessionKey(random_u128());
        self.parked.open.insert(key, id);
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.key = Some(key);
        }
        let restored = session.map(|session| self.restore(id, &session, was_open)).unwrap_or_default();
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let welcome = Welcome {
            nick: Arc::clone(conn.nick()),
            account: conn.sender().account.clone(),
            session: key,
            resumed,
            unread: self.unread(id),
            max_line: self.config.limits.max_line,
        };
        let has_new_nick = welcome.nick.shown() != was.shown();
        self.tell(id, Event::Welcome(tag, Box::new(welcome)));
        // Rooms that were joined before `hello` know it by the nick it was given.
        if has_new_nick && !resumed {
            self.announce_nick(id, &was);
        }
        for hall in restored {
            self.announce_joined(id, hall);
        }
        Ok(())
    }

    /// Gives a connection its nick, its identity and its wishes.
    fn introduce(&mut self, id: ConnId, hello: &Hello, session: Option<&Session>) {
        let wanted = hello.nick.clone().map(Arc::new).or_else(|| session.map(|session| Arc::clone(&session.nick)));
        let wanted = wanted.filter(|nick| self.sessions.take(nick, id));
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.is_locked = false;
        conn.echo = hello.echo;
        conn.presence = hello.presence;
        let before = Arc::clone(conn.nick());
        let nick = wanted.unwrap_or_else(|| Arc::clone(&before));
        if *nick != *before {
            self.sessions.free(&before, id);
        }
        let identity = session.map_or_else(|| conn.identity().clone(), |session| session.identity.clone());
        self.sessions.called(id, &nick);
        conn.rename(Sender { conn: id, identity, nick, account: None });
        log_of!(DEBUG, self.sessions, id, resumed = session.is_some(), "named");
        // Memberships from before `hello` follow its wishes too.
        let (halls, echo) = (conn.halls.clone(), conn.echo);
        for hall in halls {
            if let Some(member) = self.halls.get_mut(hall).and_then(|hall| hall.members.get_mut(&id)) {
                member.echo = echo;
            }
        }
    }

    /// Ends an open connection in favour of the one that resumes it.
    fn take_over(&mut self, key: SessionKey, earlier: ConnId) -> Option<Session> {
        let session = self.session_of(earlier);
        self.parked.open.remove(&key);
        self.close(earlier, ByeReason::Replaced, Tag::None, false, None);
        session
    }

    /// Puts a connection where the one it resumes was; there it waits for a `join` of each room. Says which rooms are to
    /// hear that somebody came.
    fn restore(&mut self, id: ConnId, session: &Session, was_open: bool) -> Vec<HallId> {
        let mut heard = Vec::new();
        for (room, part) in &session.rooms {
            let is_in = self.halls.find(room).is_some_and(|hall| self.halls.get(hall).is_some_and(|hall| hall.has(id)));
            if !is_in && !self.has_place(id) {
                continue;
            }
            let Ok(hall_id) = self.hall_or_new(room, &session.identity) else { continue };
            let standing = self.standing(id, hall_id);
            let may = self
                .halls
                .get(hall_id)
                .is_some_and(|hall| was_open || rights::check(Act::Join, &standing, &hall.room, room).is_ok());
            if may {
                self.add_member(id, hall_id, *part, false);
                if !was_open && *part != Part::Observer {
                    heard.push(hall_id);
                }
            }
            self.touch(hall_id);
        }
        for hall in &session.directs {
            self.add_member(id, *hall, Part::Observer, true);
        }
        for pattern in &session.patterns {
            if self.has_place(id) || self.watches.find(pattern, id).is_some() {
                self.watch(id, pattern, true);
            }
        }
        heard
    }

    /// Whether a connection may be in one more room: what it joined before it resumes a session counts.
    fn has_place(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_some_and(|conn| conn.places() < self.config.limits.max_rooms_per_connection)
    }

    /// What can be resumed of a connection.
    fn session_of(&self, id: ConnId) -> Option<Session> {
        let conn = self.conns.get(&id)?;
        let mut rooms = Vec::new();
        let mut directs = Vec::new();
        for hall_id in &conn.halls {
            let Some(hall) = self.halls.get(*hall_id) else { continue };
            let part = hall.members.get(&id).map(|member| member.part).unwrap_or_default();
            match &hall.name {
                HallName::Room(room, _) => rooms.push((Arc::clone(room), part)),
                HallName::Direct(_) => directs.push(*hall_id),
            }
        }
        let patterns = conn.watches.iter().filter_map(|watch| self.watches.pattern(*watch).cloned()).collect();
        let (identity, nick) = (conn.identity().clone(), Arc::clone(conn.nick()));
        Some(Session { identity, nick, rooms, directs, patterns })
    }

    /// Keeps what can be resumed of a connection that ends, where it can be.
    pub(super) fn park(&mut self, id: ConnId, key: SessionKey, resumable: bool) {
        self.parked.open.remove(&key);
        let window = self.config.server.resume_window;
        if !resumable || window.is_zero() {
            return;
        }
        if let Some(session) = self.session_of(id) {
            // As many as there can be connections: a crowd that comes and goes is not remembered without end.
            let most = self.config.limits.max_connections;
            self.parked.insert(key, self.now.instant + window, session, most);
        }
    }

    /// Direct messages that were not shown yet, by who sent them: as many as a line holds.
    fn unread(&self, id: ConnId) -> Vec<(Arc<Nick>, u64)> {
        let Some(conn) = self.conns.get(&id) else { return Vec::new() };
        let waiting = |hall: &HallId| {
            let hall = self.halls.get(*hall)?;
            let HallName::Direct([a, b]) = &hall.name else { return None };
            let (own, other) = if a.identity == *conn.identity() { (a, b) } else { (b, a) };
            let count = hall.room.log.newest().0 - own.shown.max(Seq(hall.room.log.oldest().0 - 1)).0;
            (count > 0).then(|| (Arc::clone(&other.nick), count))
        };
        let mut room_left = self.config.limits.max_line - ENVELOPE_BYTES;
        let fits = |(nick, _): &(Arc<Nick>, u64)| {
            let left = room_left.checked_sub(UNREAD_BYTES + nick.shown().len());
            room_left = left.unwrap_or_default();
            left.is_some()
        };
        conn.halls.iter().filter_map(waiting).take_while(fits).collect()
    }

    pub(super) fn nick(&mut self, id: ConnId, tag: Tag, nick: &Arc<Nick>) -> Result<(), ErrorEvent> {
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let was = Arc::clone(conn.nick());
        if !self.sessions.take(nick, id) {
            return Err(nick_in_use(nick));
        }
        if **nick != *was {
            self.sessions.free(&was, id);
        }
        // What was said under the old nick is delivered under it.
        self.flush_all();
        let Some(conn) = self.conns.get_mut(&id) else { return Err(gone()) };
        let sender = Sender {
            conn: id,
            identity: conn.identity().clone(),
            nick: Arc::clone(nick),
            account: conn.sender().account.clone(),
        };
        conn.rename(sender);
        self.sessions.called(id, nick);
        log_of!(DEBUG, self.sessions, id, was = ?was.shown(), "renamed");
        self.ok(id, tag, OkEvent { op: "nick", nick: Some(Arc::clone(nick)), ..OkEvent::default() });
        self.announce_nick(id, &was);
        Ok(())
    }

    pub(super) fn stay(&mut self, id: ConnId, tag: Tag) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.stays = true;
        }
        self.ok(id, tag, OkEvent { op: "stay", ..OkEvent::default() });
    }
}

fn nick_in_use(nick: &Nick) -> ErrorEvent {
    ErrorEvent::new(Code::NickInUse, format!("{nick} is taken: choose another nick"))
}
