//! The line protocols: bytes to commands, items to bytes.
//!
//! A protocol is one folder here with a [`Decoder`] and an [`Encoder`], and one line in [`codec`]. It knows no sockets and
//! no channels: the connection's reader feeds the one and its writer the other. Whatever a person or program is told
//! is decided in the router; how it looks on the wire is decided here.

pub mod json;
pub mod sniff;
pub mod text;

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

pub use crate::model::Wire;
use crate::model::{Ask, Event, Item, Outcome, Place};

/// What a codec needs to know of the server.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Bytes of a line with its ending, either way.
    pub max_line: usize,
    /// Lines in a row that cannot be read before the connection ends.
    pub max_errors: u32,
}

/// The two halves of a protocol for a new connection.
pub fn codec(wire: Wire, terms: &Terms) -> (Box<dyn Decoder>, Box<dyn Encoder>) {
    match wire {
        Wire::Json => (Box::new(json::JsonDecoder::new(terms)), Box::new(json::JsonEncoder)),
        Wire::Text => text::codec(terms),
    }
}

/// The incoming half: bytes to commands.
pub trait Decoder: Send {
    /// Takes whole frames from the front of `input` and leaves an unfinished one in it.
    ///
    /// It returns early, with whole frames still in `input`, when `intake` is full or a [`Flow`] other than `More` must be
    /// acted on first; it is called again with the rest.
    fn decode(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow;

    /// The input has ended and `input` holds what is left of it: an unfinished last line counts as a line.
    fn finish(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow;

    /// What came of the last command, after [`Flow::Await`].
    fn resolved(&mut self, outcome: Outcome, intake: &mut Intake);

    /// Whether an unfinished frame is held beside what is left in `input`, so that it must end within `line_timeout`.
    fn is_mid_frame(&self) -> bool {
        false
    }

    /// Whether a person types here, who may take longer for a line.
    fn is_person(&self) -> bool {
        false
    }
}

/// How a decoder wants to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// All whole frames are taken: more bytes are needed.
    More,
    /// The intake is full: hand it over and come back with the rest of the input.
    Full,
    /// The last command of the intake must be done before the next frame is read: come back with
    /// [`Decoder::resolved`], then with the rest of the input.
    Await,
    /// The rest of the input is in another protocol.
    Switch(Wire),
    /// Too many lines in a row could not be read: say goodbye.
    HangUp,
}

/// What a decoder makes of one stretch of input.
#[derive(Debug, Default)]
pub struct Intake {
    /// What the spans of the commands point into.
    pub bytes: Bytes,
    /// The places that sends name by index.
    pub places: SmallVec<[Place; 1]>,
    /// The requests, in the order they were made.
    pub asks: Vec<Ask>,
    /// What the connection is told without the router: lines that could not be read, banners, telnet options.
    pub events: Vec<Event>,
    /// Bytes of answers that the requests may bring.
    pub claim: usize,
    /// Ask for a sign of life after so long without a line, from now on.
    pub heartbeat: Option<std::time::Duration>,
    /// How many lines were read, to be counted against `messages_per_second`.
    pub lines: usize,
}

/// Bytes of answers at which an intake is full: a quarter of the smallest sensible answer budget.
pub const INTAKE_CLAIM_MAX: usize = 256 << 10;

/// What a request is counted as that everyone around hears of: some dozens of them are let in at once, not a thousand.
const NEWS_BYTES: usize = 8 << 10;

impl Intake {
    /// Adds a request and what its answer may take.
    pub fn ask(&mut self, ask: Ask, claim: usize) {
        self.asks.push(ask);
        self.claim += claim;
    }

    /// Bytes that it holds.
    pub fn weight(&self) -> usize {
        self.bytes.len() + self.asks.len() * size_of::<Ask>()
    }

    /// Whether it should be handed over before more is read.
    pub const fn is_full(&self) -> bool {
        self.claim >= INTAKE_CLAIM_MAX
    }

    /// The index of a place, which in a batch is mostly among the last ones.
    ///
    /// It looks no further, so a batch that names thousands of places stays cheap; one may then stand there twice.
    pub fn place(&mut self, place: &Place) -> u32 {
        /// What a publisher to several rooms goes round in.
        const RECENT: usize = 8;
        let recent = self.places.len().saturating_sub(RECENT);
        let known = self.places[recent..].iter().rposition(|known| known == place).map(|at| recent + at);
        let at = known.unwrap_or_else(|| {
            self.places.push(place.clone());
            self.places.len() - 1
        });
        // Invariant: a batch is at most a few buffers long, so it names far fewer places than 2^32.
        u32::try_from(at).unwrap_or(u32::MAX)
    }
}

/// The outgoing half: items to bytes.
pub trait Encoder: Send {
    /// Appends what an item looks like on the wire.
    fn encode(&mut self, item: Item, out: &mut Output);

    /// Until when something is held back, to be told together with what may still come: call [`Encoder::flush`] then.
    fn pending_until(&self) -> Option<Instant> {
        None
    }

    /// Appends what is held back, whatever the time.
    fn flush(&mut self, _out: &mut Output) {}
}

/// Bytes to write, in order: shared slices where they can be, copies where they must be.
#[derive(Debug, Default)]
pub struct Output {
    slices: Vec<Bytes>,
    scratch: BytesMut,
}

impl Output {
    /// Appends shared bytes without copying them.
    pub fn share(&mut self, bytes: Bytes) {
        self.close();
        self.slices.push(bytes);
    }

    /// A buffer to append to; it keeps its place among the shared bytes.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.scratch
    }

    /// All of it, in order.
    pub fn slices(&mut self) -> &mut Vec<Bytes> {
        self.close();
        &mut self.slices
    }

    /// How many stretches of memory it is in.
    pub const fn len(&self) -> usize {
        self.slices.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty() && self.scratch.is_empty()
    }

    /// Forgets everything but the memory.
    pub fn clear(&mut self) {
        self.slices.clear();
        self.scratch.clear();
    }

    fn close(&mut self) {
        if !self.scratch.is_empty() {
            self.slices.push(self.scratch.split().freeze());
        }
    }
}
