//! Connections that publish, join, blank, work and set topics until the server is gone, and take down what they were told.
//!
//! Each runs on a thread of its own. Judges only what no server may ever say.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

use serde_json::{Value, json};

use crate::client::Client;
use crate::ledger::{Fact, Kind, PLACES};
use crate::random::Random;
use crate::server::News;

/// Bytes of a short body at most.
pub const SHORT: u64 = 300;

/// What the connections of one time share.
#[derive(Debug)]
pub struct Tally {
    /// The number of the next body.
    pub next: Arc<AtomicU64>,
    /// Messages acknowledged this time.
    pub kept: AtomicU64,
    /// How many are enough.
    pub enough: u64,
    /// Who hears of it.
    pub news: SyncSender<News>,
}

/// How a connection behaves.
#[derive(Debug)]
pub struct Plan {
    /// Its number.
    pub sender: u64,
    /// Sends under way at most.
    pub window: usize,
    /// Bytes of a body at most.
    pub bytes: u64,
    /// Whether it blanks some of what it sent.
    pub blanks: bool,
    /// Whether it takes work and sets topics.
    pub works: bool,
    /// Whether it publishes.
    pub publishes: bool,
}

/// What is waited for.
enum Asked {
    Send(usize, u64),
    Blank(usize, u64),
    Done(usize, u64),
    Topic(usize, String),
    Join(usize),
}

/// A connection.
struct Load {
    client: Client,
    plan: Plan,
    random: Random,
    tally: Arc<Tally>,
    waiting: HashMap<u64, Asked>,
    facts: Vec<Fact>,
    /// Whether the server has said goodbye.
    is_over: bool,
}

/// Runs a connection to its end; what it saw.
pub fn run(address: SocketAddr, plan: Plan, random: Random, tally: &Arc<Tally>) -> Vec<Fact> {
    // The power may have gone before it could connect.
    let Ok(client) = Client::connect(address) else { return Vec::new() };
    let tally = Arc::clone(tally);
    let mut load = Load { client, plan, random, tally, waiting: HashMap::new(), facts: Vec::new(), is_over: false };
    if let Err(error) = load.run()
        && matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::InvalidData)
    {
        load.facts.push(Fact::Wrong(format!("a connection: {error}")));
    }
    load.facts
}

impl Load {
    fn run(&mut self) -> io::Result<()> {
        for (room, place) in PLACES.iter().enumerate() {
            match place.kind {
                Kind::Queue if self.plan.works => {
                    self.ask(json!({"op": "join", "room": place.name, "as": "worker"}), Asked::Join(room))?;
                }
                Kind::Queue | Kind::Latest => {}
                _ if room == 0 && self.plan.works || self.random.once_in(4) => {
                    self.ask(json!({"op": "join", "room": place.name}), Asked::Join(room))?;
                }
                _ => {}
            }
        }
        loop {
            while self.plan.publishes && !self.is_over && self.waiting.len() < self.plan.window {
                self.publish()?;
            }
            let Some(event) = self.client.event()? else { return Ok(()) };
            self.take(&event)?;
        }
    }

    fn ask(&mut self, frame: Value, asked: Asked) -> io::Result<()> {
        // Asked is asked, also where writing it fails.
        let id = self.client.id();
        self.waiting.insert(id, asked);
        let mut frame = frame;
        frame["id"] = id.into();
        self.client.send(&frame)
    }

    fn publish(&mut self) -> io::Result<()> {
        let room = self.random.below(PLACES.len() as u64) as usize;
        let body = self.tally.next.fetch_add(1, Ordering::Relaxed);
        // What stays is read again after every cut, so that is short.
        let stays = matches!(PLACES[room].kind, Kind::Whole | Kind::Queue);
        let most = if stays { self.plan.bytes.min(SHORT) } else { self.plan.bytes };
        let filling = "x".repeat(self.random.below(most) as usize);
        let mut frame = json!({"op": "send", "room": PLACES[room].name, "body": [body, self.plan.sender, filling]});
        if self.random.once_in(4) {
            frame["idempotency_key"] = key(body).into();
            self.facts.push(Fact::Keyed(room, body));
        }
        self.ask(frame, Asked::Send(room, body))
    }

