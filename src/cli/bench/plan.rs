//! Who is in which room, how large a payload is, and how far publishers may be ahead.
//!
//! Clients are numbered room by room, and within a room publishers first, so that a room's publishers are a range.

use super::wire::Part;

/// Bytes of payload that publishers may be ahead of one subscriber: a quarter of what linehub lets wait for a connection.
const AHEAD_BYTES: usize = 256 << 10;

/// Bytes that they may be ahead of all subscribers together.
const AHEAD_BYTES_TOTAL: usize = 32 << 20;

/// The window in messages: below the one nothing is batched, above the other nothing is gained.
const AHEAD_MESSAGES: (usize, usize) = (16, 4_096);

/// One run's clients.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// How many rooms there are.
    pub(super) rooms: usize,
    /// What the clients of each room do, publishers first.
    pub(super) parts: Vec<Part>,
    /// Bytes of each payload.
    pub(super) payload: usize,
    /// Messages that a room's publishers may be ahead of its slowest subscriber.
    pub(super) window: usize,
    /// Whether each message is a write of its own.
    pub(super) one_a_write: bool,
    /// Messages that each publisher may have unanswered, where each is acknowledged.
    pub(super) unacked: Option<u64>,
    /// Subscribers of each room, the last ones, that never read.
    pub(super) stalled: usize,
}

impl Plan {
    /// A plan for rooms that are all alike; `window` in place of the one worked out.
    pub(super) fn new(rooms: usize, parts: Vec<Part>, payload: usize, window: Option<usize>) -> Self {
        let subscribers = rooms * parts.iter().filter(|part| part.subscribes()).count();
        let window = window.unwrap_or_else(|| ahead(payload, subscribers));
        Self { rooms, parts, payload, window, one_a_write: false, unacked: None, stalled: 0 }
    }

    /// All clients: the room of each, and what it does there.
    pub(super) fn clients(&self) -> impl Iterator<Item = (usize, Part)> {
        (0..self.rooms).flat_map(|room| self.parts.iter().map(move |part| (room, *part)))
    }

    /// Publishers of one room.
    pub(super) fn publishers(&self) -> usize {
        self.parts.iter().filter(|part| part.publishes()).count()
    }

    /// Subscribers of one room that read.
    pub(super) fn readers(&self) -> usize {
        self.parts.iter().filter(|part| part.subscribes()).count() - self.stalled
    }

    /// Connections of the whole run.
    pub(super) fn connections(&self) -> usize {
        self.rooms * self.parts.len()
    }
}

/// One publisher, and so many subscribers.
pub(super) fn one_to(subscribers: usize) -> Vec<Part> {
    let mut parts = vec![Part::Subscribes; subscribers + 1];
    parts[0] = Part::Publishes;
    parts
}

/// The name of a room, the same in every protocol.
pub(super) fn room(number: usize) -> String {
    format!("bench.{number}")
}

fn ahead(payload: usize, subscribers: usize) -> usize {
    let bytes = AHEAD_BYTES.min(AHEAD_BYTES_TOTAL / subscribers.max(1));
    (bytes / payload.max(1)).clamp(AHEAD_MESSAGES.0, AHEAD_MESSAGES.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_is_bounded_for_one_and_for_all_and_never_too_small_or_large() {
        let table =
            [(128, 1, 2_048), (128, 100, 2_048), (128, 1_000, 262), (16, 1, 4_096), (16_384, 1, 16), (60_000, 1, 16)];
        for (payload, subscribers, expected) in table {
            assert_eq!(ahead(payload, subscribers), expected, "{payload} bytes to {subscribers}");
        }
    }
}
