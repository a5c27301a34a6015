//! The connections the router knows: how they come, how they end, and what is kept of each.
//!
//! A connection's place in rooms is the hall's to keep; here is only what makes its end complete.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use indexmap::{IndexMap, IndexSet};

use super::halls::HallId;
use super::join::Told;
use super::watches::WatchId;
use super::{Connect, Parcel, Router};
use crate::model::{ByeReason, ConnId, Event, Identity, Nick, Outcome, Sender, Seq, SessionKey, Tag};
use crate::outbox::Outbox;
use crate::protocol::json::SenderPart;
use crate::sessions::log_of;
use crate::store::{Pos, Ticket};

/// One connection.
#[derive(Debug)]
pub(super) struct Conn {
    /// The way to it.
    pub outbox: Outbox,
    /// Who it is, as its messages say.
    pub part: SenderPart,
    /// What resumes it, once it was welcomed.
    pub key: Option<SessionKey>,
    /// Whether it gets its own messages back.
    pub echo: bool,
    /// Whether it is told of comings and goings.
    pub presence: bool,
    /// Whether its credentials were refused, so that it may do nothing until others are accepted.
    pub is_locked: bool,
    /// The halls it is in.
    pub halls: IndexSet<HallId>,
    /// How many of them hold direct messages, which are no rooms it chose.
    pub directs: usize,
    /// The patterns it observes.
    pub watches: Vec<WatchId>,
    /// Where it is behind.
    pub lagging: IndexMap<HallId, CatchUp>,
    /// Answers not yet in the outbox.
    pub events: Vec<Event>,
    /// Bytes of them.
    pub pending: usize,
    /// What its parcels claimed of the answer budget and that is to be given back with the answers.
    pub claim: usize,
    /// Its own requests that have no answer yet.
    pub open_requests: usize,
    /// What it sent, set or asked for and that the store has not answered yet.
    pub uncommitted: usize,
    /// Bytes that its parcel sends to the disk, which its reader is held to when that is carried out.
    pub held_bytes: usize,
    /// Reads of the past under way for it.
    pub reads: usize,
    /// What it asked for behind that, in order.
    pub held: VecDeque<Parcel>,
    /// Why and how it is closed, once the store has answered: nobody is seen to leave before the last word.
    pub closing: Option<(ByeReason, Ending)>,
    /// Whether there was work that its outbox had no room for.
    pub is_starved: bool,
    /// Whether it keeps receiving when its input has ended.
    pub stays: bool,
    /// How it ends, once everything it asked for is answered.
    pub ending: Option<Ending>,
    /// Whether its input has ended.
    pub is_mute: bool,
    /// When it last asked for something.
    pub heard: Instant,
}

/// How far a connection has read a hall that it is behind in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CatchUp {
    /// The number it needs next.
    pub next: Seq,
    /// Up to here messages are a replay.
    pub replay_until: Seq,
    /// Unix milliseconds before which it wants none of them; 0 where it wants all.
    pub since: u64,
    /// The place up to which it has all of them; 0 where its numbers alone count.
    pub after: Pos,
    /// The read that brings the next ones, where they are on disk.
    pub reading: Option<Ticket>,
}

impl CatchUp {
    /// A replay up to a number.
    pub(super) const fn replay(next: Seq, replay_until: Seq) -> Self {
        Self { next, replay_until, since: 0, after: Pos(0), reading: None }
    }

    /// Whether where it begins is not known by a number yet.
    pub(super) fn is_open(&self) -> bool {
        self.since > 0 || self.after > Pos(0)
    }

    /// What one needs who was live until now.
    pub(super) const fn lag(next: Seq) -> Self {
        Self::replay(next, Seq(0))
    }

    /// Whether a replay is not through yet.
    pub(super) fn is_replay(&self) -> bool {
        self.next <= self.replay_until
    }
}

/// The goodbye a connection will get.
#[derive(Debug)]
pub(super) struct Ending {
    /// What the goodbye answers.
    pub tag: Tag,
    /// Whether the client said so itself, which ends its session too.
    pub by_client: bool,
    /// What others are told.
    pub words: Option<Box<str>>,
}

impl Conn {
    /// Who it is, as everyone sees it.
    pub(super) const fn sender(&self) -> &Arc<Sender> {
        self.part.sender()
    }

    /// The nick it has.
    pub(super) fn nick(&self) -> &Arc<Nick> {
        &self.sender().nick
    }

    /// Who it is.
    pub(super) fn identity(&self) -> &Identity {
        &self.sender().identity
    }

    /// Makes it somebody else, or the same one under another name.
    pub(super) fn rename(&mut self, sender: Sender) {
        self.part = SenderPart::new(Arc::new(sender));
    }

    /// Whether it can be given work or questions: it reads what it gets and will answer.
    pub(super) fn is_ready(&self) -> bool {
        let is_going = self.is_mute || self.ending.is_some() || self.closing.is_some();
        self.lagging.is_empty() && !is_going && !self.outbox.is_deaf()
    }
}

