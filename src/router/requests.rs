//! Request and reply: a question goes to one worker, and its asker hears exactly once what came of it.
//!
//! Every open request has a deadline and a place among those of its asker, so none is forgotten and none is answered
//! twice.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::halls::HallId;
use super::publish::gone;
use super::rights::Act;
use super::{ConnMap, Router};
use crate::model::{Code, ConnId, ErrorEvent, Event, OkEvent, Part, Place, Reply, Request, Tag};

/// What an asker can always be told, so that an answer that does not fit becomes an error that does.
const ERROR_BYTES: usize = 512;

/// A question without an answer yet.
#[derive(Debug)]
struct Open {
    asker: ConnId,
    tag: Tag,
    worker: ConnId,
    hall: Option<HallId>,
    deadline: Instant,
}

/// All questions without an answer.
#[derive(Debug, Default)]
pub(super) struct Requests {
    last: u64,
    open: HashMap<u64, Open>,
    deadlines: BTreeSet<(Instant, u64)>,
    /// The questions of each connection, asked or to be answered.
    by_conn: ConnMap<BTreeSet<u64>>,
}

impl Requests {
    /// When the next question runs out of time.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    fn insert(&mut self, open: Open) -> u64 {
        self.last += 1;
        let req = self.last;
        self.deadlines.insert((open.deadline, req));
        for conn in [open.asker, open.worker] {
            self.by_conn.entry(conn).or_default().insert(req);
        }
        self.open.insert(req, open);
        req
    }

    fn remove(&mut self, req: u64) -> Option<Open> {
        let open = self.open.remove(&req)?;
        self.deadlines.remove(&(open.deadline, req));
        for conn in [open.asker, open.worker] {
            if let Some(reqs) = self.by_conn.get_mut(&conn) {
                reqs.remove(&req);
                if reqs.is_empty() {
                    self.by_conn.remove(&conn);
                }
            }
        }
        Some(open)
    }

    fn of(&self, conn: ConnId) -> Vec<u64> {
        self.by_conn.get(&conn).map(|reqs| reqs.iter().copied().collect()).unwrap_or_default()
    }
}

