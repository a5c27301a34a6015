//! What a client is told: the output of the router, which each connection's codec puts into its protocol.
//!
//! Messages of rooms travel as slices of shared chunks; everything else is an [`Event`].

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::{ByeReason, Chunk, Code, Epoch, Kind, Nick, Place, RoomName, Sender, Seq, SessionKey, Tag};

/// One thing for a connection's writer; two words wide, since every connection's channel has room for 32 of them at once.
#[derive(Debug)]
pub enum Item {
    /// Lines `from..to` of a chunk.
    Feed {
        /// The shared messages.
        chunk: Arc<Chunk>,
        /// Index of the first line.
        from: u16,
        /// Index behind the last line.
        to: u16,
        /// Whether they are replayed to one who joined.
        replay: bool,
    },
    /// Answers and news, in order.
    Events(Box<Vec<Event>>),
    /// What follows is written in another protocol.
    Switch(Wire),
}

/// Which line protocol a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wire {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

impl Wire {
    /// The protocol's name in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// One thing a client is told.
#[derive(Debug)]
pub enum Event {
    /// The answer to `hello`.
    Welcome(Tag, Box<Welcome>),
    /// A request was done.
    Ok(Tag, Box<OkEvent>),
    /// A message was accepted: the `ok` of a `send`, apart because it is by far the most frequent.
    Sent {
        /// Of the `send`.
        tag: Tag,
        /// Where it went.
        place: Place,
        /// Its number there.
        seq: Seq,
        /// When, in Unix milliseconds.
        ts: u64,
        /// Whether it is the repeat of an earlier one.
        dup: bool,
    },
    /// A request was not done, or a line could not be read.
    Error(Tag, Box<ErrorEvent>),
    /// Work of a queue room.
    Work {
        /// The chunk that holds the message.
        chunk: Arc<Chunk>,
        /// Which of its lines it is.
        line: u32,
        /// Which delivery this is, from 1.
        attempt: u32,
    },
    /// A question for this worker.
    Request {
        /// Where it was asked.
        place: Place,
        /// The server's number for it.
        req: Box<str>,
        /// Who asks.
        sender: Arc<Sender>,
        /// When, in Unix milliseconds.
        ts: u64,
        /// The `headers` object, as it stood on the wire.
        headers: Option<Bytes>,
        /// The body, as it stood on the wire.
        body: Bytes,
    },
    /// The answer to a `request`.
    Reply {
        /// Of the `request`.
        tag: Tag,
        /// Who answered.
        sender: Arc<Sender>,
        /// When, in Unix milliseconds.
        ts: u64,
        /// The `headers` object, as it stood on the wire.
        headers: Option<Bytes>,
        /// The body, or the text of what went wrong (a JSON string), as it stood on the wire.
        result: Result<Bytes, Bytes>,
    },
    /// Somebody came in.
    Joined {
        /// Where.
        room: Arc<RoomName>,
        /// Who.
        nick: Arc<Nick>,
    },
    /// Somebody went.
    Left {
        /// From where.
        room: Arc<RoomName>,
        /// Who.
        nick: Arc<Nick>,
        /// Why.
        reason: Option<Cow<'static, str>>,
        /// Who made them go.
        by: Option<Arc<Nick>>,
    },
    /// Somebody has another nick.
    Nick {
        /// The new one.
        nick: Arc<Nick>,
        /// The old one.
        was: Arc<Nick>,
    },
    /// A room has another topic.
    Topic {
        /// Which room.
        room: Arc<RoomName>,
        /// The topic; empty where it was taken away.
        topic: Arc<str>,
        /// Who set it.
        by: Arc<Nick>,
    },
    /// A message was blanked.
    Redacted {
        /// Where.
        room: Arc<RoomName>,
        /// Which.
        seq: Seq,
        /// By whom.
        by: Arc<Nick>,
    },
    /// A stretch of the past.
    History(Tag, Box<HistoryPage>),
    /// Messages that were looked for; on the wire it is a `history` too.
    Found(Tag, Box<FoundPage>),
    /// Who is there.
    Who {
        /// Of the request.
        tag: Tag,
        /// The room, where one was named.
        room: Option<Arc<RoomName>>,
        /// By nick, in order.
        members: Vec<MemberInfo>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// Which rooms there are.
    Rooms {
        /// Of the request.
        tag: Tag,
        /// By name, in order.
        rooms: Vec<RoomInfo>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// What was missed, exactly, and where it goes on.
    Lagged {
        /// Where.
        place: Place,
        /// Messages missed.
        missed: u64,
        /// The number that comes next.
        next: Seq,
        /// Whether comings and goings were missed too.
        presence: bool,
    },
    /// Numbers that were asked for and are gone, both inclusive.
    Gap {
        /// Where.
        place: Place,
        /// The first.
        first: Seq,
        /// The last.
        last: Seq,
    },
    /// How far an observer has come: where it may go on after a break.
    Cursor {
        /// Of which pattern.
        pattern: Arc<super::Pattern>,
        /// Up to here it has everything that is on disk.
        cursor: u64,
    },
    /// Is anybody there?
    Ping,
    /// Yes.
    Pong(Tag),
    /// The end: nothing comes after it.
    Bye {
        /// Of a `quit`.
        tag: Tag,
        /// Why.
        reason: ByeReason,
        /// When to come back, in milliseconds, where coming back makes sense.
        reconnect_ms: Option<u64>,
    },
    /// Bytes of the codec's own (a banner, a telnet option), written as they are.
    Raw(Bytes),
}

/// The fields of `welcome`.
#[derive(Debug)]
pub struct Welcome {
    /// The nick the connection has.
    pub nick: Arc<Nick>,
    /// The account, where it has one.
    pub account: Option<Arc<str>>,
    /// What resumes this connection.
    pub session: SessionKey,
    /// Whether an earlier one was resumed.
    pub resumed: bool,
    /// Direct messages that wait: from whom and how many.
    pub unread: Vec<(Arc<Nick>, u64)>,
    /// The longest line, either way.
    pub max_line: usize,
}

/// The fields of an `ok`, of which each op has its own.
#[derive(Debug, Default)]
pub struct OkEvent {
    /// The op that was done; not on the wire.
    pub op: &'static str,
    /// Where.
    pub place: Option<Place>,
    /// The pattern that is observed, where one was joined or left.
    pub pattern: Option<Arc<super::Pattern>>,
    /// The newest number there.
    pub seq: Option<Seq>,
    /// The numbering it belongs to.
    pub epoch: Option<Epoch>,
    /// Whether the numbers asked for were of another numbering.
    pub reset: bool,
    /// The place up to which an observer has everything that is on disk.
    pub cursor: Option<u64>,
    /// Whether the room stood already.
    pub existed: bool,
    /// The room's topic.
    pub topic: Option<Arc<str>>,
    /// The nick that was taken; not on the wire.
    pub nick: Option<Arc<Nick>>,
}

/// The fields of an `error`.
#[derive(Debug)]
pub struct ErrorEvent {
    /// What kind of error.
    pub code: Code,
    /// What is wrong and what to do, for people.
    pub message: Cow<'static, str>,
    /// The op that was refused.
    pub op: Option<Cow<'static, str>>,
    /// The room it was about.
    pub room: Option<Arc<RoomName>>,
    /// When to try again, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl ErrorEvent {
    /// An error with a message and nothing else.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), op: None, room: None, retry_after_ms: None }
    }

    /// The same, of an op.
    #[must_use]
    pub fn op(mut self, op: &'static str) -> Self {
        self.op = Some(Cow::Borrowed(op));
        self
    }

    /// The same, about a room.
    #[must_use]
    pub fn room(mut self, room: &Arc<RoomName>) -> Self {
        self.room = Some(Arc::clone(room));
        self
    }
}

/// The fields of `history`.
#[derive(Debug)]
pub struct HistoryPage {
    /// Where.
    pub place: Place,
    /// The newest number there.
    pub seq: Seq,
    /// The numbering.
    pub epoch: Epoch,
    /// Whether the numbers asked for were of another numbering.
    pub reset: bool,
    /// The messages, oldest first, as lines of shared chunks.
    pub messages: Vec<(Arc<Chunk>, u32)>,
    /// Whether there are more.
    pub more: bool,
}

/// What a search found.
#[derive(Debug)]
pub struct FoundPage {
    /// The room that was searched, with its newest number and its numbering; none where all were.
    pub room: Option<(Arc<RoomName>, Seq, Epoch)>,
    /// The messages, newest first, as lines of chunks.
    pub messages: Vec<(Arc<Chunk>, u32)>,
    /// Whether there may be more.
    pub more: bool,
}

/// One line of `who`.
#[derive(Debug)]
pub struct MemberInfo {
    /// The name shown.
    pub nick: Arc<Nick>,
    /// The account, where there is one.
    pub account: Option<Arc<str>>,
    /// `owner`, `moderator` or `member`.
    pub role: &'static str,
    /// Seconds since the last line from there.
    pub idle_s: u64,
}

/// One line of `rooms`.
#[derive(Debug)]
pub struct RoomInfo {
    /// The room.
    pub room: Arc<RoomName>,
    /// What it does with messages.
    pub kind: Kind,
    /// How many are listed in it.
    pub members: u64,
    /// The newest number.
    pub seq: Seq,
    /// The numbering.
    pub epoch: Epoch,
    /// The topic.
    pub topic: Option<Arc<str>>,
    /// Whether only the invited may join.
    pub private: bool,
}

/// When a client that is told to go for the server's sake should come back: after a restart's moment.
const RECONNECT_MS: u64 = 1_000;

impl Event {
    /// The goodbye for a reason.
    pub fn bye(tag: Tag, reason: ByeReason) -> Self {
        let reconnect_ms = matches!(reason, ByeReason::Shutdown).then_some(RECONNECT_MS);
        Self::Bye { tag, reason, reconnect_ms }
    }