    fn take(&mut self, event: &Value) -> io::Result<()> {
        match event["ev"].as_str() {
            Some("ok") => return self.answered(event),
            Some("message") => return self.shown(event),
            Some("error") => {
                let asked = event["id"].as_u64().and_then(|id| self.waiting.remove(&id));
                if matches!(asked, Some(Asked::Blank(..))) && event["code"] == "bad_request" {
                    // The room has let go of it already.
                    return Ok(());
                }
                // One that has failed is well again soon, or its power has gone.
                self.is_over |= event["code"] != "unavailable";
                if event["code"] != "unavailable" && event["code"] != "shutting_down" || asked.is_none() {
                    self.facts.push(Fact::Wrong(format!("an error that nobody expects: {event}")));
                }
            }
            Some("bye") => self.is_over = true,
            Some("topic" | "redacted" | "lagged" | "gap") => {}
            _ => self.facts.push(Fact::Wrong(format!("an event that nobody expects: {event}"))),
        }
        Ok(())
    }

    fn answered(&mut self, event: &Value) -> io::Result<()> {
        let asked = event["id"].as_u64().and_then(|id| self.waiting.remove(&id));
        match asked {
            Some(Asked::Send(room, body)) => {
                let seq = number(event, "seq");
                self.facts.push(Fact::Kept(room, seq, body));
                if self.tally.kept.fetch_add(1, Ordering::Relaxed) + 1 == self.tally.enough {
                    // Where it cannot be heard the power has gone.
                    let _ = self.tally.news.try_send(News::Enough);
                }
                let may_blank = self.plan.blanks && !matches!(PLACES[room].kind, Kind::Queue | Kind::Latest);
                if may_blank && !self.is_over && self.random.once_in(60) {
                    self.facts.push(Fact::BlankAsked(room, seq));
                    self.ask(json!({"op": "redact", "room": PLACES[room].name, "seq": seq}), Asked::Blank(room, seq))?;
                }
            }
            Some(Asked::Blank(room, seq)) => self.facts.push(Fact::Blanked(room, seq)),
            Some(Asked::Done(room, seq)) => self.facts.push(Fact::Done(room, seq)),
            Some(Asked::Topic(room, topic)) => self.facts.push(Fact::Topic(room, topic)),
            Some(Asked::Join(room)) => {
                let epoch = event["epoch"].as_str().unwrap_or_default();
                // A room without a message has no numbering that lasts.
                if event["seq"] != 0 {
                    self.facts.push(Fact::Epoch(room, epoch.to_owned()));
                }
            }
            None => self.facts.push(Fact::Wrong(format!("an answer to nothing: {event}"))),
        }
        Ok(())
    }

    fn shown(&mut self, event: &Value) -> io::Result<()> {
        let Some(room) = PLACES.iter().position(|place| event["room"] == place.name) else { return Ok(()) };
        let seq = number(event, "seq");
        if let Some(body) = event["body"][0].as_u64() {
            self.facts.push(Fact::Kept(room, seq, body));
        }
        if self.is_over {
            return Ok(());
        }
        if PLACES[room].kind == Kind::Queue && self.random.percent(80) {
            self.facts.push(Fact::DoneAsked(room, seq));
            self.ask(json!({"op": "ack", "room": PLACES[room].name, "seq": seq}), Asked::Done(room, seq))?;
        }
        if self.plan.works && self.random.once_in(20) {
            let topic = format!("topic {}", self.tally.next.fetch_add(1, Ordering::Relaxed));
            self.facts.push(Fact::TopicAsked(0, topic.clone()));
            self.ask(json!({"op": "topic", "room": PLACES[0].name, "topic": topic}), Asked::Topic(0, topic))?;
        }
        Ok(())
    }
}

/// The key that a body is sent with.
pub fn key(body: u64) -> String {
    format!("key-{body}")
}

/// A number of an event.
pub fn number(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap_or_default()
}
