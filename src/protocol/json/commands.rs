//! Lines as commands: what each op of the contract takes, and what is wrong where it does not get it.
//!
//! Checks the form of a request alone. Whether the room exists, the nick is free or the number was ever given is the
//! router's to say.

use std::sync::Arc;
use std::time::Duration;

use super::frame::{Frame, Refusal};
use super::key::{Key, Kind, Raw};
use super::names::Names;
use super::op::Op;
use super::{number, scan, settings};
use crate::model::{
    Ask, Command, Epoch, Hello, History, Join, Nick, Page, Part, Pattern, Reply, Request, RoomName, Search, Send,
    SessionKey, Span, Start, Tag, Target,
};
use crate::protocol::Intake;

/// What `headers` may take: some dozens of short ones.
pub(super) const HEADERS_BYTES_MAX: usize = 1_024;

/// What an `ok` or an `error` takes, about.
pub(super) const ANSWER_BYTES: usize = 256;

/// What `body` and `headers` leave free of a line for what the server adds: names, numbers and an `id`.
const ENVELOPE_BYTES: usize = 1_024;

/// What an `idempotency_key` may take, as an `id`: it is remembered with every message for two minutes.
const KEY_BYTES_MAX: usize = 64;

/// What names a request; the server's own are shorter.
const REQ_BYTES_MAX: usize = 64;

/// What a topic may take, so that a listing of rooms has room for many.
pub(super) const TOPIC_BYTES_MAX: usize = 1_024;

/// What may be searched for at once: some sentences.
const QUERY_BYTES_MAX: usize = 1_024;

/// Bytes of the words that somebody leaves with: a sentence.
const REASON_BYTES_MAX: usize = 256;

/// How long an asker waits that did not say.
const REQUEST_TIMEOUT_MS: u64 = 5_000;

/// How long an asker waits at most; what takes longer is a job for a queue.
const REQUEST_TIMEOUT_MS_MAX: u64 = 600_000;

/// Entries of a page at most.
const LIMIT_MAX: u64 = 1_000;

/// Messages of a page, where the client did not say: some screens.
const HISTORY_LIMIT: u64 = 50;

/// A day: no heartbeat, delay or wait is longer, so none overflows a timer.
const DAY_S: u64 = 86_400;

/// Unacked messages of one worker at most: what it may lose at once.
const PREFETCH_MAX: u64 = 65_536;

/// What a line asks, in the making.
pub(super) struct Reading<'a> {
    /// The line.
    pub(super) frame: Frame<'a>,
    /// What was named before.
    pub(super) names: &'a mut Names,
    /// Where places and the heartbeat go.
    pub(super) intake: &'a mut Intake,
    /// Bytes of a line, either way.
    pub(super) max_line: usize,
}

