//! Gathers what a [`Stretch`] wants out of groups that come one by one, in the direction in which it is read.
//!
//! Every engine hands its groups to a [`Gather`], so that counts, bounds and times mean the same in all. It knows no file
//! and asks for nothing: it says after each group whether it wants another.

use std::sync::Arc;

use crate::model::{Chunk, Seq};

use super::{Boot, Found, Group, Stretch};

/// A read on its way.
#[derive(Debug)]
pub(super) struct Gather<'a> {
    stretch: &'a Stretch,
    boot: Boot,
    /// The first number that is there and wanted.
    first: Seq,
    /// The number behind the last one.
    end: Seq,
    messages_left: usize,
    bytes_left: usize,
    /// The end of what was looked at on the side where the next group comes.
    edge: Option<Seq>,
    /// The chunks of each group, in the direction read.
    taken: Vec<Vec<Arc<Chunk>>>,
    more: bool,
    /// The numbers of the groups that were read, both inclusive.
    seen: Vec<(Seq, Seq)>,
    damaged: Vec<(Seq, Seq)>,
}

impl<'a> Gather<'a> {
    /// Nothing yet, of a room that has these numbers.
    pub(super) fn new(stretch: &'a Stretch, boot: Boot, oldest: Seq, newest: Seq) -> Self {
        Self {
            stretch,
            boot,
            first: stretch.first.max(oldest).max(Seq(1)),
            end: stretch.end.min(newest.next()),
            messages_left: stretch.count,
            bytes_left: stretch.bytes.max(1),
            edge: None,
            taken: Vec::new(),
            more: false,
            seen: Vec::new(),
            damaged: Vec::new(),
        }
    }

    /// The first number that is there and wanted, and the one behind the last, if there is any.
    pub(super) fn range(&self) -> Option<(Seq, Seq)> {
        (self.first < self.end).then_some((self.first, self.end))
    }

    /// Takes what is wanted of the next group; whether the one after it is wanted too.
    pub(super) fn take(&mut self, first: Seq, floor: u64, group: &Group, is_done: impl Fn(Seq) -> bool) -> bool {
        let last = Seq(first.0 + u64::from(group.count()) - 1);
        if !self.advance(first, last) {
            return self.damaged(first, last);
        }
        let mut ts = floor;
        let mut wanted = Vec::new();
        for (seq, record) in (first.0..).map(Seq).zip(group.records(self.boot)) {
            ts = ts.max(record.ts);
            let in_time = (self.stretch.since..=self.stretch.until).contains(&ts);
            if in_time && (self.first..self.end).contains(&seq) && !is_done(seq) {
                wanted.push(seq);
            }
        }
        if !wanted.is_empty() {
            self.choose(first, floor, group, wanted);
        }
        let is_past = if self.stretch.is_forward { ts > self.stretch.until } else { floor < self.stretch.since };
        !self.more && !is_past
    }

    /// Notes numbers that are there and cannot be read; whether the group after them is wanted.
    pub(super) fn damaged(&mut self, first: Seq, last: Seq) -> bool {
        if self.messages_left == 0 || self.bytes_left == 0 {
            // They are for who reads on.
            self.more = true;
            return false;
        }
        let (first, last) = (first.max(self.first), last.min(Seq(self.end.0 - 1)));
        if first <= last {
            self.damaged.push((first, last));
        }
        true
    }

    /// What was found.
    pub(super) fn found(mut self) -> Found {
        if !self.stretch.is_forward {
            self.taken.reverse();
            self.seen.reverse();
        }
        let damaged = without(self.damaged, &self.seen);
        Found { chunks: self.taken.into_iter().flatten().collect(), more: self.more, damaged }
    }

    /// Whether a group lies ahead of those that were looked at, as groups do where nothing is damaged.
    fn advance(&mut self, first: Seq, last: Seq) -> bool {
        let is_ahead = self.edge.is_none_or(|edge| if self.stretch.is_forward { first > edge } else { last < edge });
        if is_ahead {
            self.edge = Some(if self.stretch.is_forward { last } else { first });
            self.seen.push((first, last));
        }
        is_ahead
    }

    /// Encodes as many of the wanted ones as may still be taken.
    fn choose(&mut self, first: Seq, floor: u64, group: &Group, mut wanted: Vec<Seq>) {
        self.more = wanted.len() > self.messages_left;
        self.narrow(&mut wanted, self.messages_left);
        if wanted.is_empty() {
            return;
        }
        let encode = |wanted: &[Seq]| {
            group.chunks(self.boot, &self.stretch.place, first, floor, |seq| wanted.binary_search(&seq).is_ok())
        };
        let mut chunks = encode(&wanted);
        let mut sizes: Vec<usize> = Vec::with_capacity(wanted.len());
        for chunk in &chunks {
            sizes.extend((0..chunk.lines().len()).map(|at| chunk.span(&(at..at + 1)).len()));
        }
        if !self.stretch.is_forward {
            sizes.reverse();
        }
        // The one that goes over the bound is still taken.
        let mut fitting = 0;
        for size in sizes {
            if self.bytes_left == 0 {
                break;
            }
            self.bytes_left = self.bytes_left.saturating_sub(size);
            fitting += 1;
        }
        if fitting < wanted.len() {
            self.more = true;
            self.narrow(&mut wanted, fitting);
            chunks = encode(&wanted);
        }
        self.messages_left -= wanted.len();
        self.taken.push(chunks);
    }

    /// Leaves the first `count` in the direction read.
    fn narrow(&self, wanted: &mut Vec<Seq>, count: usize) {
        if self.stretch.is_forward {
            wanted.truncate(count);
        } else {
            wanted.drain(..wanted.len().saturating_sub(count));
        }
    }
}

/// The damaged numbers, each once and in order, without those that were read after all: what a damaged group says of its
/// own numbers may be what is damaged.
fn without(mut damaged: Vec<(Seq, Seq)>, seen: &[(Seq, Seq)]) -> Vec<(Seq, Seq)> {
    damaged.sort_unstable();
    let mut left = Vec::new();
    let mut next = Seq(0);
    for (first, last) in damaged {
        next = next.max(first);
        for (seen_first, seen_last) in seen.iter().filter(|(_, seen_last)| *seen_last >= first) {
            if next < *seen_first && next <= last {
                left.push((next, last.min(Seq(seen_first.0 - 1))));
            }
            next = next.max(seen_last.next().min(last.next()));
        }
        if next <= last {
            left.push((next, last));
            next = last.next();
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_not_damaged_and_nothing_is_damaged_twice() {
        let pairs = |pairs: &[(u64, u64)]| pairs.iter().map(|(a, b)| (Seq(*a), Seq(*b))).collect::<Vec<_>>();
        let seen = pairs(&[(1, 3), (6, 8), (12, 12)]);
        for (damaged, left) in [
            (&[(4, 5)][..], &[(4, 5)][..]),
            (&[(4, 20)], &[(4, 5), (9, 11), (13, 20)]),
            (&[(2, 9)], &[(4, 5), (9, 9)]),
            (&[(9, 11), (4, 10)], &[(4, 5), (9, 10), (11, 11)]),
            (&[(6, 7)], &[]),
        ] {
            assert_eq!(without(pairs(damaged), &seen), pairs(left), "{damaged:?}");
        }
    }
}
