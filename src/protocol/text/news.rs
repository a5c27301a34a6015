//! Answers and news in words: what each event of the server reads like.
//!
//! Gives lines without their mark; the encoder writes them. What an event changes about the person (a new nick, a room
//! lost) is noted here too, because the words depend on it.

use std::sync::Arc;

use super::mark::Mark;
use super::person::Person;
use super::screen::Count;
use super::{listing, words};
use crate::model::{Event, Nick, OkEvent, Place, RoomName, Welcome};

/// What an event reads like; nothing where it is not for people.
pub(super) fn lines(event: &Event, person: &mut Person) -> Vec<String> {
    match event {
        Event::Welcome(tag, welcome) => self::welcome(Mark::of(tag), welcome, person),
        Event::Ok(tag, ok) => self::ok(Mark::of(tag), ok, person),
        Event::Sent { tag, place: Place::Direct(to), .. } if Mark::of(tag) == Mark::Reply => vec![format!("To {to}.")],
        Event::Error(tag, error) => vec![words::error(Mark::of(tag), error, person)],
        Event::Nick { nick, was } => renamed(nick, was, person),
        Event::Topic { room, topic, by } if topic.is_empty() => vec![format!("{by} took the topic of #{room} away.")],
        Event::Topic { room, topic, by } => vec![format!("{by} set the topic of #{room}: {topic}")],
        Event::Redacted { room, seq, by } => vec![format!("{by} took back message {seq} in #{room}.")],
        Event::Who { room, members, more, .. } => listing::who(room.as_deref(), members, *more, person),
        Event::Rooms { tag, rooms, .. } if Mark::of(tag) == Mark::Nowhere => vec![listing::nowhere(rooms, person)],
        Event::Rooms { rooms, more, .. } => listing::rooms(rooms, *more, person),
        Event::Lagged { place, missed, presence, .. } => {
            let more = if *presence { ", and who came and went" } else { "" };
            vec![format!("You were too slow: {} missed in {}{more}.", Count(*missed, "message"), spot(place))]
        }
        Event::Gap { place, first, last } if first == last => {
            vec![format!("Message {first} of {} is no longer kept.", spot(place))]
        }
        Event::Gap { place, first, last } => {
            vec![format!("Messages {first} to {last} of {} are no longer kept.", spot(place))]
        }
        Event::Ping => vec!["Still here.".to_owned()],
        Event::Pong(_) => vec!["Yes, the server is there.".to_owned()],
        Event::Bye { reason, .. } => vec![words::bye(*reason, person)],
        // Work and requests are for workers, which nobody is here; the rest the encoder writes itself.
        _ => Vec::new(),
    }
}

/// Where something was, as a person calls it.
pub(super) fn spot(place: &Place) -> String {
    match place {
        Place::Room(room) => format!("#{room}"),
        Place::Direct(with) => format!("what you and {with} wrote"),
    }
}

/// One who did not go by themselves, or the person at this end; `None` where it is a plain going.
pub(super) fn removed(
    room: &RoomName,
    nick: &Nick,
    reason: Option<&str>,
    by: Option<&Nick>,
    person: &mut Person,
) -> Option<String> {
    let why = reason.map_or_else(|| ".".to_owned(), |reason| format!(": {reason}"));
    if person.is_me(nick) {
        person.left(room);
        return Some(match (reason, by) {
            (Some("deleted"), Some(by)) => format!("{by} deleted #{room}."),
            (Some("deleted"), None) => format!("#{room} was deleted."),
            (_, Some(by)) => format!("{by} put you out of #{room}{why}"),
            (_, None) => format!("You are no longer in #{room}{why}"),
        });
    }
    by.map(|by| format!("{by} put {nick} out of #{room}{why}"))
}

fn welcome(mark: Mark, welcome: &Welcome, person: &mut Person) -> Vec<String> {
    person.nick = Some(Arc::clone(&welcome.nick));
    let nick = &welcome.nick;
    let mut lines = vec![match mark {
        Mark::Guest => format!("You are {nick} for now: /nick NAME takes a name of your own."),
        _ => format!("You are {nick}. /rooms lists the rooms there are, /join lobby goes into one."),
    }];
    lines.extend(welcome.unread.iter().map(|(from, count)| {
        let wait = if *count == 1 { "waits" } else { "wait" };
        format!("{} from {from} {wait} for you: /history @{from}", Count(*count, "message"))
    }));
    lines
}

fn ok(mark: Mark, ok: &OkEvent, person: &mut Person) -> Vec<String> {
    if let Some(nick) = &ok.nick {
        person.nick = Some(Arc::clone(nick));
    }
    let room = match &ok.place {
        Some(place) => spot(place),
        None => ok.pattern.as_ref().map_or_else(String::new, |pattern| format!("#{}", pattern.shown())),
    };
    let name = room.trim_start_matches('#');
    let topic = ok.topic.as_deref().filter(|topic| !topic.is_empty());
    match mark {
        Mark::Join if ok.pattern.is_some() => vec![format!("You watch every room that {name} covers.")],
        Mark::Join => {
            let said = match ok.seq {
                Some(seq) if seq.0 > 0 => format!(", where {} so far", were_said(seq.0)),
                _ => String::new(),
            };
            let mut lines = vec![format!("You are in {room}{said}. What you type goes there now.")];
            if ok.seq.is_some_and(|seq| seq.0 == 0) {
                lines.push("Nobody has said anything there yet.".to_owned());
            }
            lines.extend(topic.map(|topic| format!("The topic of {room}: {topic}")));
            lines
        }
        Mark::Leave if ok.pattern.is_some() => vec![format!("You watch {name} no more.")],
        Mark::Leave => {
            let next = match (&person.room, person.rooms.as_slice()) {
                (Some(current), _) => format!(" What you type goes to #{current}."),
                (None, [.., other]) => format!(" You are still in #{other}: /join {other} to speak there."),
                (None, []) => String::new(),
            };
            vec![format!("You left {room}.{next}")]
        }
        Mark::Topic => match topic {
            Some(topic) => vec![format!("The topic of {room}: {topic}")],
            None => vec![format!("{room} has no topic: /topic TEXT gives it one.")],
        },
        Mark::Create if ok.existed => vec![format!("{room} is there already, just like that: /join {name} goes in.")],
        Mark::Create => vec![format!("You made {room}: /join {name} goes in.")],
        Mark::Stay => vec!["You stay: what is said goes on coming when your input ends.".to_owned()],
        Mark::Nick => person.nick.iter().map(|nick| format!("You are {nick} now.")).collect(),
        _ => Vec::new(),
    }
}

fn were_said(count: u64) -> String {
    format!("{} {} said", Count(count, "message"), if count == 1 { "was" } else { "were" })
}

fn renamed(nick: &Arc<Nick>, was: &Arc<Nick>, person: &mut Person) -> Vec<String> {
    // Whom one ignores, and whom one answers, stays the same person under a new name.
    if person.ignored.remove(was.key()) {
        person.ignored.insert(nick.key().into());
        return Vec::new();
    }
    if person.partner.as_ref() == Some(was) {
        person.partner = Some(Arc::clone(nick));
    }
    if person.is_me(was) {
        person.nick = Some(Arc::clone(nick));
        return vec![format!("You are {nick} now.")];
    }
    vec![format!("{was} is called {nick} now.")]
}
