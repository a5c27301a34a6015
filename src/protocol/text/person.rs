//! What both halves of a text connection know of the person at its other end.
//!
//! The incoming half notes what was asked for, the outgoing half what was answered. It is behind a mutex that is held for
//! a look and never while anything is waited for.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::clock::Zone;
use crate::model::{Nick, Place, RoomName, Seq};

/// Shortened messages of other rooms that `/show` still finds by number alone: about a screenful.
const SHORTENED_MAX: usize = 32;

/// Nicks that one person can ignore: past this, leaving the room is the better way.
pub(super) const IGNORED_MAX: usize = 256;

/// The state shared by the two halves.
#[derive(Debug)]
pub(super) struct Person {
    /// The nick, once there is one.
    pub nick: Option<Arc<Nick>>,
    /// The nick asked for last, for the words where it is refused.
    pub wanted: Option<Arc<Nick>>,
    /// Where a said line goes.
    pub room: Option<Arc<RoomName>>,
    /// The rooms joined, in that order.
    pub rooms: Vec<Arc<RoomName>>,
    /// Who wrote directly last.
    pub partner: Option<Arc<Nick>>,
    /// Where the clock hangs.
    pub zone: Zone,
    /// Whose messages are left out, by compared form.
    pub ignored: HashSet<Box<str>>,
    /// Whether comings and goings are shown.
    pub presence: bool,
    /// Whether every line is a message, and only errors come back.
    pub piping: bool,
    /// Whether lines end with CR LF, as those of the client do.
    pub crlf: bool,
    /// Shortened messages of rooms other than the current one, newest last.
    pub shortened: VecDeque<(Seq, Place)>,
}

impl Default for Person {
    fn default() -> Self {
        Self {
            nick: None,
            wanted: None,
            room: None,
            rooms: Vec::new(),
            partner: None,
            zone: Zone::default(),
            ignored: HashSet::new(),
            presence: true,
            piping: false,
            crlf: false,
            shortened: VecDeque::new(),
        }
    }
}

impl Person {
    /// Whether a nick is this person's.
    pub(super) fn is_me(&self, nick: &Nick) -> bool {
        self.nick.as_deref() == Some(nick)
    }

    /// Notes a room joined; what is said goes there from now on.
    pub(super) fn entered(&mut self, room: Arc<RoomName>) {
        if !self.rooms.contains(&room) {
            self.rooms.push(Arc::clone(&room));
        }
        self.room = Some(room);
    }

    /// Notes a room left; what is said next goes nowhere rather than to a room nobody chose.
    pub(super) fn left(&mut self, room: &RoomName) {
        self.rooms.retain(|joined| **joined != *room);
        if self.room.as_deref() == Some(room) {
            self.room = None;
        }
    }

    /// Notes that a message was shown shortened, so that `/show` finds it.
    pub(super) fn shortened(&mut self, seq: Seq, place: Place) {
        if matches!(&place, Place::Room(room) if self.room.as_ref() == Some(room)) {
            return;
        }
        if self.shortened.len() == SHORTENED_MAX {
            self.shortened.pop_front();
        }
        self.shortened.push_back((seq, place));
    }

    /// Where the message of a number is most likely meant.
    pub(super) fn place_of(&self, seq: Seq) -> Option<Place> {
        let elsewhere = self.shortened.iter().rev().find(|(of, _)| *of == seq);
        elsewhere.map(|(_, place)| place.clone()).or_else(|| self.room.clone().map(Place::Room))
    }
}

/// Looks at the person; nothing that a panic could leave half done is in there.
pub(super) fn look(person: &Mutex<Person>) -> MutexGuard<'_, Person> {
    person.lock().unwrap_or_else(PoisonError::into_inner)
}
