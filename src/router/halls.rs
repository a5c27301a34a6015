//! Halls: each a room together with those who are in it.
//!
//! Finds them by name or by the pair whose direct messages they hold, brings them into being and lets them go.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use slotmap::{SlotMap, new_key_type};
use smallvec::SmallVec;

use super::disk::OnDisk;
use super::hall::{Hall, HallName, Party};
use super::saved::Saving;
use super::watches::WatchId;

use super::{ConnIndex, Router};
use crate::model::{
    Code, ConnId, Epoch, ErrorEvent, HistoryKind, Identity, Kind, Nick, Part, Pattern, Place, RoomName, Seq, Settings,
};
use crate::protocol::json::MessageHead;
use crate::room::{Log, Queue, Room};
use crate::store::RoomKey;

new_key_type! {
    /// A hall for as long as it stands.
    pub(super) struct HallId;
}

/// All halls.
#[derive(Debug, Default)]
pub(super) struct Halls {
    slots: SlotMap<HallId, Hall>,
    rooms: BTreeMap<Box<str>, HallId>,
    directs: HashMap<[Identity; 2], HallId>,
    deadlines: BTreeSet<(Instant, HallId)>,
    /// Bytes of history in memory, all rooms together.
    pub history_bytes: usize,
    /// Bytes of work in memory, all rooms together.
    pub queued_bytes: usize,
    /// The rooms that nobody is in, since when, longest first.
    pub resting: BTreeSet<(Instant, HallId)>,
}

impl Halls {
    pub(super) fn get(&self, id: HallId) -> Option<&Hall> {
        self.slots.get(id)
    }

    pub(super) fn get_mut(&mut self, id: HallId) -> Option<&mut Hall> {
        self.slots.get_mut(id)
    }

    /// The hall of a room.
    pub(super) fn find(&self, room: &RoomName) -> Option<HallId> {
        self.rooms.get(room.key()).copied()
    }

    /// The halls of rooms on disk.
    pub(super) fn on_disk(&self) -> impl Iterator<Item = HallId> {
        self.slots.iter().filter(|(_, hall)| hall.disk.is_some()).map(|(id, _)| id)
    }

    /// The halls of rooms that the store was to know the settings of, and does not.
    pub(super) fn unsaved(&self) -> impl Iterator<Item = HallId> {
        self.slots.iter().filter(|(_, hall)| hall.saving == Saving::Failed).map(|(id, _)| id)
    }

    /// The hall of a room as the store knows it.
    pub(super) fn find_key(&self, room: &RoomKey) -> Option<HallId> {
        self.rooms.get(&*room.0).copied()
    }

    /// The hall of a pair.
    pub(super) fn find_direct(&self, a: &Identity, b: &Identity) -> Option<HallId> {
        self.directs.get(&pair(a, b)).copied()
    }

    /// The halls of rooms behind a name whose names begin so, by name.
    pub(super) fn rooms_after(
        &self,
        after: Option<&RoomName>,
        beginning: &str,
    ) -> impl Iterator<Item = (&str, HallId)> {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        let after = after.map(RoomName::key).filter(|after| *after >= beginning);
        let from = after.map_or(Included(beginning), Excluded);
        let behind = self.rooms.range::<str, _>((from, Unbounded)).map(|(key, id)| (&**key, *id));
        behind.take_while(move |(key, _)| key.starts_with(beginning))
    }

    /// How many pairs exchange direct messages.
    pub(super) fn count_direct(&self) -> usize {
        self.directs.len()
    }

    /// How many rooms there are.
    pub(super) fn count(&self) -> usize {
        self.rooms.len()
    }

    /// Takes a hall away.
    pub(super) fn remove(&mut self, id: HallId) -> Option<Hall> {
        let hall = self.slots.remove(id)?;
        match &hall.name {
            HallName::Room(room, _) => {
                self.rooms.remove(room.key());
            }
            HallName::Direct([a, b]) => {
                self.directs.remove(&[a.identity.clone(), b.identity.clone()]);
            }
        }
        if let Some(at) = hall.deadline {
            self.deadlines.remove(&(at, id));
        }
        if let Some(since) = hall.resting {
            self.resting.remove(&(since, id));
        }
        self.history_bytes -= hall.room.log.bytes();
        self.queued_bytes -= hall.queued_bytes;
        Some(hall)
    }

    /// Counts what a hall's queue holds now.
    pub(super) fn count_queued(&mut self, id: HallId) {
        let Some(hall) = self.slots.get_mut(id) else { return };
        let bytes = hall.room.queue.as_ref().map_or(0, Queue::bytes);
        self.queued_bytes = self.queued_bytes - hall.queued_bytes + bytes;
        hall.queued_bytes = bytes;
    }

