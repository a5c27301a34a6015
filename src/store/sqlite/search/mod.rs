//! Searching: an index of the words of all messages in a file of its own, and the thread that keeps and asks it.
//!
//! The thread follows the messages by what was told and never the other way round: whatever happens to the index, nobody's
//! message waits for it. A damaged or foreign index is made anew. It answers on the stream of the store.

mod desk;
mod follow;
mod index;
mod source;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::store::{Boot, Event, Hits, Query, Searched, Ticket, Unsearchable};

use super::writer::Told;

pub(super) use desk::Desk;
use desk::Next;
pub(super) use follow::{Follower, Step};

/// How long the first message waits for others to be indexed with it: what few people notice, and a hundredth of the work
/// where messages come one by one. A search does not wait for it.
const GATHER: Duration = Duration::from_millis(300);

/// How often some parts are looked at for what is kept no more.
const SWEEP: Duration = Duration::from_secs(2);

/// How long the first wait is after a failure; each one is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// How long the last one is.
const LAST_WAIT: Duration = Duration::from_secs(30);

/// How often a search is begun again because something was erased meanwhile.
const AGAIN: usize = 8;

/// How far it stands back: it gets a third of what another thread gets, and all that nobody wants.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// What went wrong, by what is to be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// The messages cannot be read.
    #[error("the messages cannot be read: {0}")]
    Messages(rusqlite::Error),
    /// The index cannot be read or written.
    #[error("the index cannot be used: {0}")]
    Index(rusqlite::Error),
    /// The index cannot be asked.
    #[error("the index cannot be asked: {0}")]
    Query(rusqlite::Error),
    /// The files of the index cannot be taken away.
    #[error("the index cannot be removed: {0}")]
    File(std::io::Error),
    /// More was erased than is remembered.
    #[error("the index is too far behind")]
    Lost,
}

impl Fault {
    /// Whether a new index would mend it.
    fn is_mendable(&self) -> bool {
        match self {
            Self::Index(error) => follow::is_damage(error),
            // Whatever somebody searches for, it never costs the index.
            Self::Query(error) => follow::is_corruption(error),
            Self::Lost => true,
            Self::Messages(_) | Self::File(_) => false,
        }
    }

    /// What somebody is told who searches.
    fn told(&self) -> Unsearchable {
        if self.is_mendable() { Unsearchable::Building } else { Unsearchable::Failed }
    }
}

/// The thread that searches.
#[derive(Debug)]
pub(super) struct Searcher {
    pub(super) path: PathBuf,
    pub(super) boot: Boot,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) told: Arc<Told>,
    pub(super) desk: Arc<Desk>,
}

/// Where the thread is between two steps.
struct Run {
    rooms: Option<Searched>,
    follower: Option<Follower>,
    /// Whether there is more to index.
    is_behind: bool,
    /// When what has come is indexed.
    due: Option<Instant>,
    sweep_at: Instant,
    /// When it is tried again after a failure.
    retry_at: Option<Instant>,
    wait: Duration,
    /// What is said as long as there is no whole index.
    told: Unsearchable,
}

impl Searcher {
    /// Follows and answers until nobody can ask any more.
    pub(super) fn run(self) {
        // Also where this thread ends by a panic nobody waits for an answer.
        let _guard = Guard(&self.desk);
        give_way();
        let mut run = Run {
            rooms: None,
            follower: None,
            is_behind: false,
            due: None,
            sweep_at: Instant::now() + SWEEP,
            retry_at: None,
            wait: FIRST_WAIT,
            told: Unsearchable::Building,
        };
        loop {
            let done = match self.desk.next(run.patience(), run.due.is_none() && !run.is_behind) {
                Next::Closed => break,
                Next::Search(ticket, query) => self.answer(&mut run, ticket, &query),
                Next::Rooms(rooms) => {
                    run.rooms = Some(rooms.clone());
                    run.is_behind = true;
                    run.follower.as_mut().map_or(Ok(()), |follower| follower.search_rooms(rooms))
                }
                Next::Struck => {
                    run.due = Some(Instant::now() + GATHER);
                    self.note_lag(&run);
                    Ok(())
                }
                Next::Nothing => self.work(&mut run),
            };
            if let Err(fault) = done {
                self.failed(&mut run, &fault);
            }
        }
    }

