//! The work of a queue room: what waits, who holds what, and when it comes back.
//!
//! Plain state with the time handed in. It decides which worker gets which message next; the router sends it. A message is
//! in exactly one of three places: waiting for a worker, held by one, or delayed.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{Chunk, ConnId, Seq};

/// A message that somebody has to work on.
#[derive(Clone, Debug)]
pub struct Task {
    /// The chunk that holds the message.
    pub chunk: Arc<Chunk>,
    /// Which of its lines it is.
    pub line: u32,
    /// Deliveries so far that count.
    pub attempts: u32,
    /// Who had it last.
    last: Option<ConnId>,
}

/// A message on its way to a worker.
#[derive(Debug)]
pub struct Given {
    /// Who gets it.
    pub worker: ConnId,
    /// What it gets.
    pub task: Task,
}

/// What became of a message that was given back or whose time ran out.
#[derive(Debug)]
pub enum Verdict {
    /// It waits for the next worker.
    Again,
    /// It was delivered as often as it may be.
    Dead(Task),
}

#[derive(Debug)]
struct Held {
    task: Task,
    worker: ConnId,
    deadline: Instant,
}

#[derive(Debug)]
struct Worker {
    prefetch: u32,
    ack_wait: Option<Duration>,
    held: BTreeSet<Seq>,
}

/// The work of one room.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: BTreeMap<Seq, Task>,
    held: BTreeMap<Seq, Held>,
    deadlines: BTreeSet<(Instant, Seq)>,
    delayed: BTreeMap<Seq, Task>,
    /// When each of these waits again.
    due: BTreeSet<(Instant, Seq)>,
    workers: HashMap<ConnId, Worker>,
    /// Workers by turns, the next first.
    turns: VecDeque<ConnId>,
    bytes: usize,
}

