//! What a client asks: the input of the router, whatever protocol it came by.
//!
//! A protocol has checked all that can be known without the server's state: names are names, numbers are in range. The
//! bytes of a body stay where they were read; a command only says where they are.

use std::sync::Arc;
use std::time::Duration;

use super::{Epoch, HistoryKind, Kind, Nick, Pattern, Place, RoomName, Seq, SessionKey, Tag, Target};

/// A stretch of the bytes that commands came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Offset behind the last byte.
    pub end: u32,
}

impl Span {
    /// The bytes that the span names.
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..self.end as usize]
    }

    /// How many bytes it names.
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether it names none.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// What came of a command that its reader waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused; the error itself is on its way to the client.
    Refused,
    /// The input has ended, and the connection stays to receive.
    Stays,
}

/// One request and what its answer bears.
#[derive(Debug)]
pub struct Ask {
    /// The `id` to answer with.
    pub tag: Tag,
    /// What is asked.
    pub command: Command,
}

/// Everything a client can ask.
///
/// The common one, [`Send`], is inline; what is rare and large is boxed, so that a thousand sends lie close together.
#[derive(Debug)]
pub enum Command {
    /// Publish a message.
    Send(Send),
    /// Name the connection, prove who it is, or take an earlier one over.
    Hello(Box<Hello>),
    /// Become a member or observer, or replay.
    Join(Box<Join>),
    /// End a membership.
    Leave(Target),
    /// Ask one worker and await its reply.
    Request(Box<Request>),
    /// Answer a request.
    Reply(Box<Reply>),
    /// Work is done.
    Ack(Box<(Arc<RoomName>, Vec<Seq>)>),
    /// Work is given back, to be delivered again after the delay.
    Nack(Box<(Arc<RoomName>, Vec<Seq>, Duration)>),
    /// Work goes on: the wait for the ack starts again.
    Working(Box<(Arc<RoomName>, Vec<Seq>)>),
    /// Bring a room into being with settings.
    Create(Box<Create>),
    /// End a room.
    Delete(Arc<RoomName>),
    /// Blank a message.
    Redact(Arc<RoomName>, Seq),
    /// Read what was said.
    History(Box<History>),
    /// Look for words in what was said.
    Search(Box<Search>),
    /// Who is in a room, or on the server.
    Who(Option<Arc<RoomName>>, Box<Page<Nick>>),
    /// Which rooms there are.
    Rooms(Option<Arc<Pattern>>, Box<Page<RoomName>>),
    /// Read a room's topic, or set it.
    Topic(Arc<RoomName>, Option<Box<str>>),
    /// Take another nick.
    Nick(Arc<Nick>),
    /// A sign of life that wants an answer.
    Ping,
    /// End the connection once everything before is done.
    Quit {
        /// Whether the client said so; otherwise its input ended.
        asked: bool,
        /// What the others are told.
        reason: Option<Box<str>>,
    },
    /// Keep receiving when the input ends.
    Stay,
    /// A known op that this server does not carry out; the word is the op's.
    Unsupported(&'static str),
}

impl Command {
    /// The word that clients know the command by.
    pub const fn op(&self) -> &'static str {
        match self {
            Self::Send(_) => "send",
            Self::Hello(_) => "hello",
            Self::Join(_) => "join",
            Self::Leave(_) => "leave",
            Self::Request(_) => "request",
            Self::Reply(_) => "reply",
            Self::Ack(_) => "ack",
            Self::Nack(_) => "nack",
            Self::Working(_) => "working",
            Self::Create(_) => "create",
            Self::Delete(_) => "delete",
            Self::Redact(..) => "redact",
            Self::History(_) => "history",
            Self::Search(_) => "search",
            Self::Who(..) => "who",
            Self::Rooms(..) => "rooms",
            Self::Topic(..) => "topic",
            Self::Nick(_) => "nick",
            Self::Ping => "ping",
            Self::Quit { .. } => "quit",
            Self::Stay => "stay",
            Self::Unsupported(op) => op,
        }
    }
}

impl Command {
    /// The room that it names, so that an error can name it too; a [`Send`] names its own by index.
    pub fn room(&self) -> Option<&Arc<RoomName>> {
        let target = match self {
            Self::Delete(room) | Self::Redact(room, _) | Self::Topic(room, _) => return Some(room),
            Self::Ack(work) | Self::Working(work) => return Some(&work.0),
            Self::Nack(work) => return Some(&work.0),
            Self::Create(create) => return Some(&create.room),
            Self::Who(room, _) => return room.as_ref(),
            Self::Search(search) => return search.room.as_ref(),
            Self::Join(join) => &join.target,
            Self::Leave(target) => target,
            Self::Request(request) => return request.place.room(),
            Self::History(history) => return history.place.room(),
            _ => return None,
        };
        match target {
            Target::Place(place) => place.room(),
            Target::Pattern(_) => None,
        }
    }
}

