//! How the router ends: in order, or because it failed. Either way everyone hears that the server goes down.
//!
//! What is told here is put straight into the outboxes, so that a router which failed is asked to decide nothing more.

use super::conns::Ending;
use super::{Message, Parcel, Router};
use crate::model::{ByeReason, Code, Command, ConnId, ErrorEvent, Event, Tag};

impl Router {
    /// Says goodbye to everyone, once what they asked for is carried out.
    pub(super) fn shutdown(&mut self) {
        self.settle();
        self.say_goodbye();
    }

    /// Says goodbye after a failure. Of what failed on the way nobody can say what came of it, so nothing is; what
    /// was never begun is refused.
    pub(super) fn abandon(&mut self, unheard: impl Iterator<Item = Message>) {
        for conn in self.conns.values_mut() {
            conn.events.clear();
        }
        for message in unheard {
            match message {
                Message::Parcel(parcel) => self.turn_away(*parcel),
                Message::Connect(connect) => self.connect(*connect),
                _ => {}
            }
        }
        self.say_goodbye();
    }

    /// Tells those with open questions that nobody will answer, and everyone goodbye.
    fn say_goodbye(&mut self) {
        for (asker, tag) in self.give_up_requests() {
            self.turn_down(asker, tag, "request");
        }
        let held: Vec<Parcel> = self.conns.values_mut().flat_map(|conn| conn.held.drain(..)).collect();
        for parcel in held {
            self.turn_away(parcel);
        }
        for (_, mut conn) in self.conns.drain() {
            let mut events = std::mem::take(&mut conn.events);
            // One that was on its way out gets the goodbye it asked for.
            let tag = conn.ending.map_or(Tag::None, |ending| ending.tag);
            events.push(Event::bye(tag, ByeReason::Shutdown));
            // Where it does not fit, the writer says it when this outbox is gone.
            let _ = conn.outbox.answer(events);
            conn.outbox.close();
        }
    }

    /// Refuses what was asked and never begun.
    fn turn_away(&mut self, parcel: Parcel) {
        for ask in parcel.intake.asks {
            match ask.command {
                Command::Quit { .. } => self.let_go(parcel.conn, ask.tag),
                command => self.turn_down(parcel.conn, ask.tag, command.op()),
            }
        }
    }

    fn let_go(&mut self, id: ConnId, tag: Tag) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.ending.get_or_insert(Ending { tag, by_client: true, words: None });
        }
    }

    fn turn_down(&mut self, id: ConnId, tag: Tag, op: &'static str) {
        if let Some(conn) = self.conns.get_mut(&id) {
            let error = ErrorEvent::new(Code::ShuttingDown, "the server goes down").op(op);
            conn.events.push(Event::Error(tag, Box::new(error)));
        }
    }
}