impl Router {
    pub(super) fn connect(&mut self, connect: Connect) {
        let Connect { conn: id, outbox } = connect;
        let (guest, nick) = self.next_guest(id);
        let sender = Sender { conn: id, identity: Identity::Guest(guest), nick, account: None };
        let conn = Conn {
            outbox,
            part: SenderPart::new(Arc::new(sender)),
            key: None,
            echo: true,
            presence: false,
            is_locked: false,
            halls: IndexSet::new(),
            directs: 0,
            watches: Vec::new(),
            lagging: IndexMap::new(),
            events: Vec::new(),
            pending: 0,
            claim: 0,
            open_requests: 0,
            uncommitted: 0,
            held_bytes: 0,
            reads: 0,
            held: VecDeque::new(),
            closing: None,
            is_starved: false,
            stays: false,
            ending: None,
            is_mute: false,
            heard: self.now.instant,
        };
        self.sessions.called(id, conn.nick());
        self.conns.insert(id, Box::new(conn));
    }

    /// A guest's number, and a nick for it that nobody has.
    fn next_guest(&mut self, id: ConnId) -> (u64, Arc<Nick>) {
        loop {
            self.guests += 1;
            let nick = Nick::guest(self.guests);
            if self.sessions.take(&nick, id) {
                return (self.guests, Arc::new(nick));
            }
        }
    }

    /// A client said `quit`, or its input ended: it goes when everything it asked for is answered.
    pub(super) fn quit(&mut self, id: ConnId, tag: Tag, asked: bool, words: Option<Box<str>>) -> Outcome {
        let Some(conn) = self.conns.get_mut(&id) else { return Outcome::Done };
        conn.is_mute = true;
        if conn.stays && !asked && !conn.outbox.is_deaf() {
            for hall in conn.halls.clone() {
                self.retire_worker(id, hall);
            }
            return Outcome::Stays;
        }
        conn.ending = Some(Ending { tag, by_client: asked, words });
        self.finish_if_done(id);
        Outcome::Done
    }

    /// Ends a connection that asked to go, once nothing it asked for is open.
    pub(super) fn finish_if_done(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let is_safe = conn.uncommitted == 0 && conn.held.is_empty();
        let is_done = is_safe && conn.open_requests == 0 && !conn.lagging.values().any(CatchUp::is_replay);
        if let Some(Ending { tag, by_client, words }) = is_done.then(|| conn.ending.take()).flatten() {
            self.close(id, ByeReason::Quit, tag, by_client, words.as_deref());
        }
    }

    /// The connection's writer cannot reach its peer: what it still sends is carried out, then it ends.
    pub(super) fn deaf(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.lagging.clear();
        if conn.is_mute {
            self.close(id, ByeReason::Quit, Tag::None, false, None);
        }
    }

    /// Ends a connection whatever it still waits for.
    pub(super) fn close_for(&mut self, id: ConnId, reason: ByeReason) {
        self.close(id, reason, Tag::None, false, None);
    }

    /// Takes a connection out of everything and says goodbye to it.
    pub(super) fn close(&mut self, id: ConnId, reason: ByeReason, tag: Tag, by_client: bool, words: Option<&str>) {
        // Nobody is seen to leave before the last word.
        self.flush_all();
        let Some(conn) = self.conns.get_mut(&id) else { return };
        // One who is replaced is not seen to leave, and who replaces it need not wait.
        if conn.uncommitted > 0 && reason != ByeReason::Replaced {
            let words = words.map(Box::from);
            conn.closing.get_or_insert((reason, Ending { tag, by_client, words }));
            return;
        }
        let (halls, watches) = (conn.halls.clone(), conn.watches.clone());
        if let Some(key) = conn.key {
            let is_resumable = !by_client && !matches!(reason, ByeReason::Banned | ByeReason::Replaced);
            self.park(id, key, is_resumable);
        }
        let told = match (words, reason) {
            (_, ByeReason::Replaced) => Told::Nothing,
            (Some(words), _) => Told::Because(words),
            (None, reason) => Told::Because(reason.as_str()),
        };
        for hall in halls {
            self.remove_member(id, hall, told);
        }
        self.unwatch_all(id, &watches);
        self.drop_requests_of(id);
        let Some(mut conn) = self.conns.remove(&id) else { return };
        self.sessions.free(conn.nick(), id);
        log_of!(DEBUG, self.sessions, id, reason = reason.as_str(), "ended");
        let mut events = std::mem::take(&mut conn.events);
        events.push(Event::bye(tag, reason));
        conn.outbox.settle(conn.claim);
        // An outbox that takes nothing more belongs to a peer that reads nothing: its writer ends when this one is gone.
        let _ = conn.outbox.answer(events);
        conn.outbox.close();
    }

    /// Everything a connection sent is safe: what it asked for behind that is carried out, and it ends if it was to.
    pub(super) fn carry_on(&mut self, id: ConnId) {
        loop {
            let Some(conn) = self.conns.get_mut(&id).filter(|conn| conn.uncommitted == 0) else { return };
            let Some(parcel) = conn.held.pop_front() else { break };
            self.carry_out(parcel);
        }
        let closing = self.conns.get_mut(&id).and_then(|conn| conn.closing.take());
        match closing {
            Some((reason, Ending { tag, by_client, words })) => {
                self.close(id, reason, tag, by_client, words.as_deref());
            }
            None => self.finish_if_done(id),
        }
    }
}
