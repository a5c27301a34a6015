//! The idempotency keys that a room remembers, so that a repeated `send` is stored once.
//!
//! Knows neither messages nor connections. Keys are kept as 128 bits of a keyed hash, so that a million of them cost tens of
//! megabytes whatever their length, and nobody can choose two that collide.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use crate::model::{Identity, Seq};

/// A client's idempotency key, within a room and for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// The key of an account, or of all guests together.
    pub fn new(identity: &Identity, text: &str) -> Self {
        static HASHERS: LazyLock<[RandomState; 2]> = LazyLock::new(|| [RandomState::new(), RandomState::new()]);
        let [low, high] = HASHERS.each_ref().map(|hasher| hasher.hash_one((identity.account(), text)));
        Self(u128::from(high) << 64 | u128::from(low))
    }
}

/// What was stored under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The message's number.
    pub seq: Seq,
    /// Its time, in Unix milliseconds.
    pub ts: u64,
}

/// Keys of the last `dedup_window`.
#[derive(Debug, Default)]
pub struct Keys {
    stored: HashMap<Key, Stored>,
    ages: VecDeque<(Instant, Key)>,
}

impl Keys {
    /// What an earlier send with the key became.
    pub fn find(&self, key: Key) -> Option<Stored> {
        self.stored.get(&key).copied()
    }

    /// Remembers a key.
    pub fn insert(&mut self, key: Key, seq: Seq, ts: u64, now: Instant) {
        self.stored.insert(key, Stored { seq, ts });
        self.ages.push_back((now, key));
    }

    /// Forgets what is older than the window.
    pub fn expire(&mut self, window: Duration, now: Instant) {
        while self.ages.front().is_some_and(|(since, _)| now.duration_since(*since) >= window) {
            if let Some((_, key)) = self.ages.pop_front() {
                self.stored.remove(&key);
            }
        }
        if self.ages.is_empty() {
            *self = Self::default();
        }
    }

    /// When the oldest key was remembered.
    pub fn oldest(&self) -> Option<Instant> {
        self.ages.front().map(|(since, _)| *since)
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.ages.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_within_its_window_and_forgotten_behind_it() {
        let window = Duration::from_secs(120);
        let start = Instant::now();
        let key = Key::new(&Identity::Guest(1), "k");
        let mut keys = Keys::default();
        keys.insert(key, Seq(7), 5, start);
        keys.expire(window, start + Duration::from_secs(119));
        assert_eq!(keys.find(key), Some(Stored { seq: Seq(7), ts: 5 }));
        keys.expire(window, start + window);
        assert_eq!(keys.find(key), None);
        assert!(keys.is_empty());
    }

    #[test]
    fn all_guests_share_their_keys_and_accounts_have_their_own() {
        let ada = Identity::Account("ada".into());
        assert_eq!(Key::new(&Identity::Guest(1), "k"), Key::new(&Identity::Guest(2), "k"));
        assert_ne!(Key::new(&Identity::Guest(1), "k"), Key::new(&ada, "k"));
        assert_ne!(Key::new(&ada, "k"), Key::new(&ada, "l"));
    }
}
