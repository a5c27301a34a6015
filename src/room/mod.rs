//! One room, as plain data: its settings, its numbers, what it keeps, its keys and its queue.
//!
//! Rooms decide, they never send: nothing here knows a connection's outbox, a channel or the time of day. Who is in a room
//! is the router's to know, since members come with the way to reach them.

mod keys;
mod log;
mod queue;

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Create, Identity, Kind, Settings};

pub use keys::{Key, Keys};
pub use log::{Keep, Log};
pub use queue::{Given, Queue, Task, Verdict};

/// The state of one room but for its members.
#[derive(Debug)]
pub struct Room {
    /// What it does with messages.
    pub settings: Settings,
    /// Its topic, where one was set.
    pub topic: Option<Arc<str>>,
    /// Whose room it is, where it is an account's.
    pub owner: Option<Identity>,
    /// Who may join while it is private, beside the owner.
    pub invited: HashSet<Identity>,
    /// Whether a queue room's undeliverable messages go here.
    pub is_dead_letter: bool,
    /// Whether somebody asked for it by `create`, so that it stays when it is empty.
    pub created: bool,
    /// Its messages.
    pub log: Log,
    /// The idempotency keys of late.
    pub keys: Keys,
    /// Its work, where it is a queue room.
    pub queue: Option<Queue>,
}

impl Room {
    /// A room that nobody has said anything in.
    pub fn new(settings: Settings, log: Log) -> Self {
        let queue = matches!(settings.kind, Kind::Queue).then(Queue::default);
        Self {
            settings,
            topic: None,
            owner: None,
            invited: HashSet::new(),
            is_dead_letter: false,
            created: false,
            log,
            keys: Keys::default(),
            queue,
        }
    }

    /// The first setting that `wanted` names and the room has not, by its name on the wire.
    pub fn difference(&self, wanted: &Create) -> Option<&'static str> {
        fn differs<T: PartialEq>(wanted: Option<&T>, have: &T) -> bool {
            wanted.is_some_and(|wanted| wanted != have)
        }
        let have = &self.settings;
        let topic = self.topic.as_deref().unwrap_or_default();
        [
            ("kind", differs(wanted.kind.as_ref(), &have.kind)),
            ("history", differs(wanted.history.as_ref(), &have.history)),
            ("private", differs(wanted.private.as_ref(), &have.private)),
            ("keep_messages", differs(wanted.keep_messages.as_ref(), &have.keep_messages)),
            ("keep_bytes", differs(wanted.keep_bytes.as_ref(), &have.keep_bytes)),
            ("keep_age", differs(wanted.keep_age.as_ref(), &have.keep_age)),
            ("ack_wait", differs(wanted.ack_wait.as_ref(), &have.ack_wait)),
            ("max_deliver", differs(wanted.max_deliver.as_ref(), &have.max_deliver)),
            ("topic", wanted.topic.as_deref().is_some_and(|wanted| wanted != topic)),
        ]
        .into_iter()
        .find_map(|(name, differs)| differs.then_some(name))
    }

    /// Takes every setting that `wanted` names.
    pub fn set(&mut self, wanted: &Create) {
        let have = &mut self.settings;
        if let Some(history) = wanted.history.filter(|history| *history != have.history) {
            // What nobody set is as such a room has it.
            if have.keep_messages == have.history.keep_messages() {
                have.keep_messages = history.keep_messages();
            }
            if have.keep_bytes == have.history.keep_bytes() {
                have.keep_bytes = history.keep_bytes();
            }
        }
        have.kind = wanted.kind.unwrap_or(have.kind);
        have.history = wanted.history.unwrap_or(have.history);
        have.private = wanted.private.unwrap_or(have.private);
        have.keep_messages = wanted.keep_messages.unwrap_or(have.keep_messages);
        have.keep_bytes = wanted.keep_bytes.unwrap_or(have.keep_bytes);
        have.keep_age = wanted.keep_age.unwrap_or(have.keep_age);
        have.ack_wait = wanted.ack_wait.unwrap_or(have.ack_wait);
        have.max_deliver = wanted.max_deliver.unwrap_or(have.max_deliver);
        if let Some(topic) = &wanted.topic {
            self.topic = (!topic.is_empty()).then(|| Arc::from(&**topic));
        }
        let is_queue = matches!(have.kind, Kind::Queue);
        match (is_queue, self.queue.is_some()) {
            (true, false) => self.queue = Some(Queue::default()),
            (false, true) => self.queue = None,
            _ => {}
        }
    }

    /// What the room keeps, at a time in Unix milliseconds.
    pub fn keep(&self, now_ms: u64) -> Keep {
        let age = self.settings.keep_age.as_millis() as u64;
        Keep {
            messages: if self.settings.kind == Kind::Latest { 1 } else { self.settings.keep_messages },
            bytes: self.settings.keep_bytes,
            since: if age == 0 { 0 } else { now_ms.saturating_sub(age) },
        }
    }

    /// Whether anything would be lost if the room went away while nobody is in it.
    pub fn is_forgettable(&self) -> bool {
        !self.created
            && self.topic.is_none()
            && self.log.is_empty()
            && self.keys.is_empty()
            && self.queue.as_ref().is_none_or(Queue::is_empty)
    }
}
