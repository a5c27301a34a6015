//! Reads everything from a server that has come back, and has the ledger judge it.
//!
//! Each room in pages of any size and by a replay from any number; the queue by working; keys by repeating.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::client::Client;
use crate::ledger::{Fact, Kind, Ledger, Message, PLACES, Place, Shown};
use crate::load::{key, number};
use crate::random::Random;

/// Repeats that are under way at once.
const WINDOW: usize = 64;

/// Why a check ended early.
#[derive(Debug)]
pub enum Failure {
    /// The server broke a promise.
    Promise(String),
    /// The trial itself could not go on.
    Trial(io::Error),
}

impl From<String> for Failure {
    fn from(words: String) -> Self {
        Self::Promise(words)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Trial(error)
    }
}

/// What a check needs.
#[derive(Debug)]
pub struct Check<'a> {
    /// What was promised.
    pub ledger: &'a mut Ledger,
    /// The number of the next body.
    pub next: &'a AtomicU64,
    /// The number of this connection.
    pub sender: u64,
    /// Decides how it is read.
    pub random: Random,
}

impl Check<'_> {
    /// Reads and judges all of it; messages that were repeated.
    pub fn run(&mut self, address: SocketAddr) -> Result<u64, Failure> {
        let broken = |error: io::Error| Failure::Promise(format!("the server broke off while it was read: {error}"));
        let mut client = Client::connect(address).map_err(broken)?;
        for (room, place) in PLACES.iter().enumerate() {
            if place.kind == Kind::Queue {
                self.queue(room, address).map_err(|failure| match failure {
                    Failure::Trial(error) => broken(error),
                    promise @ Failure::Promise(_) => promise,
                })?;
                continue;
            }
            if let Some(shown) = self.pages(&mut client, place.name).map_err(broken)? {
                self.ledger.check_history(room, &shown)?;
                self.replay(&mut client, room)?;
            } else if self.ledger.is_there(room) {
                return Err(Failure::Promise(format!("{}: is not there any more", place.name)));
            }
        }
        let topic = client.answer(json!({"op": "topic", "room": PLACES[0].name})).map_err(broken)?;
        self.ledger.check_topic(0, topic["topic"].as_str().unwrap_or_default())?;
        let mut repeated = 0;
        for room in 0..PLACES.len() {
            repeated += self.repeat(&mut client, room)?;
        }
        Ok(repeated)
    }

    /// All of a room's history, page by page; none where there is no such room.
    fn pages(&mut self, client: &mut Client, room: &str) -> io::Result<Option<Shown>> {
        let mut shown = Shown::default();
        let mut after = 0;
        loop {
            let limit = if self.random.once_in(4) { self.random.among(1, 40) } else { 1_000 };
            let id = client.ask(json!({"op": "history", "room": room, "after": after, "limit": limit}))?;
            let mut events = client.until(id)?;
            let page = events.pop().unwrap_or_default();
            if page["code"] == "no_such_room" {
                return Ok(None);
            }
            take_gap(&mut shown, &events);
            let messages = page["messages"].as_array().ok_or_else(|| io::Error::other(page.to_string()))?;
            shown.messages.extend(messages.iter().map(message));
            shown.newest = number(&page, "seq");
            page["epoch"].as_str().unwrap_or_default().clone_into(&mut shown.epoch);
            after = shown.messages.last().map_or(after, |message| message.seq);
            if page["more"] == false {
                return Ok(Some(shown));
            }
        }
    }

    /// A join with `after` and `epoch`, as of a client that comes back.
    fn replay(&mut self, client: &mut Client, room: usize) -> Result<(), Failure> {
        let Place { name, kind } = PLACES[room];
        let Some((first, last, epoch)) = self.ledger.numbers(room) else { return Ok(()) };
        if kind == Kind::Latest {
            return Ok(());
        }
        let after = self.random.among(first.saturating_sub(3), last);
        let frame = json!({"op": "join", "room": name, "as": "observer", "after": after, "epoch": epoch});
        let answer = client.answer(frame)?;
        if answer["ev"] != "ok" || answer["reset"] == true {
            return Err(Failure::Promise(format!("{name}: a join after {after} is answered {answer}")));
        }
        let mut shown = Shown { newest: number(&answer, "seq"), ..Shown::default() };
        answer["epoch"].as_str().unwrap_or_default().clone_into(&mut shown.epoch);
        let mut seq = after;
        while seq < shown.newest {
            let event = client.expect()?;
            if event["ev"] == "message" {
                shown.messages.push(message(&event));
                seq = number(&event, "seq");
            } else if event["ev"] == "gap" {
                take_gap(&mut shown, &[event]);
            } else {
                return Err(Failure::Promise(format!("{name}: a replay has {event}")));
            }
        }
        self.ledger.check_stretch(room, after, &shown)?;
        client.answer(json!({"op": "leave", "room": name}))?;
        Ok(())
    }

    /// Takes all the work there is, up to a message of its own, and does most of it.
    fn queue(&mut self, room: usize, address: SocketAddr) -> Result<(), Failure> {
        let name = PLACES[room].name;
        let mut client = Client::connect(address)?;
        let joined = client.answer(json!({"op": "join", "room": name, "as": "worker", "prefetch": 65_536}))?;
        if joined["ev"] != "ok" {
            return Err(Failure::Promise(format!("{name}: a worker is answered {joined}")));
        }
        let body = self.next.fetch_add(1, Ordering::Relaxed);
        let id = client.ask(json!({"op": "send", "room": name, "body": [body, self.sender, ""]}))?;
        let (mut given, mut sentinel) = (Vec::new(), 0);
        while given.last() != Some(&(sentinel, body)) {
            let event = client.expect()?;
            if event["ev"] == "message" {
                given.push((number(&event, "seq"), event["body"][0].as_u64().unwrap_or_default()));
            } else if event["id"] == id && event["ev"] == "ok" {
                sentinel = number(&event, "seq");
            } else {
                return Err(Failure::Promise(format!("{name}: a worker is told {event}")));
            }
        }
        given.pop();
        self.ledger.check_queue(room, &given, sentinel)?;
        self.ledger.learn(Fact::Kept(room, sentinel, body))?;
        let done: Vec<u64> = given.into_iter().map(|(seq, _)| seq).filter(|_| self.random.percent(90)).collect();
        if !done.is_empty() {
            let answer = client.answer(json!({"op": "ack", "room": name, "seq": done}))?;
            if answer["ev"] != "ok" {
                return Err(Failure::Promise(format!("{name}: acks are answered {answer}")));
            }
            for seq in done {
                self.ledger.learn(Fact::Done(room, seq))?;
            }
        }
        client.answer(json!({"op": "leave", "room": name}))?;
        Ok(())
    }

    /// Sends once more what had a key.
    fn repeat(&mut self, client: &mut Client, room: usize) -> Result<u64, Failure> {
        let name = PLACES[room].name;
        let keyed = self.ledger.keyed(room);
        for some in keyed.chunks(WINDOW) {
            let mut ids = Vec::new();
            for keyed in some {
                let body = json!([keyed.body, self.sender, "again"]);
                let key = key(keyed.body);
                ids.push(client.ask(json!({"op": "send", "room": name, "body": body, "idempotency_key": key}))?);
            }
            let mut answers: Vec<Value> = Vec::new();
            while answers.len() < ids.len() {
                answers.push(client.expect()?);
            }
            for (keyed, id) in some.iter().zip(ids) {
                let answer = answers.iter().find(|answer| answer["id"] == id);
                let Some(answer) = answer.filter(|answer| answer["ev"] == "ok") else {
                    return Err(Failure::Promise(format!("{name}: a repeat is answered {answer:?}")));
                };
                let (seq, is_dup) = (number(answer, "seq"), answer["dup"] == true);
                self.ledger.check_repeat(room, keyed.body, seq, is_dup)?;
            }
        }
        Ok(keyed.len() as u64)
    }
}

fn message(event: &Value) -> Message {
    let body = event["body"][0].as_u64().map(|body| (body, event["body"][1].as_u64().unwrap_or_default()));
    Message { seq: number(event, "seq"), body, ts: number(event, "ts") }
}

fn take_gap(shown: &mut Shown, events: &[Value]) {
    for gap in events.iter().filter(|event| event["ev"] == "gap") {
        let first = shown.gone.map_or(number(gap, "first"), |(first, _)| first);
        shown.gone = Some((first, number(gap, "last")));
    }
}
