//! Rooms on disk: what is sent there is handed to the store, which says when it is safe.
//!
//! A `send` becomes a record in its hall's draft. When the round ends, all drafts and whatever else is to be made lasting go to
//! the store as one batch; `commits` does what comes back. Nothing here waits: a batch that the store does not take is
//! refused to those who sent it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexSet;

use super::Router;
use super::halls::HallId;
use super::open_reads::OpenRead;
use super::publish::{CHUNK_BYTES, gone};
use crate::model::{Code, ConnId, ErrorEvent, Kind, RoomName, Send, Seq, Tag};
use crate::room::{Key, Room, Task};
use crate::store::{
    Boot, Found, GroupDraft, Hits, Pos, Query, ReadError, Record, Retention, RoomKey, Searched, Store, Stretch, Ticket,
    Unsearchable, Write,
};

/// What a message costs on its way beside its text.
const RECORD_COST: usize = 128;

/// Bytes of a disk room's newest messages that stay in memory: what its members missed while they were written to for a moment,
/// and what people see who come in.
pub(super) const TAIL_BYTES: u64 = 256 << 10;

/// What is done once the store has answered a write.
pub(super) type Then = Box<dyn FnOnce(&mut Router, bool) + std::marker::Send>;

/// What is done once the store has answered a read.
pub(super) type ThenRead = Box<dyn FnOnce(&mut Router, Result<Found, ReadError>) + std::marker::Send>;

/// What is done once the store has answered a search.
pub(super) type ThenFound = Box<dyn FnOnce(&mut Router, Result<Hits, Unsearchable>) + std::marker::Send>;

/// What a hall on disk has beside its room.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    /// The oldest number that the store keeps.
    pub oldest: Seq,
    /// The place of the newest message.
    pub last_pos: Pos,
    /// Numbers whose work is still to be read into memory.
    pub unfilled: Option<Range<Seq>>,
    /// Work whose end may have been stored or not.
    pub unsure: BTreeMap<Seq, Task>,
    /// Messages taken and not handed to the store yet.
    draft: Option<(GroupDraft, Vec<Sent>)>,
    /// Messages taken and not committed.
    pub uncommitted: usize,
    /// Keys of those, and who else waits for each.
    pub keys: HashMap<Key, Vec<(ConnId, Tag)>>,
}

impl OnDisk {
    /// A room that holds nothing yet.
    pub(super) fn new() -> Self {
        Self { oldest: Seq(1), ..Self::default() }
    }

    /// Has the repeat of a message that is on its way be answered with it; whether there is one. A room that is full by
    /// then has a place for it already.
    pub(super) fn waits_with(&mut self, key: Key, conn: ConnId, tag: &Tag) -> bool {
        let waiting = self.keys.get_mut(&key);
        waiting.map(|waiting| waiting.push((conn, tag.clone()))).is_some()
    }

    /// Notes work that nobody here has seen yet. What is in memory, or was, is never read again: it may be done by then.
    pub(super) fn await_fill(&mut self, seqs: Range<Seq>) {
        let first = self.unfilled.as_ref().map_or(seqs.start, |before| before.start);
        self.unfilled = (first < seqs.end).then_some(first..seqs.end);
    }

    /// Notes what was read of that; whether it is news.
    pub(super) fn filled(&mut self, wanted: &Range<Seq>, found: &Found) -> bool {
        let Some(unfilled) = self.unfilled.take_if(|unfilled| unfilled.start == wanted.start) else { return false };
        let read = found.chunks.last().map(|chunk| chunk.last().next());
        let damaged = found.damaged.last().map(|(_, last)| last.next());
        // Where nothing is left, or what is left cannot be told, the rest of the stretch is behind us.
        let next = read.max(damaged).filter(|_| found.more).unwrap_or(wanted.end);
        self.unfilled = (next < unfilled.end).then_some(next..unfilled.end);
        true
    }

    /// Counts messages that are no longer on their way.
    pub(super) fn landed(&mut self, messages: usize) {
        debug_assert!(self.uncommitted >= messages, "only what was taken here comes back here");
        self.uncommitted = self.uncommitted.saturating_sub(messages);
    }

    /// Keys of messages that are not committed.
    pub(super) fn pending_keys(&self) -> usize {
        self.keys.len()
    }
}

/// A message on its way to the store.
#[derive(Debug)]
pub(super) struct Sent {
    pub conn: ConnId,
    pub tag: Tag,
    pub key: Option<Key>,
    pub cost: usize,
    /// Who else waits for it where its hall is gone, which knew them.
    pub waiting: Vec<(ConnId, Tag)>,
}

