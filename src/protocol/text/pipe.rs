//! `/pipe`: a program's output as messages, under a name of its own.
//!
//! Decides which name to ask for next: the one given, then the same with 2, 3, 4 … where it is taken. Everything else of
//! a pipe is the absence of rules.

use crate::model::{Nick, Place};

/// Names tried before it is left with a guest's: as many machines may share one script.
const NAMES_MAX: u32 = 99;

/// A pipe and its name in the making.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Where every line goes.
    pub place: Place,
    /// Whether the rest of a line that was too long is being thrown away.
    pub skipping: bool,
    wanted: Option<Nick>,
    number: u32,
    /// Whether the connection has no name yet, so that one comes by hello.
    unnamed: bool,
    waiting: bool,
}

impl Pipe {
    pub(super) fn new(place: Place, wanted: Option<Nick>, unnamed: bool) -> Self {
        Self { place, skipping: false, wanted, number: 1, unnamed, waiting: false }
    }

    /// The name to ask for now and whether by hello; `None` inside is a guest's name, `None` outside that all is settled.
    pub(super) fn next_name(&mut self) -> Option<(Option<Nick>, bool)> {
        let wanted = self.wanted.as_ref()?;
        if self.waiting {
            return None;
        }
        let next = if self.number > NAMES_MAX { None } else { numbered(wanted, self.number) };
        if next.is_none() {
            self.wanted = None;
            if !self.unnamed {
                return None;
            }
        }
        self.waiting = true;
        Some((next, self.unnamed))
    }

    /// Takes what came of the name asked for.
    pub(super) fn answered(&mut self, done: bool) {
        self.waiting = false;
        if done {
            self.wanted = None;
        } else {
            self.number += 1;
        }
    }
}

/// A name with a number, shortened where both do not fit.
fn numbered(nick: &Nick, number: u32) -> Option<Nick> {
    if number == 1 {
        return Some(nick.clone());
    }
    let mut name = nick.shown();
    while !name.is_empty() {
        if let Ok(nick) = Nick::parse(&format!("{name}{number}")) {
            return Some(nick);
        }
        name = &name[..name.len() - name.chars().next_back().map_or(1, char::len_utf8)];
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::RoomName;

    fn pipe(name: &str, unnamed: bool) -> Pipe {
        let room = RoomName::parse("logs").map(Arc::new).expect("a name");
        Pipe::new(Place::Room(room), Some(Nick::parse(name).expect("a name")), unnamed)
    }

    #[test]
    fn a_taken_name_gets_a_number_until_one_is_free() {
        let mut pipe = pipe("web", true);
        for expected in ["web", "web2", "web3"] {
            let (nick, by_hello) = pipe.next_name().expect("still unnamed");
            assert_eq!((nick.expect("a name").shown(), by_hello), (expected, true));
            assert!(pipe.next_name().is_none(), "one at a time");
            pipe.answered(expected == "web3");
        }
        assert!(pipe.next_name().is_none());
    }

    #[test]
    fn one_that_gets_no_name_goes_on_as_a_guest() {
        let mut pipe = pipe("web", true);
        for _ in 0..NAMES_MAX {
            assert!(matches!(pipe.next_name(), Some((Some(_), true))));
            pipe.answered(false);
        }
        assert_eq!(pipe.next_name(), Some((None, true)));
        pipe.answered(false);
        assert!(pipe.next_name().is_none());
    }

    #[test]
    fn a_number_fits_behind_the_longest_name() {
        let long = "x".repeat(64);
        let mut pipe = pipe(&long, false);
        pipe.next_name();
        pipe.answered(false);
        let (nick, by_hello) = pipe.next_name().expect("still unnamed");
        assert_eq!((nick.expect("a name").shown(), by_hello), (format!("{}2", "x".repeat(63)).as_str(), false));
    }
}
