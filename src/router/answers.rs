//! How answers get into outboxes: collected for each connection, put in once a round.
//!
//! The rule that keeps order: what is pending for a connection goes in before anything is fed to it, so that the `ok` of a
//! `send` comes before the sender's own copy.

use super::Router;
use crate::model::{ByeReason, ConnId, ErrorEvent, Event, OkEvent, Tag};

impl Router {
    /// Tells a connection something.
    pub(super) fn tell(&mut self, id: ConnId, event: Event) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        if conn.events.is_empty() && conn.claim == 0 {
            self.answered.push(id);
        }
        conn.pending += event.cost();
        conn.events.push(event);
    }

    /// Tells a connection that its request is done, where it wants to know.
    pub(super) fn ok(&mut self, id: ConnId, tag: Tag, ok: OkEvent) {
        if tag.wants_ok() {
            self.tell(id, Event::Ok(tag, Box::new(ok)));
        }
    }

    /// Tells a connection that its request is not done.
    pub(super) fn error(&mut self, id: ConnId, tag: Tag, error: ErrorEvent) {
        self.tell(id, Event::Error(tag, Box::new(error)));
    }

    /// Puts everything pending into its outbox.
    pub(super) fn flush_answers(&mut self) {
        while !self.answered.is_empty() {
            for id in std::mem::take(&mut self.answered) {
                let Some(conn) = self.conns.get_mut(&id) else { continue };
                let events = std::mem::take(&mut conn.events);
                let claim = std::mem::take(&mut conn.claim);
                conn.pending = 0;
                let fits = events.is_empty() || conn.outbox.answer(events).is_ok() || conn.outbox.is_deaf();
                conn.outbox.settle(claim);
                if !fits {
                    self.close(id, ByeReason::SlowConsumer, Tag::None, false, None);
                }
            }
        }
    }
}
