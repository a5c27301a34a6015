//! Messages of one place, encoded once and shared by everyone who gets them.
//!
//! A [`Chunk`] holds whole JSON-lines `message` events end to end, and for each the few facts that let a reader take some
//! lines and leave others, or render them for another protocol, without parsing. Other renditions are made by the first
//! connection that needs one and kept with the chunk for the rest. The router fills a [`Draft`] and seals it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{ConnId, Identity, Nick, Place, Seq};

/// Who sent a message, as everyone sees it; made once for a connection and nick.
#[derive(Debug, PartialEq, Eq)]
pub struct Sender {
    /// The connection, so that it can be spared its own messages.
    pub conn: ConnId,
    /// Who the sender is.
    pub identity: Identity,
    /// The name shown.
    pub nick: Arc<Nick>,
    /// The account's name as shown, where the sender was logged in.
    pub account: Option<Arc<str>>,
}

/// The facts of one encoded message.
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Offset behind the line's `\n`.
    pub end: u32,
    /// Offset of the body's first byte; it has [`Line::body_len`] of them.
    pub body: u32,
    /// Bytes of the body.
    pub body_len: u32,
    /// Bytes of the `headers` object, which ends 8 bytes (`,"body":`) before the body; 0 where there is none.
    pub headers_len: u16,
    /// Index into the chunk's senders.
    pub sender: u16,
    /// Unix time in milliseconds.
    pub ts: u64,
    /// Whether the body was taken out.
    pub redacted: bool,
}

/// One message of a chunk, borrowed from it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Where it was said.
    pub place: &'a Place,
    /// Its number there.
    pub seq: Seq,
    /// Who said it.
    pub sender: &'a Arc<Sender>,
    /// When, in Unix milliseconds.
    pub ts: u64,
    /// The `headers` object, where there is one.
    pub headers: Option<&'a str>,
    /// The body: any JSON value.
    pub body: &'a str,
    /// Whether the body was taken out.
    pub redacted: bool,
    /// The whole event as a JSON line, with its `\n`.
    pub line: &'a [u8],
}

/// Encoded messages with consecutive numbers.
#[derive(Debug)]
pub struct Chunk {
    place: Place,
    first: Seq,
    bytes: Bytes,
    lines: Box<[Line]>,
    senders: SmallVec<[Arc<Sender>; 1]>,
    renditions: Mutex<Renditions>,
}

/// What other protocols made of a chunk, by their codec's key.
type Renditions = SmallVec<[(u64, Arc<Rendition>); 1]>;

/// Renditions that a chunk keeps at most: people choose their time zone, and each one is as large as the chunk.
const RENDITIONS_MAX: usize = 4;

/// A chunk as another protocol than JSON-lines writes it.
#[derive(Debug)]
pub struct Rendition {
    /// All messages, end to end.
    pub bytes: Bytes,
    /// Offset behind each message.
    pub ends: Box<[u32]>,
}

impl Rendition {
    /// The bytes of some of its messages.
    pub fn slice(&self, lines: Range<usize>) -> Bytes {
        let start = if lines.start == 0 { 0 } else { self.ends[lines.start - 1] as usize };
        let end = if lines.end == 0 { 0 } else { self.ends[lines.end - 1] as usize };
        self.bytes.slice(start..end)
    }
}

impl Chunk {
    /// Where its messages were said.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    /// The number of its first message.
    pub const fn first(&self) -> Seq {
        self.first
    }

    /// The number of its last message.
    pub const fn last(&self) -> Seq {
        Seq(self.first.0 + self.lines.len() as u64 - 1)
    }

    /// The facts of its messages, in order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Who sent its messages, each once.
    pub fn senders(&self) -> &[Arc<Sender>] {
        &self.senders
    }

    /// All its messages as JSON lines.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Memory it holds, in bytes.
    pub fn cost(&self) -> usize {
        self.bytes.len() + self.lines.len() * size_of::<Line>() + size_of::<Self>()
    }

    /// Offsets of some of its lines in [`Chunk::bytes`].
    pub fn span(&self, lines: &Range<usize>) -> Range<usize> {
        let start = if lines.start == 0 { 0 } else { self.lines[lines.start - 1].end as usize };
        let end = if lines.end == 0 { 0 } else { self.lines[lines.end - 1].end as usize };
        start..end
    }

