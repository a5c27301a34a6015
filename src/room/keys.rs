//! The idempotency keys that a room remembers, so that a repeated `send` is stored once.
//!
//! Knows neither messages nor connections. Keys are kept as 128 bits of a keyed hash, so that a million of them cost tens of
//! megabytes whatever their length, and nobody can choose two that collide. The secret is the store's, where there is one, so
//! that a key is the same after a restart.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;
use std::time::{Duration, Instant};

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::{Identity, Seq};

/// A client's idempotency key, within a room and for one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(pub u128);

impl Key {
    /// The key of an account, or of all guests together.
    pub fn new(identity: &Identity, text: &str, secret: &[u8; 16]) -> Self {
        let mut hasher = SipHasher13::new_with_key(secret);
        // Byte by byte, since the store remembers it: neither part holds the mark between them.
        if let Some(account) = identity.account() {
            hasher.write(account.as_bytes());
            hasher.write_u8(0xff);
        }
        hasher.write(text.as_bytes());
        Self(hasher.finish128().as_u128())
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

    const SECRET: [u8; 16] = [7; 16];

    #[test]
    fn a_key_is_known_within_its_window_and_forgotten_behind_it() {
        let window = Duration::from_secs(120);
        let start = Instant::now();
        let key = Key::new(&Identity::Guest(1), "k", &SECRET);
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
        assert_eq!(Key::new(&Identity::Guest(1), "k", &SECRET), Key::new(&Identity::Guest(2), "k", &SECRET));
        assert_ne!(Key::new(&Identity::Guest(1), "k", &SECRET), Key::new(&ada, "k", &SECRET));
        assert_ne!(Key::new(&ada, "k", &SECRET), Key::new(&ada, "l", &SECRET));
    }
}
