//! What of a room is saved beside its messages, and how rooms come back when the server starts or its disk is well again.
//!
//! A room on disk is saved with its first message, and any room when somebody says what it is to be. It writes through the
//! store's batches like everything else and reads nothing by itself.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Router;
use super::disk::{Disk, OnDisk, Then};
use super::halls::HallId;
use super::publish::CHUNK_BYTES;
use crate::model::{HistoryKind, Identity, Kind, Place, RoomName, Seq, Settings};
use crate::room::{Key, Log};
use crate::store::{Boot, Contents, Found, KnownKey, ReadError, RoomKey, RoomState, Store, Stretch, Ticket, Write};

/// Messages of a backlog that are read at once when the server starts.
const BACKLOG_COUNT: usize = 1_024;

/// Whether the store knows what a room is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Saving {
    /// Nobody had it saved: the room is as the configuration has it.
    #[default]
    Unasked,
    /// The newest save is on its way; those before it no longer count.
    UnderWay(Ticket),
    /// It does.
    Saved,
    /// The newest save failed, so it may know something older, or nothing.
    Failed,
}

/// A room as it is saved: JSON, so that whoever opens the file can read it.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    name: Box<str>,
    kind: Kind,
    history: HistoryKind,
    private: bool,
    keep_messages: u64,
    keep_bytes: u64,
    keep_age_ms: u64,
    ack_wait_ms: u64,
    max_deliver: u32,
    /// Whether somebody asked for these settings, so that the configuration no longer decides.
    created: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    invited: Vec<Box<str>>,
}

/// The name of a room's value in the store.
fn value_name(key: &str) -> Box<str> {
    format!("room/{key}").into()
}

impl Router {
    /// A router whose rooms can be on disk, with those that are there.
    #[must_use]
    pub fn with_store(mut self, store: Arc<dyn Store>, boot: Boot, contents: &Contents) -> Self {
        self.disk = Disk::new(Some(store), boot, contents.secret);
        for (name, value) in &contents.values {
            if let Some(key) = name.strip_prefix("room/") {
                self.restore_room(key, value);
            }
        }
        for state in &contents.rooms {
            self.restore_log(state);
        }
        self.restore_keys(&contents.keys);
        self.refill();
        self.index_rooms();
        self
    }

    /// Saves what a room is set to, unless that was done or is on its way.
    pub(super) fn save_once(&mut self, hall_id: HallId) {
        let hall = self.halls.get(hall_id);
        if hall.is_some_and(|hall| matches!(hall.saving, Saving::Unasked | Saving::Failed)) {
            self.save(hall_id, Box::new(|_, _| {}));
        }
    }

    /// Saves what a room is set to where it is one that outlives the server; `then` is done at once where it is none.
    pub(super) fn save(&mut self, hall_id: HallId, then: Then) {
        let exists = self.disk.exists();
        let Some(hall) = self.halls.get_mut(hall_id) else { return then(self, true) };
        let Some(name) = hall.room_name().map(Arc::clone) else { return then(self, true) };
        let is_guests_own = hall.room.settings.private && hall.room.owner.is_none();
        if !exists || is_guests_own || !(hall.room.created || hall.disk.is_some()) {
            return then(self, true);
        }
        let room = &hall.room;
        let settings = &room.settings;
        let saved = Saved {
            name: name.shown().into(),
            kind: settings.kind,
            history: settings.history,
            private: settings.private,
            keep_messages: settings.keep_messages,
            keep_bytes: settings.keep_bytes,
            keep_age_ms: settings.keep_age.as_millis() as u64,
            ack_wait_ms: settings.ack_wait.as_millis() as u64,
            max_deliver: settings.max_deliver,
            created: room.created,
            topic: room.topic.as_deref().map(Box::from),
            owner: room.owner.as_ref().and_then(Identity::account).map(|name| Box::from(&**name)),
            invited: room.invited.iter().filter_map(Identity::account).map(|name| Box::from(&**name)).collect(),
        };
        let ticket = self.disk.ticket();
        hall.saving = Saving::UnderWay(ticket);
        // Invariant: strings, numbers and words can always be written as JSON.
        let value = serde_json::to_vec(&saved).unwrap_or_default().into_boxed_slice();
        let name = value_name(name.key());
        let noted: Then = Box::new(move |router, is_done| {
            let hall = router.halls.get_mut(hall_id);
            if let Some(hall) = hall.filter(|hall| hall.saving == Saving::UnderWay(ticket)) {
                hall.saving = if is_done { Saving::Saved } else { Saving::Failed };
            }
            then(router, is_done);
        });
        self.write_as(Write::Put { ticket, name, value: Some(value) }, noted);
    }

