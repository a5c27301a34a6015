//! Lines out of bytes: where each begins and ends, which are too long, and when to stop.
//!
//! Owns the framing and the count of lines that cannot be read. A bad line costs its `error` and nothing else. Bodies
//! are not copied: commands point into the batch's bytes, which are split off the input as they are.

use bytes::{Buf, BytesMut};

use super::commands::{ANSWER_BYTES, Reading};
use super::fault::Fault;
use super::frame::{Frame, Refusal};
use super::key::{Fields, Key};
use super::names::{self, Names};
use super::op::{self, Op};
use super::{ascii, recover, scan};
use crate::model::{Ask, Code, Command, ErrorEvent, Event, Outcome, Tag, Target};
use crate::protocol::{Decoder, Flow, Intake, NEWS_BYTES, Terms};

/// What some programs put before text.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Errors of one batch at which it is handed over, so that what a client is told is bounded by more than its input.
const EVENTS_MAX: usize = 256;

/// Lines of a batch that room is made for at once, when the first tells how long they are: a full read of short ones, and
/// little enough that a first line of one byte wastes nothing that counts.
const LINES_EXPECTED_MAX: usize = 512;

/// Characters of an unknown op that its error repeats.
const OP_CHARS_SHOWN: usize = 32;

/// The incoming half.
#[derive(Debug)]
pub struct JsonDecoder {
    max_line: usize,
    max_errors: u32,
    /// Lines in a row that could not be read.
    errors: u32,
    /// Bytes of the unfinished line that are known to hold no line feed.
    searched: usize,
    state: State,
    names: Names,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A byte order mark may come.
    Start,
    /// Lines come.
    Lines,
    /// The rest of an over-long line comes, and is thrown away.
    Discarding,
    /// Nothing that comes counts any more.
    Done,
}

/// What the input begins with.
enum Next {
    /// A line: its bytes without and with its ending.
    Line(usize, usize),
    /// A line that is too long: its bytes with its ending, where that has come.
    Long(Option<usize>),
    /// Nothing whole.
    Unfinished,
}

impl JsonDecoder {
    /// A decoder for a new connection.
    pub fn new(terms: &Terms) -> Self {
        Self {
            max_line: terms.max_line,
            max_errors: terms.max_errors,
            errors: 0,
            searched: 0,
            state: State::Start,
            names: Names::default(),
        }
    }

    fn run(&mut self, input: &mut BytesMut, intake: &mut Intake, at_end: bool) -> Flow {
        if self.state == State::Start && !self.skip_mark(input, at_end) {
            return Flow::More;
        }
        if self.state == State::Discarding {
            self.discard(input);
        }
        self.names.begin();
        let mut fields = Fields::new();
        let is_plain = ascii::is_plain(input);
        let mut taken = 0;
        let flow = loop {
            if self.state == State::Done {
                break Flow::More;
            }
            let rest = &input[taken..];
            let next = self.next(rest, at_end);
            if matches!(next, Next::Unfinished) {
                break Flow::More;
            }
            if intake.is_full() || intake.events.len() >= EVENTS_MAX {
                break Flow::Full;
            }
            let (whole, flow) = match next {
                Next::Unfinished => (0, Flow::More),
                Next::Line(len, whole) => {
                    if taken == 0 {
                        intake.asks.reserve_exact((rest.len() / whole).clamp(1, LINES_EXPECTED_MAX));
                    }
                    (whole, self.line(&rest[..len], is_plain, taken, &mut fields, intake))
                }
                Next::Long(whole) => {
                    if whole.is_none() {
                        self.state = State::Discarding;
                    }
                    (whole.unwrap_or(rest.len()), self.too_long(&rest[..self.max_line], intake))
                }
            };
            self.searched = 0;
            taken += whole;
            if flow != Flow::More {
                break flow;
            }
        };
        if taken > 0 {
            intake.bytes = input.split_to(taken).freeze();
        }
        if self.state == State::Done {
            input.clear();
        }
        flow
    }

    /// Looks for the first line's end. What it says does not depend on how the bytes came.
    fn next(&mut self, input: &[u8], at_end: bool) -> Next {
        match memchr::memchr(b'\n', &input[self.searched..]).map(|at| self.searched + at) {
            Some(end) if end >= self.max_line => Next::Long(Some(end + 1)),
            Some(end) => {
                let is_crlf = end > 0 && input[end - 1] == b'\r';
                Next::Line(end - usize::from(is_crlf), end + 1)
            }
            None if input.len() >= self.max_line => Next::Long(None),
            None if at_end && !input.is_empty() => Next::Line(input.len(), input.len()),
            None => {
                self.searched = input.len();
                Next::Unfinished
            }
        }
    }

    /// Passes a byte order mark at the start of the connection; `false` while it may still be one.
    fn skip_mark(&mut self, input: &mut BytesMut, at_end: bool) -> bool {
        if input.starts_with(BYTE_ORDER_MARK) {
            input.advance(BYTE_ORDER_MARK.len());
        } else if !at_end && BYTE_ORDER_MARK.starts_with(input) {
            return false;
        }
        self.state = State::Lines;
        true
    }

    /// Throws the rest of an over-long line away, as far as it has come.
    fn discard(&mut self, input: &mut BytesMut) {
        let end = memchr::memchr(b'\n', input);
        if end.is_some() {
            self.state = State::Lines;
        }
        input.advance(end.map_or(input.len(), |end| end + 1));
    }

    #[inline]
    fn line(&mut self, line: &[u8], is_plain: bool, offset: usize, fields: &mut Fields, intake: &mut Intake) -> Flow {
        if line.iter().all(|byte| matches!(byte, b' ' | b'\t')) {
            return Flow::More;
        }
        intake.lines += 1;
        match scan::scan(line, is_plain, fields) {
            Ok(()) => self.frame(Frame { line, fields, offset: offset as u32 }, intake),
            Err(fault) => self.faulty(line, fault, intake),
        }
    }

