//! What a person at a terminal can rely on, told by what is typed and what is seen.

mod hostile;
mod screen;
mod typing;

use std::fmt::Write;
use std::sync::Arc;

use bytes::BytesMut;

use super::{TextDecoder, TextEncoder, pair};
use crate::model::{
    Chunk, Command, ConnId, Draft, Event, Hello, History, Identity, Item, Join, Line, Nick, Outcome, Place, RoomName,
    Sender, Seq, SessionKey, Tag, Target, Welcome,
};
use crate::protocol::{Decoder, Encoder, Flow, Intake, Output, Terms};

/// Friday 21 November 2025, 14:05:00 UTC.
const FIVE_PAST_TWO: u64 = 1_763_733_900_000;

fn terms() -> Terms {
    Terms { max_line: 65_536, max_errors: 1_000 }
}

fn room(name: &str) -> Arc<RoomName> {
    Arc::new(RoomName::parse(name).expect("a name"))
}

fn nick(name: &str) -> Arc<Nick> {
    Arc::new(Nick::parse(name).expect("a name"))
}

fn place(name: &str) -> Place {
    match name.strip_prefix('@') {
        Some(name) => Place::Direct(nick(name)),
        None => Place::Room(room(name)),
    }
}

/// One person at one terminal, with a server that says yes unless told otherwise.
struct Terminal {
    decoder: TextDecoder,
    encoder: TextEncoder,
    input: BytesMut,
    /// What each question that is waited for is answered with, in order; then yes.
    answers: Vec<Outcome>,
    /// What the server was asked, in short.
    asked: Vec<String>,
    /// What is on the screen.
    screen: String,
    ended: Option<Flow>,
}

impl Terminal {
    fn with(terms: &Terms) -> Self {
        let (decoder, encoder) = pair(terms);
        let (answers, asked, screen) = (Vec::new(), Vec::new(), String::new());
        Self { decoder, encoder, input: BytesMut::new(), answers, asked, screen, ended: None }
    }

    fn new() -> Self {
        Self::with(&terms())
    }

    /// One who is called ada and in #lobby.
    fn in_lobby() -> Self {
        let mut terminal = Self::new();
        terminal.types("ada\n/join lobby\n");
        terminal.welcome("ada");
        terminal.clear();
        terminal
    }

    fn clear(&mut self) {
        self.asked.clear();
        self.screen.clear();
    }

    fn types(&mut self, text: impl AsRef<[u8]>) -> &mut Self {
        self.input.extend_from_slice(text.as_ref());
        self.run(false);
        self
    }

    fn ends(&mut self) {
        self.run(true);
    }

    fn run(&mut self, at_end: bool) {
        while self.ended.is_none() {
            let mut intake = Intake::default();
            let flow = if at_end {
                self.decoder.finish(&mut self.input, &mut intake)
            } else {
                self.decoder.decode(&mut self.input, &mut intake)
            };
            self.asked.extend(intake.asks.iter().map(|ask| in_short(&ask.command, &ask.tag, &intake)));
            let events = std::mem::take(&mut intake.events);
            self.shows(Item::Events(Box::new(events)));
            match flow {
                Flow::More => return,
                Flow::Full => assert!(intake.is_full()),
                Flow::Await => {
                    let outcome = if self.answers.is_empty() { Outcome::Done } else { self.answers.remove(0) };
                    self.decoder.resolved(outcome, &mut Intake::default());
                }
                Flow::Switch(_) | Flow::HangUp => self.ended = Some(flow),
            }
        }
    }

    fn shows(&mut self, item: Item) -> &mut Self {
        let mut out = Output::default();
        self.encoder.encode(item, &mut out);
        self.print(&mut out);
        self
    }

    fn waits(&mut self) -> &mut Self {
        let mut out = Output::default();
        self.encoder.flush(&mut out);
        self.print(&mut out);
        self
    }

    fn print(&mut self, out: &mut Output) {
        for slice in out.slices().drain(..) {
            match *slice {
                // What telnet takes for itself, no person sees.
                [0xFF, verb, option] => {
                    write!(self.screen, "<telnet {verb} {option}>").expect("a string takes all");
                }
                _ => self.screen.push_str(std::str::from_utf8(&slice).expect("a screen gets text")),
            }
        }
    }

    fn event(&mut self, event: Event) -> &mut Self {
        self.shows(Item::Events(Box::new(vec![event])))
    }

