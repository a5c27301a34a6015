//! Comings and goings, gathered: `-- #lobby: ada and bob joined; carol left`.
//!
//! The first one opens a window, and what falls into it is told in one line when it closes. Who comes and goes again
//! within it, as a bad connection does, is told as that. Told earlier where one of them speaks, so that nobody is heard
//! before they have come in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::{Nick, RoomName};

/// How long comings and goings are gathered: the contract's number.
const WINDOW: Duration = Duration::from_secs(10);

/// Names that a line gives before it only counts: what fits on one.
const NAMED_MAX: usize = 10;

/// Comings and goings of one room after which they are told at once, so that a stampede is held in no more memory.
const GATHERED_MAX: usize = 1_000;

/// What somebody did in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moved {
    In,
    Out,
    InAndOut,
    OutAndIn,
}

/// Who did what, in the order of their first move.
type Moves = Vec<(Arc<Nick>, Moved)>;

/// What is gathered and not yet told.
#[derive(Debug, Default)]
pub(super) struct Comings {
    rooms: Vec<(Arc<RoomName>, Moves)>,
    until: Option<Instant>,
}

impl Comings {
    /// Notes that somebody came in or went; whether so much is gathered that it is to be told now.
    pub(super) fn note(&mut self, room: Arc<RoomName>, nick: Arc<Nick>, came: bool, now: Instant) -> bool {
        self.until.get_or_insert(now + WINDOW);
        let at = self.rooms.iter().position(|(known, _)| *known == room).unwrap_or_else(|| {
            self.rooms.push((room, Vec::new()));
            self.rooms.len() - 1
        });
        let moves = &mut self.rooms[at].1;
        let known = moves.iter_mut().rev().find(|(known, _)| *known == nick);
        match known {
            None => moves.push((nick, if came { Moved::In } else { Moved::Out })),
            Some((_, before)) => {
                *before = match (*before, came) {
                    (Moved::In | Moved::InAndOut, false) => Moved::InAndOut,
                    (Moved::Out | Moved::OutAndIn, false) => Moved::Out,
                    (Moved::In | Moved::InAndOut, true) => Moved::In,
                    (Moved::Out | Moved::OutAndIn, true) => Moved::OutAndIn,
                };
            }
        }
        moves.len() >= GATHERED_MAX
    }

    /// When what is gathered is to be told.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Whether somebody is among those gathered.
    pub(super) fn has(&self, nick: &Nick) -> bool {
        self.rooms.iter().any(|(_, moves)| moves.iter().any(|(moved, _)| **moved == *nick))
    }

    /// Forgets what is gathered.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// What to tell, a line for each room.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.until = None;
        std::mem::take(&mut self.rooms).into_iter().map(|(room, moves)| told(&room, &moves)).collect()
    }
}

fn told(room: &RoomName, moves: &[(Arc<Nick>, Moved)]) -> String {
    let did = [
        (Moved::In, "joined"),
        (Moved::Out, "left"),
        (Moved::InAndOut, "came and went"),
        (Moved::OutAndIn, "went and came back"),
    ];
    let did = did.into_iter().filter_map(|(moved, what)| {
        let nicks: Vec<&Nick> = moves.iter().filter(|(_, did)| *did == moved).map(|(nick, _)| &**nick).collect();
        (!nicks.is_empty()).then(|| format!("{} {what}", names(&nicks)))
    });
    format!("#{room}: {}", did.collect::<Vec<_>>().join("; "))
}

/// `ada`, `ada and bob`, `ada, bob and 3 more`.
fn names(nicks: &[&Nick]) -> String {
    let (named, more) = nicks.split_at(nicks.len().min(NAMED_MAX));
    let mut named: Vec<String> = named.iter().map(ToString::to_string).collect();
    let last = if more.is_empty() { named.pop().unwrap_or_default() } else { format!("{} more", more.len()) };
    if named.is_empty() { last } else { format!("{} and {last}", named.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(moves: &[(&str, &str, bool)]) -> Vec<String> {
        let mut comings = Comings::default();
        for (room, nick, came) in moves {
            let room = Arc::new(RoomName::parse(room).expect("a name"));
            let nick = Arc::new(Nick::parse(nick).expect("a name"));
            comings.note(room, nick, *came, Instant::now());
        }
        comings.take()
    }

    #[test]
    fn what_falls_together_is_told_together() {
        assert_eq!(lines(&[("lobby", "ada", true)]), ["#lobby: ada joined"]);
        assert_eq!(lines(&[("lobby", "ada", false)]), ["#lobby: ada left"]);
        assert_eq!(
            lines(&[("lobby", "ada", true), ("ops", "eve", false), ("lobby", "bob", true), ("lobby", "cy", false)]),
            ["#lobby: ada and bob joined; cy left", "#ops: eve left"]
        );
        assert_eq!(lines(&[("lobby", "ada", true), ("lobby", "ada", false)]), ["#lobby: ada came and went"]);
        assert_eq!(
            lines(&[("lobby", "ada", false), ("lobby", "ada", true), ("lobby", "bob", true)]),
            ["#lobby: bob joined; ada went and came back"]
        );
    }

    #[test]
    fn a_crowd_is_counted() {
        let names: Vec<String> = (0..200).map(|n| format!("n{n}")).collect();
        let moves: Vec<_> = names.iter().map(|name| ("lobby", name.as_str(), true)).collect();
        assert_eq!(lines(&moves), ["#lobby: n0, n1, n2, n3, n4, n5, n6, n7, n8, n9 and 190 more joined"]);
    }

    #[test]
    fn the_window_opens_with_the_first_and_does_not_move() {
        let mut comings = Comings::default();
        let (room, now) = (Arc::new(RoomName::parse("lobby").expect("a name")), Instant::now());
        let nick = |name: &str| Arc::new(Nick::parse(name).expect("a name"));
        comings.note(Arc::clone(&room), nick("ada"), true, now);
        comings.note(room, nick("bob"), true, now + WINDOW / 2);
        assert_eq!(comings.until(), Some(now + WINDOW));
        assert!(comings.has(&nick("ADA")) && !comings.has(&nick("cy")));
        comings.take();
        assert_eq!(comings.until(), None);
    }
}
