//! The commands about oneself and the connection: `/nick`, `/tz`, `/presence`, `/ping`, `/quit`, `/json`, `/pipe` …
//!
//! What is a matter of the screen is changed here; all else becomes a command to the router, and is told when that has
//! answered.

#![expect(clippy::unnecessary_wraps, reason = "every command has one shape, also one that cannot be typed wrongly")]

use std::sync::Arc;

use super::clock::Zone;
use super::command::{self, Act, Acted, Call, PLAIN, room_name, usage};
use super::mark::Mark;
use crate::model::Command;
use crate::protocol::NEWS_BYTES;

pub(super) fn nick(call: &mut Call<'_>) -> Acted {
    if call.args.is_empty() {
        return Err(usage("nick"));
    }
    let nick = Arc::new(command::nick(call.args)?);
    call.person.wanted = Some(Arc::clone(&nick));
    Ok(Act::Ask(Mark::Nick, Command::Nick(nick), NEWS_BYTES))
}

/// Whatever stood behind it may be a password and is forgotten here.
pub(super) fn register(_: &mut Call<'_>) -> Acted {
    Ok(Act::Ask(Mark::Register, Command::Unsupported("register"), PLAIN))
}

/// Whatever stood behind it may be a password and is forgotten here.
pub(super) fn login(_: &mut Call<'_>) -> Acted {
    Ok(Act::Ask(Mark::Login, Command::Unsupported("login"), PLAIN))
}

pub(super) fn tz(call: &mut Call<'_>) -> Acted {
    if !call.args.is_empty() {
        call.person.zone = Zone::parse(call.args)
            .ok_or_else(|| "No such time zone. Zones are called like /tz Europe/Berlin, or /tz +02:00.".to_owned())?;
    }
    let (zone, time) = (&call.person.zone, call.person.zone.time(call.now));
    Ok(Act::Tell(format!("Times are those of {zone}, where it is {:02}:{:02}.", time.hour(), time.minute())))
}

pub(super) fn presence(call: &mut Call<'_>) -> Acted {
    match call.args.to_ascii_lowercase().as_str() {
        "on" => call.person.presence = true,
        "off" => call.person.presence = false,
        "" => {}
        _ => return Err(usage("presence")),
    }
    let shown =
        if call.person.presence { "shown: /presence off stops it" } else { "not shown: /presence on shows them" };
    Ok(Act::Tell(format!("Comings and goings are {shown}.")))
}

pub(super) fn ping(_: &mut Call<'_>) -> Acted {
    Ok(Act::Ask(Mark::Ping, Command::Ping, PLAIN))
}

pub(super) fn quit(_: &mut Call<'_>) -> Acted {
    Ok(Act::Quit)
}

pub(super) fn json(_: &mut Call<'_>) -> Acted {
    Ok(Act::Json)
}

pub(super) fn pipe(call: &mut Call<'_>) -> Acted {
    let (room, name) = call.word();
    if room.is_empty() {
        return Err(usage("pipe"));
    }
    let name = if name.is_empty() { None } else { Some(command::nick(name)?) };
    Ok(Act::Pipe(room_name(room)?, name))
}
