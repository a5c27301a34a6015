//! Numbers and identities, each a type of its own so that none is taken for another.
//!
//! They are made, compared and shown here and nowhere counted: who gives the next one, keeps the count.

use std::fmt;
use std::sync::Arc;

/// A connection for as long as the process runs; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's number in its room, from 1; 0 stands before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of one numbering of a room: up to 16 of `a-z0-9`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(pub Arc<str>);

impl Epoch {
    /// The epoch that a random number names: 8 characters of base 36.
    pub fn from_random(mut bits: u64) -> Self {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut text = String::with_capacity(8);
        for _ in 0..8 {
            text.push(char::from(DIGITS[(bits % 36) as usize]));
            bits /= 36;
        }
        Self(text.into())
    }

    /// An epoch as a client gave it, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=16).contains(&text.len());
        (fits && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())).then(|| Self(text.into()))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The secret that lets a client take an earlier connection over: 128 random bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey(pub u128);

impl SessionKey {
    /// A key as a client gave it, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let plain = text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionKey {
    /// A secret is never printed by accident.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

/// What a request wants on its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Tag {
    /// No `id` was given: `ok` is left out.
    #[default]
    None,
    /// An integer within ±2^53.
    Int(i64),
    /// A string of up to 64 bytes.
    Text(Box<str>),
    /// A mark of the codec's own, for protocols whose requests bear no `id` but whose answers are always shown.
    Front(u32),
}

impl Tag {
    /// Whether the asker wants to hear a plain `ok`.
    pub const fn wants_ok(&self) -> bool {
        !matches!(self, Self::None)
    }
}

/// Who someone is: what owns messages and rights, whatever nick is shown.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// A guest: one session, through every resume of it.
    Guest(u64),
    /// An account, by the compared form of its name.
    Account(Arc<str>),
}

impl Identity {
    /// The account, where there is one.
    pub const fn account(&self) -> Option<&Arc<str>> {
        match self {
            Self::Guest(_) => None,
            Self::Account(name) => Some(name),
        }
    }
}