    /// What it takes from the answer budget: its bytes on the wire, about.
    pub fn cost(&self) -> usize {
        /// What any event takes with its envelope.
        const BASE: usize = 192;
        let more = match self {
            Self::Error(_, error) => error.message.len(),
            Self::Work { chunk, line, .. } => chunk.message(*line as usize).line.len(),
            Self::Request { headers, body, .. } => body.len() + headers.as_ref().map_or(0, Bytes::len),
            Self::Reply { headers, result, .. } => {
                result.as_ref().map_or_else(Bytes::len, Bytes::len) + headers.as_ref().map_or(0, Bytes::len)
            }
            Self::History(_, page) => {
                page.messages.iter().map(|(chunk, line)| chunk.message(*line as usize).line.len()).sum()
            }
            Self::Found(_, page) => {
                page.messages.iter().map(|(chunk, line)| chunk.message(*line as usize).line.len()).sum()
            }
            Self::Who { members, .. } => members.len() * 128,
            Self::Rooms { rooms, .. } => {
                rooms.iter().map(|room| 192 + room.topic.as_ref().map_or(0, |topic| topic.len())).sum()
            }
            Self::Topic { topic, .. } => topic.len(),
            Self::Raw(bytes) => bytes.len(),
            _ => 0,
        };
        BASE + more
    }
}
