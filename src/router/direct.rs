//! Direct messages: finding the hall that a pair has to itself.
//!
//! Such a hall is a room like any other once it is found; only the two can find it.

use std::sync::Arc;

use super::Router;
use super::hall::HallName;
use super::halls::HallId;
use super::publish::gone;
use crate::model::{Code, ConnId, ErrorEvent, Nick, Part};

impl Router {
    /// The hall of a connection and the one with that nick, with everyone's connections in it.
    pub(super) fn direct_hall(&mut self, id: ConnId, nick: &Arc<Nick>) -> Result<HallId, ErrorEvent> {
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let Some(other) = self.sessions.find(nick) else {
            return Err(ErrorEvent::new(Code::NoSuchNick, format!("nobody here is called {nick}")));
        };
        let Some(peer) = self.conns.get(&other) else { return Err(gone()) };
        let own = (conn.identity().clone(), Arc::clone(conn.nick()));
        let peer = (peer.identity().clone(), Arc::clone(peer.nick()));
        if let Some(hall) = self.halls.find_direct(&own.0, &peer.0) {
            for (conn, (identity, nick)) in [(id, &own), (other, &peer)] {
                self.note_party(hall, identity, nick);
                if self.halls.get(hall).is_some_and(|hall| !hall.has(conn)) {
                    self.add_member(conn, hall, Part::Observer, true);
                }
            }
            return Ok(hall);
        }
        if self.halls.count_direct() >= self.config.limits.max_rooms {
            return Err(ErrorEvent::new(Code::TooManyRooms, "the server holds as many conversations as it may"));
        }
        Ok(self.direct_or_new((&own.0, &own.1), (&peer.0, &peer.1)))
    }

    /// The hall of a connection and one whose nick it knows from it, who may be gone.
    pub(super) fn known_direct_hall(&mut self, id: ConnId, nick: &Arc<Nick>) -> Result<HallId, ErrorEvent> {
        match self.direct_hall(id, nick) {
            Ok(hall) => Ok(hall),
            Err(error) => {
                let Some(conn) = self.conns.get(&id) else { return Err(error) };
                let knows = |hall: &HallId| {
                    self.halls.get(*hall).is_some_and(|hall| match &hall.name {
                        HallName::Direct(parties) => {
                            parties.iter().any(|party| party.nick == *nick && party.identity != *conn.identity())
                        }
                        HallName::Room(..) => false,
                    })
                };
                conn.halls.iter().copied().find(knows).ok_or(error)
            }
        }
    }

    /// Notes under which nick a party is known now.
    fn note_party(&mut self, hall: HallId, identity: &crate::model::Identity, nick: &Arc<Nick>) {
        let Some(hall) = self.halls.get_mut(hall) else { return };
        if let HallName::Direct(parties) = &mut hall.name {
            for party in parties.iter_mut().filter(|party| party.identity == *identity) {
                party.nick = Arc::clone(nick);
            }
        }
    }
}