impl Reading<'_> {
    /// The command of an op other than `send`; `None` where nothing is to be done.
    pub(super) fn command(&mut self, op: Op) -> Result<Option<Command>, Refusal> {
        let frame = self.frame;
        Ok(Some(match op {
            Op::Request => self.request()?,
            Op::Reply => self.reply()?,
            Op::Ack => Command::Ack(Box::new((self.room()?, frame.seqs(Key::Seq)?))),
            Op::Nack => {
                let delay = frame.whole(Key::DelayMs, 0..=DAY_S * 1_000)?.unwrap_or(0);
                Command::Nack(Box::new((self.room()?, frame.seqs(Key::Seq)?, Duration::from_millis(delay))))
            }
            Op::Working => Command::Working(Box::new((self.room()?, frame.seqs(Key::Seq)?))),
            Op::Hello => self.hello()?,
            Op::Join => self.join()?,
            Op::Leave => Command::Leave(self.target()?),
            Op::Create => settings::create(self.room()?, &frame)?,
            Op::Delete => Command::Delete(self.room()?),
            Op::Redact => {
                let seq = frame.seq(Key::Seq, 1)?.ok_or_else(|| Refusal::missing(Key::Seq))?;
                Command::Redact(self.room()?, seq)
            }
            Op::History => self.history()?,
            Op::Search => self.search()?,
            Op::Who => self.who()?,
            Op::Rooms => self.rooms()?,
            Op::Topic => {
                let topic = frame.text_of(Key::Topic, 0..=TOPIC_BYTES_MAX)?;
                Command::Topic(self.room()?, topic.map(Into::into))
            }
            Op::Nick => {
                let nick = self.nick(Key::Nick)?.ok_or_else(|| Refusal::missing(Key::Nick))?;
                Command::Nick(Arc::new(nick))
            }
            Op::Ping => Command::Ping,
            // Any line is a sign of life; a `send` has a way of its own.
            Op::Pong | Op::Send => return Ok(None),
            Op::Quit => {
                let reason = frame.text_of(Key::Reason, 0..=REASON_BYTES_MAX)?;
                Command::Quit { asked: true, reason: reason.map(Into::into) }
            }
            Op::Register
            | Op::Login
            | Op::Password
            | Op::Invite
            | Op::Kick
            | Op::Mute
            | Op::Unmute
            | Op::Ban
            | Op::Unban
            | Op::Bans
            | Op::Role => Command::Unsupported(op.as_str()),
        }))
    }

    /// The one op that must be quick: it is asked from here, so that it is not handed on through results.
    #[inline]
    pub(super) fn send(&mut self, tag: Tag) -> Result<(), Refusal> {
        let place = self.names.index(&self.frame, self.intake)?;
        let headers = match self.frame.raw(Key::Headers) {
            None => None,
            Some(raw) => Some(self.headers(raw)?),
        };
        let Some(body) = self.frame.fields.get(Key::Body) else { return Err(Refusal::missing(Key::Body)) };
        let body = self.sized(headers, self.frame.span(body))?;
        let key = match self.frame.raw(Key::Idempotency) {
            None => None,
            Some(_) => self.idempotency_key()?,
        };
        let claim = if tag.wants_ok() { ANSWER_BYTES } else { 0 };
        self.intake.ask(Ask { tag, command: Command::Send(Send { place, headers, body, key }) }, claim);
        Ok(())
    }

    fn idempotency_key(&self) -> Result<Option<Box<str>>, Refusal> {
        Ok(self.frame.text_of(Key::Idempotency, 1..=KEY_BYTES_MAX)?.map(Into::into))
    }

    fn request(&mut self) -> Result<Command, Refusal> {
        let place = self.names.place(&self.frame)?;
        let headers = self.headers_if_any()?;
        let body = self.body(headers)?.ok_or_else(|| Refusal::missing(Key::Body))?;
        let timeout = self.frame.whole(Key::TimeoutMs, 1..=REQUEST_TIMEOUT_MS_MAX)?.unwrap_or(REQUEST_TIMEOUT_MS);
        let timeout = Duration::from_millis(timeout);
        Ok(Command::Request(Box::new(Request { place, headers, body, timeout })))
    }

    fn reply(&mut self) -> Result<Command, Refusal> {
        let frame = self.frame;
        let req = frame.text_of(Key::Req, 1..=REQ_BYTES_MAX)?.ok_or_else(|| Refusal::missing(Key::Req))?;
        let headers = self.headers_if_any()?;
        // Checks that it is a string; it travels as it stands.
        frame.text(Key::Error)?;
        let result = match (self.body(headers)?, frame.raw(Key::Error)) {
            (Some(body), None) => Ok(body),
            (None, Some(error)) => Err(self.sized(headers, frame.span(error))?),
            (None, None) => return Err(Refusal::request("`body` or `error` is missing")),
            (Some(_), Some(_)) => return Err(Refusal::request("`body` and `error` exclude each other")),
        };
        Ok(Command::Reply(Box::new(Reply { req: req.into(), headers, result })))
    }

    fn headers(&self, raw: Raw) -> Result<Span, Refusal> {
        let text = self.frame.slice(raw);
        if raw.kind != Kind::Object || !scan::is_flat(text) {
            return Err(Refusal::must_be(Key::Headers, "a flat object of strings"));
        }
        if text.len() > HEADERS_BYTES_MAX {
            return Err(Refusal::too_large("`headers`", text.len(), HEADERS_BYTES_MAX));
        }
        Ok(self.frame.span(raw))
    }

    fn headers_if_any(&self) -> Result<Option<Span>, Refusal> {
        self.frame.raw(Key::Headers).map(|raw| self.headers(raw)).transpose()
    }

    /// The body, which may be `null`.
    fn body(&self, headers: Option<Span>) -> Result<Option<Span>, Refusal> {
        self.frame.fields.get(Key::Body).map(|raw| self.sized(headers, self.frame.span(raw))).transpose()
    }

    #[inline]
    fn sized(&self, headers: Option<Span>, body: Span) -> Result<Span, Refusal> {
        let max = self.max_line.saturating_sub(ENVELOPE_BYTES);
        let is = body.len() + headers.map_or(0, Span::len);
        if is > max { Err(Refusal::too_large("`body` and `headers` together", is, max)) } else { Ok(body) }
    }

    fn hello(&mut self) -> Result<Command, Refusal> {
        let frame = self.frame;
        let credentials = [frame.text(Key::Password)?, frame.text(Key::Token)?];
        if credentials.iter().all(Option::is_some) {
            return Err(Refusal::request("`password` and `token` exclude each other"));
        }
        if frame.whole(Key::Proto, 1..=1).is_err() {
            return Err(Refusal::request("`proto` must be 1, which is what this server speaks"));
        }
        let hello = Hello {
            nick: self.nick(Key::Nick)?,
            has_credential: credentials.iter().any(Option::is_some),
            // What is no key is no session, as one that has ended: the connection begins anew.
            resume: frame.text(Key::Resume)?.and_then(|text| SessionKey::parse(&text)),
            echo: frame.flag(Key::Echo)?.unwrap_or(true),
            presence: frame.flag(Key::Presence)?.unwrap_or(false),
        };
        let heartbeat = frame.whole(Key::HeartbeatS, 0..=DAY_S)?.filter(|seconds| *seconds > 0);
        if let Some(seconds) = heartbeat {
            self.intake.heartbeat = Some(Duration::from_secs(seconds));
        }
        Ok(Command::Hello(Box::new(hello)))
    }

    fn join(&mut self) -> Result<Command, Refusal> {
        const PARTS: [(&str, Part); 3] =
            [("member", Part::Member), ("observer", Part::Observer), ("worker", Part::Worker)];
        let frame = self.frame;
        let join = Join {
            target: self.target()?,
            part: frame.word(Key::As, &PARTS)?,
            start: self.start()?,
            prefetch: frame.whole(Key::Prefetch, 1..=PREFETCH_MAX)?.map(|count| count as u32),
            ack_wait: frame.whole(Key::AckWaitS, 1..=DAY_S)?.map(Duration::from_secs),
            stay: frame.flag(Key::Stay)?.unwrap_or(false),
        };
        Ok(Command::Join(Box::new(join)))
    }

    fn start(&self) -> Result<Start, Refusal> {
        let frame = self.frame;
        let epoch = match frame.text(Key::Epoch)? {
            None => None,
            Some(text) => {
                let wrong = || Refusal::must_be(Key::Epoch, "1 to 16 of `a-z0-9`");
                Some(Epoch::parse(&text).ok_or_else(wrong)?)
            }
        };
        let after = frame.seq(Key::After, 0)?;
        let last = frame.whole(Key::Last, 0..=number::WHOLE_MAX as u64)?;
        let since = frame.whole(Key::Since, 0..=number::WHOLE_MAX as u64)?;
        let cursor = match frame.text(Key::Cursor)? {
            None => None,
            Some(text) => {
                let wrong = || Refusal::must_be(Key::Cursor, "one that this server gave");
                Some(text.parse().map_err(|_| wrong())?)
            }
        };
        match (after, last, since, cursor) {
            (None, None, None, None) => Ok(Start::Now),
            (Some(seq), None, None, None) => Ok(Start::After(seq, epoch)),
            (None, Some(count), None, None) => Ok(Start::Last(count)),
            (None, None, Some(ts), None) => Ok(Start::Since(ts)),
            (None, None, None, Some(cursor)) => Ok(Start::Cursor(cursor)),
            _ => Err(Refusal::request("`after`, `last`, `since` and `cursor` exclude each other")),
        }
    }

    fn history(&mut self) -> Result<Command, Refusal> {
        let frame = self.frame;
        let history = History {
            place: self.names.place(&frame)?,
            after: frame.seq(Key::After, 0)?,
            before: frame.seq(Key::Before, 0)?,
            since: frame.whole(Key::Since, 0..=number::WHOLE_MAX as u64)?,
            until: frame.whole(Key::Until, 0..=number::WHOLE_MAX as u64)?,
            limit: self.limit(HISTORY_LIMIT)?,
        };
        Ok(Command::History(Box::new(history)))
    }

    fn search(&mut self) -> Result<Command, Refusal> {
        let frame = self.frame;
        let query = frame.text_of(Key::Query, 1..=QUERY_BYTES_MAX)?.ok_or_else(|| Refusal::missing(Key::Query))?;
        let search = Search {
            query: query.into(),
            room: if frame.raw(Key::Room).is_some() { Some(self.room()?) } else { None },
            until: frame.whole(Key::Until, 0..=number::WHOLE_MAX as u64)?,
            limit: self.limit(HISTORY_LIMIT)?,
        };
        Ok(Command::Search(Box::new(search)))
    }

    fn who(&mut self) -> Result<Command, Refusal> {
        let room = if self.frame.raw(Key::Room).is_some() { Some(self.room()?) } else { None };
        // Without a limit as many as there are: a page ends with its line in any case.
        let page = Page { after: self.nick(Key::After)?, limit: self.limit(LIMIT_MAX)? };
        Ok(Command::Who(room, Box::new(page)))
    }

    fn rooms(&mut self) -> Result<Command, Refusal> {
        let parse = |text: &str| Pattern::parse(text).map_err(|error| Refusal::name(Key::Pattern, error));
        let pattern = self.frame.text(Key::Pattern)?.map(|text| parse(&text)).transpose()?;
        let parse = |text: &str| RoomName::parse(text).map_err(|error| Refusal::name(Key::After, error));
        let after = self.frame.text(Key::After)?.map(|text| parse(&text)).transpose()?;
        Ok(Command::Rooms(pattern.map(Arc::new), Box::new(Page { after, limit: self.limit(LIMIT_MAX)? })))
    }

    fn limit(&self, default: u64) -> Result<u32, Refusal> {
        Ok(self.frame.whole(Key::Limit, 1..=LIMIT_MAX)?.unwrap_or(default) as u32)
    }

    fn room(&mut self) -> Result<Arc<RoomName>, Refusal> {
        self.names.room(&self.frame)
    }

    /// What `room`, which may be a pattern, or `to` names.
    fn target(&mut self) -> Result<Target, Refusal> {
        let (key, text) = super::names::place_text(&self.frame)?;
        if key == Key::Room && text.contains(['*', '>']) {
            return Target::parse(&text).map_err(|error| Refusal::name(key, error));
        }
        self.names.place(&self.frame).map(Target::Place)
    }

    fn nick(&self, key: Key) -> Result<Option<Nick>, Refusal> {
        let text = self.frame.text(key)?;
        text.map(|text| Nick::parse(&text).map_err(|error| Refusal::name(key, error))).transpose()
    }
}
