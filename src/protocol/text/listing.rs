//! Listings: who is there, which rooms there are.
//!
//! From members and rooms to lines: what is in the lists, and who may see it, was decided in the router.

use std::sync::Arc;

use super::person::Person;
use super::screen::{Ago, Count};
use crate::model::{Kind, MemberInfo, RoomInfo, RoomName};

/// Columns of a line of names: a narrow terminal's, less the mark.
const COLUMNS: usize = 72;

/// Seconds of silence that are worth a word.
const QUIET_S: u64 = 300;

/// Characters of a topic that a listing shows.
const TOPIC_CHARS: usize = 60;

/// Who is there, some to a line.
pub(super) fn who(room: Option<&RoomName>, members: &[MemberInfo], more: bool, person: &Person) -> Vec<String> {
    let place = room.map_or_else(|| "online".to_owned(), |room| format!("in #{room}"));
    if members.is_empty() {
        return vec![format!("Nobody is {place}.")];
    }
    let people = if members.len() == 1 { "person" } else { "people" };
    let mut lines = vec![format!("{}{} {people} {place}:", if more { "The first " } else { "" }, members.len())];
    let mut line = String::new();
    for (at, member) in members.iter().enumerate() {
        let mut word = described(member, person);
        if at + 1 < members.len() {
            word.push(',');
        }
        if !line.is_empty() && line.chars().count() + word.chars().count() >= COLUMNS {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(if line.is_empty() { "  " } else { " " });
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// `ada`, `bob (moderator, quiet for 12 min)`.
fn described(member: &MemberInfo, person: &Person) -> String {
    let mut notes = Vec::new();
    if person.is_me(&member.nick) {
        notes.push("you".to_owned());
    }
    if let Some(account) = member.account.as_ref().filter(|account| ***account != *member.nick.shown()) {
        notes.push(format!("account {account}"));
    }
    if member.role != "member" {
        notes.push(member.role.to_owned());
    }
    if member.idle_s >= QUIET_S && !person.is_me(&member.nick) {
        notes.push(format!("quiet for {}", Ago(member.idle_s)));
    }
    if notes.is_empty() { member.nick.to_string() } else { format!("{} ({})", member.nick, notes.join(", ")) }
}

/// Which rooms there are, one to a line.
pub(super) fn rooms(rooms: &[RoomInfo], more: bool, person: &Person) -> Vec<String> {
    if rooms.is_empty() {
        return vec!["There are no rooms yet: /join lobby makes one.".to_owned()];
    }
    let widest = rooms.iter().map(|info| info.room.shown().chars().count()).max().unwrap_or_default();
    let mut lines = vec![format!("{}{}:", if more { "The first " } else { "" }, Count(rooms.len() as u64, "room"))];
    lines.extend(rooms.iter().map(|info| {
        let here = if person.rooms.contains(&info.room) { "*" } else { " " };
        let mut line = format!("{here} #{:widest$}  {}", info.room.shown(), Count(info.members, "member"));
        if info.kind != Kind::Fanout {
            line.push_str(", ");
            line.push_str(info.kind.as_str());
        }
        if info.private {
            line.push_str(", private");
        }
        if let Some(topic) = info.topic.as_deref().filter(|topic| !topic.is_empty()) {
            line.push_str(" — ");
            line.extend(topic.chars().take(TOPIC_CHARS));
            if topic.chars().nth(TOPIC_CHARS).is_some() {
                line.push('…');
            }
        }
        line
    }));
    if more {
        lines.push("There are more: /rooms NAME.> lists those that begin with a name.".to_owned());
    }
    lines
}

/// What to tell one who said something in no room.
pub(super) fn nowhere(rooms: &[RoomInfo], person: &Person) -> String {
    let names = |rooms: &[&Arc<RoomName>]| rooms.iter().map(|room| format!("#{room}")).collect::<Vec<_>>().join(", ");
    let joined: Vec<_> = person.rooms.iter().collect();
    if !joined.is_empty() {
        return format!("That went nowhere: /join the room to say it in, you are in {}.", names(&joined));
    }
    match rooms.iter().map(|info| &info.room).collect::<Vec<_>>().as_slice() {
        [] => "That went nowhere, for you are in no room: /join lobby makes one.".to_owned(),
        rooms => format!("That went nowhere, for you are in no room: /join one, such as {}.", names(rooms)),
    }
}