impl Queue {
    /// Whether there is no work at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Messages that wait, are held or delayed.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.held.len() + self.delayed.len()
    }

    /// Bytes of all of them.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a message.
    pub fn push(&mut self, seq: Seq, chunk: Arc<Chunk>, line: u32) {
        let task = Task { chunk, line, attempts: 0, last: None };
        self.bytes += cost(&task);
        self.waiting.insert(seq, task);
    }

    /// Whether a connection takes work here.
    pub fn has(&self, conn: ConnId) -> bool {
        self.workers.contains_key(&conn)
    }

    /// Lets a connection take work, or changes how much it takes.
    pub fn enlist(&mut self, conn: ConnId, prefetch: u32, ack_wait: Option<Duration>) {
        if let Some(worker) = self.workers.get_mut(&conn) {
            worker.prefetch = prefetch;
            worker.ack_wait = ack_wait;
            return;
        }
        self.workers.insert(conn, Worker { prefetch, ack_wait, held: BTreeSet::new() });
        self.turns.push_back(conn);
    }

    /// Takes a worker away; what it held waits again at once, and that delivery does not count.
    pub fn dismiss(&mut self, conn: ConnId) {
        let Some(worker) = self.workers.remove(&conn) else { return };
        self.turns.retain(|other| *other != conn);
        for seq in worker.held {
            if let Some(mut held) = self.held.remove(&seq) {
                self.deadlines.remove(&(held.deadline, seq));
                held.task.attempts -= 1;
                self.waiting.insert(seq, held.task);
            }
        }
    }

    /// The oldest message that waits.
    pub fn next(&self) -> Option<Seq> {
        self.waiting.first_key_value().map(|(seq, _)| *seq)
    }

    /// Gives the oldest waiting message to the next worker that has credit, rather not to the one that just had it.
    pub fn give(
        &mut self,
        room_wait: Duration,
        now: Instant,
        mut can_take: impl FnMut(ConnId) -> bool,
    ) -> Option<Given> {
        let mut entry = self.waiting.first_entry()?;
        let last = entry.get().last;
        let mut free = |conn: &ConnId| {
            let worker = &self.workers[conn];
            worker.held.len() < worker.prefetch as usize && can_take(*conn)
        };
        let other = self.turns.iter().position(|conn| Some(*conn) != last && free(conn));
        let turn = match other {
            Some(turn) => turn,
            None => self.turns.iter().position(free)?,
        };
        let seq = *entry.key();
        let task = entry.get_mut();
        // Invariant: `turn` is a position found just now.
        let conn = self.turns.remove(turn)?;
        self.turns.push_back(conn);
        task.attempts += 1;
        task.last = Some(conn);
        let worker = self.workers.get_mut(&conn)?;
        worker.held.insert(seq);
        let deadline = now + worker.ack_wait.unwrap_or(room_wait);
        let task = entry.remove();
        self.deadlines.insert((deadline, seq));
        self.held.insert(seq, Held { task: task.clone(), worker: conn, deadline });
        Some(Given { worker: conn, task })
    }

    /// Ends a message that the connection holds; whether it did.
    pub fn ack(&mut self, conn: ConnId, seq: Seq) -> bool {
        let Some(task) = self.release(conn, seq) else { return false };
        self.bytes -= cost(&task);
        true
    }

    /// Takes a message back from the connection that holds it, to wait for `delay`; `None` where it does not hold it.
    pub fn nack(&mut self, conn: ConnId, seq: Seq, delay: Duration, max_deliver: u32, now: Instant) -> Option<Verdict> {
        let task = self.release(conn, seq)?;
        Some(self.again(seq, task, (!delay.is_zero()).then(|| now + delay), max_deliver))
    }

    /// Starts the wait for an ack again; whether the connection holds the message.
    pub fn working(&mut self, conn: ConnId, seq: Seq, room_wait: Duration, now: Instant) -> bool {
        let Some(held) = self.held.get_mut(&seq).filter(|held| held.worker == conn) else { return false };
        let wait = self.workers.get(&conn).and_then(|worker| worker.ack_wait).unwrap_or(room_wait);
        self.deadlines.remove(&(held.deadline, seq));
        held.deadline = now + wait;
        self.deadlines.insert((held.deadline, seq));
        true
    }

    /// When the next message is to be looked at again.
    pub fn next_deadline(&self) -> Option<Instant> {
        let held = self.deadlines.first().map(|(at, _)| *at);
        let due = self.due.first().map(|(at, _)| *at);
        held.into_iter().chain(due).min()
    }

    /// Takes back what was not acked in time and lets go what was delayed long enough; what is dead is returned.
    pub fn expire(&mut self, max_deliver: u32, now: Instant) -> Vec<(Seq, Task)> {
        while let Some((at, seq)) = self.due.first().filter(|(at, _)| *at <= now).copied() {
            self.due.remove(&(at, seq));
            self.waiting.extend(self.delayed.remove(&seq).map(|task| (seq, task)));
        }
        let mut dead = Vec::new();
        while let Some((_, seq)) = self.deadlines.first().filter(|(at, _)| *at <= now).copied() {
            let Some(worker) = self.held.get(&seq).map(|held| held.worker) else { break };
            let Some(task) = self.release(worker, seq) else { break };
            if let Verdict::Dead(task) = self.again(seq, task, None, max_deliver) {
                dead.push((seq, task));
            }
        }
        dead
    }

    /// A message.
    pub fn task(&self, seq: Seq) -> Option<&Task> {
        let held = || self.held.get(&seq).map(|held| &held.task);
        self.waiting.get(&seq).or_else(held).or_else(|| self.delayed.get(&seq))
    }

    /// The first message from a number on.
    pub fn first_from(&self, seq: Seq) -> Option<Seq> {
        let waiting = self.waiting.range(seq..).next().map(|(seq, _)| *seq);
        let held = self.held.range(seq..).next().map(|(seq, _)| *seq);
        let delayed = self.delayed.range(seq..).next().map(|(seq, _)| *seq);
        [waiting, held, delayed].into_iter().flatten().min()
    }

    /// So many of the messages with some numbers at most: the first ones, or the last ones with the last first.
    pub fn page(&self, seqs: Range<Seq>, most: usize, from_last: bool) -> Vec<Seq> {
        fn take<T>(map: &BTreeMap<Seq, T>, seqs: Range<Seq>, most: usize, from_last: bool, into: &mut Vec<Seq>) {
            let found = map.range(seqs).map(|(seq, _)| *seq);
            if from_last { into.extend(found.rev().take(most)) } else { into.extend(found.take(most)) }
        }
        let mut page = Vec::new();
        if seqs.start < seqs.end {
            take(&self.waiting, seqs.clone(), most, from_last, &mut page);
            take(&self.held, seqs.clone(), most, from_last, &mut page);
            take(&self.delayed, seqs, most, from_last, &mut page);
        }
        page.sort_unstable();
        if from_last {
            page.reverse();
        }
        page.truncate(most);
        page
    }

    /// Puts a chunk in the place of the one that a message was in, as when it was redacted.
    pub fn replace(&mut self, seq: Seq, chunk: &Arc<Chunk>, line: u32) {
        let held = self.held.get_mut(&seq).map(|held| &mut held.task);
        if let Some(task) = self.waiting.get_mut(&seq).or(held).or_else(|| self.delayed.get_mut(&seq)) {
            self.bytes -= cost(task);
            task.chunk = Arc::clone(chunk);
            task.line = line;
            self.bytes += cost(task);
        }
    }

    /// Has a message wait again whose end did not count; its last delivery does not count either.
    pub fn put_back(&mut self, seq: Seq, mut task: Task) {
        task.attempts = task.attempts.saturating_sub(1);
        self.bytes += cost(&task);
        self.waiting.insert(seq, task);
    }

    fn release(&mut self, conn: ConnId, seq: Seq) -> Option<Task> {
        if self.held.get(&seq)?.worker != conn {
            return None;
        }
        let held = self.held.remove(&seq)?;
        self.deadlines.remove(&(held.deadline, seq));
        if let Some(worker) = self.workers.get_mut(&conn) {
            worker.held.remove(&seq);
        }
        Some(held.task)
    }

    fn again(&mut self, seq: Seq, task: Task, not_before: Option<Instant>, max_deliver: u32) -> Verdict {
        if max_deliver > 0 && task.attempts >= max_deliver {
            self.bytes -= cost(&task);
            return Verdict::Dead(task);
        }
        match not_before {
            Some(at) => {
                self.due.insert((at, seq));
                self.delayed.insert(seq, task);
            }
            None => {
                self.waiting.insert(seq, task);
            }
        }
        Verdict::Again
    }
}

