//! A room's numbers, and the tail of its messages that is kept in memory.
//!
//! The log numbers messages without a gap, keeps sealed chunks in order and lets go of the oldest. It knows neither who
//! reads them nor the time of day.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{Chunk, Epoch, Line, Seq};

/// Numbers and kept messages of one room.
#[derive(Debug)]
pub struct Log {
    epoch: Epoch,
    /// The newest number given.
    newest: Seq,
    /// The newest time given, which the next is not below.
    last_ts: u64,
    /// The oldest number kept; one more than the newest where nothing is.
    oldest: Seq,
    chunks: VecDeque<Arc<Chunk>>,
    /// Bytes of the messages from `oldest` on, with their bookkeeping.
    bytes: usize,
}

/// What a room may keep; 0 means no limit.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
    /// Unix milliseconds before which nothing is kept.
    pub since: u64,
}

impl Log {
    /// An empty log.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, newest: Seq(0), last_ts: 0, oldest: Seq(1), chunks: VecDeque::new(), bytes: 0 }
    }

    /// A log that goes on where another one, or the same one in another life of the server, stopped.
    pub fn resumed(epoch: Epoch, newest: Seq, last_ts: u64) -> Self {
        Self { newest, last_ts, oldest: newest.next(), ..Self::new(epoch) }
    }

    /// Takes the numbers of a chunk that was numbered elsewhere; it is the next one.
    pub fn advance(&mut self, chunk: &Chunk) {
        debug_assert_eq!(chunk.first(), self.newest.next(), "no number is skipped");
        self.newest = chunk.last();
        self.last_ts = self.last_ts.max(chunk.lines().last().map_or(0, |line| line.ts));
    }

    /// The numbering.
    pub const fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// The newest number given.
    pub const fn newest(&self) -> Seq {
        self.newest
    }

    /// The newest time given, in Unix milliseconds.
    pub const fn last_ts(&self) -> u64 {
        self.last_ts
    }

    /// The oldest number kept; behind the newest where nothing is.
    pub const fn oldest(&self) -> Seq {
        self.oldest
    }

    /// Bytes that the kept messages take.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no message is kept.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Gives the next message its number and its time.
    pub fn number(&mut self, now_ms: u64) -> (Seq, u64) {
        self.newest = self.newest.next();
        self.last_ts = self.last_ts.max(now_ms);
        (self.newest, self.last_ts)
    }

    /// Keeps a chunk of the newest messages.
    pub fn keep(&mut self, chunk: Arc<Chunk>) {
        debug_assert_eq!(chunk.last(), self.newest, "chunks are kept in order");
        if self.chunks.is_empty() {
            self.oldest = chunk.first();
        }
        self.bytes += chunk.cost();
        self.chunks.push_back(chunk);
    }

    /// Lets a chunk of the newest messages go without keeping it.
    pub fn pass(&mut self) {
        if self.chunks.is_empty() {
            self.oldest = self.newest.next();
        }
    }

    /// Lets go of what `keep` does not cover.
    pub fn trim(&mut self, keep: Keep) {
        let first_wanted = match keep.messages {
            0 => 1,
            count => (self.newest.0 + 1).saturating_sub(count),
        };
        let over = |bytes: usize| keep.bytes > 0 && bytes as u64 > keep.bytes;
        while let Some(chunk) = self.chunks.front() {
            let at = (self.oldest.0 - chunk.first().0) as usize;
            let line = &chunk.lines()[at];
            if self.oldest.0 >= first_wanted && !over(self.bytes) && line.ts >= keep.since {
                if at > chunk.lines().len() / 2 {
                    // Else the few that are left would hold the memory of all.
                    self.chunks[0] = Arc::new(chunk.tail(at));
                }
                return;
            }
            let last = at + 1 == chunk.lines().len();
            self.bytes -= if last { last_cost(chunk, at) } else { line_cost(chunk, at) };
            self.oldest = self.oldest.next();
            if last {
                self.chunks.pop_front();
            }
        }
    }

    /// Lets go of everything.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.bytes = 0;
        self.oldest = self.newest.next();
    }

    /// The chunk that holds a number, or the oldest kept one behind it.
    pub fn find(&self, next: Seq) -> Option<&Arc<Chunk>> {
        let at = self.chunks.partition_point(|chunk| chunk.last() < next);
        self.chunks.get(at)
    }

    /// One kept message, as a chunk and the index of its line.
    pub fn message(&self, seq: Seq) -> Option<(&Arc<Chunk>, usize)> {
        if seq < self.oldest || seq > self.newest {
            return None;
        }
        let chunk = self.find(seq)?;
        Some((chunk, (seq.0 - chunk.first().0) as usize))
    }

    /// The number of the first kept message that is not older than `ts`.
    pub fn since(&self, ts: u64) -> Seq {
        let at = self.chunks.partition_point(|chunk| chunk.lines().last().is_none_or(|line| line.ts < ts));
        let Some(chunk) = self.chunks.get(at) else { return self.newest.next() };
        let skipped = chunk.lines().partition_point(|line| line.ts < ts);
        Seq(chunk.first().0 + skipped as u64).max(self.oldest)
    }

    /// Puts a chunk in the place of the one with the same numbers.
    pub fn replace(&mut self, chunk: Arc<Chunk>) {
        let at = self.chunks.partition_point(|kept| kept.last() < chunk.first());
        if let Some(kept) = self.chunks.get_mut(at) {
            debug_assert_eq!((kept.first(), kept.last()), (chunk.first(), chunk.last()), "numbers stay");
            let gone = (self.oldest.0.saturating_sub(kept.first().0)) as usize;
            let cost = |chunk: &Chunk| (gone..chunk.lines().len()).map(|at| line_cost(chunk, at)).sum::<usize>();
            self.bytes = self.bytes - cost(kept) + cost(&chunk);
            *kept = chunk;
        }
    }
}

/// What one message of a chunk takes.
fn line_cost(chunk: &Chunk, at: usize) -> usize {
    chunk.span(&(at..at + 1)).len() + size_of::<Line>()
}

/// What goes with the last message of a chunk: its own share and the chunk's.
fn last_cost(chunk: &Chunk, at: usize) -> usize {
    line_cost(chunk, at) + size_of::<Chunk>()
}
