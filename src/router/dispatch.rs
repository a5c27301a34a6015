//! From a parcel to the concern that decides each of its commands.
//!
//! It holds the order of a connection's commands and who answers them, and no rule about any of them.

use std::sync::Arc;

use super::hall::Hall;
use super::publish::LastPlace;
use super::{Parcel, Router};
use crate::model::{Ask, Code, Command, ConnId, ErrorEvent, Event, Outcome, RoomName, Tag};
use crate::protocol::Intake;

impl Router {
    /// Carries out what one connection asks, in its order.
    pub(super) fn parcel(&mut self, parcel: Parcel) {
        let Some(conn) = self.conns.get_mut(&parcel.conn) else { return };
        conn.heard = self.now.instant;
        if conn.held.is_empty() {
            return self.carry_out(parcel);
        }
        conn.held.push_back(parcel);
    }

    /// Carries a parcel out, or as much of it as need not wait until what was sent before is safe. As long as it waits, it
    /// counts as one that has not arrived, so that its sender is not read from without end.
    pub(super) fn carry_out(&mut self, parcel: Parcel) {
        let Parcel { conn: id, intake, weight, done } = parcel;
        let Intake { bytes, places, asks, claim, .. } = intake;
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.events.is_empty() && conn.claim == 0 && claim > 0 {
            self.answered.push(id);
        }
        conn.claim += claim;
        if std::mem::take(&mut conn.is_starved) {
            for hall in conn.halls.clone() {
                self.touch(hall);
            }
        }
        let mut outcome = Outcome::Done;
        let mut last: Option<LastPlace> = None;
        // Looked up once for a run of sends: only another command can change it.
        let mut is_locked = self.is_locked(id);
        let mut asks = asks.into_iter();
        while let Some(Ask { tag, command }) = asks.next() {
            if waits(&command) && self.conns.get(&id).is_some_and(|conn| conn.uncommitted > 0) {
                let asks = std::iter::once(Ask { tag, command }).chain(asks).collect();
                let intake = Intake { bytes, places, asks, claim: 0, ..Intake::default() };
                return self.hold(Parcel { conn: id, intake, weight, done });
            }
            outcome = match command {
                Command::Send(send) if !is_locked => self.send(id, (&bytes, &places), &mut last, tag, &send),
                command => {
                    last = None;
                    let outcome = self.command(id, tag, command, &bytes);
                    is_locked = self.is_locked(id);
                    outcome
                }
            };
        }
        self.hold_bytes(id);
        if let Some(conn) = self.conns.get(&id) {
            conn.outbox.arrived(weight);
        }
        if let Some(done) = done {
            self.resolved.push((done, outcome));
        }
    }

    /// Holds a connection's reader to what it just sent to the disk.
    fn hold_bytes(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.held_bytes > 0) else { return };
        conn.outbox.hold(std::mem::take(&mut conn.held_bytes));
    }

    /// Keeps what is left of a parcel until what the connection sent before is safe.
    fn hold(&mut self, rest: Parcel) {
        self.hold_bytes(rest.conn);
        let Some(conn) = self.conns.get_mut(&rest.conn) else { return };
        conn.held.push_front(rest);
    }

    /// A room's name as it was first written, where the room stands and the connection may know of it.
    fn as_written(&self, id: ConnId, room: &Arc<RoomName>) -> Arc<RoomName> {
        let hall = self.readable(id, room).ok();
        hall.and_then(Hall::room_name).map_or_else(|| Arc::clone(room), Arc::clone)
    }

    fn is_locked(&self, id: ConnId) -> bool {
        self.conns.get(&id).is_some_and(|conn| conn.is_locked)
    }

    fn command(&mut self, id: ConnId, tag: Tag, command: Command, bytes: &bytes::Bytes) -> Outcome {
        let op = command.op();
        if self.is_locked(id) && !matches!(command, Command::Hello(_) | Command::Ping | Command::Quit { .. }) {
            let error = ErrorEvent::new(Code::Unauthorized, "say `hello` without a password, or with the right one");
            self.error(id, tag, error.op(op));
            return Outcome::Refused;
        }
        let answer_tag = tag.clone();
        let about = command.room().map(|room| self.as_written(id, room));
        let done = match command {
            Command::Quit { asked, reason } => return self.quit(id, tag, asked, reason),
            Command::Send(_) => Ok(()),
            Command::Hello(hello) => self.hello(id, tag, &hello),
            Command::Join(join) => self.join(id, tag, &join),
            Command::Leave(target) => self.leave(id, tag, &target),
            Command::Request(request) => self.request(id, tag, &request, bytes),
            Command::Reply(reply) => self.reply(id, tag, &reply, bytes),
            Command::Ack(work) => self.ack(id, tag, &self.as_written(id, &work.0), &work.1),
            Command::Nack(work) => self.nack(id, tag, &self.as_written(id, &work.0), &work.1, work.2),
            Command::Working(work) => self.working(id, tag, &self.as_written(id, &work.0), &work.1),
            Command::Create(mut create) => {
                create.room = self.as_written(id, &create.room);
                self.create(id, tag, &create)
            }
            Command::Delete(room) => self.delete(id, tag, &self.as_written(id, &room)),
            Command::Redact(room, seq) => self.redact(id, tag, &self.as_written(id, &room), seq),
            Command::History(history) => self.history(id, tag, &history),
            Command::Search(search) => self.search(id, tag, &search),
            Command::Who(room, page) => self.who(id, tag, room.map(|room| self.as_written(id, &room)), &page),
            Command::Rooms(pattern, page) => {
                self.rooms(id, tag, pattern.as_deref(), &page);
                Ok(())
            }
            Command::Topic(room, topic) => self.topic(id, tag, &self.as_written(id, &room), topic),
            Command::Nick(nick) => self.nick(id, tag, &nick),
            Command::Stay => {
                self.stay(id, tag);
                Ok(())
            }
            Command::Ping => {
                self.tell(id, Event::Pong(tag));
                Ok(())
            }
            Command::Unsupported(op) => {
                let words = format!("this server does not do `{op}`");
                Err(ErrorEvent::new(Code::Unavailable, words))
            }
        };
        match done {
            Ok(()) => Outcome::Done,
            Err(error) => {
                let mut error = if error.op.is_some() { error } else { error.op(op) };
                error.room = error.room.or(about);
                self.error(id, answer_tag, error);
                Outcome::Refused
            }
        }
    }
}

/// Whether a command sees, or shows others, what was said before it, and so waits until that has its place. A `ping` waits
/// too: its `pong` says that all is done that was sent before. The store keeps the order of sends and acks itself.
const fn waits(command: &Command) -> bool {
    let is_work = matches!(command, Command::Ack(_) | Command::Nack(_) | Command::Working(_));
    !(is_work || matches!(command, Command::Send(_) | Command::Quit { .. }))
}