    /// One of its messages.
    pub fn message(&self, at: usize) -> Message<'_> {
        let line = &self.lines[at];
        let body = line.body as usize..(line.body + line.body_len) as usize;
        let headers_end = body.start - br#","body":"#.len();
        let headers = headers_end - usize::from(line.headers_len)..headers_end;
        // Invariant: everything in a chunk came out of `str`s.
        let text = |range: Range<usize>| std::str::from_utf8(&self.bytes[range]).unwrap_or_default();
        Message {
            place: &self.place,
            seq: Seq(self.first.0 + at as u64),
            sender: &self.senders[usize::from(line.sender)],
            ts: line.ts,
            headers: (line.headers_len > 0).then(|| text(headers)),
            body: text(body),
            redacted: line.redacted,
            line: &self.bytes[self.span(&(at..at + 1))],
        }
    }

    /// Some of its messages.
    pub fn messages(&self, lines: Range<usize>) -> impl Iterator<Item = Message<'_>> {
        lines.map(|at| self.message(at))
    }

    /// The lines from a number on.
    pub fn from(&self, next: Seq) -> Range<usize> {
        let skipped = next.0.saturating_sub(self.first.0) as usize;
        skipped.min(self.lines.len())..self.lines.len()
    }

    /// A chunk of its messages from `at` on, which does not keep the others in memory.
    #[must_use]
    pub fn tail(&self, at: usize) -> Self {
        let span = self.span(&(at..self.lines.len()));
        let start = span.start as u32;
        let moved = |line: &Line| Line { end: line.end - start, body: line.body - start, ..*line };
        Self {
            place: self.place.clone(),
            first: Seq(self.first.0 + at as u64),
            lines: self.lines[at..].iter().map(moved).collect(),
            senders: self.senders.clone(),
            bytes: Bytes::copy_from_slice(&self.bytes[span]),
            renditions: Mutex::default(),
        }
    }

    /// The rendition under a codec's key, made by the first who asks.
    pub fn rendition(&self, key: u64, render: impl FnOnce(&Self) -> Rendition) -> Arc<Rendition> {
        // A cache holds nothing that a panic could leave half done.
        let mut kept = self.renditions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, rendition)) = kept.iter().find(|(of, _)| *of == key) {
            return Arc::clone(rendition);
        }
        if kept.len() == RENDITIONS_MAX {
            kept.remove(0);
        }
        let rendition = Arc::new(render(self));
        kept.push((key, Arc::clone(&rendition)));
        rendition
    }
}

/// A time in digits, written anew only when it changes: the messages of a round share theirs.
#[derive(Debug, Default)]
pub struct Stamp {
    ms: u64,
    digits: SmallVec<[u8; 24]>,
}

impl Stamp {
    /// The digits of a time.
    pub fn digits(&mut self, ms: u64) -> &[u8] {
        if self.ms != ms || self.digits.is_empty() {
            self.ms = ms;
            self.digits = SmallVec::from_slice(itoa::Buffer::new().format(ms).as_bytes());
        }
        &self.digits
    }
}

/// A chunk in the making.
#[derive(Debug)]
pub struct Draft {
    first: Seq,
    /// JSON lines so far; an encoder appends to it and then calls [`Draft::ended`].
    pub bytes: Vec<u8>,
    /// The time of the newest line.
    pub stamp: Stamp,
    lines: Vec<Line>,
    senders: SmallVec<[Arc<Sender>; 1]>,
}

impl Draft {
    /// Nothing yet; `bytes` is a buffer to reuse.
    pub fn new(first: Seq, bytes: Vec<u8>) -> Self {
        Self { first, bytes, stamp: Stamp::default(), lines: Vec::new(), senders: SmallVec::new() }
    }

    /// Messages so far.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is no message yet.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// The number of its first message.
    pub const fn first(&self) -> Seq {
        self.first
    }

    /// The index of a sender, who in a batch is mostly the one before.
    pub fn sender(&mut self, sender: &Arc<Sender>) -> u16 {
        let known = self.senders.iter().rposition(|known| Arc::ptr_eq(known, sender));
        let at = known.unwrap_or_else(|| {
            self.senders.push(Arc::clone(sender));
            self.senders.len() - 1
        });
        // Invariant: a draft is sealed long before it has 65,536 lines, see `router::publish`.
        u16::try_from(at).unwrap_or(u16::MAX)
    }

    /// Notes the facts of the line just appended to [`Draft::bytes`].
    pub fn ended(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// Makes the chunk, of exactly the memory it needs, and gives the buffer back.
    pub fn seal(mut self, place: Place) -> (Arc<Chunk>, Vec<u8>) {
        let bytes = Bytes::copy_from_slice(&self.bytes);
        self.bytes.clear();
        let chunk = Chunk {
            place,
            first: self.first,
            bytes,
            lines: self.lines.into_boxed_slice(),
            senders: self.senders,
            renditions: Mutex::default(),
        };
        (Arc::new(chunk), self.bytes)
    }
}
