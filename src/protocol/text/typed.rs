//! What a line means: a name, something said, a command, or what a pipe carries.
//!
//! The half of the decoder that comes after the lines are cut. It asks the server through the intake and tells the
//! person what it can tell without asking.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use super::command::{self, Act, Call, PLAIN};
use super::decode::{Stage, TextDecoder};
use super::mark::Mark;
use super::person::look;
use super::pipe::Pipe;
use super::screen::{line_end, notice};
use super::{escape, rooms};
use crate::model::{Ask, Code, Command, ErrorEvent, Event, Hello, Nick, Place, RoomName, Send, Span};
use crate::protocol::{Flow, Intake, Wire};

/// Bytes that a message leaves for what the server adds to it: the contract's number.
const ENVELOPE: usize = 1_024;

impl TextDecoder {
    /// Takes one line, without its end.
    pub(super) fn line(&mut self, line: &[u8], intake: &mut Intake) -> Option<Flow> {
        self.interrupted = false;
        if line.is_empty() {
            return None;
        }
        intake.lines += 1;
        if let Stage::Piping(pipe) = &self.stage {
            let place = pipe.place.clone();
            self.say(Mark::Silent, &place, &String::from_utf8_lossy(line), intake);
            self.unreadable = 0;
            return None;
        }
        let Ok(text) = std::str::from_utf8(line) else {
            let words = if self.reader.is_telnet() {
                "That line is not UTF-8: many telnets garble letters beyond ASCII. nc does not."
            } else {
                "That line is not UTF-8, so nobody could read it: set your terminal to UTF-8."
            };
            return self.unreadable(intake, Code::BadUtf8, words.to_owned());
        };
        let unnamed = matches!(self.stage, Stage::Unnamed);
        let text = if unnamed { text.trim_start_matches('\u{FEFF}') } else { text };
        let typed = text.trim();
        if typed.is_empty() {
            None
        } else if typed.starts_with('/') && !text.starts_with('/') {
            self.unreadable = 0;
            self.fault(
                intake,
                Code::BadRequest,
                "A command begins at the very start of a line: no blank before the /.".to_owned(),
            );
            None
        } else if unnamed {
            self.first_line(typed, intake)
        } else {
            self.talk(text, intake)
        }
    }

    /// The first line: a name, or a guest's command.
    fn first_line(&mut self, text: &str, intake: &mut Intake) -> Option<Flow> {
        if let Some(command) = text.strip_prefix('/') {
            let name = command.split(char::is_whitespace).next().unwrap_or_default();
            // What ends or changes the connection needs no name; a pipe brings its own.
            let nameless = command::find(name).is_some_and(|entry| matches!(entry.names[0], "json" | "quit" | "pipe"));
            if !nameless {
                self.hello(Mark::Guest, None, intake);
                self.stage = Stage::Talking;
            }
            return self.talk(text, intake);
        }
        self.unreadable = 0;
        match Nick::parse(text) {
            Ok(nick) => {
                self.hello(Mark::Name, Some(nick), intake);
                self.stage = Stage::Naming;
                Some(Flow::Await)
            }
            Err(error) => {
                let wrong = command::bad_name(text, "a name", error);
                self.fault(intake, Code::BadName, format!("{wrong} What do you want to be called?"));
                None
            }
        }
    }

    /// Any later line: said, or a command.
    fn talk(&mut self, text: &str, intake: &mut Intake) -> Option<Flow> {
        let Some(command) = text.strip_prefix('/') else {
            self.unreadable = 0;
            return self.say_here(text, intake);
        };
        if command.starts_with('/') {
            self.unreadable = 0;
            return self.say_here(command, intake);
        }
        let (name, args) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        let Some(entry) = command::find(name) else {
            return self.unreadable(intake, Code::UnknownOp, command::unknown(name));
        };
        self.unreadable = 0;
        let acted = {
            let mut person = look(&self.person);
            let max_line = self.terms.max_line;
            (entry.act)(&mut Call { person: &mut person, args: args.trim(), now: Timestamp::now(), max_line })
        };
        match acted {
            Ok(act) => self.act(act, intake),
            Err(words) => {
                self.fault(intake, Code::BadRequest, words);
                None
            }
        }
    }

    fn act(&mut self, act: Act, intake: &mut Intake) -> Option<Flow> {
        match act {
            Act::Ask(mark, command, claim) => intake.ask(Ask { tag: mark.tag(), command }, claim),
            Act::Enter(room, command) => {
                intake.ask(Ask { tag: Mark::Join.tag(), command }, self.terms.max_line);
                self.stage = Stage::Entering(room);
                return Some(Flow::Await);
            }
            Act::Say(mark, place, text) => self.say(mark, &place, &text, intake),
            Act::Tell(text) => self.tell(intake, &text),
            Act::Pipe(room, nick) => self.begin_pipe(room, nick, intake),
            Act::Json => {
                self.tell(
                    intake,
                    "From here on it is JSON-lines: one object a line, both ways; {\"op\":\"quit\"} leaves.",
                );
                return Some(Flow::Switch(Wire::Json));
            }
            Act::Quit => self.quit(intake),
        }
        None
    }

