//! The thread that writes: takes what waits, commits it with one sync, says so, and cleans up in between.
//!
//! After any error it fails what is in flight, opens the database anew at growing intervals until it has synced and read what is really
//! there, and only then takes writes again. A commit that failed is never tried again. A backup is a few steps after each commit.

use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{mpsc, oneshot};

use crate::store::{Contents, Event, Ticket, Write};

use super::backup::{self, BackupError, Copying, Job};
use super::commit::Work;
use super::database::Database;
use super::directory::Directory;
use super::inbox::{Inbox, Taken};
use super::schema;
use super::search::Desk;
use super::{OpenError, Options};

/// Bytes of batches that one commit takes: more would make the first wait for the last, and the sync is paid by then.
const COMMIT_BYTES: usize = 4 << 20;

/// How often what is too old is looked for.
const TICK: Duration = Duration::from_secs(1);

/// Pages of the log (8 MiB) after which they are copied into the file: seldom enough that a page which changes often is
/// copied once, and so few that it takes some ten milliseconds.
const LOG_PAGES: u64 = (8 << 20) / 4096;

/// Pages of the log (64 MiB) at which it is emptied: while someone always reads it, it would grow for ever.
const LOG_PAGES_MAX: u64 = (64 << 20) / 4096;

/// How long readers are waited for then, once in a tick: commits wait as long.
const READERS: Duration = Duration::from_millis(50);

/// How often is cleaned up while there is something to and batches come without a pause.
const STEP: Duration = Duration::from_millis(20);

/// How long the first wait is after a failure; each one is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// How long the last one is.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// The place behind the newest message that was told. The writer holds it while it tells, so that whoever has heard of a
/// message reads it, and nobody reads what the stream has not said before.
#[derive(Debug)]
pub(super) struct Told {
    end: Mutex<u64>,
    /// Where it is said that something was told.
    desk: Arc<Desk>,
}

impl Told {
    /// Nothing is there before the writer has looked.
    pub(super) const fn new(desk: Arc<Desk>) -> Self {
        Self { end: Mutex::new(0), desk }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, u64> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: Directory,
    pub(super) options: Options,
    pub(super) inbox: Arc<Inbox>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) told: Arc<Told>,
    /// When emptying the log is tried again.
    pub(super) empty_at: Instant,
    pub(super) wait: Duration,
}

impl Writer {
    /// A writer that has written nothing.
    pub(super) fn new(
        directory: Directory,
        options: Options,
        inbox: Arc<Inbox>,
        events: mpsc::Sender<Event>,
        told: Arc<Told>,
    ) -> Self {
        Self { directory, options, inbox, events, told, empty_at: Instant::now(), wait: FIRST_WAIT }
    }

    /// Opens the file, says what is in it or why it cannot be opened, and writes until nobody can give it anything any
    /// more. Then it closes the file.
    pub(super) fn run(
        mut self,
        began: &SyncSender<Result<Contents, OpenError>>,
        reader: JoinHandle<()>,
        closed: oneshot::Sender<()>,
    ) {
        let inbox = Arc::clone(&self.inbox);
        // Also where this thread ends by a panic nobody waits for an answer.
        let _guard = Guard(&inbox);
        let database = match self.open(false) {
            Ok((contents, database)) => {
                *self.told.lock() = database.next_pos;
                self.told.desk.strike();
                let _ = began.send(Ok(contents));
                database
            }
            Err(error) => {
                // Whoever hears of it may try again, and finds the directory free.
                drop(self);
                let _ = began.send(Err(error));
                return;
            }
        };
        if let Some(database) = self.write(database) {
            // The reader ends when the last handle does; then the file is ours alone.
            let _ = reader.join();
            if let Err(error) = schema::checkpoint_all(&database.connection, schema::BUSY) {
                tracing::error!(%error, "the log of the store could not be copied into it; that is done at the next start");
            }
        } else {
            let _ = reader.join();
        }
        drop(self);
        let _ = closed.send(());
    }

    fn open(&self, must_sync: bool) -> Result<(Contents, Database), OpenError> {
        let path = self.directory.database();
        let database = Database::open(path, self.options.keys_age, must_sync)?;
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        Ok((database.contents(now_ms()).map_err(failed)?, database))
    }

    fn write(&mut self, mut database: Database) -> Option<Database> {
        let mut ticked = Instant::now();
        loop {
            let round = match self.inbox.job() {
                Some(job) => self.copy(&mut database, &mut ticked, job),
                None => self.round(&mut database, &mut ticked, TICK),
            };
            match round {
                Round::Went => {}
                Round::Closed => return Some(database),
                Round::Failed(error, mut unanswered) => {
                    tracing::error!(%error, path = %self.directory.database().display(), "the store has failed");
                    drop(database);
                    unanswered.extend(self.inbox.fail());
                    self.say(Event::Failed(unanswered));
                    database = self.recover()?;
                }
            }
        }
    }