    /// The halls of rooms that a pattern covers, by name; how it begins spares it a look at most others.
    pub(super) fn under(&self, pattern: &Pattern) -> impl Iterator<Item = (HallId, &Hall)> {
        let covered = |id: &HallId| Some((*id, self.slots.get(*id)?));
        let begun = self.rooms_after(None, beginning(pattern)).filter_map(move |(_, id)| covered(&id));
        begun.filter(|(_, hall)| hall.room_name().is_some_and(|room| pattern.matches(room)))
    }

    /// Notes when a hall is to be looked at again.
    pub(super) fn wake_at(&mut self, id: HallId, at: Option<Instant>) {
        let Some(hall) = self.slots.get_mut(id) else { return };
        if hall.deadline == at {
            return;
        }
        if let Some(before) = std::mem::replace(&mut hall.deadline, at) {
            self.deadlines.remove(&(before, id));
        }
        self.deadlines.extend(at.map(|at| (at, id)));
    }

    /// When a hall is next to be looked at.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn insert(&mut self, name: HallName, settings: Settings, watches: SmallVec<[WatchId; 2]>) -> HallId {
        let is_on_disk = settings.history == HistoryKind::Disk;
        let room = Room::new(settings, Log::new(new_epoch()));
        let hall = Hall {
            name,
            room,
            members: ConnIndex::default(),
            listed: 0,
            watches,
            draft: None,
            disk: is_on_disk.then(|| Box::new(OnDisk::new())),
            saving: Saving::default(),
            is_dirty: false,
            turn: 0,
            resting: None,
            deadline: None,
            queued_bytes: 0,
        };
        let id = self.slots.insert(hall);
        match &self.slots[id].name {
            HallName::Room(room, _) => {
                self.rooms.insert(room.key().into(), id);
            }
            HallName::Direct([a, b]) => {
                self.directs.insert([a.identity.clone(), b.identity.clone()], id);
            }
        }
        id
    }
}

/// How every room that a pattern covers begins, as it is compared: what stands before the first wildcard.
pub(super) fn beginning(pattern: &Pattern) -> &str {
    pattern.key().split(['*', '>']).next().unwrap_or_default()
}

fn pair(a: &Identity, b: &Identity) -> [Identity; 2] {
    if a <= b { [a.clone(), b.clone()] } else { [b.clone(), a.clone()] }
}

/// A numbering that no client has seen: 8 random characters.
fn new_epoch() -> Epoch {
    Epoch::from_random(random_u64())
}

/// 128 bits from the system's generator.
pub(super) fn random_u128() -> u128 {
    u128::from(random_u64()) << 64 | u128::from(random_u64())
}

/// 64 bits from the system's generator.
pub(super) fn random_u64() -> u64 {
    // The generator is the kernel's; it cannot fail once the machine has booted.
    getrandom::u64().unwrap_or_else(|error| panic!("the system gives no random numbers: {error}"))
}

impl Router {
    /// The hall of a room, brought into being where there is none.
    pub(super) fn hall_or_new(&mut self, room: &Arc<RoomName>, by: &Identity) -> Result<HallId, ErrorEvent> {
        if let Some(id) = self.halls.find(room) {
            return Ok(id);
        }
        if self.halls.count() >= self.config.limits.max_rooms && !self.make_place() {
            return Err(ErrorEvent::new(Code::TooManyRooms, "the server has as many rooms as it may; try later"));
        }
        let mut settings = self.config.settings(room);
        // A router without a store, as tests have, keeps in memory what it can.
        if settings.history == HistoryKind::Disk && !self.disk.exists() {
            settings.history = HistoryKind::Memory;
        }
        let is_dead_letter = self.is_dead_letter(room);
        if is_dead_letter {
            settings.kind = Kind::Fanout;
            settings.history = self.history_of_queue(room).unwrap_or(settings.history);
        }
        if settings.private && by.account().is_none() && settings.history == HistoryKind::Disk {
            // No guest could come back to it in another life of the server.
            settings.history = HistoryKind::Memory;
        }
        if settings.kind == Kind::Queue && !room.fits_queue() {
            return Err(ErrorEvent::new(Code::BadName, "a queue room's name has at most 59 bytes"));
        }
        let id = self.new_hall(room, settings);
        if let Some(hall) = self.halls.get_mut(id) {
            hall.room.owner = matches!(by, Identity::Account(_)).then(|| by.clone());
            if hall.room.settings.private {
                hall.room.invited.insert(by.clone());
            }
        }
        if is_dead_letter {
            self.share_privacy(room, id);
        }
        Ok(id)
    }

    /// A hall for a room that has none, with nobody in it.
    pub(super) fn new_hall(&mut self, room: &Arc<RoomName>, settings: Settings) -> HallId {
        let head = MessageHead::new(&Place::Room(Arc::clone(room)));
        let watches = self.watches.covering(room);
        let is_dead_letter = self.is_dead_letter(room);
        let id = self.halls.insert(HallName::Room(Arc::clone(room), head), settings, watches);
        if let Some(hall) = self.halls.get_mut(id) {
            hall.room.is_dead_letter = is_dead_letter;
        }
        id
    }

