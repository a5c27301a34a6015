//! The commands for talking: `/msg`, `/r`, `/me`, `/ignore`, `/unignore`.
//!
//! Whom one ignores is a matter of one's own screen: the others and the router never learn of it.

use std::sync::Arc;

use super::command::{Act, Acted, Call, nick, room_name, usage};
use super::mark::Mark;
use super::person::IGNORED_MAX;
use crate::model::Place;

pub(super) fn msg(call: &mut Call<'_>) -> Acted {
    let (to, text) = call.word();
    if text.is_empty() {
        return Err(usage("msg"));
    }
    let place = if to.starts_with('#') { Place::Room(room_name(to)?) } else { Place::Direct(Arc::new(nick(to)?)) };
    Ok(Act::Say(Mark::Silent, place, text.to_owned()))
}

pub(super) fn reply(call: &mut Call<'_>) -> Acted {
    if call.args.is_empty() {
        return Err(usage("r"));
    }
    let partner = call.person.partner.clone();
    let partner = partner.ok_or("Nobody has written to you directly yet: /msg NICK TEXT begins.")?;
    Ok(Act::Say(Mark::Reply, Place::Direct(partner), call.args.to_owned()))
}

pub(super) fn me(call: &mut Call<'_>) -> Acted {
    if call.args.is_empty() {
        return Err(usage("me"));
    }
    let room = call.room()?;
    Ok(Act::Say(Mark::Silent, Place::Room(room), format!("/me {}", call.args)))
}

pub(super) fn ignore(call: &mut Call<'_>) -> Acted {
    if call.args.is_empty() {
        let mut names: Vec<&str> = call.person.ignored.iter().map(AsRef::as_ref).collect();
        names.sort_unstable();
        return Ok(Act::Tell(match names.as_slice() {
            [] => "You ignore nobody.".to_owned(),
            names => format!("You ignore {}.", names.join(", ")),
        }));
    }
    let nick = nick(call.args)?;
    if call.person.is_me(&nick) {
        return Err("That is you. /quit leaves.".to_owned());
    }
    if call.person.ignored.len() >= IGNORED_MAX {
        return Err(format!("You ignore {IGNORED_MAX} people already: /unignore somebody first."));
    }
    call.person.ignored.insert(nick.key().into());
    Ok(Act::Tell(format!("You see nothing more of {nick}: /unignore {nick} undoes it.")))
}

pub(super) fn unignore(call: &mut Call<'_>) -> Acted {
    if call.args.is_empty() {
        return Err(usage("unignore"));
    }
    let nick = nick(call.args)?;
    if call.person.ignored.remove(nick.key()) {
        Ok(Act::Tell(format!("You see {nick} again.")))
    } else {
        Err(format!("You did not ignore {nick}."))
    }
}