    fn feed(&mut self, chunk: &Arc<Chunk>) -> &mut Self {
        let to = chunk.lines().len() as u32;
        self.shows(Item::Feed { chunk: Arc::clone(chunk), from: 0, to: to as u16, replay: false })
    }

    fn welcome(&mut self, name: &str) -> &mut Self {
        let welcome = Welcome {
            nick: nick(name),
            account: None,
            session: SessionKey(7),
            resumed: false,
            unread: Vec::new(),
            max_line: 65_536,
        };
        self.event(Event::Welcome(super::mark::Mark::Name.tag(), Box::new(welcome)))
    }

    /// The lines on the screen since last looked.
    fn lines(&mut self) -> Vec<String> {
        let screen = std::mem::take(&mut self.screen);
        screen.split_terminator('\n').map(|line| line.trim_end_matches('\r').to_owned()).collect()
    }

    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }
}

/// A command as a test reads it.
fn in_short(command: &Command, tag: &Tag, intake: &Intake) -> String {
    let where_ = |place: &Place| match place {
        Place::Room(room) => format!("#{room}"),
        Place::Direct(nick) => format!("@{nick}"),
    };
    match command {
        Command::Send(send) => {
            assert!(send.headers.is_none() && send.key.is_none());
            let body = String::from_utf8_lossy(send.body.of(&intake.bytes));
            format!("send {} {body}", where_(&intake.places[send.place as usize]))
        }
        Command::Hello(hello) => {
            let Hello { nick, has_credential, resume, echo, presence } = &**hello;
            assert!(!has_credential && resume.is_none() && !echo && *presence && tag.wants_ok());
            format!("hello {}", nick.as_ref().map_or("-", |nick| nick.shown()))
        }
        Command::Join(join) => {
            let Join { target, part, start, .. } = &**join;
            let target = match target {
                Target::Place(place) => where_(place),
                Target::Pattern(pattern) => pattern.shown().to_owned(),
            };
            format!("join {target} {part:?} {start:?}")
        }
        Command::Leave(target) => format!("leave {target:?}"),
        Command::History(history) => {
            let History { place, after, before, since, until, limit } = &**history;
            let between = (after.map(|seq| seq.0), before.map(|seq| seq.0));
            format!("history {} {between:?} {:?} {limit}", where_(place), (since.is_some(), until.is_some()))
        }
        Command::Who(room, page) => format!("who {room:?} {}", page.limit),
        Command::Rooms(pattern, page) => format!("rooms {pattern:?} {}", page.limit),
        Command::Topic(room, topic) => format!("topic #{room} {topic:?}"),
        Command::Create(create) => format!("create #{} {:?}", create.room, create.kind),
        Command::Nick(nick) => format!("nick {nick}"),
        other => format!("{other:?}"),
    }
}

/// Messages as the router hands them out: who said what, when.
fn said_at(at: &str, first: u64, messages: &[(&str, &str, u64)]) -> Arc<Chunk> {
    let mut draft = Draft::new(Seq(first), Vec::new());
    let mut senders: Vec<Arc<Sender>> = Vec::new();
    for (from, body, ts) in messages {
        let known = senders.iter().find(|sender| sender.nick.shown() == *from).cloned();
        let sender = known.unwrap_or_else(|| {
            let conn = senders.len() as u64;
            let sender =
                Sender { conn: ConnId(conn), identity: Identity::Guest(conn), nick: nick(from), account: None };
            senders.push(Arc::new(sender));
            Arc::clone(&senders[conn as usize])
        });
        let sender = draft.sender(&sender);
        draft.bytes.extend_from_slice(br#"{"ev":"message","body":"#);
        let start = draft.bytes.len() as u32;
        draft.bytes.extend_from_slice(body.as_bytes());
        draft.bytes.extend_from_slice(b"}\n");
        draft.ended(Line {
            end: draft.bytes.len() as u32,
            body: start,
            body_len: body.len() as u32,
            headers_len: 0,
            sender,
            ts: *ts,
            redacted: *body == "null",
        });
    }
    draft.seal(place(at)).0
}

/// The same, all at five past two.
fn said(at: &str, messages: &[(&str, &str)]) -> Arc<Chunk> {
    let messages: Vec<_> = messages.iter().map(|(from, body)| (*from, *body, FIVE_PAST_TWO)).collect();
    said_at(at, 42, &messages)
}

/// A text as a body.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}