    #[inline]
    fn frame(&mut self, frame: Frame<'_>, intake: &mut Intake) -> Flow {
        let Some(op) = frame.op() else { return self.odd_op(frame, intake) };
        if op == Op::Send { self.send(frame, intake) } else { self.request(frame, op, intake) }
    }

    /// A line whose `op` is not plainly one.
    #[cold]
    fn odd_op(&mut self, frame: Frame<'_>, intake: &mut Intake) -> Flow {
        match frame.text(Key::Op) {
            Ok(Some(word)) => match Op::of(&word) {
                Some(Op::Send) => self.send(frame, intake),
                Some(op) => self.request(frame, op, intake),
                None => self.unknown(&frame, &word, intake),
            },
            Ok(None) => self.refuse(&frame, None, Refusal::missing(Key::Op), intake),
            Err(refusal) => self.refuse(&frame, None, refusal, intake),
        }
    }

    /// The way of nearly all lines: few branches, and nothing large passed from hand to hand.
    #[inline]
    fn send(&mut self, frame: Frame<'_>, intake: &mut Intake) -> Flow {
        self.errors = 0;
        let tag = match frame.tag() {
            Ok(tag) => tag,
            Err(refusal) => return self.refuse(&frame, Some(Op::Send), refusal, intake),
        };
        let mut reading = Reading { frame, names: &mut self.names, intake, max_line: self.max_line };
        match reading.send(tag) {
            Ok(()) => Flow::More,
            Err(refusal) => self.refuse(&frame, Some(Op::Send), refusal, intake),
        }
    }

    fn request(&mut self, frame: Frame<'_>, op: Op, intake: &mut Intake) -> Flow {
        self.errors = 0;
        let tag = match frame.tag() {
            Ok(tag) => tag,
            Err(refusal) => return self.refuse(&frame, Some(op), refusal, intake),
        };
        let mut reading = Reading { frame, names: &mut self.names, intake, max_line: self.max_line };
        let command = match reading.command(op) {
            Ok(Some(command)) => command,
            Ok(None) => return Flow::More,
            Err(refusal) => return self.refuse(&frame, Some(op), refusal, intake),
        };
        // A pattern has every room looked at that there is, so few of one connection's are let in at once.
        let is_pattern = match &command {
            Command::Join(join) => matches!(join.target, Target::Pattern(_)),
            Command::Leave(target) => matches!(target, Target::Pattern(_)),
            _ => false,
        };
        let claim = match &command {
            Command::History(_) | Command::Search(_) | Command::Who(..) | Command::Rooms(..) => self.max_line,
            _ if is_pattern => self.max_line,
            // These are told to everyone around.
            Command::Nick(_) | Command::Topic(_, Some(_)) | Command::Redact(..) => NEWS_BYTES,
            _ => ANSWER_BYTES,
        };
        let flow = if op == Op::Hello { Flow::Await } else { Flow::More };
        if op == Op::Quit {
            self.state = State::Done;
        }
        intake.ask(Ask { tag, command }, claim);
        flow
    }

    /// A line that could be read, and is not carried out.
    #[cold]
    fn refuse(&mut self, frame: &Frame<'_>, op: Option<Op>, refusal: Refusal, intake: &mut Intake) -> Flow {
        self.errors = 0;
        let Refusal(mut error) = refusal;
        error.op = op.map(|op| op.as_str().into());
        error.room = names::room_of_error(frame);
        intake.events.push(Event::Error(frame.tag().unwrap_or_default(), error));
        Flow::More
    }

    #[cold]
    fn unknown(&mut self, frame: &Frame<'_>, word: &str, intake: &mut Intake) -> Flow {
        let shown: String = word.chars().take(OP_CHARS_SHOWN).collect();
        let nearest = op::nearest(word).as_str();
        let message = format!("there is no op `{shown}`; the nearest is `{nearest}`");
        let mut error = ErrorEvent::new(Code::UnknownOp, message);
        error.op = Some(shown.into());
        error.room = names::room_of_error(frame);
        self.unreadable(frame.tag().unwrap_or_default(), error, intake)
    }

    #[cold]
    fn faulty(&mut self, line: &[u8], fault: Fault, intake: &mut Intake) -> Flow {
        let error = ErrorEvent::new(fault.code(), fault.describe(line));
        self.unreadable(recover::recover(line), error, intake)
    }

    #[cold]
    fn too_long(&mut self, seen: &[u8], intake: &mut Intake) -> Flow {
        intake.lines += 1;
        let message = format!("the line has more than {} bytes with its ending", self.max_line);
        self.unreadable(recover::recover(seen), ErrorEvent::new(Code::LineTooLong, message), intake)
    }

    /// One more line in a row that could not be read.
    fn unreadable(&mut self, tag: Tag, error: ErrorEvent, intake: &mut Intake) -> Flow {
        intake.events.push(Event::Error(tag, Box::new(error)));
        self.errors += 1;
        if self.max_errors == 0 || self.errors < self.max_errors {
            return Flow::More;
        }
        self.state = State::Done;
        Flow::HangUp
    }
}

impl Decoder for JsonDecoder {
    fn decode(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow {
        self.run(input, intake, false)
    }

    fn finish(&mut self, input: &mut BytesMut, intake: &mut Intake) -> Flow {
        self.run(input, intake, true)
    }

    /// Nothing depends on how a `hello` went but what the router does next.
    fn resolved(&mut self, _outcome: Outcome, _intake: &mut Intake) {}

    fn is_mid_frame(&self) -> bool {
        self.state == State::Discarding
    }
}
