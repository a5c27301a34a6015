//! How the crowd sends: as far ahead as the window lets each room be, in as few writes as it can, or one message a write, or
//! as answers come.

use std::io;

use super::{Crowd, Member, Room};
use crate::cli::bench::wire::Wire;

/// Bytes that a publisher hands to its socket at once: what a buffered writer would.
const WRITE_BYTES: usize = 64 << 10;

impl<W: Wire> Crowd<W> {
    /// Lets so many more be sent in all, the same number in each room.
    pub(in crate::cli::bench) fn allow(&mut self, messages: u64) {
        let each = messages.div_ceil(self.rooms.len() as u64);
        for room in 0..self.rooms.len() {
            self.rooms[room].left = each;
            self.touch(room);
        }
    }

    /// Sends what the window lets through, in the rooms where something has changed.
    pub(in crate::cli::bench) fn refill(&mut self) -> io::Result<()> {
        let mut touched = std::mem::take(&mut self.touched);
        for room in touched.drain(..) {
            self.rooms[room].is_touched = false;
            let free = self.rooms[room].flow.free().min(self.rooms[room].left);
            if let Some(unacked) = self.plan.unacked {
                self.publish_unacked(room, free, unacked)?;
            } else if self.plan.one_a_write {
                self.publish_singly(room, free)?;
            } else {
                self.publish(room, free)?;
            }
        }
        self.touched = touched;
        Ok(())
    }

    /// Has a room's one publisher send so many, in as few writes as it can.
    pub(in crate::cli::bench) fn publish(&mut self, number: usize, mut count: u64) -> io::Result<()> {
        let at = number * self.plan.parts.len();
        let (room, member) = (&mut self.rooms[number], &mut self.members[at]);
        let fits = (WRITE_BYTES / room.template.len()).max(1) as u64;
        while count > 0 && member.client.is_flushed() {
            let now = count.min(fits);
            send(room, member, at, now)?;
            count -= now;
            self.sent += now;
        }
        Ok(())
    }

    /// Has a room's publishers send so many by turns, each message in a write.
    fn publish_singly(&mut self, number: usize, count: u64) -> io::Result<()> {
        let first = number * self.plan.parts.len();
        let publishers = self.plan.publishers();
        let room = &mut self.rooms[number];
        for _ in 0..count {
            let at = first + room.turn;
            let member = &mut self.members[at];
            if !member.client.is_flushed() {
                break;
            }
            room.turn = (room.turn + 1) % publishers;
            send(room, member, at, 1)?;
            self.sent += 1;
        }
        Ok(())
    }

    /// Has each of a room's publishers send as many as it may have unanswered.
    fn publish_unacked(&mut self, number: usize, mut count: u64, unacked: u64) -> io::Result<()> {
        let first = number * self.plan.parts.len();
        let room = &mut self.rooms[number];
        for at in first..first + self.plan.publishers() {
            let member = &mut self.members[at];
            let now = (member.accepted + unacked - member.published).min(count);
            send(room, member, at, now)?;
            count -= now;
            self.sent += now;
        }
        Ok(())
    }
}

/// Has a publisher hand its next messages to its socket at once.
fn send<W>(room: &mut Room<W>, member: &mut Member, at: usize, count: u64) -> io::Result<()> {
    for _ in 0..count {
        room.template.append(at as u32, member.published, member.client.waiting());
        member.published += 1;
    }
    room.flow.sent(count);
    room.left -= count;
    member.client.flush()
}
