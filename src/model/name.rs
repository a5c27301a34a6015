//! Names of rooms and people, and the patterns that match rooms.
//!
//! A name is shown as it was first written and compared in its `UsernameCaseMapped` form (RFC 8265 with the Bidi rule of
//! RFC 5893), which is worked out once, when the name is read off the wire. Plain ASCII, nearly every name there is,
//! takes a short way that gives the same result. Each token between dots is a string of its own to both rules, so that a
//! pattern's tokens compare as a name's do, and `.dead` fits behind a name of any direction.
//! What characters there are is decided in `class`, and what directions may mix in `bidi`.

mod bidi;
mod class;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::Error as PrecisError;
use precis_profiles::precis_core::profile::Rules;

use class::Class;

/// Bytes of UTF-8 that a name may have: enough for any word, short enough that 1 KiB holds all that a frame adds.
const NAME_BYTES_MAX: usize = 64;

/// Bytes of UTF-8 that a queue room's name may have: [`NAME_BYTES_MAX`] less its `.dead` room's ending.
const QUEUE_NAME_BYTES_MAX: usize = 59;

/// Why some text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name has at least one letter or digit")]
    Empty,
    /// More than [`NAME_BYTES_MAX`] bytes.
    #[error("a name has at most 64 bytes, as written and in lower case")]
    TooLong,
    /// A character that names do not have, or not at that place.
    #[error("a name has letters and digits, and `_ - .` inside, not {0:?} there")]
    Character(char),
    /// A combining mark with nothing to stand on.
    #[error("a combining mark stands on a letter or digit, but {0:?} has none before it")]
    Mark(char),
    /// Two dots in a row, or a dot at an end.
    #[error("dots separate the parts of a name, and none may be empty")]
    EmptyToken,
    /// It begins with `_`, which the server keeps for itself.
    #[error("names that begin with `_` are the server's")]
    Reserved,
    /// It breaks the Bidi rule of RFC 5893.
    #[error(
        "a part with right-to-left letters begins with one, ends with one or a digit, and has none of the other direction"
    )]
    Direction,
    /// Digits of two sets that look alike.
    #[error("a part has Arabic-Indic digits or extended ones, not both")]
    Digits,
    /// `*` or `>` where a room's own name is needed, or not as a whole part.
    #[error("`*` stands for one whole part of a room's name and `>` for all last parts")]
    Wildcard,
}

/// Shown and compared form of one name.
#[derive(Clone)]
struct Name {
    shown: Box<str>,
    /// `None` where it is the shown form, as for lower-case ASCII.
    folded: Option<Box<str>>,
}

impl Name {
    fn parse(text: &str) -> Result<Self, NameError> {
        check_ends(text)?;
        if text.is_ascii() {
            return Self::new(text, fold_ascii(text)?);
        }
        let mut key = String::with_capacity(text.len());
        for token in text.split('.') {
            push_token(&mut key, token)?;
        }
        Self::new(text, key.into())
    }

    fn new(text: &str, key: Cow<'_, str>) -> Result<Self, NameError> {
        // Lower case may be longer: two bytes of `İ` become three.
        if key.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        Ok(Self { shown: text.into(), folded: (*key != *text).then(|| key.into()) })
    }

    fn key(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.shown)
    }
}

/// What holds for a name as a whole, and for a pattern: its length, and that `_` and `-` stand inside only.
fn check_ends(text: &str) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    if text.starts_with('_') {
        return Err(NameError::Reserved);
    }
    if text.starts_with('-') {
        return Err(NameError::Character('-'));
    }
    match text.chars().next_back() {
        Some(last @ ('_' | '-')) => Err(NameError::Character(last)),
        _ => Ok(()),
    }
}

/// The short way: what [`push_token`] makes of every token of an ASCII name, in one pass and mostly without a copy.
fn fold_ascii(text: &str) -> Result<Cow<'_, str>, NameError> {
    let mut previous = b'.';
    let mut has_capitals = false;
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => {}
            b'A'..=b'Z' => has_capitals = true,
            b'.' if previous != b'.' => {}
            b'.' => return Err(NameError::EmptyToken),
            _ => return Err(refuse(char::from(byte))),
        }
        previous = byte;
    }
    if previous == b'.' {
        return Err(NameError::EmptyToken);
    }
    Ok(if has_capitals { text.to_ascii_lowercase().into() } else { text.into() })
}

/// Adds the compared form of one token to a key, and a dot before it if it is not the first.
fn push_token(key: &mut String, token: &str) -> Result<(), NameError> {
    if !key.is_empty() {
        key.push('.');
    }
    if token.is_empty() {
        return Err(NameError::EmptyToken);
    }
    key.push_str(&fold_token(token)?);
    Ok(())
}

/// The compared form of one token: preparation and enforcement as RFC 8265 orders them in section 3.3.
///
/// Lower case is made character by character, so `Σ` is `σ` at the end of a word too and `ς` is another letter: the RFC
/// says so beside its table 1.
fn fold_token(token: &str) -> Result<String, NameError> {
    let profile = UsernameCaseMapped::new();
    let refused = |_: PrecisError| NameError::Direction;
    let mapped = profile.width_mapping_rule(token).map_err(refused)?;
    check_characters(token, &mapped)?;
    let lower = profile.case_mapping_rule(mapped).map_err(refused)?;
    let folded = profile.normalization_rule(lower).map_err(refused)?;
    if class::mixes_arabic_digits(&folded) {
        return Err(NameError::Digits);
    }
    if !bidi::keeps_bidi_rule(&folded) {
        return Err(NameError::Direction);
    }
    Ok(folded.into_owned())
}