/// An append on its way.
#[derive(Debug)]
pub(super) struct Flight {
    /// The hall that it was taken in. One of the same name that came later knows nothing of it.
    pub hall: HallId,
    pub name: Arc<RoomName>,
    pub sent: Vec<Sent>,
}

/// The router's side of the store.
pub(super) struct Disk {
    store: Option<Arc<dyn Store>>,
    pub boot: Boot,
    /// What keys are hashed with.
    pub secret: [u8; 16],
    /// The place of the newest message of all.
    pub last_pos: Pos,
    /// Whether it failed and has not said that it is well again.
    pub is_down: bool,
    tickets: u64,
    /// What this round hands over.
    batch: Vec<Write>,
    pub appends: HashMap<Ticket, Flight>,
    pub writes: HashMap<Ticket, Then>,
    pub reads: HashMap<Ticket, OpenRead>,
    pub searches: HashMap<Ticket, ThenFound>,
    /// Those for whom the store had no room, longest first.
    pub unread: IndexSet<(ConnId, HallId)>,
    /// Reads under way for those who are behind.
    pub reads_behind: usize,
    /// Rooms whose work or value the store had no room to read, longest first.
    pub unfilled: VecDeque<HallId>,
    /// Connections that nothing keeps any more from going on.
    pub released: Vec<ConnId>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("store", &self.store).field("is_down", &self.is_down).finish_non_exhaustive()
    }
}

impl Disk {
    pub(super) fn new(store: Option<Arc<dyn Store>>, boot: Boot, secret: [u8; 16]) -> Self {
        Self {
            store,
            boot,
            secret,
            last_pos: Pos(0),
            is_down: false,
            tickets: 0,
            batch: Vec::new(),
            appends: HashMap::new(),
            writes: HashMap::new(),
            reads: HashMap::new(),
            searches: HashMap::new(),
            unread: IndexSet::new(),
            reads_behind: 0,
            unfilled: VecDeque::new(),
            released: Vec::new(),
        }
    }

    /// Whether there is a store at all.
    pub(super) const fn exists(&self) -> bool {
        self.store.is_some()
    }

    /// Whether the store owes an answer.
    pub(super) fn is_awaited(&self) -> bool {
        !(self.appends.is_empty() && self.writes.is_empty() && self.batch.is_empty())
    }

    /// Whether this round has nothing left to do here.
    pub(super) fn is_settled(&self) -> bool {
        self.batch.is_empty() && self.released.is_empty()
    }

    /// Notes with what a hall has on its way who else waits for it: the hall goes, and they are answered nevertheless.
    pub(super) fn outlive(&mut self, hall_id: HallId, hall: &mut OnDisk) {
        for flight in self.appends.values_mut().filter(|flight| flight.hall == hall_id) {
            for sent in &mut flight.sent {
                sent.waiting = sent.key.and_then(|key| hall.keys.remove(&key)).unwrap_or_default();
            }
        }
    }

    /// A name for what is asked next.
    pub(super) const fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }
}

/// What is said where the disk does not take what was sent.
pub(super) fn unavailable(words: &str) -> ErrorEvent {
    ErrorEvent::new(Code::Unavailable, words.to_owned())
}

impl Router {
    /// Takes a message for a room on disk that is no repeat; its number comes with its commit.
    pub(super) fn accept_on_disk(
        &mut self,
        id: ConnId,
        hall_id: HallId,
        bytes: &Bytes,
        (tag, send, key): (&Tag, &Send, Option<Key>),
    ) -> Result<(), ErrorEvent> {
        let (Some(conn), Some(hall)) = (self.conns.get_mut(&id), self.halls.get_mut(hall_id)) else {
            return Err(gone());
        };
        let Some(disk) = &mut hall.disk else { return Err(gone()) };
        if self.disk.is_down {
            return Err(unavailable("the disk has failed: try again later, with the same idempotency_key"));
        }
        let headers = send.headers.map(|span| span.of(bytes));
        let body = send.body.of(bytes);
        let record = Record {
            sender: Arc::clone(conn.sender()),
            to: None,
            ts: self.now.unix_ms,
            headers,
            body,
            key: key.map(|key| key.0),
            redacted: false,
        };
        let boot = self.disk.boot;
        let (draft, taken) = disk.draft.get_or_insert_with(|| (GroupDraft::new(boot), Vec::new()));
        draft.push(&record);
        let cost = body.len() + headers.map_or(0, <[u8]>::len) + RECORD_COST;
        taken.push(Sent { conn: id, tag: tag.clone(), key, cost, waiting: Vec::new() });
        disk.keys.extend(key.map(|key| (key, Vec::new())));
        disk.uncommitted += 1;
        conn.uncommitted += 1;
        conn.held_bytes += cost;
        let is_full = draft.bytes() >= CHUNK_BYTES || hall.room.queue.is_some();
        self.touch(hall_id);
        if is_full {
            self.stage(hall_id);
        }
        Ok(())
    }

