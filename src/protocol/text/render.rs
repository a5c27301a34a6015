//! Messages as lines: `14:05 [room] ada: hello`.
//!
//! Every line of a message begins with the whole prefix, which only the server writes; behind `[room] ` there is always
//! a nick and a colon, a `*` for `/me`, or `--` where the server speaks of the message. The text itself goes through
//! [`escape`]. Most messages are rendered once for everyone who reads them on the same clock, see [`rendition`].

use std::borrow::Cow;
use std::fmt::Write;

use bytes::BytesMut;

use super::clock::hours_minutes;
use super::escape;
use super::screen::{Grouped, line_end};
use crate::model::{Chunk, Message, Nick, Place, Rendition};

/// Characters of a message that are shown before it is shortened: the contract's number.
pub(super) const SHOWN_CHARS: usize = 500;

/// How messages look to one reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look<'a> {
    /// Minutes that the reader's clock is ahead of UTC.
    pub offset_min: i16,
    /// How lines end.
    pub crlf: bool,
    /// Whether long messages are shown whole.
    pub whole: bool,
    /// Who reads, where it matters: in direct messages.
    pub me: Option<&'a Nick>,
}

/// A chunk as everyone sees it whose clock and lines are like this; never for direct messages.
pub(super) fn rendition(chunk: &Chunk, offset_min: i16, crlf: bool) -> Rendition {
    let look = Look { offset_min, crlf, whole: false, me: None };
    let lines = chunk.lines().len();
    let mut bytes = BytesMut::with_capacity(chunk.bytes().len());
    let ends = chunk.messages(0..lines).map(|message| {
        push(&message, look, &mut bytes);
        bytes.len() as u32
    });
    let ends = ends.collect();
    Rendition { bytes: bytes.freeze(), ends }
}

/// The key under which a chunk keeps a rendition.
pub(super) fn rendition_key(offset_min: i16, crlf: bool) -> u64 {
    /// `text` in ASCII, to stay clear of other protocols' keys.
    const TEXT: u64 = 0x7465_7874 << 32;
    TEXT | u64::from(offset_min.cast_unsigned()) << 1 | u64::from(crlf)
}

/// Appends one message.
pub(super) fn push(message: &Message<'_>, look: Look<'_>, out: &mut BytesMut) {
    let decoded = body_text(message.body);
    let (text, does) = match decoded.strip_prefix("/me ") {
        Some(deed) if message.body.starts_with('"') => (deed, true),
        _ => (&*decoded, false),
    };
    let prefix = prefix(message, look, does);
    let end = line_end(look.crlf).as_bytes();
    if message.redacted {
        out.extend_from_slice(&prefix);
        out.extend_from_slice(end);
        return;
    }
    let cut = if look.whole || text.len() <= SHOWN_CHARS { None } else { text.char_indices().nth(SHOWN_CHARS) };
    let shown = cut.map_or(text, |(at, _)| &text[..at]);
    let shown = if cut.is_none() { shown.strip_suffix('\n').unwrap_or(shown) } else { shown };
    for (at, line) in shown.split('\n').enumerate() {
        if at > 0 {
            out.extend_from_slice(end);
        }
        out.extend_from_slice(&prefix);
        escape::push(line.strip_suffix('\r').unwrap_or(line), out);
    }
    if cut.is_some() {
        // Writing to a buffer that grows cannot fail.
        let _ = write!(out, "… +{} bytes: /show {}", Grouped((text.len() - shown.len()) as u64), message.seq);
    }
    out.extend_from_slice(end);
}

/// Whether a message is shown shortened to everyone.
pub(super) fn is_shortened(message: &Message<'_>) -> bool {
    // A JSON string is never shorter than its text, so most need no second look.
    message.body.len() > SHOWN_CHARS && !message.redacted && {
        let text = body_text(message.body);
        text.strip_prefix("/me ").unwrap_or(&text).chars().nth(SHOWN_CHARS).is_some()
    }
}

/// What stands before each line.
fn prefix(message: &Message<'_>, look: Look<'_>, does: bool) -> BytesMut {
    let mut safe = BytesMut::with_capacity(64);
    safe.extend_from_slice(&hours_minutes(message.ts, look.offset_min));
    safe.extend_from_slice(b" [");
    let nick = message.sender.nick.shown();
    let direct = match message.place {
        Place::Room(room) => {
            escape::push(room.shown(), &mut safe);
            false
        }
        Place::Direct(to) => {
            let name = |nick: &Nick| match nick.key() {
                _ if look.me == Some(nick) => "you".to_owned(),
                // Somebody may be called that.
                "you" => format!("@{nick}"),
                _ => nick.to_string(),
            };
            // What comes from somebody else to a person's own screen came to that person.
            let from_me = look.me == Some(&*message.sender.nick);
            let to = if from_me || look.me.is_none() { name(to) } else { "you".to_owned() };
            escape::push(&format!("{} → {to}", name(&message.sender.nick)), &mut safe);
            true
        }
    };
    safe.extend_from_slice(b"]");
    if message.redacted {
        escape::push(&format!(" -- message {} of {nick} was taken back", message.seq), &mut safe);
    } else if does {
        escape::push(&format!(" * {nick} "), &mut safe);
    } else if direct {
        safe.extend_from_slice(b": ");
    } else {
        safe.extend_from_slice(b" ");
        escape::push(nick, &mut safe);
        safe.extend_from_slice(b": ");
    }
    safe
}

/// The text that a body shows: of a string its characters, else the JSON.
fn body_text(body: &str) -> Cow<'_, str> {
    let Some(inner) = body.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(body);
    };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(body).map_or(Cow::Borrowed(body), Cow::Owned)
}
