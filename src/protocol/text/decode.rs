//! The incoming half: bytes to lines, lines to commands.
//!
//! Where a connection stands (unnamed, talking, piping) is its [`Stage`]; what a line means follows from it. The same
//! bytes give the same commands wherever the network cuts them; only the banner looks at what is there at first. Knows
//! no sockets, and of the server only what it is told through [`Decoder::resolved`].

use std::sync::{Arc, Mutex};

use bytes::{Buf, Bytes, BytesMut};

use super::banner;
use super::line::{LineReader, Step};
use super::person::{Person, look};
use super::pipe::Pipe;
use super::telnet::MARKED;
use super::typed::raw;
use crate::model::{Code, Event, Outcome, RoomName};
use crate::protocol::{Decoder, Flow, Intake, Terms, Wire};

/// Requests that are handed over together: lines of a letter or two take dozens of times their bytes once they are commands.
const ASKS_MAX: usize = 4_096;

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum Stage {
    /// The next line is its name, or a guest's command.
    Unnamed,
    /// The server is asked for the name.
    Naming,
    /// Lines are said and commands carried out.
    Talking,
    /// The server is asked to let it into a room.
    Entering(Arc<RoomName>),
    /// Every line is a message.
    Piping(Pipe),
    /// It has quit: nothing more is read.
    Gone,
}

/// The incoming half for one person.
#[derive(Debug)]
pub struct TextDecoder {
    pub(super) terms: Terms,
    pub(super) person: Arc<Mutex<Person>>,
    pub(super) reader: LineReader,
    pub(super) stage: Stage,
    pub(super) greeted: bool,
    /// The input is at its end, as a key or telnet said.
    pub(super) ending: bool,
    /// ^C was pressed, and neither a line nor a timing mark has come since.
    pub(super) interrupted: bool,
    /// Lines in a row that could not be read.
    pub(super) unreadable: u32,
    /// The bodies of what is said, until the intake takes them.
    pub(super) bodies: Vec<u8>,
}

impl TextDecoder {
    pub(super) fn new(terms: &Terms, person: Arc<Mutex<Person>>) -> Self {
        Self {
            terms: terms.clone(),
            person,
            reader: LineReader::new(terms.max_line),
            stage: Stage::Unnamed,
            greeted: false,
            ending: false,
            interrupted: false,
            unreadable: 0,
            bodies: Vec::new(),
        }
    }

    /// Runs a part of the decoder that says things, and hands what it said to the intake.
    fn with_bodies(&mut self, intake: &mut Intake, run: impl FnOnce(&mut Self, &mut Intake) -> Flow) -> Flow {
        self.bodies.extend_from_slice(&intake.bytes);
        let flow = run(self, intake);
        intake.bytes = Bytes::from(std::mem::take(&mut self.bodies));
        flow
    }