    /// Where the queue room keeps its messages whose dead letters a room is for: they are kept as well as it.
    fn history_of_queue(&self, dead: &RoomName) -> Option<HistoryKind> {
        let queue = self.halls.find(&dead.dead_letter_of()?)?;
        self.halls.get(queue).map(|hall| hall.room.settings.history)
    }

    /// The dead letters of a private queue room are for those whom it is for.
    fn share_privacy(&mut self, room: &RoomName, dead: HallId) {
        let queue = room.dead_letter_of().and_then(|queue| self.halls.find(&queue));
        let Some(queue) = queue.and_then(|queue| self.halls.get(queue)) else { return };
        let (owner, invited) = (queue.room.owner.clone(), queue.room.invited.clone());
        if queue.room.settings.private
            && let Some(dead) = self.halls.get_mut(dead)
        {
            dead.room.settings.private = true;
            (dead.room.owner, dead.room.invited) = (owner, invited);
        }
    }

    /// Whether a room is where a queue room's undeliverable messages go.
    fn is_dead_letter(&self, room: &RoomName) -> bool {
        let Some(queue) = room.dead_letter_of() else { return false };
        match self.halls.find(&queue).and_then(|hall| self.halls.get(hall)) {
            Some(hall) => hall.room.queue.is_some(),
            None => self.config.settings(&queue).kind == Kind::Queue,
        }
    }

    /// The hall of a pair, brought into being where there is none.
    pub(super) fn direct_or_new(&mut self, a: (&Identity, &Arc<Nick>), b: (&Identity, &Arc<Nick>)) -> HallId {
        if let Some(id) = self.halls.find_direct(a.0, b.0) {
            return id;
        }
        let party = |(identity, nick): (&Identity, &Arc<Nick>)| Party {
            identity: identity.clone(),
            nick: Arc::clone(nick),
            shown: Seq(0),
        };
        let parties = if a.0 <= b.0 { [party(a), party(b)] } else { [party(b), party(a)] };
        let settings = self.config.direct_settings();
        let id = self.halls.insert(HallName::Direct(parties), settings, SmallVec::new());
        let both: HashSet<ConnId> = [a.1, b.1].into_iter().filter_map(|nick| self.sessions.find(nick)).collect();
        for conn in both {
            self.add_member(conn, id, Part::Observer, true);
        }
        id
    }

    /// A hall as a connection names it: a room as it was first written, a conversation by the other's nick.
    pub(super) fn place_of(&self, id: ConnId, hall: HallId) -> Option<Place> {
        let (hall, conn) = self.halls.get(hall).zip(self.conns.get(&id))?;
        Some(hall.place_for(conn.identity()))
    }

    /// Notes that a hall has something to deliver, or may have become superfluous.
    pub(super) fn touch(&mut self, id: HallId) {
        if let Some(hall) = self.halls.get_mut(id).filter(|hall| !hall.is_dirty) {
            hall.is_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Lets a hall go that nobody is in and that holds nothing.
    pub(super) fn forget_if_empty(&mut self, id: HallId) {
        let Some(hall) = self.halls.get_mut(id).filter(|hall| hall.members.is_empty() && !hall.is_busy()) else {
            return self.set_alarm(id);
        };
        let window = self.config.history.dedup_window;
        hall.room.keys.expire(window, self.now.instant);
        let is_over = match &hall.name {
            HallName::Room(..) => hall.room.is_forgettable() && !hall.is_stored(),
            // Guests that can come back find their messages; nobody else could ever read them.
            HallName::Direct(parties) => !parties.iter().any(|party| self.parked.holds(&party.identity)),
        };
        if is_over {
            self.halls.remove(id);
        } else {
            self.rest(id);
            self.set_alarm(id);
        }
    }

    /// Sets the time at which a hall is next looked at: for its work, or for keys to be forgotten.
    pub(super) fn set_alarm(&mut self, id: HallId) {
        let Some(hall) = self.halls.get(id) else { return };
        let work = hall.room.queue.as_ref().and_then(crate::room::Queue::next_deadline);
        let keys = hall.room.keys.oldest().map(|at| at + self.config.history.dedup_window);
        self.halls.wake_at(id, work.into_iter().chain(keys).min());
    }

    /// Looks at the halls whose time has come.
    pub(super) fn expire_halls(&mut self) {
        while let Some((at, id)) = self.halls.deadlines.first().copied() {
            if at > self.now.instant {
                return;
            }
            self.halls.wake_at(id, None);
            if let Some(hall) = self.halls.get_mut(id) {
                hall.room.keys.expire(self.config.history.dedup_window, self.now.instant);
            }
            self.expire_work(id);
            self.touch(id);
        }
    }
}