    /// Takes a room off the disk with all it holds; `then` is done at once where it is not there.
    pub(super) fn erase(&mut self, name: &RoomName, then: Then) {
        if !self.disk.exists() {
            return then(self, true);
        }
        let room = RoomKey::of(name);
        self.write(|ticket| Write::Put { ticket, name: value_name(name.key()), value: None }, Box::new(|_, _| {}));
        self.write(|ticket| Write::Delete { ticket, room }, then);
    }

    /// The store is well again: what was committed without anybody hearing of it is delivered now.
    pub(super) fn restored(&mut self, contents: Contents) {
        self.disk.is_down = false;
        tracing::info!("the disk is well again");
        self.restore_keys(&contents.keys);
        for state in contents.rooms {
            let Some(hall) = self.halls.find_key(&state.room).and_then(|hall| self.halls.get_mut(hall)) else {
                self.restore_log(&state);
                continue;
            };
            if let Some(disk) = &mut hall.disk {
                (disk.oldest, disk.last_pos) = (state.oldest, state.last_pos);
            }
            self.disk.last_pos = self.disk.last_pos.max(state.last_pos);
            if *hall.room.log.epoch() != state.epoch {
                self.restore_log(&state);
            } else if hall.room.log.newest() < state.newest {
                let id = self.halls.find_key(&state.room);
                if let Some(id) = id {
                    self.jump(id, state.newest, state.last_ts);
                }
            }
        }
        let unsaved: Vec<HallId> = self.halls.unsaved().collect();
        for hall in unsaved {
            self.save_once(hall);
        }
        self.refill();
        self.look_up_unsure();
        self.read_again();
    }

    fn restore_room(&mut self, key: &str, value: &[u8]) {
        let saved: Option<Saved> = serde_json::from_slice(value).ok();
        let Some((saved, name)) = saved.and_then(|saved| RoomName::parse(&saved.name).ok().map(|name| (saved, name)))
        else {
            tracing::error!(room = key, "a room's saved settings cannot be read: it gets those of the configuration");
            return;
        };
        let name = Arc::new(name);
        let configured = self.config.settings(&name);
        let structure = Settings { kind: saved.kind, history: saved.history, ..configured };
        let settings = if saved.created {
            Settings {
                private: saved.private,
                keep_messages: saved.keep_messages,
                keep_bytes: saved.keep_bytes,
                keep_age: Duration::from_millis(saved.keep_age_ms),
                ack_wait: Duration::from_millis(saved.ack_wait_ms),
                max_deliver: saved.max_deliver,
                ..structure
            }
        } else {
            structure
        };
        let id = self.new_hall(&name, settings);
        let account = |name: &str| Identity::Account(name.into());
        let Some(hall) = self.halls.get_mut(id) else { return };
        hall.room.created = saved.created;
        hall.room.topic = saved.topic.as_deref().map(Arc::from);
        hall.room.owner = saved.owner.as_deref().map(account);
        hall.room.invited = saved.invited.iter().map(|name| account(name)).collect();
        hall.saving = Saving::Saved;
    }

    fn restore_log(&mut self, state: &RoomState) {
        let id = self.halls.find_key(&state.room).or_else(|| {
            let name = Arc::new(RoomName::parse(&state.room.0).ok()?);
            let settings = Settings { history: HistoryKind::Disk, ..self.config.settings(&name) };
            Some(self.new_hall(&name, settings))
        });
        let Some(hall) = id.and_then(|id| self.halls.get_mut(id)) else {
            tracing::error!(room = &*state.room.0, "the store holds a room whose name is none");
            return;
        };
        let before = hall.room.log.bytes();
        hall.room.log = Log::resumed(state.epoch.clone(), state.newest, state.last_ts);
        let disk = hall.disk.get_or_insert_with(|| Box::new(OnDisk::new()));
        (disk.oldest, disk.last_pos) = (state.oldest, state.last_pos);
        self.disk.last_pos = self.disk.last_pos.max(state.last_pos);
        disk.unfilled = None;
        if hall.room.queue.is_some() {
            disk.await_fill(state.oldest..state.newest.next());
        }
        self.halls.history_bytes -= before;
    }

