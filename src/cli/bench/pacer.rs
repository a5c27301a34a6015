//! Wakes the generator as often as a rate asks for, to the microsecond.
//!
//! A timer of the kernel's own, since waiting for events counts in milliseconds and spinning would take a CPU from the
//! server under test.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A timer among the events of a poll; gone when it is dropped.
#[derive(Debug)]
pub(super) struct Pacer {
    timer: OwnedFd,
    /// When it is set to go off.
    due: Duration,
}

impl Pacer {
    /// A timer that is not set yet. It is edge-triggered, so that nothing needs to be read.
    pub(super) fn new(registry: &Registry) -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), Token(usize::MAX), Interest::READABLE)?;
        Ok(Self { timer, due: Duration::ZERO })
    }

    /// Has an event come at `due`, where it is `now`; both count from the same moment.
    pub(super) fn wake_at(&mut self, due: Duration, now: Duration) -> io::Result<()> {
        if self.due != due {
            // Zero would switch the timer off.
            let left = due.saturating_sub(now).max(Duration::from_nanos(1));
            let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
            let once = Itimerspec { it_interval: Timespec::default(), it_value };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            self.due = due;
        }
        Ok(())
    }
}
