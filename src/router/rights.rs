//! Who may do what: the one place where a right is checked, and where a refusal finds its words.
//!
//! Pure: it looks at who stands where and answers yes or no; it changes nothing and knows no connection.

use std::sync::Arc;

use super::Router;
use super::halls::HallId;
use crate::model::{Code, ConnId, ErrorEvent, Identity, RoomName};
use crate::room::Room;

/// Something that not everyone may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Become a member, observer or worker.
    Join,
    /// Know that the room is there, and read its history.
    Read,
    /// Publish, or ask a worker.
    Send,
    /// Change a setting.
    Configure(&'static str),
    /// End it.
    Delete,
    /// Set its topic.
    SetTopic,
    /// Blank a message; `true` where it is the asker's own.
    Redact(bool),
}

/// How somebody stands to a room.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    /// Who.
    pub identity: Identity,
    /// Whether one of the room's members.
    pub is_member: bool,
}

impl Standing {
    fn owns(&self, room: &Room) -> bool {
        room.owner.as_ref() == Some(&self.identity)
    }
}

/// Whether somebody may do something in a room.
pub(super) fn check(act: Act, who: &Standing, room: &Room, name: &Arc<RoomName>) -> Result<(), ErrorEvent> {
    let is_let_in = !room.settings.private || who.is_member || who.owns(room) || room.invited.contains(&who.identity);
    let forbid = |words: String| Err(ErrorEvent::new(Code::Forbidden, words).room(name));
    match act {
        _ if !is_let_in && matches!(act, Act::Read | Act::Delete) => Err(no_such_room(name)),
        _ if !is_let_in => forbid(format!("{name} is private: ask a member to invite you")),
        Act::Send if room.is_dead_letter => {
            forbid(format!("{name} holds what could not be delivered: only the server sends there"))
        }
        Act::Join | Act::Read | Act::Send => Ok(()),
        Act::Configure(_) if who.owns(room) || (room.owner.is_none() && room.log.newest().0 == 0) => Ok(()),
        Act::Configure(setting) => {
            let words = format!("{name} stands with another `{setting}`");
            Err(ErrorEvent::new(Code::RoomExists, words).room(name))
        }
        Act::SetTopic if who.owns(room) || (room.owner.is_none() && who.is_member) => Ok(()),
        Act::SetTopic if room.owner.is_none() => {
            Err(ErrorEvent::new(Code::NotJoined, format!("join {name} to set its topic")).room(name))
        }
        Act::SetTopic => forbid(format!("only its owner sets the topic of {name}")),
        Act::Redact(is_own) if is_own || who.owns(room) => Ok(()),
        Act::Redact(_) => forbid("you can take back only what you said yourself".into()),
        Act::Delete if who.owns(room) => Ok(()),
        Act::Delete if room.owner.is_none() => {
            forbid(format!("nobody owns {name}: only an administrator can delete it"))
        }
        Act::Delete => forbid(format!("only its owner can delete {name}")),
    }
}

/// Whether a queue room has a place for one more message of so many bytes, where so many others are on their way to it.
pub(super) fn check_backlog(room: &Room, waiting: usize, bytes: usize) -> Result<(), ErrorEvent> {
    let Some(queue) = &room.queue else { return Ok(()) };
    let settings = &room.settings;
    let is_full = (settings.keep_messages > 0 && (queue.len() + waiting) as u64 >= settings.keep_messages)
        || (settings.keep_bytes > 0 && (queue.bytes() + bytes) as u64 > settings.keep_bytes);
    if is_full {
        return Err(ErrorEvent::new(Code::RoomFull, "the backlog is full: wait until workers have done some of it"));
    }
    Ok(())
}

/// What is said of a room that is not there, or that the asker may not know of.
pub(super) fn no_such_room(name: &Arc<RoomName>) -> ErrorEvent {
    ErrorEvent::new(
        Code::NoSuchRoom,
        format!("there is no room {name} that you may see; a join or create makes one where none is"),
    )
    .room(name)
}

impl Router {
    /// How a connection stands to a room.
    pub(super) fn standing(&self, id: ConnId, hall: HallId) -> Standing {
        Standing {
            identity: self.conns.get(&id).map_or(Identity::Guest(0), |conn| conn.identity().clone()),
            is_member: self.halls.get(hall).is_some_and(|hall| hall.has(id)),
        }
    }

    /// The hall of a room that stands and that a connection may do something in.
    pub(super) fn hall_for(&self, id: ConnId, room: &Arc<RoomName>, act: Act) -> Result<HallId, ErrorEvent> {
        let hall = self.halls.find(room).ok_or_else(|| no_such_room(room))?;
        let there = self.halls.get(hall).ok_or_else(|| no_such_room(room))?;
        check(act, &self.standing(id, hall), &there.room, room)?;
        Ok(hall)
    }
}
