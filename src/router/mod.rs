//! The router: the one actor that owns all room state.
//!
//! [`Router`] is that state with synchronous methods, one file for each concern it decides, so that all of it is tested
//! without a runtime. `actor` is the loop around it and [`RouterHandle`] the way to it. The router never waits: to a
//! connection it puts into an outbox that refuses when it is full, and everything it needs to know of the time it reads once
//! for each round.

mod actor;
mod answers;
mod catchup;
mod commits;
mod conns;
mod direct;
mod disk;
mod dispatch;
mod ending;
mod hall;
mod halls;
mod handle;
mod hello;
mod history;
mod join;
mod listing;
mod open_reads;
mod presence;
mod publish;
mod reads;
mod requests;
mod rest;
mod rights;
mod saved;
mod search;
mod settings;
#[cfg(test)]
mod tests;
mod unsure;
mod watches;
mod work;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::model::{ConnId, Outcome};
use crate::outbox::Total;
use crate::sessions::Sessions;
use crate::store::Boot;

pub use actor::{now, run};
pub use handle::{Connect, Control, Message, Parcel, RouterGone, RouterHandle, mailbox};

use conns::Conn;
use disk::Disk;
use halls::{HallId, Halls};
use hello::Parked;
use requests::Requests;
use watches::Watches;

/// Something for each connection. Their numbers are the server's own, so nobody can choose them to collide.
type ConnMap<T> = HashMap<ConnId, T, foldhash::fast::FixedState>;

/// The same, in an order and close together in memory.
type ConnIndex<T> = IndexMap<ConnId, T, foldhash::fast::FixedState>;

/// All rooms and who is in them.
#[derive(Debug)]
pub struct Router {
    config: Arc<Config>,
    sessions: Arc<Sessions>,
    total: Arc<Total>,
    now: Now,
    conns: ConnMap<Box<Conn>>,
    halls: Halls,
    watches: Watches,
    requests: Requests,
    parked: Parked,
    disk: Disk,
    /// Guests so far: the number of the next one's identity and of its nick.
    guests: u64,
    /// Connections with answers that are not in their outbox yet.
    answered: Vec<ConnId>,
    /// Halls with messages that are not delivered yet, or that may have become superfluous.
    dirty: Vec<HallId>,
    /// Readers that wait for what came of a command, told once its answers are in their outbox.
    resolved: Vec<(oneshot::Sender<Outcome>, Outcome)>,
    /// Buffers to encode messages in.
    spare: Vec<Vec<u8>>,
}

/// The time, read once for each round of the loop.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For time-outs.
    pub instant: Instant,
    /// For messages: Unix time in milliseconds.
    pub unix_ms: u64,
}

impl Router {
    /// A router without connections or rooms.
    pub fn new(config: Arc<Config>, sessions: Arc<Sessions>, total: Arc<Total>, now: Now) -> Self {
        Self {
            config,
            sessions,
            total,
            now,
            conns: ConnMap::default(),
            halls: Halls::default(),
            watches: Watches::default(),
            requests: Requests::default(),
            parked: Parked::default(),
            disk: Disk::new(None, Boot(0), halls::random_u128().to_le_bytes()),
            guests: 0,
            answered: Vec::new(),
            dirty: Vec::new(),
            resolved: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Notes what time it is.
    pub const fn at(&mut self, now: Now) {
        self.now = now;
    }

    /// Carries out one message.
    pub fn handle(&mut self, message: Message) {
        match message {
            Message::Connect(connect) => self.connect(*connect),
            Message::Parcel(parcel) => self.parcel(*parcel),
            Message::Drained(conn) => self.drained(conn),
            Message::Deaf(conn) => self.deaf(conn),
            Message::Close(conn, reason) => self.close_for(conn, reason),
            #[cfg(test)]
            Message::Fail => panic!("a test has it fail"),
        }
    }

    /// Takes new settings for what is decided from now on.
    pub fn reconfigure(&mut self, config: Arc<Config>) {
        self.config = config;
        self.index_rooms();
    }

    /// How long a shutdown waits for the store: half of what it has, so that there is time to say goodbye.
    pub fn patience(&self) -> Duration {
        self.config.server.shutdown_timeout / 2
    }

    /// Whether the store still owes an answer that a client waits for.
    pub fn awaits_store(&self) -> bool {
        self.disk.is_awaited() || self.conns.values().any(|conn| conn.uncommitted > 0)
    }

    /// Ends a round: delivers what the messages so far brought.
    pub fn settle(&mut self) {
        for hall in self.parked.released() {
            self.touch(hall);
        }
        loop {
            self.flush_answers();
            while let Some(hall) = self.dirty.pop() {
                if let Some(hall) = self.halls.get_mut(hall) {
                    hall.is_dirty = false;
                }
                self.flush(hall);
                self.dispatch_work(hall);
                self.forget_if_empty(hall);
            }
            self.submit();
            self.go_on();
            if self.dirty.is_empty() && self.disk.is_settled() {
                break;
            }
        }
        self.flush_answers();
        for (done, outcome) in self.resolved.drain(..) {
            // A reader that no longer waits belongs to a connection that is ending.
            let _ = done.send(outcome);
        }
    }

    /// When [`Router::expire`] next has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        [
            self.requests.next_deadline(),
            self.halls.next_deadline(),
            self.parked.next_deadline(),
            self.watches.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what the time asks for.
    pub fn expire(&mut self) {
        self.expire_requests();
        self.expire_halls();
        self.parked.expire(self.now.instant);
        self.tell_cursors();
    }
}
