//! A store for tests that keeps everything in memory and does nothing until it is told to.
//!
//! No thread, no file, no clock but that of retention: a test decides when a batch is committed, in which order the rooms
//! are, when a read is answered, and when all of it fails. It keeps the promises of the contract and is tried by the same
//! suite as the engines.

mod read;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use crate::model::{Epoch, Seq};

use super::{
    Boot, Committed, Contents, Event, Group, KnownKey, Lag, Pos, Query, ReadError, Refused, Retention, RoomKey,
    Searched, Store, Stretch, Ticket, Write,
};

/// Events that may wait for a test to look at them.
const EVENTS: usize = 1 << 16;

/// The store that is told what to do.
#[derive(Debug)]
pub struct Double {
    inner: Mutex<Inner>,
    events: mpsc::Sender<Event>,
}

#[derive(Debug, Default)]
struct Inner {
    disk: Disk,
    boot: Option<Boot>,
    waiting: VecDeque<Vec<Write>>,
    reads: VecDeque<(Ticket, Stretch)>,
    searches: VecDeque<(Ticket, Query)>,
    searched: Option<Searched>,
    refusing: Option<Refused>,
    failing_reads: Option<ReadError>,
}

/// What outlives a [`Double`].
#[derive(Clone, Debug, Default)]
pub struct Disk {
    rooms: BTreeMap<RoomKey, Room>,
    values: BTreeMap<Box<str>, Box<[u8]>>,
    keys: Vec<(RoomKey, KnownKey)>,
    end: u64,
}

#[derive(Clone, Debug)]
struct Room {
    epoch: Epoch,
    oldest: Seq,
    newest: Seq,
    last_ts: u64,
    last_pos: Pos,
    keep: Retention,
    /// By first number: the floor and the messages.
    groups: BTreeMap<Seq, (u64, Arc<Group>)>,
    /// The places of the groups, by first number.
    places: BTreeMap<Seq, Pos>,
    done: BTreeSet<Seq>,
}