/// A message to publish.
#[derive(Debug)]
pub struct Send {
    /// Index into the places that its batch names.
    pub place: u32,
    /// The `headers` object as it stood on the wire.
    pub headers: Option<Span>,
    /// The `body` as it stood on the wire: any JSON value.
    pub body: Span,
    /// Makes a repeat harmless.
    pub key: Option<Box<str>>,
}

/// Who a connection is and how it wants to be treated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The nick wanted; without one the server gives one.
    pub nick: Option<Nick>,
    /// Whether a password or token came with it.
    pub has_credential: bool,
    /// The earlier connection to take over.
    pub resume: Option<SessionKey>,
    /// Whether the connection gets its own messages back.
    pub echo: bool,
    /// Whether it is told of comings and goings.
    pub presence: bool,
}

/// How someone takes part in a room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Listed, gets the messages.
    #[default]
    Member,
    /// Not listed, gets copies.
    Observer,
    /// A member that takes work and requests.
    Worker,
}

/// Where a join begins to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what comes next.
    #[default]
    Now,
    /// Behind a number, of an epoch where one was given.
    After(Seq, Option<Epoch>),
    /// With the newest so many.
    Last(u64),
    /// The same where the room has a past to give, which a queue room has not.
    Recent(u64),
    /// With the first that is not older, in Unix milliseconds.
    Since(u64),
    /// Of all rooms on disk that a pattern covers, behind a place in the one order of what is on disk.
    Cursor(u64),
}

/// A membership asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// What to join.
    pub target: Target,
    /// As what; a joining again without it changes nothing of that.
    pub part: Option<Part>,
    /// Where to begin.
    pub start: Start,
    /// Unacked messages that a worker takes at once.
    pub prefetch: Option<u32>,
    /// How long this worker has to ack, where it differs from the room's.
    pub ack_wait: Option<Duration>,
    /// Keep receiving when the input ends.
    pub stay: bool,
}

/// A question for one worker.
#[derive(Debug)]
pub struct Request {
    /// Where the worker is.
    pub place: Place,
    /// The `headers` object as it stood on the wire.
    pub headers: Option<Span>,
    /// The `body` as it stood on the wire.
    pub body: Span,
    /// How long the asker waits.
    pub timeout: Duration,
}

/// A worker's answer.
#[derive(Debug)]
pub struct Reply {
    /// The request, as the server numbered it.
    pub req: Box<str>,
    /// The `headers` object as it stood on the wire.
    pub headers: Option<Span>,
    /// The body, or what went wrong; either as it stood on the wire.
    pub result: Result<Span, Span>,
}

/// A room and the settings to give it; what is `None` is left as it is or as the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create {
    /// The room.
    pub room: Arc<RoomName>,
    /// See [`super::Settings::kind`].
    pub kind: Option<Kind>,
    /// See [`super::Settings::history`].
    pub history: Option<HistoryKind>,
    /// The topic.
    pub topic: Option<Box<str>>,
    /// See [`super::Settings::private`].
    pub private: Option<bool>,
    /// See [`super::Settings::keep_messages`].
    pub keep_messages: Option<u64>,
    /// See [`super::Settings::keep_bytes`].
    pub keep_bytes: Option<u64>,
    /// See [`super::Settings::keep_age`].
    pub keep_age: Option<Duration>,
    /// See [`super::Settings::ack_wait`].
    pub ack_wait: Option<Duration>,
    /// See [`super::Settings::max_deliver`].
    pub max_deliver: Option<u32>,
}

impl Create {
    /// A room with the settings that the configuration has for it.
    pub const fn new(room: Arc<RoomName>) -> Self {
        Self {
            room,
            kind: None,
            history: None,
            topic: None,
            private: None,
            keep_messages: None,
            keep_bytes: None,
            keep_age: None,
            ack_wait: None,
            max_deliver: None,
        }
    }
}

/// A stretch of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Where.
    pub place: Place,
    /// Only numbers above this one.
    pub after: Option<Seq>,
    /// Only numbers below this one.
    pub before: Option<Seq>,
    /// Nothing older, in Unix milliseconds.
    pub since: Option<u64>,
    /// Nothing newer, in Unix milliseconds.
    pub until: Option<u64>,
    /// So many at most.
    pub limit: u32,
}

/// Words to be found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Where; in all rooms where there is none.
    pub room: Option<Arc<RoomName>>,
    /// What somebody wrote to be found.
    pub query: Box<str>,
    /// Nothing newer, in Unix milliseconds.
    pub until: Option<u64>,
    /// So many at most.
    pub limit: u32,
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Go on behind this name.
    pub after: Option<T>,
    /// So many at most.
    pub limit: u32,
}
