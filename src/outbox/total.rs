//! What all connections share: how much waits for them, and how much of what they sent is not safe yet.
//!
//! Counters alone; who waits for them, waits in the outbox.

use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// Bytes of all connections together on their way to the disk, from which on one that has some there already is not read from:
/// half of what the store takes, so that many who publish at once are held up and not refused.
pub(super) const UNCOMMITTED_TOTAL: usize = 8 << 20;

/// What all connections share.
#[derive(Debug, Default)]
pub struct Total {
    /// Bytes that wait to be written; below zero for a moment where a writer is quicker than the count.
    waiting: AtomicIsize,
    /// Bytes that are not safe yet.
    pub(super) uncommitted: AtomicUsize,
}

impl Total {
    /// Bytes that wait now.
    pub fn bytes(&self) -> usize {
        self.waiting.load(Ordering::Relaxed).max(0).cast_unsigned()
    }

    /// Counts bytes that were just fed, once for all the outboxes that got them.
    pub fn add(&self, bytes: usize) {
        self.waiting.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    pub(super) fn sub(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
    }
}