    /// Commits what waits, waiting for it at most so long, and cleans up when it is time.
    fn round(&mut self, database: &mut Database, ticked: &mut Instant, patience: Duration) -> Round {
        let patience =
            if database.has_leavings() { Duration::ZERO } else { TICK.saturating_sub(ticked.elapsed()).min(patience) };
        let (tickets, mut done) = match self.inbox.take(COMMIT_BYTES, patience) {
            Taken::Closed => return Round::Closed,
            Taken::Batches(batches) => {
                let tickets: Vec<_> = batches.iter().flatten().map(Write::ticket).collect();
                (tickets, self.commit(database, batches))
            }
            Taken::Nothing => (Vec::new(), Ok(())),
        };
        let is_idle = tickets.is_empty();
        let mut unanswered = tickets;
        if done.is_ok() {
            unanswered.clear();
            self.wait = FIRST_WAIT;
            let pause = match database.has_leavings() {
                true if is_idle => Duration::ZERO,
                true => STEP,
                false => TICK,
            };
            if ticked.elapsed() >= pause {
                *ticked = Instant::now();
                done = self.tick(database);
            }
        }
        match done.and_then(|()| self.checkpoint(database)) {
            Ok(()) => Round::Went,
            Err(error) => Round::Failed(error, unanswered),
        }
    }

    /// Makes a copy of the file, some pages after each round. What goes wrong with it is told to who wanted it, and the store
    /// goes on.
    fn copy(&mut self, database: &mut Database, ticked: &mut Instant, job: Job) -> Round {
        let source = Rc::clone(&database.connection);
        let Job { path, done } = job;
        let mut target = match backup::open_target(&path) {
            Ok(target) => target,
            Err(error) => return self.copied(done, Err(backup::not_copied(&error))),
        };
        let mut copying = match Copying::new(&source, &mut target) {
            Ok(copying) => copying,
            Err(error) => return self.copied(done, Err(backup::not_copied(&error))),
        };
        while !done.is_closed() {
            match copying.step() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => return self.copied(done, Err(backup::not_copied(&error))),
            }
            match self.round(database, ticked, copying.patience()) {
                Round::Went => {}
                end => {
                    let _ = done.send(Err(BackupError::Ended));
                    return end;
                }
            }
        }
        drop(copying);
        let closed = target.close().map_err(|(_, error)| backup::not_copied(&error));
        self.copied(done, closed)
    }

    fn copied(&self, done: oneshot::Sender<Result<(), BackupError>>, copied: Result<(), BackupError>) -> Round {
        if let Err(error) = &copied {
            tracing::warn!(%error, path = %self.directory.database().display(), "no backup was made");
        }
        // One that gave up wants to hear nothing.
        let _ = done.send(copied);
        Round::Went
    }

    fn commit(&mut self, database: &mut Database, batches: Vec<Vec<Write>>) -> rusqlite::Result<()> {
        let work = database.commit(batches, now_ms())?;
        self.tell(database, work);
        Ok(())
    }

    fn tick(&mut self, database: &mut Database) -> rusqlite::Result<()> {
        let work = database.tick(now_ms())?;
        self.tell(database, work);
        Ok(())
    }

    fn tell(&mut self, database: &Database, work: Work) {
        if work.events.is_empty() {
            return;
        }
        let mut told = self.told.lock();
        for event in work.events {
            self.say(event);
        }
        *told = database.next_pos;
        drop(told);
        self.told.desk.strike();
    }

    /// Copies the log into the file where it has grown, and empties it where it still says what was redacted.
    fn checkpoint(&mut self, database: &mut Database) -> rusqlite::Result<()> {
        let log = schema::log(&database.connection)?;
        let must_empty = database.must_scrub || log.pages > LOG_PAGES_MAX;
        if must_empty && self.empty_at <= Instant::now() {
            if schema::checkpoint_all(&database.connection, READERS)? {
                database.must_scrub = false;
                return Ok(());
            }
            tracing::debug!(pages = log.pages, "someone reads the log of the store, so that it cannot be emptied");
            self.empty_at = Instant::now() + TICK;
        } else if log.waiting >= LOG_PAGES {
            schema::checkpoint_some(&database.connection)?;
        }
        Ok(())
    }

    /// The database, when it is well again; `None` when nobody wants to know any more.
    fn recover(&mut self) -> Option<Database> {
        loop {
            if self.inbox.wait(self.wait) {
                return None;
            }
            self.wait = (self.wait * 2).min(LAST_WAIT);
            match self.open(true) {
                Ok((contents, database)) => {
                    tracing::info!("the store is well again");
                    self.inbox.restore();
                    let mut told = self.told.lock();
                    self.say(Event::Restored(Box::new(contents)));
                    *told = database.next_pos;
                    drop(told);
                    return Some(database);
                }
                Err(error) => tracing::error!(%error, "the store is still failing"),
            }
        }
    }

    /// Waits for whoever listens; one that does not any more wants to hear nothing.
    fn say(&self, event: Event) {
        let _ = self.events.blocking_send(event);
    }
}

/// What came of one round of the writer.
#[derive(Debug)]
enum Round {
    /// All is well.
    Went,
    /// Nobody can give it anything any more.
    Closed,
    /// The database has to be opened anew; the tickets whose outcome is unknown.
    Failed(rusqlite::Error, Vec<Ticket>),
}

/// Lets nobody put anything in when the writer has ended.
struct Guard<'a>(&'a Inbox);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.fail();
    }
}

/// Unix milliseconds.
pub(super) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
