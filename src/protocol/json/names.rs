//! The rooms and nicks that a connection's lines name, each read once as long as it is named again and again.
//!
//! A cache of one connection: it checks a name as `model` says and never knows whether such a room or nick exists.

use std::sync::Arc;

use super::frame::{Frame, Refusal};
use super::key::{Key, Kind};
use crate::model::{Nick, Place, RoomName};
use crate::protocol::Intake;

/// Places of a batch that are looked through before a name is read anew: a line or two of cache each.
const RECENT: usize = 8;

/// What was named last, kept from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Names {
    last: Option<Place>,
    /// Where `last` stands in this batch's places, once it does.
    index: Option<u32>,
}

impl Names {
    /// A new batch begins, without places.
    pub(super) const fn begin(&mut self) {
        self.index = None;
    }

    /// The place that a `send` names, as an index into the batch's places.
    #[inline]
    pub(super) fn index(&mut self, frame: &Frame<'_>, intake: &mut Intake) -> Result<u32, Refusal> {
        if let (Some(text), Some(index), Some(Place::Room(last))) = (frame.plain(Key::Room), self.index, &self.last)
            && frame.fields.get(Key::To).is_none()
            && last.shown().as_bytes() == text
        {
            return Ok(index);
        }
        self.new_index(frame, intake)
    }

    fn new_index(&mut self, frame: &Frame<'_>, intake: &mut Intake) -> Result<u32, Refusal> {
        let (key, text) = place_text(frame)?;
        if self.last.as_ref().is_none_or(|last| !is_shown_as(last, key, &text)) {
            let recent = intake.places.iter().rev().take(RECENT).find(|place| is_shown_as(place, key, &text));
            let place = match recent {
                Some(place) => place.clone(),
                None => parse(key, &text)?,
            };
            self.last = Some(place);
            self.index = None;
        }
        let index = match (self.index, &self.last) {
            (Some(index), _) => index,
            (None, Some(last)) => intake.place(last),
            // Invariant: `last` was set above where it was not.
            (None, None) => 0,
        };
        self.index = Some(index);
        Ok(index)
    }

    /// The place that `room` or `to` names.
    pub(super) fn place(&mut self, frame: &Frame<'_>) -> Result<Place, Refusal> {
        let (key, text) = place_text(frame)?;
        self.known_or_new(key, &text)
    }

    /// The room that `room` names.
    pub(super) fn room(&mut self, frame: &Frame<'_>) -> Result<Arc<RoomName>, Refusal> {
        let text = frame.text(Key::Room)?.ok_or_else(|| Refusal::missing(Key::Room))?;
        match self.known_or_new(Key::Room, &text)? {
            Place::Room(room) => Ok(room),
            // Invariant: only `to` makes the other.
            Place::Direct(_) => Err(Refusal::missing(Key::Room)),
        }
    }

    fn known_or_new(&mut self, key: Key, text: &str) -> Result<Place, Refusal> {
        if let Some(last) = self.last.as_ref().filter(|last| is_shown_as(last, key, text)) {
            return Ok(last.clone());
        }
        let place = parse(key, text)?;
        self.last = Some(place.clone());
        self.index = None;
        Ok(place)
    }
}

/// Which of `room` and `to` is there, and what it says.
pub(super) fn place_text<'a>(frame: &Frame<'a>) -> Result<(Key, std::borrow::Cow<'a, str>), Refusal> {
    match (frame.text(Key::Room)?, frame.text(Key::To)?) {
        (Some(room), None) => Ok((Key::Room, room)),
        (None, Some(nick)) => Ok((Key::To, nick)),
        (None, None) => Err(Refusal::request("`room` or `to` is missing")),
        (Some(_), Some(_)) => Err(Refusal::request("`room` and `to` exclude each other")),
    }
}

/// The room that a line is about, where it names one that can be, for its error.
#[cold]
pub(super) fn room_of_error(frame: &Frame<'_>) -> Option<Arc<RoomName>> {
    let raw = frame.raw(Key::Room).filter(|raw| matches!(raw.kind, Kind::Plain | Kind::Escaped));
    raw.and_then(|_| RoomName::parse(&frame.text(Key::Room).ok()??).ok()).map(Arc::new)
}

/// Whether a place is written so; names that are only compared as equal are not, and are read anew.
fn is_shown_as(place: &Place, key: Key, text: &str) -> bool {
    match place {
        Place::Room(room) => key == Key::Room && room.shown() == text,
        Place::Direct(nick) => key == Key::To && nick.shown() == text,
    }
}

fn parse(key: Key, text: &str) -> Result<Place, Refusal> {
    let place = match key {
        Key::To => Nick::parse(text).map(|nick| Place::Direct(Arc::new(nick))),
        _ => RoomName::parse(text).map(|room| Place::Room(Arc::new(room))),
    };
    place.map_err(|error| Refusal::name(key, error))
}