    /// Takes a message of the server's own for a room on disk.
    pub(super) fn store_letter(&mut self, hall_id: HallId, record: &Record<'_>) {
        let Some(disk) = self.halls.get_mut(hall_id).and_then(|hall| hall.disk.as_mut()) else { return };
        let (draft, sent) = disk.draft.get_or_insert_with(|| (GroupDraft::new(self.disk.boot), Vec::new()));
        draft.push(record);
        sent.push(Sent { conn: ConnId(0), tag: Tag::None, key: None, cost: 0, waiting: Vec::new() });
        disk.uncommitted += 1;
        if draft.bytes() >= CHUNK_BYTES {
            self.stage(hall_id);
        }
    }

    /// Puts what a hall took into the round's batch.
    pub(super) fn stage(&mut self, hall_id: HallId) {
        let Some(hall) = self.halls.get_mut(hall_id) else { return };
        let Some((draft, sent)) = hall.disk.as_mut().and_then(|disk| disk.draft.take()) else { return };
        let Some(name) = hall.room_name().map(Arc::clone) else { return };
        let keep = retention(&hall.room);
        let epoch = hall.room.log.epoch().clone();
        let room = RoomKey::of(&name);
        self.save_once(hall_id);
        let ticket = self.disk.ticket();
        let group = Arc::new(draft.seal());
        self.disk.batch.push(Write::Append { ticket, room, epoch, keep, group });
        self.disk.appends.insert(ticket, Flight { hall: hall_id, name, sent });
    }

    /// Has something made lasting with this round's batch, and `then` what is to be done when it is, or is not.
    pub(super) fn write(&mut self, write: impl FnOnce(Ticket) -> Write, then: Then) {
        let ticket = self.disk.ticket();
        self.write_as(write(ticket), then);
    }

    /// The same with something that has its ticket.
    pub(super) fn write_as(&mut self, write: Write, then: Then) {
        self.disk.writes.insert(write.ticket(), then);
        self.disk.batch.push(write);
    }

    /// Has a stretch read, and `then` what is to be done with it; whether the store takes it.
    pub(super) fn read(&mut self, stretch: Stretch, then: ThenRead) -> bool {
        let ticket = self.disk.ticket();
        self.read_as(ticket, stretch, then)
    }

    /// The same with a ticket that the asker knows.
    pub(super) fn read_as(&mut self, ticket: Ticket, stretch: Stretch, then: ThenRead) -> bool {
        let Some(store) = &self.disk.store else { return false };
        let read = OpenRead::new(&stretch, then);
        let is_taken = store.read(ticket, stretch).is_ok();
        if is_taken {
            self.disk.reads.insert(ticket, read);
        }
        is_taken
    }

    /// Has messages looked for, and `then` what is to be done with them; whether the store takes it.
    pub(super) fn find(&mut self, query: Query, then: ThenFound) -> bool {
        let ticket = self.disk.ticket();
        let Some(store) = &self.disk.store else { return false };
        let is_taken = store.search(ticket, query).is_ok();
        if is_taken {
            self.disk.searches.insert(ticket, then);
        }
        is_taken
    }

    /// Tells the store which rooms are searched.
    pub(super) fn index(&self, rooms: Searched) {
        if let Some(store) = &self.disk.store {
            store.index(rooms);
        }
    }

    /// Hands the round's batch to the store.
    pub(super) fn submit(&mut self) {
        if self.disk.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.disk.batch);
        let tickets: Vec<Ticket> = batch.iter().map(Write::ticket).collect();
        let refused = match &self.disk.store {
            Some(store) if !self.disk.is_down => store.write(batch).err().map(|refused| refused.to_string()),
            _ => Some("the disk has failed".to_owned()),
        };
        if let Some(words) = refused {
            self.fail(&tickets, &words);
        }
    }
}

/// What the store keeps of a room. A queue's messages stay until they are done, and a backlog that is full takes no more.
fn retention(room: &Room) -> Retention {
    let settings = &room.settings;
    match settings.kind {
        Kind::Queue => Retention::default(),
        Kind::Latest => Retention { messages: 1, ..Retention::default() },
        Kind::Fanout => {
            Retention { messages: settings.keep_messages, bytes: settings.keep_bytes, age: settings.keep_age }
        }
    }
}