/// Checks each character as written, and beside it as its width was mapped, which is one for one. Wide punctuation is
/// refused as written, or a name could have a dot that separates nothing.
fn check_characters(token: &str, mapped: &str) -> Result<(), NameError> {
    let mut carries_marks = false;
    for (written, c) in token.chars().zip(mapped.chars()) {
        carries_marks = if written.is_ascii() {
            match written {
                'a'..='z' | 'A'..='Z' | '0'..='9' => true,
                '_' | '-' => false,
                _ => return Err(refuse(written)),
            }
        } else {
            match class::class(c) {
                Some(Class::LetterOrDigit) => true,
                Some(Class::Mark) if carries_marks => true,
                Some(Class::Mark) => return Err(NameError::Mark(written)),
                None => return Err(refuse(written)),
            }
        };
    }
    Ok(())
}

fn refuse(c: char) -> NameError {
    if matches!(c, '*' | '>') { NameError::Wildcard } else { NameError::Character(c) }
}

/// Declares a public name type over [`Name`].
macro_rules! name_type {
    ($(#[$meta:meta])* $type:ident) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub struct $type(Name);

        impl $type {
            /// Reads a name off the wire.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                Name::parse(text).map(Self)
            }

            /// As it was first written.
            pub fn shown(&self) -> &str {
                &self.0.shown
            }

            /// As it is compared.
            pub fn key(&self) -> &str {
                self.0.key()
            }
        }

        impl PartialEq for $type {
            fn eq(&self, other: &Self) -> bool {
                self.key() == other.key()
            }
        }

        impl Eq for $type {}

        impl Hash for $type {
            fn hash<H: Hasher>(&self, state: &mut H) {
                self.key().hash(state);
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                self.key()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.shown())
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.shown())
            }
        }
    };
}

name_type! {
    /// The name of a room, without the `#` that text and IRC show.
    RoomName
}

name_type! {
    /// The name shown for someone.
    Nick
}

impl RoomName {
    /// The room where a queue room's undeliverable messages go.
    pub fn dead_letter(&self) -> Option<Self> {
        Self::parse(&format!("{}.dead", self.shown())).ok()
    }

    /// The room whose undeliverable messages would go here, were it a queue room.
    pub fn dead_letter_of(&self) -> Option<Self> {
        self.shown().strip_suffix(".dead").and_then(|queue| Self::parse(queue).ok())
    }

    /// Whether a queue room may have this name, so that its dead-letter room has one too.
    pub fn fits_queue(&self) -> bool {
        self.shown().len().max(self.key().len()) <= QUEUE_NAME_BYTES_MAX
    }
}

impl Nick {
    /// A nick the server gives a guest.
    pub fn guest(number: u64) -> Self {
        Self(Name { shown: format!("guest-{number}").into(), folded: None })
    }
}

/// Room names with wildcards: `*` for one token, `>` for one or more last tokens.
#[derive(Clone)]
pub struct Pattern(Name);

impl Pattern {
    /// The pattern of every room: `>`.
    pub fn all() -> Self {
        Self(Name { shown: ">".into(), folded: None })
    }

    /// Reads a pattern off the wire; a name without wildcards is one too.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_ends(text)?;
        let mut key = String::with_capacity(text.len());
        let mut tokens = text.split('.').peekable();
        while let Some(token) = tokens.next() {
            match token {
                ">" if tokens.peek().is_some() => return Err(NameError::Wildcard),
                "*" | ">" => {
                    if !key.is_empty() {
                        key.push('.');
                    }
                    key.push_str(token);
                }
                word => push_token(&mut key, word)?,
            }
        }
        Name::new(text, key.into()).map(Self)
    }

    /// As it was first written.
    pub fn shown(&self) -> &str {
        &self.0.shown
    }

    /// As it is compared.
    pub fn key(&self) -> &str {
        self.0.key()
    }

    /// Whether the pattern covers a room.
    pub fn matches(&self, room: &RoomName) -> bool {
        let mut tokens = room.key().split('.');
        for token in self.key().split('.') {
            match (token, tokens.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (word, Some(other)) if word == other => {}
                _ => return false,
            }
        }
        tokens.next().is_none()
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.shown())
    }
}

/// Where a message goes: a room, or the direct messages with someone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// `room` on the wire.
    Room(Arc<RoomName>),
    /// `to` on the wire.
    Direct(Arc<Nick>),
}

impl Place {
    /// The room, where it is one.
    pub const fn room(&self) -> Option<&Arc<RoomName>> {
        match self {
            Self::Room(room) => Some(room),
            Self::Direct(_) => None,
        }
    }
}

/// What a `join` or `leave` names: a place, or a pattern of rooms to observe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One place.
    Place(Place),
    /// Every room that the pattern covers.
    Pattern(Arc<Pattern>),
}

impl Target {
    /// Reads the `room` of a `join` or `leave`: a pattern where it has wildcards, else a room.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.contains(['*', '>']) {
            Pattern::parse(text).map(|pattern| Self::Pattern(Arc::new(pattern)))
        } else {
            RoomName::parse(text).map(|room| Self::Place(Place::Room(Arc::new(room))))
        }
    }
}
