//! The way of batches to the writer: bounded in bytes, and shut while the store is not well.
//!
//! Putting never waits; taking does, for as long as it is told. The lock is held for a few moves of pointers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::{Refused, Ticket, Write};

use super::backup::{BackupError, Job};

/// Batches on their way.
#[derive(Debug)]
pub(super) struct Inbox {
    state: Mutex<State>,
    came: Condvar,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    batches: VecDeque<(usize, Vec<Write>)>,
    bytes: usize,
    /// A copy that is to be made.
    job: Option<Job>,
    has_failed: bool,
    is_closed: bool,
}

/// What the writer got.
#[derive(Debug)]
pub(super) enum Taken {
    /// Batches in order, at least one.
    Batches(Vec<Vec<Write>>),
    /// None came in time.
    Nothing,
    /// None will come any more.
    Closed,
}

impl Inbox {
    /// Nothing yet.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { state: Mutex::default(), came: Condvar::new(), bytes_max }
    }

    /// Takes a batch or refuses it. One that is larger than the bound goes in alone.
    pub(super) fn put(&self, batch: Vec<Write>) -> Result<(), Refused> {
        let cost = batch.iter().map(Write::cost).sum();
        let mut state = self.state();
        if state.has_failed || state.is_closed {
            return Err(Refused::Failed);
        }
        if state.bytes > 0 && state.bytes + cost > self.bytes_max {
            return Err(Refused::Full);
        }
        state.bytes += cost;
        state.batches.push_back((cost, batch));
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// Gives the writer what waits, up to some bytes, waiting for a first batch.
    pub(super) fn take(&self, bytes_max: usize, patience: Duration) -> Taken {
        let state = self.state();
        let is_idle = |state: &mut State| state.batches.is_empty() && !state.is_closed && state.job.is_none();
        let waited = self.came.wait_timeout_while(state, patience, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some((cost, _)) = state.batches.front() {
            if !taken.is_empty() && bytes + cost > bytes_max {
                break;
            }
            bytes += cost;
            taken.extend(state.batches.pop_front().map(|(_, batch)| batch));
        }
        state.bytes -= bytes;
        match (taken.is_empty(), state.is_closed) {
            (false, _) => Taken::Batches(taken),
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
        }
    }

    /// Takes a copy to be made, where none waits.
    pub(super) fn order(&self, job: Job) -> Result<(), BackupError> {
        let mut state = self.state();
        if state.has_failed || state.is_closed {
            return Err(BackupError::Ended);
        }
        if state.job.is_some() {
            return Err(BackupError::Busy);
        }
        state.job = Some(job);
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// The copy that is to be made, if one is.
    pub(super) fn job(&self) -> Option<Job> {
        self.state().job.take()
    }

    /// Refuses everything from now on, and gives the tickets of what waits.
    pub(super) fn fail(&self) -> Vec<Ticket> {
        let mut state = self.state();
        state.has_failed = true;
        state.job = None;
        state.bytes = 0;
        state.batches.drain(..).flat_map(|(_, batch)| batch).map(|write| write.ticket()).collect()
    }

    /// Takes batches again.
    pub(super) fn restore(&self) {
        self.state().has_failed = false;
    }

    /// Nobody will put anything any more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        state.job = None;
        drop(state);
        self.came.notify_one();
    }

    /// Waits, unless it is closed; whether it is.
    pub(super) fn wait(&self, patience: Duration) -> bool {
        let waited = self.came.wait_timeout_while(self.state(), patience, |state| !state.is_closed);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
