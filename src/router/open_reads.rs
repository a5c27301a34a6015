//! Reads that the store has not answered yet, and what is taken back while they are open.
//!
//! The store may read a message just before its redaction is committed and hand it over after the redacter was told `ok`.
//! So each open read notes what is taken back of its stretch, and whoever asked for it gets that blanked. The notes belong
//! to their read and go with it: there are no more of them than messages in the stretches of as many reads as the store
//! takes. It asks the store for nothing, and knows nothing of searches.

use std::collections::BTreeSet;
use std::ops::Range;

use super::Router;
use super::disk::ThenRead;
use super::history::without_body;
use crate::model::{RoomName, Seq};
use crate::store::{Found, ReadError, RoomKey, Stretch, Ticket};

/// A read that is open.
pub(super) struct OpenRead {
    room: RoomKey,
    seqs: Range<Seq>,
    /// Messages of the stretch whose redaction was committed since it was asked for.
    taken_back: BTreeSet<Seq>,
    then: ThenRead,
}

impl OpenRead {
    pub(super) fn new(stretch: &Stretch, then: ThenRead) -> Self {
        let seqs = stretch.first..stretch.end;
        Self { room: stretch.room.clone(), seqs, taken_back: BTreeSet::new(), then }
    }
}

impl Router {
    /// Has no read that is open show a message any more. One that is asked for later finds it blanked on disk.
    pub(super) fn taken_back(&mut self, room: &RoomName, seq: Seq) {
        let reads = self.disk.reads.values_mut();
        for read in reads.filter(|read| *read.room.0 == *room.key() && read.seqs.contains(&seq)) {
            read.taken_back.insert(seq);
        }
    }

    /// Hands what was read to the one who asked for it.
    pub(super) fn read_done(&mut self, ticket: Ticket, mut found: Result<Found, ReadError>) {
        let Some(read) = self.disk.reads.remove(&ticket) else { return };
        if let Ok(found) = &mut found {
            blank(found, &read.taken_back);
        }
        (read.then)(self, found);
    }
}

/// Blanks messages in what was read before they were taken back.
fn blank(found: &mut Found, taken_back: &BTreeSet<Seq>) {
    for chunk in &mut found.chunks {
        let (first, last) = (chunk.first(), chunk.last());
        for seq in taken_back.range(first..).take_while(|seq| **seq <= last) {
            *chunk = without_body(chunk, (seq.0 - first.0) as usize);
        }
    }
}