    /// Does what is due.
    fn work(&self, run: &mut Run) -> Result<(), Fault> {
        let now = Instant::now();
        if run.retry_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        if run.is_behind || run.retry_at.is_some() || run.due.is_some_and(|at| at <= now) {
            return self.step(run);
        }
        if run.sweep_at <= now {
            run.sweep_at = now + SWEEP;
            return run.follower.as_mut().map_or(Ok(()), Follower::sweep);
        }
        Ok(())
    }

    fn step(&self, run: &mut Run) -> Result<(), Fault> {
        run.due = None;
        let Some(rooms) = &run.rooms else { return Ok(()) };
        // What was not told yet may still not be.
        let end = *self.told.lock();
        let follower = match &mut run.follower {
            Some(follower) => follower,
            empty => empty.insert(Follower::open(&self.path, end, rooms.clone())?),
        };
        let was_whole = follower.is_whole();
        run.is_behind = follower.step(end)? == Step::More;
        if !was_whole && follower.is_whole() {
            tracing::info!("all messages can be searched");
        }
        (run.retry_at, run.wait, run.told) = (None, FIRST_WAIT, Unsearchable::Building);
        self.note_lag(run);
        Ok(())
    }

    fn note_lag(&self, run: &Run) {
        let end = *self.told.lock();
        let behind = run.follower.as_ref().map_or(end - 1, |follower| follower.behind(end));
        self.desk.note_lag(behind);
        let lag = self.desk.lag();
        tracing::debug!(messages = lag.messages, seconds = lag.age.as_secs_f32(), "the index is behind");
    }

    /// Notes a failure, and when it is tried again.
    fn failed(&self, run: &mut Run, fault: &Fault) {
        tracing::error!(%fault, path = %self.path.display(), "searching has failed");
        run.follower = None;
        run.told = fault.told();
        if fault.is_mendable()
            && let Err(fault) = Follower::remove(&self.path)
        {
            tracing::error!(%fault, "searching has failed");
        }
        run.retry_at = Some(Instant::now() + run.wait);
        run.wait = (run.wait * 2).min(LAST_WAIT);
        self.note_lag(run);
    }

    /// Answers a search, with what has come so far taken in where that is little.
    fn answer(&self, run: &mut Run, ticket: Ticket, query: &Query) -> Result<(), Fault> {
        let done = if run.retry_at.is_none() { self.step(run) } else { Ok(()) };
        let why = match (&done, &mut run.follower) {
            (Ok(()), Some(follower)) if follower.is_whole() => return self.find(follower, ticket, query),
            (Err(fault), _) => fault.told(),
            (Ok(()), _) => run.told.clone(),
        };
        self.say(ticket, Err(why));
        done
    }

    fn find(&self, follower: &mut Follower, ticket: Ticket, query: &Query) -> Result<(), Fault> {
        for _ in 0..AGAIN {
            let end = *self.told.lock();
            let found = follower.erased().and_then(|before| Ok((before, follower.find(query, end, self.boot)?)));
            let (before, hits) = match found {
                Ok(found) => found,
                Err(fault) => {
                    self.say(ticket, Err(fault.told()));
                    return Err(fault);
                }
            };
            // While this is held nothing is told. So what was erased in the meantime is told behind this answer, or seen here.
            let told = self.told.lock();
            let is_still_so = follower.erased().is_ok_and(|after| after == before);
            if is_still_so {
                self.say(ticket, Ok(hits));
                return Ok(());
            }
            drop(told);
        }
        self.say(ticket, Err(Unsearchable::Failed));
        Ok(())
    }

    fn say(&self, ticket: Ticket, found: Result<Hits, Unsearchable>) {
        // Who no longer listens wants to hear nothing.
        let _ = self.events.blocking_send(Event::Found(ticket, found));
    }
}

impl Run {
    /// How long there is nothing to do.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let until = |at: Instant| at.saturating_duration_since(now);
        if let Some(at) = self.retry_at {
            return until(at);
        }
        if self.is_behind {
            return Duration::ZERO;
        }
        self.due.map_or(until(self.sweep_at), |due| until(due.min(self.sweep_at)))
    }
}

/// Has the system prefer every other thread of the server, where it does so by thread: a machine without time to spare delivers
/// messages first.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(NICE) {
        tracing::debug!(%error, "searching takes as much of the processor as anything else");
    }
}

/// Lets nobody ask when the thread has ended.
struct Guard<'a>(&'a Desk);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}
