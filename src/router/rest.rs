//! Rooms that nobody is in and that stand for what they hold: where there are as many rooms as there may be, the one that
//! was left alone longest makes place for a new one.
//!
//! So nobody can use up the server's rooms for good by speaking once in each of many. What was made by `create`, holds work or
//! remembers keys is never given up.

use super::Router;
use super::hall::Hall;
use super::halls::HallId;
use crate::room::Queue;

impl Router {
    /// Notes that nobody is in a hall any more, or that something was said there from outside.
    pub(super) fn rest(&mut self, id: HallId) {
        let now = self.now.instant;
        let Some(hall) = self.halls.get_mut(id).filter(|hall| can_go(hall)) else { return };
        if let Some(before) = hall.resting.replace(now) {
            self.halls.resting.remove(&(before, id));
        }
        self.halls.resting.insert((now, id));
    }

    /// Gives up the room that was left alone longest; whether there was one.
    pub(super) fn make_place(&mut self) -> bool {
        while let Some((since, id)) = self.halls.resting.pop_first() {
            let Some(hall) = self.halls.get_mut(id) else { continue };
            hall.resting.take_if(|resting| *resting == since);
            if can_go(hall) {
                self.halls.remove(id);
                return true;
            }
        }
        false
    }
}

/// Whether nothing is lost with a hall but old messages.
fn can_go(hall: &Hall) -> bool {
    let room = &hall.room;
    hall.room_name().is_some()
        && hall.members.is_empty()
        && !hall.is_busy()
        && !hall.is_stored()
        && !room.created
        && room.keys.is_empty()
        && room.queue.as_ref().is_none_or(Queue::is_empty)
}
