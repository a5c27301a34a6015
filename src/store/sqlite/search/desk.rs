//! The way to the index: searches in a bounded queue, and a bell that rings once however often it is struck.
//!
//! Nobody who puts something here waits. The lock is held for a few moves of pointers.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::{Lag, Query, Refused, Searched, Ticket};

/// Searches that may wait: each takes some milliseconds, so that the last one waits for about a second.
const SEARCHES: usize = 128;

/// What waits for the index.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Desk {
    state: Mutex<State>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct State {
    searches: VecDeque<(Ticket, Query)>,
    rooms: Option<Searched>,
    /// Whether there are messages that were not there before.
    is_struck: bool,
    /// Whether nobody takes anything any more.
    is_closed: bool,
    behind: u64,
    since: Option<Instant>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Next {
    /// Somebody searches.
    Search(Ticket, Query),
    /// Other rooms are searched from now on.
    Rooms(Searched),
    /// Something was committed.
    Struck,
    /// Nothing came in time.
    Nothing,
    /// Nothing will come any more.
    Closed,
}

impl Desk {
    /// Takes a search or refuses it.
    pub(in crate::store::sqlite) fn search(&self, ticket: Ticket, query: Query) -> Result<(), Refused> {
        let mut state = self.state();
        if state.is_closed {
            return Err(Refused::Failed);
        }
        if state.searches.len() >= SEARCHES {
            return Err(Refused::Full);
        }
        state.searches.push_back((ticket, query));
        drop(state);
        self.came.notify_one();
        Ok(())
    }

    /// Says which rooms are searched.
    pub(in crate::store::sqlite) fn index(&self, rooms: Searched) {
        self.state().rooms = Some(rooms);
        self.came.notify_one();
    }

    /// Says that something was committed.
    pub(in crate::store::sqlite) fn strike(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.is_struck, true) {
            drop(state);
            self.came.notify_one();
        }
    }

    /// Nobody will put anything any more, or nobody takes it.
    pub(in crate::store::sqlite) fn close(&self) {
        self.state().is_closed = true;
        self.came.notify_one();
    }

    /// How far the index is behind.
    pub(in crate::store::sqlite) fn lag(&self) -> Lag {
        let state = self.state();
        Lag { messages: state.behind, age: state.since.map_or(Duration::ZERO, |since| since.elapsed()) }
    }

    /// Notes how far the index is behind.
    pub(super) fn note_lag(&self, behind: u64) {
        let mut state = self.state();
        state.behind = behind;
        state.since = if behind == 0 { None } else { state.since.or_else(|| Some(Instant::now())) };
    }

    /// What is to be done next, waited for as long as may be; the bell is heard only where it is listened to.
    pub(super) fn next(&self, patience: Duration, is_listening: bool) -> Next {
        let is_idle = |state: &mut State| {
            state.searches.is_empty() && state.rooms.is_none() && !state.is_closed && !(is_listening && state.is_struck)
        };
        let waited = self.came.wait_timeout_while(self.state(), patience, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.is_closed {
            return Next::Closed;
        }
        if let Some(rooms) = state.rooms.take() {
            return Next::Rooms(rooms);
        }
        if let Some((ticket, query)) = state.searches.pop_front() {
            return Next::Search(ticket, query);
        }
        if is_listening && std::mem::take(&mut state.is_struck) {
            return Next::Struck;
        }
        Next::Nothing
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