    fn run(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow {
        if !std::mem::replace(&mut self.greeted, true)
            && let Some(words) = banner::first_words(input)
        {
            intake.events.push(Event::Raw(words));
        }
        loop {
            if self.ending {
                self.quit(intake);
            }
            if matches!(self.stage, Stage::Gone) {
                input.clear();
                return Flow::More;
            }
            if intake.is_full() || intake.asks.len() >= ASKS_MAX {
                return Flow::Full;
            }
            if self.name_pipe(intake) {
                return Flow::Await;
            }
            let Some(next) = input.first() else { return Flow::More };
            if self.reader.take_line_end(*next) {
                input.advance(1);
                continue;
            }
            let flow = if self.is_raw() { self.raw_lines(input, intake) } else { self.typed_line(input, intake) };
            if let Some(flow) = flow {
                return flow;
            }
        }
    }

    /// Whether lines are cut from the input without a look at keys or telnet.
    fn is_raw(&self) -> bool {
        matches!(self.stage, Stage::Piping(_)) && !self.reader.is_telnet()
    }

    /// Takes one line, the short way where it holds nothing but text.
    fn typed_line(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Option<Flow> {
        let unnamed = matches!(self.stage, Stage::Unnamed);
        if self.reader.is_at_start()
            && let Some(end) = memchr::memchr(b'\n', input)
        {
            if unnamed && let Some(at) = json_start(&input[..end]) {
                input.advance(at);
                return Some(Flow::Switch(Wire::Json));
            }
            let plain = self.reader.plain_line(&input[..=end]).map(|line| line.map(<[u8]>::len));
            if let Some(plain) = plain {
                let raw = input.split_to(end + 1);
                self.note_line_end();
                return match plain {
                    Ok(len) => self.line(&raw[..len], intake),
                    Err(step) => self.step(step, intake),
                };
            }
        }
        for at in 0..input.len() {
            let byte = input[at];
            if byte == b'{' && unnamed && self.reader.is_blank() {
                self.reader.take_held();
                input.advance(at);
                return Some(Flow::Switch(Wire::Json));
            }
            if let Some(step) = self.reader.take(byte) {
                input.advance(at + 1);
                self.note_line_end();
                return self.step(step, intake);
            }
        }
        input.clear();
        self.note_line_end();
        None
    }

    /// Takes whole lines of a pipe as they stand.
    ///
    /// They are not counted against the intake's answers: what a pipe sends brings none, and its errors are those of lines
    /// too long for the input to hold many.
    fn raw_lines(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Option<Flow> {
        let (mut start, mut flow) = (0, None);
        for end in memchr::memchr_iter(b'\n', input) {
            let raw = &input[start..=end];
            start = end + 1;
            if self.skips(false) {
                continue;
            }
            flow = if raw.len() > self.terms.max_line {
                self.step(Step::TooLong, intake)
            } else {
                self.line(raw.strip_suffix(b"\r\n").unwrap_or(&raw[..raw.len() - 1]), intake)
            };
            if flow.is_some() || intake.asks.len() >= ASKS_MAX {
                break;
            }
        }
        if start > 0 {
            input.advance(start);
            return flow;
        }
        if input.len() >= self.terms.max_line || self.is_skipping() {
            input.clear();
            return if self.skips(true) { None } else { self.step(Step::TooLong, intake) };
        }
        Some(Flow::More)
    }

    /// Whether the rest of a piped line that was too long is being thrown away.
    fn is_skipping(&self) -> bool {
        matches!(&self.stage, Stage::Piping(pipe) if pipe.skipping)
    }

    /// The same until now; from now on as told.
    fn skips(&mut self, from_now_on: bool) -> bool {
        match &mut self.stage {
            Stage::Piping(pipe) => std::mem::replace(&mut pipe.skipping, from_now_on),
            _ => false,
        }
    }

    fn step(&mut self, step: Step, intake: &mut Intake) -> Option<Flow> {
        match step {
            Step::Line(line) => return self.line(&line, intake),
            Step::TooLong => {
                let words = format!("That line is too long: a line has at most {} bytes.", self.terms.max_line);
                return self.unreadable(intake, Code::LineTooLong, words);
            }
            Step::ShowAgain => self.show_again(intake),
            Step::Interrupt => {
                self.interrupted = true;
                self.tell_how_to_leave(intake);
            }
            Step::AreYouThere => self.tell(intake, "Yes, I am here."),
            Step::Answer(answer) => {
                raw(intake, Bytes::copy_from_slice(&answer));
                // A client that pressed ^C throws away what comes before this answer, and with it the words sent then.
                if answer == MARKED && std::mem::take(&mut self.interrupted) {
                    self.tell_how_to_leave(intake);
                }
            }
            Step::End => {
                self.ending = true;
                let held = self.reader.take_held();
                return held.and_then(|line| self.line(&line, intake));
            }
        }
        None
    }

    fn tell_how_to_leave(&self, intake: &mut Intake) {
        self.tell(
            intake,
            match self.stage {
                Stage::Piping(_) => {
                    "Every line is a message here: close the connection to leave (in telnet: Ctrl-] and quit)."
                }
                _ => "To leave: /quit. In telnet, Ctrl-] and then quit does it too.",
            },
        );
    }

    /// Tells the other half how the client ends its lines.
    fn note_line_end(&self) {
        if self.reader.crlf {
            look(&self.person).crlf = true;
        }
    }
}

/// Where in the beginning of a line an object begins, if it does.
fn json_start(line: &[u8]) -> Option<usize> {
    let text = line.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(line);
    let at = text.iter().position(|byte| !byte.is_ascii_whitespace())?;
    (text[at] == b'{').then_some(line.len() - text.len() + at)
}

impl Decoder for TextDecoder {
    fn decode(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow {
        self.with_bodies(intake, |decoder, intake| decoder.run(input, intake))
    }

    fn finish(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow {
        self.with_bodies(intake, |decoder, intake| {
            let flow = decoder.run(input, intake);
            if flow != Flow::More || matches!(decoder.stage, Stage::Gone) {
                return flow;
            }
            // What a pipe left in the input, or what was half typed.
            let rest = if input.is_empty() { decoder.reader.take_held() } else { Some(input.split().to_vec()) };
            let flow = rest.and_then(|line| decoder.line(line.strip_suffix(b"\r").unwrap_or(&line), intake));
            flow.unwrap_or(Flow::More)
        })
    }

    fn resolved(&mut self, outcome: Outcome, _intake: &mut Intake) {
        let done = outcome == Outcome::Done;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Talking) {
            Stage::Naming if !done => Stage::Unnamed,
            Stage::Entering(room) if done => {
                look(&self.person).entered(room);
                Stage::Talking
            }
            Stage::Naming | Stage::Entering(_) => Stage::Talking,
            Stage::Piping(mut pipe) => {
                pipe.answered(done);
                Stage::Piping(pipe)
            }
            stage => stage,
        };
    }

    fn is_mid_frame(&self) -> bool {
        self.is_skipping() || !self.reader.is_at_start()
    }

    fn is_person(&self) -> bool {
        !matches!(self.stage, Stage::Piping(_))
    }
}
