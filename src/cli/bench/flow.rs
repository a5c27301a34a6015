//! How far a room's publishers may go ahead of its slowest subscriber, so that no server has a reason to drop anything.
//!
//! Counts messages alone: it knows no sockets and no clock.

/// One room's messages, sent and received.
#[derive(Debug)]
pub(super) struct Flow {
    window: u64,
    sent: u64,
    got: Box<[u64]>,
}

impl Flow {
    /// A room with so many subscribers.
    pub(super) fn new(window: u64, subscribers: usize) -> Self {
        Self { window, sent: 0, got: vec![0; subscribers].into() }
    }

    /// A subscriber has got so many; one who is not waited for is not counted.
    pub(super) fn got(&mut self, subscriber: usize, count: u64) {
        if let Some(got) = self.got.get_mut(subscriber) {
            *got += count;
        }
    }

    /// So many were sent.
    pub(super) fn sent(&mut self, count: u64) {
        self.sent += count;
    }

    /// How many may be sent now.
    pub(super) fn free(&self) -> u64 {
        let slowest = self.got.iter().copied().min().unwrap_or(self.sent);
        (slowest + self.window).saturating_sub(self.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_subscriber_decides() {
        let mut flow = Flow::new(16, 3);
        assert_eq!(flow.free(), 16);
        flow.sent(16);
        flow.got(0, 16);
        flow.got(1, 9);
        assert_eq!(flow.free(), 0);
        flow.got(2, 2);
        assert_eq!(flow.free(), 2);
        flow.got(3, 16);
        assert_eq!(flow.free(), 2, "one more is not waited for");
    }
}