/// What a message takes: its line, since chunks of a queue room hold one message each.
fn cost(task: &Task) -> usize {
    task.chunk.message(task.line as usize).line.len() + size_of::<Chunk>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Draft, Identity, Nick, Place, RoomName, Sender};

    const WAIT: Duration = Duration::from_secs(30);
    const A: ConnId = ConnId(1);
    const B: ConnId = ConnId(2);

    fn chunk() -> Arc<Chunk> {
        let nick = Arc::new(Nick::guest(1));
        let sender = Arc::new(Sender { conn: A, identity: Identity::Guest(1), nick, account: None });
        let mut draft = Draft::new(Seq(1), Vec::new());
        let sender = draft.sender(&sender);
        draft.bytes.extend_from_slice(b"{\"body\":1}\n");
        draft.ended(crate::model::Line {
            end: 11,
            body: 8,
            body_len: 1,
            headers_len: 0,
            sender,
            ts: 0,
            redacted: false,
        });
        draft.seal(Place::Room(Arc::new(RoomName::parse("jobs").expect("a name")))).0
    }

    fn queue(messages: u64) -> Queue {
        let mut queue = Queue::default();
        for seq in 1..=messages {
            queue.push(Seq(seq), chunk(), 0);
        }
        queue
    }

    fn given(queue: &mut Queue, now: Instant) -> Option<(ConnId, u32)> {
        queue.give(WAIT, now, |_| true).map(|given| (given.worker, given.task.attempts))
    }

    #[test]
    fn each_message_goes_to_one_worker_by_turns_and_within_its_credit() {
        let now = Instant::now();
        let mut queue = queue(4);
        queue.enlist(A, 1, None);
        queue.enlist(B, 2, None);
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert_eq!(given(&mut queue, now), Some((B, 1)));
        assert_eq!(given(&mut queue, now), Some((B, 1)));
        assert_eq!(given(&mut queue, now), None, "nobody has credit");
        assert!(queue.ack(A, Seq(1)));
        assert!(!queue.ack(A, Seq(1)), "acked already");
        assert!(!queue.ack(A, Seq(2)), "held by another");
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert_eq!(queue.len(), 3);
    }

    #[test]
    fn what_is_not_acked_in_time_goes_to_another_where_there_is_one() {
        let now = Instant::now();
        let mut queue = queue(1);
        queue.enlist(A, 1, None);
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert!(queue.expire(5, now + WAIT).is_empty());
        assert_eq!(given(&mut queue, now + WAIT), Some((A, 2)), "no other worker");
        queue.enlist(B, 1, None);
        assert!(queue.expire(5, now + WAIT * 2).is_empty());
        assert_eq!(given(&mut queue, now + WAIT * 2), Some((B, 3)));
    }

    #[test]
    fn working_starts_the_wait_again() {
        let now = Instant::now();
        let mut queue = queue(1);
        queue.enlist(A, 1, None);
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert!(queue.working(A, Seq(1), WAIT, now + WAIT / 2));
        assert_eq!(queue.next_deadline(), Some(now + WAIT / 2 + WAIT));
        assert!(!queue.working(B, Seq(1), WAIT, now));
    }

    #[test]
    fn what_a_leaving_worker_held_goes_back_at_once_and_is_not_counted() {
        let now = Instant::now();
        let mut queue = queue(1);
        queue.enlist(A, 1, None);
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        queue.dismiss(A);
        queue.enlist(B, 1, None);
        assert_eq!(given(&mut queue, now), Some((B, 1)));
        assert_eq!(queue.next_deadline(), Some(now + WAIT));
    }

    #[test]
    fn a_delayed_message_takes_no_credit_and_comes_back_when_its_time_is_up() {
        let now = Instant::now();
        let delay = Duration::from_secs(5);
        let mut queue = queue(2);
        queue.enlist(A, 1, None);
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert!(matches!(queue.nack(A, Seq(1), delay, 5, now), Some(Verdict::Again)));
        assert_eq!(given(&mut queue, now), Some((A, 1)), "the second message");
        assert!(queue.ack(A, Seq(2)));
        assert_eq!(given(&mut queue, now), None);
        assert_eq!(queue.next_deadline(), Some(now + delay));
        assert!(queue.expire(5, now + delay).is_empty());
        assert_eq!(given(&mut queue, now + delay), Some((A, 2)));
    }

    #[test]
    fn after_max_deliver_a_message_is_dead() {
        let now = Instant::now();
        let mut queue = queue(2);
        queue.enlist(A, 2, None);
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert_eq!(given(&mut queue, now), Some((A, 1)));
        assert!(matches!(queue.nack(A, Seq(1), Duration::ZERO, 1, now), Some(Verdict::Dead(_))));
        assert_eq!(queue.expire(1, now + WAIT).len(), 1);
        assert!(queue.is_empty());
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_worker_that_cannot_take_anything_is_passed_over() {
        let now = Instant::now();
        let mut queue = queue(1);
        queue.enlist(A, 1, None);
        queue.enlist(B, 1, None);
        assert_eq!(queue.give(WAIT, now, |conn| conn == B).map(|given| given.worker), Some(B));
    }
}
