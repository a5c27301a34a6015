//! What each subscriber must see: every message of every publisher of its room, once, in order and unchanged.
//!
//! Nothing here knows how messages come. A message that never comes shows as missing at the next one of its publisher, or
//! in the count at the end.

use std::fmt;
use std::ops::AddAssign;

use super::stamp::{self, STAMP};

/// The longest payload: with its head it fits a line of linehub's.
pub(super) const PAYLOAD_MAX: usize = 60_000;

/// What payloads are filled with behind the stamp.
pub(super) const FILLER: u8 = b'x';

/// As much of it as any payload holds, so that comparing is one call.
static FILLING: [u8; PAYLOAD_MAX] = [FILLER; PAYLOAD_MAX];

/// One subscriber's view of its room.
#[derive(Debug)]
pub(super) struct Check {
    /// The number of the room's first publisher; the others follow it.
    first: u32,
    /// The counter that comes next, for each publisher.
    next: Box<[u64]>,
    tally: Tally,
}

/// What was seen that should not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Messages passed over.
    pub(super) missing: u64,
    /// Messages that came a second time, or after a later one.
    pub(super) repeated: u64,
    /// Messages that are not as they were sent, or do not belong in the room.
    pub(super) altered: u64,
}

impl Check {
    /// A subscriber of a room with so many publishers, numbered from `first`.
    pub(super) fn new(first: u32, publishers: usize) -> Self {
        Self { first, next: vec![0; publishers].into(), tally: Tally::default() }
    }

    /// Looks at a payload; the counter of one that counts as delivered.
    #[inline]
    pub(super) fn see(&mut self, payload: &[u8]) -> Option<u64> {
        let stamped = stamp::read(payload).filter(|_| payload[STAMP..] == FILLING[..payload.len() - STAMP]);
        let Some((publisher, counter)) = stamped else {
            self.tally.altered += 1;
            return None;
        };
        let Some(next) = self.next.get_mut(publisher.wrapping_sub(self.first) as usize) else {
            self.tally.altered += 1;
            return None;
        };
        if counter == *next {
            *next += 1;
            return Some(counter);
        }
        if counter < *next {
            self.tally.repeated += 1;
            return None;
        }
        self.tally.missing += counter - *next;
        *next = counter + 1;
        Some(counter)
    }

    /// What is wrong, once each publisher has sent so many.
    pub(super) fn finish(&self, sent: impl Iterator<Item = u64>) -> Tally {
        let mut tally = self.tally;
        for (next, sent) in self.next.iter().zip(sent) {
            tally.missing += sent.saturating_sub(*next);
            // A message that nobody sent.
            tally.altered += next.saturating_sub(sent);
        }
        tally
    }
}

impl Tally {
    pub(super) fn is_clean(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.missing += other.missing;
        self.repeated += other.repeated;
        self.altered += other.altered;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { missing, repeated, altered } = self;
        write!(f, "{missing} missing, {repeated} repeated or late, {altered} altered")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(publisher: u32, counter: u64) -> Vec<u8> {
        let mut payload = vec![FILLER; 24];
        stamp::write(&mut payload, publisher, counter);
        payload
    }

    /// What a subscriber of publishers 7 and 8, who sent `sent` each, makes of a stream.
    fn verdict(stream: &[(u32, u64)], sent: [u64; 2]) -> Tally {
        let mut check = Check::new(7, 2);
        for (publisher, counter) in stream {
            check.see(&payload(*publisher, *counter));
        }
        check.finish(sent.into_iter())
    }

    #[test]
    fn a_lost_doubled_or_reordered_message_is_told() {
        let tally = |missing, repeated, altered| Tally { missing, repeated, altered };
        let table: [(&[(u32, u64)], _, _); 10] = [
            (&[(7, 0), (8, 0), (7, 1), (7, 2), (8, 1)], [3, 2], tally(0, 0, 0)),
            (&[], [0, 0], tally(0, 0, 0)),
            (&[(7, 0), (7, 2)], [3, 0], tally(1, 0, 0)),
            (&[(7, 1)], [2, 0], tally(1, 0, 0)),
            (&[(7, 0)], [3, 1], tally(3, 0, 0)),
            (&[(7, 0), (7, 0), (7, 1)], [2, 0], tally(0, 1, 0)),
            (&[(7, 0), (7, 2), (7, 1)], [3, 0], tally(1, 1, 0)),
            (&[(9, 0), (6, 0)], [0, 0], tally(0, 0, 2)),
            (&[(7, 0), (8, 0)], [1, 0], tally(0, 0, 1)),
            (&[(8, 1), (7, 0)], [1, 1], tally(1, 0, 1)),
        ];
        for (stream, sent, expected) in table {
            assert_eq!(verdict(stream, sent), expected, "{stream:?}");
        }
    }

    #[test]
    fn a_changed_byte_is_told_wherever_it_is() {
        let sent = payload(7, 0);
        for at in 0..sent.len() {
            let mut check = Check::new(7, 1);
            let mut changed = sent.clone();
            changed[at] ^= 1;
            check.see(&changed);
            assert!(!check.finish([1].into_iter()).is_clean(), "byte {at}");
        }
    }
}