impl Double {
    /// An empty store and what it will say.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Event>) {
        Self::over(Disk::default(), Boot(1))
    }

    /// A store that holds what another one left, in another life of the server.
    pub fn over(disk: Disk, boot: Boot) -> (Arc<Self>, mpsc::Receiver<Event>) {
        let (events, said) = mpsc::channel(EVENTS);
        let inner = Mutex::new(Inner { disk, boot: Some(boot), ..Inner::default() });
        (Arc::new(Self { inner, events }), said)
    }

    /// What it holds, as an engine tells it when it is opened.
    pub fn contents(&self) -> Contents {
        let inner = self.inner();
        Contents {
            rooms: inner.disk.states(),
            values: inner.disk.values.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
            keys: inner.disk.keys.clone(),
            secret: [7; 16],
        }
    }

    /// What was committed, to be opened again by [`Double::over`].
    pub fn disk(&self) -> Disk {
        self.inner().disk.clone()
    }

    /// Batches that were taken and are not committed.
    pub fn waiting(&self) -> usize {
        self.inner().waiting.len()
    }

    /// Commits all that waits.
    pub fn commit_all(&self) {
        let batches: Vec<_> = self.inner().waiting.drain(..).collect();
        self.commit_batches(batches);
    }

    /// Commits the batches that name a room, and those before them that share a room with one of these. What other rooms
    /// wait for goes on waiting.
    pub fn commit(&self, room: &RoomKey) {
        let mut chosen: BTreeSet<String> = BTreeSet::from([room.0.to_string()]);
        let (mut taken, mut left) = (VecDeque::new(), VecDeque::new());
        let mut inner = self.inner();
        while let Some(batch) = inner.waiting.pop_back() {
            let subjects: Vec<String> = batch.iter().map(subject).collect();
            if subjects.iter().any(|subject| chosen.contains(subject)) {
                chosen.extend(subjects);
                taken.push_front(batch);
            } else {
                left.push_front(batch);
            }
        }
        inner.waiting = left;
        drop(inner);
        self.commit_batches(taken);
    }

    /// Fails with all that waits; nothing of it will be there.
    pub fn fail(&self) {
        let mut inner = self.inner();
        inner.refusing = Some(Refused::Failed);
        let tickets: Vec<_> = inner.waiting.drain(..).flatten().map(|write| write.ticket()).collect();
        drop(inner);
        self.say(Event::Failed(tickets));
    }

    /// Fails with all that waits, all of which [`Double::restore`] will find there: what a sync that failed may leave.
    pub fn fail_having_kept(&self) {
        let mut inner = self.inner();
        inner.refusing = Some(Refused::Failed);
        let writes: Vec<_> = inner.waiting.drain(..).flatten().collect();
        let tickets = writes.iter().map(Write::ticket).collect();
        for write in writes {
            inner.disk.carry_out(write);
        }
        drop(inner);
        self.say(Event::Failed(tickets));
    }

    /// Finds the group that begins with a number no more, and does not know it.
    pub fn lose(&self, room: &RoomKey, first: Seq) {
        let mut inner = self.inner();
        let lost = inner.disk.rooms.get_mut(room).and_then(|room| room.groups.remove(&first));
        assert!(lost.is_some(), "there is no such group");
    }

    /// Is well again after a failure.
    pub fn restore(&self) {
        let mut inner = self.inner();
        inner.refusing = None;
        let found = Contents { rooms: inner.disk.states(), keys: inner.disk.keys.clone(), ..Contents::default() };
        drop(inner);
        self.say(Event::Restored(Box::new(found)));
    }

    /// Refuses everything from now on, or nothing any more.
    pub fn refuse(&self, with: Option<Refused>) {
        self.inner().refusing = with;
    }

    /// Answers every read with an error from now on, or none any more.
    pub fn fail_reads(&self, with: Option<ReadError>) {
        self.inner().failing_reads = with;
    }

    /// Another server appended to a room, which has an epoch of its own where it is new.
    pub fn others_said(&self, room: &RoomKey, group: Group) {
        let epoch = Epoch::from_random(self.inner().disk.end);
        let write = Write::Append {
            ticket: Ticket(u64::MAX),
            room: room.clone(),
            epoch,
            keep: Retention::default(),
            group: Arc::new(group),
        };
        let said = self.inner().disk.carry_out(write);
        for event in said {
            self.say(match event {
                Event::Committed(committed) => Event::Committed(Committed { ticket: None, ..committed }),
                other => other,
            });
        }
    }

    /// Answers all reads that wait.
    pub fn answer_reads(&self) {
        let mut inner = self.inner();
        let reads: Vec<_> = inner.reads.drain(..).collect();
        let boot = inner.boot.unwrap_or(Boot(0));
        let answer = |(ticket, stretch): (Ticket, Stretch)| {
            let failed = inner.failing_reads.clone().map(Err);
            Event::Read(ticket, failed.unwrap_or_else(|| Ok(inner.disk.read(&stretch, boot))))
        };
        let mut answers: Vec<_> = reads.into_iter().map(answer).collect();
        let searches: Vec<_> = inner.searches.drain(..).collect();
        for (ticket, query) in searches {
            let is_searched = |room: &RoomKey| inner.searched.as_ref().is_some_and(|searched| searched.has(room));
            answers.push(Event::Found(ticket, Ok(inner.disk.search(&query, is_searched, boot))));
        }
        drop(inner);
        self.say_all(answers);
    }

    /// Lets go of what has become too old.
    pub fn tick(&self) {
        let trimmed: Vec<_> = {
            let mut inner = self.inner();
            let rooms: Vec<_> = inner.disk.rooms.keys().cloned().collect();
            rooms.iter().filter_map(|room| inner.disk.trim(room)).collect()
        };
        self.say_all(trimmed);
    }

    fn commit_batches(&self, batches: impl IntoIterator<Item = Vec<Write>>) {
        for write in batches.into_iter().flatten() {
            let said = self.inner().disk.carry_out(write);
            self.say_all(said);
        }
    }

    fn say_all(&self, events: Vec<Event>) {
        for event in events {
            self.say(event);
        }
    }

    fn say(&self, event: Event) {
        // Who no longer listens wants to hear nothing.
        let full = matches!(self.events.try_send(event), Err(mpsc::error::TrySendError::Full(_)));
        assert!(!full, "a test that looks at no event");
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for Double {
    fn write(&self, batch: Vec<Write>) -> Result<(), Refused> {
        let mut inner = self.inner();
        if let Some(refused) = inner.refusing {
            return Err(refused);
        }
        inner.waiting.push_back(batch);
        Ok(())
    }

    fn read(&self, ticket: Ticket, stretch: Stretch) -> Result<(), Refused> {
        let mut inner = self.inner();
        if inner.refusing == Some(Refused::Full) {
            return Err(Refused::Full);
        }
        inner.reads.push_back((ticket, stretch));
        Ok(())
    }

    fn search(&self, ticket: Ticket, query: Query) -> Result<(), Refused> {
        let mut inner = self.inner();
        if inner.refusing == Some(Refused::Full) {
            return Err(Refused::Full);
        }
        inner.searches.push_back((ticket, query));
        Ok(())
    }

    fn index(&self, rooms: Searched) {
        self.inner().searched = Some(rooms);
    }

    fn lag(&self) -> Lag {
        Lag::default()
    }
}

impl Disk {
    /// The event that a write brings, and those that follow from it.
    fn carry_out(&mut self, write: Write) -> Vec<Event> {
        let ticket = write.ticket();
        match write {
            Write::Append { room, epoch, keep, group, .. } => return self.append(ticket, &room, epoch, keep, &group),
            Write::Redact { room, seq, .. } => self.redact(&room, seq),
            Write::Finish { room, seqs, .. } => self.finish(&room, seqs),
            Write::Delete { room, .. } => {
                self.rooms.remove(&room);
                self.keys.retain(|(of, _)| *of != room);
            }
            Write::Put { name, value, .. } => {
                match value {
                    Some(value) => self.values.insert(name, value),
                    None => self.values.remove(&name),
                };
            }
        }
        vec![Event::Done(ticket)]
    }

    fn append(
        &mut self,
        ticket: Ticket,
        key: &RoomKey,
        epoch: Epoch,
        keep: Retention,
        group: &Arc<Group>,
    ) -> Vec<Event> {
        let room = self.rooms.entry(key.clone()).or_insert_with(|| Room {
            epoch,
            oldest: Seq(1),
            newest: Seq(0),
            last_ts: 0,
            last_pos: Pos(0),
            keep,
            groups: BTreeMap::new(),
            places: BTreeMap::new(),
            done: BTreeSet::new(),
        });
        let (first, floor) = (room.newest.next(), room.last_ts);
        let count = u64::from(group.count());
        room.keep = keep;
        room.newest = Seq(room.newest.0 + count);
        room.last_ts = floor.max(group.last_ts());
        room.last_pos = Pos(self.end + count);
        room.groups.insert(first, (floor, Arc::clone(group)));
        room.places.insert(first, Pos(self.end + 1));
        for (seq, record) in (first.0..).map(Seq).zip(group.records(Boot(0))) {
            let known = record.key.map(|key| KnownKey { key, seq, ts: floor.max(record.ts) });
            self.keys.extend(known.map(|known| (key.clone(), known)));
        }
        let (room, group) = (key.clone(), Arc::clone(group));
        let epoch = self.rooms[key].epoch.clone();
        let ticket = Some(ticket);
        let committed = Committed { ticket, pos: Pos(self.end + 1), room, epoch, first, floor, group };
        self.end += count;
        [Event::Committed(committed)].into_iter().chain(self.trim(key)).collect()
    }

    fn redact(&mut self, key: &RoomKey, seq: Seq) {
        self.keys.retain(|(room, known)| room != key || known.seq != seq);
        let group = self.rooms.get_mut(key).and_then(|room| room.groups.range_mut(..=seq).next_back());
        if let Some((first, (_, group))) = group {
            *group = Arc::new(group.redacted((seq.0 - first.0) as usize));
        }
    }

    fn finish(&mut self, key: &RoomKey, seqs: Vec<Seq>) {
        let Some(room) = self.rooms.get_mut(key) else { return };
        room.done.extend(seqs.into_iter().filter(|seq| (room.oldest..=room.newest).contains(seq)));
        while room.done.remove(&room.oldest) {
            room.oldest = room.oldest.next();
        }
    }

    /// Takes away what the room does not keep, and says so.
    fn trim(&mut self, key: &RoomKey) -> Option<Event> {
        let room = self.rooms.get_mut(key)?;
        let (before, keep) = (room.oldest, room.keep);
        if keep.messages > 0 {
            room.oldest = room.oldest.max(Seq((room.newest.0 + 1).saturating_sub(keep.messages)));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = if keep.age.is_zero() { 0 } else { now.saturating_sub(keep.age).as_millis() as u64 };
        let mut bytes: u64 = room.groups.values().map(|(_, group)| group.bytes().len() as u64).sum();
        while let Some((&first, (floor, group))) = room.groups.first_key_value() {
            let end = Seq(first.0 + u64::from(group.count()));
            let is_too_much = keep.bytes > 0 && bytes > keep.bytes && room.groups.len() > 1;
            let is_too_old = group.last_ts().max(*floor) < since;
            if end > room.oldest && !is_too_much && !is_too_old {
                break;
            }
            bytes -= group.bytes().len() as u64;
            room.oldest = room.oldest.max(end);
            room.groups.remove(&first);
        }
        room.done = room.done.split_off(&room.oldest);
        (room.oldest != before).then(|| Event::Trimmed(key.clone(), room.oldest))
    }
}

/// What a write is about, as far as its order matters.
fn subject(write: &Write) -> String {
    match write {
        Write::Append { room, .. }
        | Write::Redact { room, .. }
        | Write::Finish { room, .. }
        | Write::Delete { room, .. } => room.0.to_string(),
        Write::Put { .. } => "a value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract::rig::{group, room, told};

    fn append(double: &Double, ticket: u64, name: &str) {
        let group = Arc::new(group(Boot(1), &[told("a", 1)]));
        let (ticket, epoch, keep) = (Ticket(ticket), Epoch("e".into()), Retention::default());
        double.write(vec![Write::Append { ticket, room: room(name), epoch, keep, group }]).expect("it is taken");
    }

    fn said(events: &mut mpsc::Receiver<Event>) -> Vec<String> {
        std::iter::from_fn(|| events.try_recv().ok())
            .map(|event| match event {
                Event::Committed(committed) => format!("{} {}", committed.room.0, committed.first),
                Event::Failed(tickets) => format!("failed {}", tickets.len()),
                Event::Restored(found) => {
                    format!("restored {}", found.rooms.iter().map(|room| room.newest.0).sum::<u64>())
                }
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn rooms_are_committed_out_of_step() {
        let (double, mut events) = Double::new();
        for (ticket, name) in ["ops", "lab", "ops", "lab"].into_iter().enumerate() {
            append(&double, ticket as u64, name);
        }
        double.commit(&room("lab"));
        assert_eq!(said(&mut events), ["lab 1", "lab 2"]);
        assert_eq!(double.waiting(), 2);
        double.others_said(&room("ops"), group(Boot(9), &[told("b", 1)]));
        double.commit_all();
        assert_eq!(said(&mut events), ["ops 1", "ops 2", "ops 3"]);
    }

    #[test]
    fn what_failed_is_there_or_not_as_the_test_wants_it() {
        let (double, mut events) = Double::new();
        append(&double, 1, "ops");
        double.fail();
        assert_eq!(double.write(Vec::new()), Err(Refused::Failed));
        double.restore();
        append(&double, 2, "ops");
        double.fail_having_kept();
        double.restore();
        assert_eq!(said(&mut events), ["failed 1", "restored 0", "failed 1", "restored 1"]);
    }
}