impl Router {
    pub(super) fn request(&mut self, id: ConnId, tag: Tag, request: &Request, bytes: &Bytes) -> Result<(), ErrorEvent> {
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        if conn.open_requests >= self.config.limits.max_requests {
            let words = "you have as many open requests as one connection may: wait for some replies";
            return Err(ErrorEvent::new(Code::RateLimited, words));
        }
        let sender = Arc::clone(conn.sender());
        let slice = |span: crate::model::Span| Bytes::copy_from_slice(span.of(bytes));
        let (headers, body) = (request.headers.map(slice), slice(request.body));
        let size = body.len() + headers.as_ref().map_or(0, Bytes::len);
        let (worker, hall) = match &request.place {
            Place::Room(room) => {
                let hall = self.hall_for(id, room, Act::Send).map_err(|error| match error.code {
                    Code::NoSuchRoom => no_responders(),
                    _ => error,
                })?;
                // What was said before the question is heard before it.
                self.flush(hall);
                (self.worker_by_turns(id, hall, size).ok_or_else(no_responders)?, Some(hall))
            }
            Place::Direct(nick) => {
                let worker = self.sessions.find(nick);
                let words = || ErrorEvent::new(Code::NoSuchNick, format!("nobody here is called {nick}"));
                let worker = worker.ok_or_else(words)?;
                let can_answer = worker != id && self.is_worker_somewhere(worker) && self.can_take(worker, size);
                (can_answer.then_some(worker).ok_or_else(no_responders)?, None)
            }
        };
        let deadline = self.now.instant + request.timeout;
        let req = self.requests.insert(Open { asker: id, tag, worker, hall, deadline });
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.open_requests += 1;
        }
        let place = match hall {
            Some(hall) => self.place_of(id, hall),
            None => self.conns.get(&worker).map(|conn| Place::Direct(Arc::clone(conn.nick()))),
        };
        let (place, ts) = (place.unwrap_or_else(|| request.place.clone()), self.now.unix_ms);
        self.tell(worker, Event::Request { place, req: req.to_string().into(), sender, ts, headers, body });
        Ok(())
    }

    pub(super) fn reply(&mut self, id: ConnId, tag: Tag, reply: &Reply, bytes: &Bytes) -> Result<(), ErrorEvent> {
        let req = reply.req.parse::<u64>().ok().filter(|req| req.to_string() == *reply.req);
        let req = req.filter(|req| self.requests.open.get(req).is_some_and(|open| open.worker == id));
        let Some(open) = req.and_then(|req| self.requests.remove(req)) else {
            let words = "no open request of yours has that `req`: it was answered, ran out of time or went to another";
            return Err(ErrorEvent::new(Code::BadRequest, words));
        };
        let Some(conn) = self.conns.get(&id) else { return Err(gone()) };
        let sender = Arc::clone(conn.sender());
        let slice = |span: crate::model::Span| Bytes::copy_from_slice(span.of(bytes));
        let result = reply.result.map(slice).map_err(slice);
        let (headers, ts) = (reply.headers.map(slice), self.now.unix_ms);
        let answer = Event::Reply { tag: open.tag.clone(), sender, ts, headers, result };
        self.answer_request(&open, answer);
        self.ok(id, tag, OkEvent { op: "reply", ..OkEvent::default() });
        Ok(())
    }

    /// Gives an asker its answer, or says that it does not read enough to be given it.
    fn answer_request(&mut self, open: &Open, answer: Event) {
        let Some(asker) = self.conns.get_mut(&open.asker) else { return };
        asker.open_requests -= 1;
        let fits = asker.outbox.has_room(asker.pending + answer.cost()) || answer.cost() <= ERROR_BYTES;
        let answer = if fits {
            answer
        } else {
            let words = "the reply does not fit: you are not reading your answers";
            let error = ErrorEvent::new(Code::Unavailable, words).op("request");
            Event::Error(open.tag.clone(), Box::new(error))
        };
        self.tell(open.asker, answer);
        self.finish_if_done(open.asker);
    }

    fn fail_request(&mut self, req: u64, code: Code, words: &'static str) {
        if let Some(open) = self.requests.remove(req) {
            let error = ErrorEvent::new(code, words).op("request");
            let answer = Event::Error(open.tag.clone(), Box::new(error));
            self.answer_request(&open, answer);
        }
    }

    /// Tells askers whose time is up.
    pub(super) fn expire_requests(&mut self) {
        while let Some((at, req)) = self.requests.deadlines.first().copied() {
            if at > self.now.instant {
                return;
            }
            self.fail_request(req, Code::Timeout, "nobody answered in time");
        }
    }

    /// A connection ends: its askers hear that nobody will answer, and nobody waits for its own questions.
    pub(super) fn drop_requests_of(&mut self, id: ConnId) {
        for req in self.requests.of(id) {
            if self.requests.open.get(&req).is_some_and(|open| open.asker == id) {
                self.requests.remove(req);
            } else {
                self.fail_request(req, Code::NoResponders, "the worker that had the request has gone");
            }
        }
    }

    /// A worker leaves a room: the questions it was asked there have no answer.
    pub(super) fn drop_requests_in(&mut self, id: ConnId, hall: HallId) {
        for req in self.requests.of(id) {
            if self.requests.open.get(&req).is_some_and(|open| open.worker == id && open.hall == Some(hall)) {
                self.fail_request(req, Code::NoResponders, "the worker that had the request has gone");
            }
        }
    }

    /// A room ends: nobody will answer there.
    pub(super) fn fail_requests_in(&mut self, hall: HallId) {
        let there = |(req, open): (&u64, &Open)| (open.hall == Some(hall)).then_some(*req);
        let reqs: Vec<u64> = self.requests.open.iter().filter_map(there).collect();
        for req in reqs {
            self.fail_request(req, Code::NoResponders, "the room was deleted");
        }
    }

    /// The server goes down: nobody will answer. Those who asked and under which tag; what is open else is left alone.
    pub(super) fn give_up_requests(&mut self) -> Vec<(ConnId, Tag)> {
        std::mem::take(&mut self.requests).open.into_values().map(|open| (open.asker, open.tag)).collect()
    }

    /// The next worker of a room that is not the asker and can take so many bytes.
    fn worker_by_turns(&mut self, asker: ConnId, hall_id: HallId, bytes: usize) -> Option<ConnId> {
        let hall = self.halls.get(hall_id)?;
        let count = hall.members.len();
        let turn = (0..count).map(|step| (hall.turn + step) % count).find(|at| {
            hall.members.get_index(*at).is_some_and(|(conn, member)| {
                member.part == Part::Worker && *conn != asker && self.can_take(*conn, bytes)
            })
        })?;
        let worker = *hall.members.get_index(turn)?.0;
        self.halls.get_mut(hall_id)?.turn = turn + 1;
        Some(worker)
    }

    fn is_worker_somewhere(&self, id: ConnId) -> bool {
        let part = |hall| Some(self.halls.get(hall)?.members.get(&id)?.part);
        self.conns.get(&id).is_some_and(|conn| conn.halls.iter().any(|hall| part(*hall) == Some(Part::Worker)))
    }

    /// Whether a connection reads what it gets, and its answers have room for so many bytes of work.
    pub(super) fn can_take(&self, id: ConnId, bytes: usize) -> bool {
        self.conns.get(&id).is_some_and(|conn| conn.is_ready() && conn.outbox.has_room(conn.pending + bytes))
    }
}

fn no_responders() -> ErrorEvent {
    ErrorEvent::new(Code::NoResponders, "nobody there takes requests now")
}