    fn begin_pipe(&mut self, room: Arc<RoomName>, nick: Option<Nick>, intake: &mut Intake) {
        look(&self.person).piping = true;
        self.reader.keys = false;
        let unnamed = matches!(self.stage, Stage::Unnamed);
        if unnamed && nick.is_none() {
            self.hello(Mark::Guest, None, intake);
        }
        self.stage = Stage::Piping(Pipe::new(Place::Room(room), nick, unnamed));
    }

    /// Asks for the next name that a pipe could have, where it still needs one.
    pub(super) fn name_pipe(&mut self, intake: &mut Intake) -> bool {
        let Stage::Piping(pipe) = &mut self.stage else { return false };
        let Some((nick, by_hello)) = pipe.next_name() else { return false };
        match nick {
            nick if by_hello => self.hello(Mark::PipeName, nick, intake),
            Some(nick) => {
                let command = Command::Nick(Arc::new(nick));
                intake.ask(Ask { tag: Mark::PipeName.tag(), command }, PLAIN);
            }
            None => return false,
        }
        true
    }

    fn hello(&self, mark: Mark, nick: Option<Nick>, intake: &mut Intake) {
        look(&self.person).wanted = nick.clone().map(Arc::new);
        let hello = Hello { nick, has_credential: false, resume: None, echo: false, presence: true };
        intake.ask(Ask { tag: mark.tag(), command: Command::Hello(Box::new(hello)) }, PLAIN);
    }

    pub(super) fn quit(&mut self, intake: &mut Intake) {
        intake.ask(Ask { tag: Mark::Quit.tag(), command: Command::Quit { asked: true, reason: None } }, PLAIN);
        (self.stage, self.ending) = (Stage::Gone, false);
    }

    fn say_here(&mut self, text: &str, intake: &mut Intake) -> Option<Flow> {
        let room = look(&self.person).room.clone();
        match room {
            Some(room) => self.say(Mark::Silent, &Place::Room(room), text, intake),
            None => return self.act(rooms::nowhere(), intake),
        }
        None
    }

    fn say(&mut self, mark: Mark, place: &Place, text: &str, intake: &mut Intake) {
        let start = self.bodies.len();
        push_json(text, &mut self.bodies);
        let body = Span { start: start as u32, end: self.bodies.len() as u32 };
        let max = self.terms.max_line.saturating_sub(ENVELOPE);
        if body.len() > max {
            self.bodies.truncate(start);
            self.fault(intake, Code::TooLarge, format!("That is too long to send: a message has at most {max} bytes."));
            return;
        }
        let send = Send { place: intake.place(place), headers: None, body, key: None };
        let claim = if mark == Mark::Silent { 0 } else { PLAIN };
        intake.ask(Ask { tag: mark.tag(), command: Command::Send(send) }, claim);
    }

    /// Shows the half-typed line again, with the cursor behind it.
    pub(super) fn show_again(&self, intake: &mut Intake) {
        let mut out = BytesMut::from(line_end(self.reader.crlf));
        escape::push(&String::from_utf8_lossy(self.reader.held()), &mut out);
        raw(intake, out.freeze());
    }

    pub(super) fn tell(&self, intake: &mut Intake, text: &str) {
        let mut out = BytesMut::new();
        for line in text.split('\n') {
            notice(&mut out, self.reader.crlf, format_args!("{line}"));
        }
        raw(intake, out.freeze());
    }

    #[expect(clippy::unused_self, reason = "it reads as what it is: something this decoder says")]
    fn fault(&self, intake: &mut Intake, code: Code, words: String) {
        intake.claim += PLAIN + words.len();
        intake.events.push(Event::Error(Mark::Local.tag(), Box::new(ErrorEvent::new(code, words))));
    }

    pub(super) fn unreadable(&mut self, intake: &mut Intake, code: Code, words: String) -> Option<Flow> {
        self.fault(intake, code, words);
        self.unreadable += 1;
        (self.terms.max_errors > 0 && self.unreadable >= self.terms.max_errors).then_some(Flow::HangUp)
    }
}

/// Tells the person something in bytes.
pub(super) fn raw(intake: &mut Intake, bytes: Bytes) {
    intake.claim += PLAIN + bytes.len();
    intake.events.push(Event::Raw(bytes));
}

/// Appends a text as JSON. Most hold nothing to escape and are copied, after a look that takes many bytes at a time.
fn push_json(text: &str, out: &mut Vec<u8>) {
    let escaped = text.bytes().filter(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\').count();
    if escaped == 0 {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Invariant: a string is always JSON, and a vector takes all that is written to it.
        serde_json::to_writer(out, text).unwrap_or_default();
    }
}
