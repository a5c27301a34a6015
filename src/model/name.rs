//! Names of rooms and people, and the patterns that match rooms.
//!
//! A name is shown as it was first written and compared in its `UsernameCaseMapped` form (RFC 8265 with the Bidi rule of
//! RFC 5893), which is worked out once, when the name is read off the wire. Plain ASCII, nearly every name there is,
//! takes a short way that gives the same result.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;

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
    #[error("a name has at most 64 bytes")]
    TooLong,
    /// A character that names do not have, or not at that place.
    #[error("a name has letters, digits and `_ - .` inside, not {0:?}")]
    Character(char),
    /// Two dots in a row, or a dot at an end.
    #[error("dots separate the parts of a name, and none may be empty")]
    EmptyToken,
    /// It begins with `_`, which the server keeps for itself.
    #[error("names that begin with `_` are the server's")]
    Reserved,
    /// It breaks a rule of RFC 8265 for mixed scripts or directions.
    #[error("the name breaks a rule of RFC 8265")]
    Precis,
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
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        if text.starts_with('_') {
            return Err(NameError::Reserved);
        }
        check_characters(text)?;
        if text.split('.').any(str::is_empty) {
            return Err(NameError::EmptyToken);
        }
        let folded = fold(text)?;
        if folded.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        Ok(Self { shown: text.into(), folded: (*folded != *text).then(|| folded.into()) })
    }

    fn key(&self) -> &str {
        self.folded.as_deref().unwrap_or(&self.shown)
    }
}

fn check_characters(text: &str) -> Result<(), NameError> {
    for (at, c) in text.char_indices() {
        let inside = at > 0 && at + c.len_utf8() < text.len();
        let fits = if c.is_ascii() {
            c.is_ascii_alphanumeric() || (inside && matches!(c, '_' | '-')) || c == '.'
        } else {
            c.is_alphanumeric() || (at > 0 && is_mark(c))
        };
        if !fits {
            return Err(if matches!(c, '*' | '>') { NameError::Wildcard } else { NameError::Character(c) });
        }
    }
    Ok(())
}

/// Combining marks are what the PRECIS identifier class takes beyond letters and digits; that profile has the last word,
/// so all that is held back here are the symbols and punctuation it would let through.
fn is_mark(c: char) -> bool {
    !c.is_whitespace() && !c.is_control()
}

/// The compared form of a name.
fn fold(text: &str) -> Result<String, NameError> {
    if text.is_ascii() {
        return Ok(text.to_ascii_lowercase());
    }
    UsernameCaseMapped::enforce(text).map(std::borrow::Cow::into_owned).map_err(|_| NameError::Precis)
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
        self.shown().len() <= QUEUE_NAME_BYTES_MAX
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
    /// Reads a pattern off the wire; a name without wildcards is one too.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong);
        }
        if text.starts_with('_') {
            return Err(NameError::Reserved);
        }
        let tokens: Vec<&str> = text.split('.').collect();
        let mut folded = String::with_capacity(text.len());
        for (at, token) in tokens.iter().enumerate() {
            if at > 0 {
                folded.push('.');
            }
            match *token {
                "" => return Err(NameError::EmptyToken),
                ">" if at + 1 < tokens.len() => return Err(NameError::Wildcard),
                "*" | ">" => folded.push_str(token),
                word => {
                    check_characters(word)?;
                    folded.push_str(&fold(word)?);
                }
            }
        }
        Ok(Self(Name { shown: text.into(), folded: (folded != text).then(|| folded.into()) }))
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
                (_, None) => return false,
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
