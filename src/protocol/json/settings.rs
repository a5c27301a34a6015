//! The settings that `create` names, in the same words as the configuration.
//!
//! Fields become values here and are checked one by one; whether they fit together, and the room, the router says.

use std::sync::Arc;
use std::time::Duration;

use super::commands::TOPIC_BYTES_MAX;
use super::frame::{Frame, Refusal};
use super::key::{Key, Kind};
use super::number;
use crate::model::quantity::{parse_duration, parse_size};
use crate::model::{self, Command, Create, HistoryKind, RoomName};

/// Deliveries of one message at most: what fails so often is no work.
const MAX_DELIVER_MAX: u64 = 1_000_000;

/// The command of a `create`.
pub(super) fn create(room: Arc<RoomName>, frame: &Frame<'_>) -> Result<Command, Refusal> {
    let create = Create {
        room,
        kind: frame.word(
            Key::Kind,
            &[model::Kind::Fanout, model::Kind::Queue, model::Kind::Latest].map(|kind| (kind.as_str(), kind)),
        )?,
        history: frame.word(
            Key::History,
            &[HistoryKind::None, HistoryKind::Memory, HistoryKind::Disk].map(|kind| (kind.as_str(), kind)),
        )?,
        topic: frame.text_of(Key::Topic, 0..=TOPIC_BYTES_MAX)?.map(Into::into),
        private: frame.flag(Key::Private)?,
        keep_messages: frame.whole(Key::KeepMessages, 0..=number::WHOLE_MAX as u64)?,
        keep_bytes: size(frame, Key::KeepBytes)?,
        keep_age: duration(frame, Key::KeepAge)?,
        ack_wait: ack_wait(frame)?,
        max_deliver: frame.whole(Key::MaxDeliver, 1..=MAX_DELIVER_MAX)?.map(|count| count as u32),
    };
    Ok(Command::Create(Box::new(create)))
}

fn size(frame: &Frame<'_>, key: Key) -> Result<Option<u64>, Refusal> {
    let size = match frame.raw(key).map(|raw| raw.kind) {
        None => return Ok(None),
        Some(Kind::Plain | Kind::Escaped) => frame.text(key)?.and_then(|text| parse_size(&text)),
        Some(_) => frame.whole(key, 0..=number::WHOLE_MAX as u64).ok().flatten(),
    };
    size.map(Some).ok_or_else(|| Refusal::must_be(key, "a number of bytes, or text such as \"64KiB\" or \"1MiB\""))
}

fn duration(frame: &Frame<'_>, key: Key) -> Result<Option<Duration>, Refusal> {
    const WHAT: &str = "a duration as text, such as \"300ms\", \"30s\" or \"7d\"";
    if frame.raw(key).is_none() {
        return Ok(None);
    }
    let duration = frame.text(key).ok().flatten().and_then(|text| parse_duration(&text));
    duration.map(Some).ok_or_else(|| Refusal::must_be(key, WHAT))
}

/// Without time to ack, a message would go round its workers for ever.
fn ack_wait(frame: &Frame<'_>) -> Result<Option<Duration>, Refusal> {
    let wait = duration(frame, Key::AckWait)?;
    if wait.is_some_and(|wait| wait.is_zero()) {
        return Err(Refusal::must_be(Key::AckWait, "longer than nothing"));
    }
    Ok(wait)
}