    fn restore_keys(&mut self, keys: &[(RoomKey, KnownKey)]) {
        let window = self.config.history.dedup_window;
        for run in keys.chunk_by(|(one, _), (next, _)| one == next) {
            let Some(id) = self.halls.find_key(&run[0].0) else { continue };
            let Some(hall) = self.halls.get_mut(id) else { continue };
            for (_, known) in run {
                let age = Duration::from_millis(self.now.unix_ms.saturating_sub(known.ts));
                // A machine that has not been up for so long has no such instant; then the key is kept a little longer.
                let since = self.now.instant.checked_sub(age).unwrap_or(self.now.instant);
                if age < window && hall.room.keys.find(Key(known.key)).is_none() {
                    hall.room.keys.insert(Key(known.key), known.seq, known.ts, since);
                }
            }
            self.set_alarm(id);
        }
    }

    /// Reads what rooms hold in memory beside the disk: the backlog of queues and the values of `latest` rooms.
    fn refill(&mut self) {
        self.disk.unfilled.clear();
        let halls: Vec<HallId> = self.halls.on_disk().collect();
        for id in halls {
            self.refill_hall(id);
        }
    }

    pub(super) fn refill_hall(&mut self, id: HallId) {
        let Some(hall) = self.halls.get(id) else { return };
        let Some(name) = hall.room_name().map(Arc::clone) else { return };
        let newest = hall.room.log.newest();
        let unfilled = hall.disk.as_ref().and_then(|disk| disk.unfilled.clone());
        let wanted = match (hall.room.settings.kind, unfilled) {
            (Kind::Queue, Some(unfilled)) => unfilled,
            (Kind::Latest, _) if newest > Seq(0) => newest..newest.next(),
            _ => return,
        };
        let place = Place::Room(Arc::clone(&name));
        let stretch = Stretch::of(&name, place, wanted.clone(), BACKLOG_COUNT, CHUNK_BYTES);
        let is_taken = self.read(
            stretch,
            Box::new(move |router, found| match found {
                Ok(found) => router.refilled(id, &wanted, &found),
                Err(error) => router.stays_unfilled(id, &error),
            }),
        );
        if !is_taken {
            // The store has as many reads as it takes: one that ends makes room.
            self.disk.unfilled.push_back(id);
        }
    }

    /// Has the work that comes now not wait for what cannot be read. Where the disk has failed, it is read when that is well.
    fn stays_unfilled(&mut self, id: HallId, error: &ReadError) {
        tracing::error!(%error, "what a room holds cannot be read");
        if self.disk.is_down {
            return;
        }
        if let Some(disk) = self.halls.get_mut(id).and_then(|hall| hall.disk.as_mut()) {
            disk.unfilled = None;
        }
        self.touch(id);
    }

    fn refilled(&mut self, id: HallId, wanted: &Range<Seq>, found: &Found) {
        let Some(hall) = self.halls.get_mut(id) else { return };
        let before = hall.room.log.bytes();
        if hall.room.queue.is_some() && !hall.disk.as_mut().is_some_and(|disk| disk.filled(wanted, found)) {
            return;
        }
        for chunk in &found.chunks {
            match &mut hall.room.queue {
                Some(queue) => {
                    for at in 0..chunk.lines().len() {
                        queue.push(Seq(chunk.first().0 + at as u64), Arc::clone(chunk), at as u32);
                    }
                }
                None if chunk.last() == hall.room.log.newest() => {
                    hall.room.log.clear();
                    hall.room.log.keep(Arc::new(chunk.tail(chunk.lines().len() - 1)));
                }
                None => {}
            }
        }
        let after = hall.room.log.bytes();
        self.halls.history_bytes = self.halls.history_bytes + after - before;
        self.halls.count_queued(id);
        self.touch(id);
        if self.halls.get(id).is_some_and(|hall| hall.room.queue.is_some()) {
            self.refill_hall(id);
        }
    }
}
