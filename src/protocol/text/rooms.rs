//! The commands about rooms: `/join`, `/leave`, `/rooms`, `/who`, `/topic`, `/create`, `/stay`.
//!
//! They say which room is meant; whether it can be entered, and what it is then, the router says.

use std::sync::Arc;

use super::command::{Act, Acted, Call, PLAIN, bad_name, room_name, usage};
use super::mark::Mark;
use crate::model::{Command, Create, Join, Kind, Page, Part, Pattern, Place, RoomName, Start, Target};
use crate::protocol::NEWS_BYTES;

/// Messages that a room shows to one who comes in: what fits a small screen.
const SHOWN_ON_JOIN: u64 = 20;

/// Lines of a listing: more than anyone reads, and each answer still small.
const LISTED_MAX: u32 = 200;

pub(super) fn join(call: &mut Call<'_>) -> Acted {
    let (name, rest) = call.word();
    if name.is_empty() || !rest.is_empty() {
        return Err(usage("join"));
    }
    let target = target(name)?;
    let join = |target, part, start| {
        let join = Join { target, part, start, prefetch: None, ack_wait: None, stay: false };
        Command::Join(Box::new(join))
    };
    match target {
        Target::Place(Place::Room(room)) => {
            if let Some(joined) = call.person.rooms.iter().find(|joined| **joined == room).cloned() {
                let told = format!("What you say goes to #{joined} now.");
                call.person.room = Some(joined);
                return Ok(Act::Tell(told));
            }
            let target = Target::Place(Place::Room(Arc::clone(&room)));
            Ok(Act::Enter(room, join(target, Some(Part::Member), Start::Recent(SHOWN_ON_JOIN))))
        }
        watched => Ok(Act::Ask(Mark::Join, join(watched, Some(Part::Observer), Start::Now), call.max_line)),
    }
}

pub(super) fn leave(call: &mut Call<'_>) -> Acted {
    let (name, rest) = call.word();
    if !rest.is_empty() {
        return Err(usage("leave"));
    }
    let target = if name.is_empty() { Target::Place(Place::Room(call.room()?)) } else { target(name)? };
    if let Target::Place(Place::Room(room)) = &target {
        call.person.left(room);
    }
    // A pattern has every room looked at that there is.
    let claim = if matches!(target, Target::Pattern(_)) { call.max_line } else { PLAIN };
    Ok(Act::Ask(Mark::Leave, Command::Leave(target), claim))
}

pub(super) fn rooms(call: &mut Call<'_>) -> Acted {
    let text = call.args.strip_prefix('#').unwrap_or(call.args);
    let pattern = if text.is_empty() { None } else { Some(Pattern::parse(text)) };
    let pattern = pattern.transpose().map_err(|error| bad_name(text, "a pattern of rooms", error))?.map(Arc::new);
    let page = Page { after: None, limit: LISTED_MAX };
    Ok(Act::Ask(Mark::Rooms, Command::Rooms(pattern, Box::new(page)), call.max_line))
}

pub(super) fn who(call: &mut Call<'_>) -> Acted {
    let room = if call.args.is_empty() { call.person.room.clone() } else { Some(room_name(call.args)?) };
    let page = Page { after: None, limit: LISTED_MAX };
    Ok(Act::Ask(Mark::Who, Command::Who(room, Box::new(page)), call.max_line))
}

pub(super) fn topic(call: &mut Call<'_>) -> Acted {
    let room = call.room()?;
    let topic = match call.args {
        "" => None,
        "-" => Some("".into()),
        text => Some(text.into()),
    };
    let claim = if topic.is_some() { NEWS_BYTES } else { PLAIN };
    Ok(Act::Ask(Mark::Topic, Command::Topic(room, topic), claim))
}

pub(super) fn create(call: &mut Call<'_>) -> Acted {
    let (name, kind) = call.word();
    if name.is_empty() {
        return Err(usage("create"));
    }
    let kinds = [Kind::Fanout, Kind::Queue, Kind::Latest];
    let kind = if kind.is_empty() {
        None
    } else {
        let known = kinds.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(kind));
        Some(known.ok_or_else(|| format!("A room is fanout, queue or latest. {}", usage("create")))?)
    };
    let create = Create { kind, ..Create::new(room_name(name)?) };
    Ok(Act::Ask(Mark::Create, Command::Create(Box::new(create)), PLAIN))
}

#[expect(clippy::unnecessary_wraps, reason = "every command has one shape")]
pub(super) fn stay(_: &mut Call<'_>) -> Acted {
    Ok(Act::Ask(Mark::Stay, Command::Stay, PLAIN))
}

/// The rooms to name to one who said something in none: as many as one line holds.
pub(super) fn nowhere() -> Act {
    const NAMED: u32 = 10;
    let page = Page { after: None::<RoomName>, limit: NAMED };
    Act::Ask(Mark::Nowhere, Command::Rooms(None, Box::new(page)), 256 * NAMED as usize)
}

fn target(text: &str) -> Result<Target, String> {
    let name = text.strip_prefix('#').unwrap_or(text);
    Target::parse(name).map_err(|error| bad_name(name, "a room's name", error))
}
