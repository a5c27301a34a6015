//! One hall: a room together with those who are in it.
//!
//! Plain state and what can be said of it alone; `halls` finds them, the concerns around change them.

use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::ConnIndex;
use super::disk::{OnDisk, TAIL_BYTES};
use super::saved::Saving;
use super::watches::WatchId;
use crate::model::{ConnId, Draft, Identity, Nick, Part, Place, RoomName, Seq};
use crate::outbox::Outbox;
use crate::protocol::json::MessageHead;
use crate::room::{Keep, Room};

/// A room and who is in it.
#[derive(Debug)]
pub(super) struct Hall {
    /// Whose room it is.
    pub name: HallName,
    /// The room itself.
    pub room: Room,
    /// The connections in it, in no order.
    pub members: ConnIndex<Member>,
    /// How many of them are listed.
    pub listed: usize,
    /// The patterns that cover it and that somebody observes.
    pub watches: SmallVec<[WatchId; 2]>,
    /// Messages that are numbered and not yet delivered, and where they were sent.
    pub draft: Option<(Place, Draft)>,
    /// What it has beside that where its history is on disk.
    pub disk: Option<Box<OnDisk>>,
    /// Whether the store knows what the room is set to.
    pub saving: Saving,
    /// Whether it is on the list of halls to look at when the round ends.
    pub is_dirty: bool,
    /// Whose turn it is to be asked.
    pub turn: usize,
    /// Since when nobody is in it, where it stands all the same.
    pub resting: Option<Instant>,
    /// When the hall is looked at again.
    pub deadline: Option<Instant>,
    /// Bytes of its queue that are counted among those of all.
    pub queued_bytes: usize,
}

/// What a hall is for.
#[derive(Debug)]
pub(super) enum HallName {
    /// A room by its name, with the beginning of each of its messages.
    Room(Arc<RoomName>, MessageHead),
    /// The direct messages of two, who are in order.
    Direct([Party; 2]),
}

/// One of two who exchange direct messages.
#[derive(Debug)]
pub(super) struct Party {
    /// Who.
    pub identity: Identity,
    /// The name they had last.
    pub nick: Arc<Nick>,
    /// The newest message that was shown to them.
    pub shown: Seq,
}

/// One connection's place in a hall.
#[derive(Debug)]
pub(super) struct Member {
    /// The way to it, here so that a message to a thousand needs no look-up.
    pub outbox: Outbox,
    /// As what.
    pub part: Part,
    /// Whether it gets what comes next; otherwise it is behind, or has not joined again since it was resumed.
    pub is_live: bool,
    /// Whether it gets its own messages back.
    pub echo: bool,
    /// Whether it missed comings and goings.
    pub missed_presence: bool,
}

impl Hall {
    /// Where it is, as one of those in it says.
    pub(super) fn place_for(&self, reader: &Identity) -> Place {
        match &self.name {
            HallName::Room(room, _) => Place::Room(Arc::clone(room)),
            HallName::Direct([a, b]) => {
                let other = if a.identity == *reader { b } else { a };
                Place::Direct(Arc::clone(&other.nick))
            }
        }
    }

    /// The oldest number that can still be read; behind the newest where none can.
    pub(super) fn oldest(&self) -> Seq {
        self.disk.as_ref().map_or(self.room.log.oldest(), |disk| disk.oldest)
    }

    /// The room's name, where it is a room.
    pub(super) const fn room_name(&self) -> Option<&Arc<RoomName>> {
        match &self.name {
            HallName::Room(room, _) => Some(room),
            HallName::Direct(_) => None,
        }
    }

    /// Whether messages are on their way here.
    pub(super) fn is_busy(&self) -> bool {
        self.draft.is_some() || self.disk.as_ref().is_some_and(|disk| disk.uncommitted > 0)
    }

    /// Whether the store holds its numbers.
    pub(super) fn is_stored(&self) -> bool {
        self.disk.is_some() && self.room.log.newest() > Seq(0)
    }

    /// Lets go of what is more than the room keeps, which the store does a moment later.
    pub(super) fn forget_by_count(&mut self) {
        let kept = self.room.keep(0).messages;
        if let Some(disk) = self.disk.as_mut().filter(|_| kept > 0 && self.room.queue.is_none()) {
            disk.oldest = disk.oldest.max(Seq((self.room.log.newest().0 + 1).saturating_sub(kept)));
        }
    }

    /// Lets go of what is older than the room keeps; where that is all that memory holds of a room on disk, the disk holds
    /// nothing younger.
    pub(super) fn forget_by_age(&mut self, now_ms: u64) {
        let since = self.room.keep(now_ms).since;
        let Some(disk) = self.disk.as_mut().filter(|_| since > 0 && self.room.queue.is_none()) else { return };
        let log = &mut self.room.log;
        let before = log.oldest();
        log.trim(Keep { messages: 0, bytes: 0, since });
        if log.oldest() > before || (log.is_empty() && log.last_ts() < since) {
            disk.oldest = disk.oldest.max(log.oldest());
        }
    }

    /// What of its messages stays in memory.
    pub(super) fn tail(&self, now_ms: u64) -> Keep {
        let mut keep = self.room.keep(now_ms);
        if self.disk.is_some() && (keep.bytes == 0 || keep.bytes > TAIL_BYTES) {
            keep.bytes = TAIL_BYTES;
        }
        keep
    }

    /// Whether a connection is in here.
    pub(super) fn has(&self, conn: ConnId) -> bool {
        self.members.contains_key(&conn)
    }
}

impl Member {
    /// A new place in a hall.
    pub(super) fn new(outbox: Outbox, part: Part, is_live: bool, echo: bool) -> Self {
        Self { outbox, part, is_live, echo, missed_presence: false }
    }
}
