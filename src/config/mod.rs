//! What can be configured, with every default and its reason.
//!
//! The structs here are what the rest of the program reads. They come from the built-in defaults, a TOML file, `LINEHUB_*`
//! variables and flags, each over the one before.

mod check;
mod env;
mod file;
mod load;
mod problem;
mod reload;
mod schema;
mod size;
#[cfg(test)]
mod tests;
mod value;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::model::{HistoryKind, Kind, Pattern, RoomName, Settings};

pub use load::Layers;
pub use problem::{Place, Problem, Problems};
pub use reload::reload;
pub use size::memory_limit;

/// Everything that can be configured.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[[listen]]`
    pub listen: Vec<Listen>,
    /// `[data]`
    pub data: Data,
    /// `[limits]`
    pub limits: Limits,
    /// `[queue]`
    pub queue: Queue,
    /// `[history]`
    pub history: History,
    /// `[auth]`
    pub auth: Auth,
    /// `[[rooms]]`: the first whose pattern matches a room decides.
    pub rooms: Vec<RoomRule>,
    /// `[log]`
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Silence on an `auto` port after which a client is taken for a person and gets the banner.
    pub sniff_timeout: Duration,
    /// The longest that a shutdown may take, whatever clients do.
    pub shutdown_timeout: Duration,
    /// How long after its end a connection can be resumed.
    pub resume_window: Duration,
    /// Threads that serve connections and rooms.
    pub threads: usize,
}

/// `[[listen]]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Address and port; port 0 takes a free one, which is printed.
    pub addr: SocketAddr,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Whatever the first bytes show.
    Auto,
    /// JSON-lines alone, never a banner.
    Json,
    /// Text for people alone.
    Text,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Who reads it.
    pub format: LogFormat,
    /// What is written: a level, or levels by part, as `linehub=debug`.
    pub filter: String,
}

/// Who reads the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// People.
    Text,
    /// Programs: one JSON object a line.
    Json,
}

impl Protocol {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Json => "json",
            Self::Text => "text",
        }
    }
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// The folder of what outlives the process.
    pub dir: PathBuf,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a line with its ending, either way.
    pub max_line: usize,
    /// Connections at once.
    pub max_connections: usize,
    /// Connections at once from one address (IPv6: one /64); 0 means no limit.
    pub max_connections_per_address: usize,
    /// Rooms at once.
    pub max_rooms: usize,
    /// Memberships of one connection, patterns included.
    pub max_rooms_per_connection: usize,
    /// Connections in one room.
    pub max_members: usize,
    /// Lines in a row that cannot be read before the connection ends.
    pub max_errors: u32,
    /// Lines a second that one connection may send; 0 means no limit.
    pub messages_per_second: u32,
    /// How long an unfinished line is held.
    pub line_timeout: Duration,
    /// The same for people in text mode, who think while they type.
    pub text_line_timeout: Duration,
    /// How long a socket may take nothing before its connection is closed.
    pub write_timeout: Duration,
    /// Bytes of messages, and again of answers, that wait for one connection; and of what it sent that waits for the router.
    pub outbox_bytes: usize,
    /// Bytes that wait for all connections together; beyond it the fullest lag first.
    pub outbox_total_bytes: usize,
    /// Bytes that one connection may have on their way to the disk.
    pub uncommitted_bytes: usize,
    /// Members up to which a room tells of comings and goings.
    pub presence_members: usize,
    /// Open requests of one connection.
    pub max_requests: usize,
    /// Batches that wait for the router.
    pub router_mailbox: usize,
    /// Bytes that the history of all rooms in memory takes together.
    pub memory_history_bytes: usize,
}

/// `[queue]`: defaults for queue rooms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// How long a worker has to ack.
    pub ack_wait: Duration,
    /// Deliveries of one message before it goes to the dead-letter room.
    pub max_deliver: u32,
    /// Unacked messages that a worker holds at once.
    pub prefetch: u32,
}

/// `[history]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// How long an idempotency key is remembered.
    pub dedup_window: Duration,
    /// Idempotency keys that a room remembers at most.
    pub dedup_keys: usize,
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Whether those without an account are let in: always, as long as there are no accounts.
    pub guests: bool,
}

/// `[[rooms]]`: settings for the rooms that a pattern matches; what is `None` is as the defaults say.
#[derive(Clone, Debug, PartialEq)]
pub struct RoomRule {
    /// The rooms it is for.
    pub pattern: Pattern,
    /// See [`Settings::kind`].
    pub kind: Option<Kind>,
    /// See [`Settings::history`].
    pub history: Option<HistoryKind>,
    /// See [`Settings::private`].
    pub private: Option<bool>,
    /// See [`Settings::keep_messages`].
    pub keep_messages: Option<u64>,
    /// See [`Settings::keep_bytes`].
    pub keep_bytes: Option<u64>,
    /// See [`Settings::keep_age`].
    pub keep_age: Option<Duration>,
    /// See [`Settings::ack_wait`].
    pub ack_wait: Option<Duration>,
    /// See [`Settings::max_deliver`].
    pub max_deliver: Option<u32>,
    /// Whether messages of the rooms that are on disk can be searched.
    pub search: Option<bool>,
}

impl RoomRule {
    /// A rule that sets nothing yet.
    pub const fn new(pattern: Pattern) -> Self {
        Self {
            pattern,
            kind: None,
            history: None,
            private: None,
            keep_messages: None,
            keep_bytes: None,
            keep_age: None,
            ack_wait: None,
            max_deliver: None,
            search: None,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: Server::default(),
            listen: vec![
                Listen { addr: SocketAddr::from(([0, 0, 0, 0], 7878)), protocol: Protocol::Auto },
                Listen { addr: SocketAddr::from(([0, 0, 0, 0], 7879)), protocol: Protocol::Json },
            ],
            data: Data { dir: PathBuf::from("data") },
            limits: Limits::default(),
            queue: Queue::default(),
            history: History::default(),
            auth: Auth { guests: true },
            rooms: Vec::new(),
            // A person starts the server first; a container says otherwise by one variable.
            log: Log { format: LogFormat::Text, filter: "info".to_owned() },
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            // A program speaks at once; a person waits for something to read, but not longer than this.
            sniff_timeout: Duration::from_secs(1),
            // Under the 10 s after which docker kills.
            shutdown_timeout: Duration::from_secs(8),
            // Long enough to restart a program or change a network, short enough that names do not hang around.
            resume_window: Duration::from_secs(120),
            // The kernel's part of the work takes as much again, and what passes between threads costs a fifth more.
            threads: (std::thread::available_parallelism().map_or(1, usize::from) / 2).max(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            // What the contract names; a log line, a stack trace or a sensor's report fits.
            max_line: 65_536,
            // As many as one address has ports; the descriptor limit may allow fewer.
            max_connections: 65_536,
            // Off: a proxy or an office is one address.
            max_connections_per_address: 0,
            // A room without history costs under 1 KiB, so this is about 100 MB before the first message.
            max_rooms: 100_000,
            // What a dashboard that watches everything by hand needs; patterns need one each.
            max_rooms_per_connection: 256,
            // Every connection there can be; smaller rooms are a policy of who runs the server.
            max_members: 65_536,
            // A client this lost will not find back; below it a log file piped in by mistake does no harm.
            max_errors: 1_000,
            // Off: backpressure already keeps one publisher from hurting others.
            messages_per_second: 0,
            // A line is one write of a program; a minute covers a stalled network.
            line_timeout: Duration::from_secs(60),
            // People go for coffee in the middle of a sentence.
            text_line_timeout: Duration::from_secs(600),
            // Three lost packets in a row are back by then; nothing at all in it is a dead or stopped reader.
            write_timeout: Duration::from_secs(30),
            // A second of a fast room, or a pause for garbage collection, without lagging.
            outbox_bytes: 1 << 20,
            // A quarter of memory leaves the rest for history and the kernel's socket buffers.
            outbox_total_bytes: size::memory_limit() / 4,
            // About 2,000 short messages: enough to fill a group commit from one connection.
            uncommitted_bytes: 256 << 10,
            // Past this, comings and goings are noise, and cost the square of the members.
            presence_members: 200,
            // More questions at once than any service answers at once.
            max_requests: 1_024,
            // Some milliseconds of work; waiting longer is the publishers' part.
            router_mailbox: 1_024,
            // A quarter of memory, as for the outboxes.
            memory_history_bytes: size::memory_limit() / 4,
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            // Covers a slow request to another service; a longer task says `working`.
            ack_wait: Duration::from_secs(30),
            // What fails five times will fail a sixth.
            max_deliver: 5,
            // Keeps a worker busy over a round trip without hoarding.
            prefetch: 32,
        }
    }
}

impl Default for History {
    fn default() -> Self {
        Self {
            // Longer than any client's retries.
            dedup_window: Duration::from_secs(120),
            // 8,000 keyed messages a second for the whole window.
            dedup_keys: 1_000_000,
        }
    }
}

impl Config {
    /// The settings that a room comes into being with.
    pub fn settings(&self, room: &RoomName) -> Settings {
        let found = self.rooms.iter().find(|rule| rule.pattern.matches(room));
        let history = found.and_then(|rule| rule.history).unwrap_or_default();
        Settings {
            kind: found.and_then(|rule| rule.kind).unwrap_or_default(),
            history,
            private: found.and_then(|rule| rule.private).unwrap_or(false),
            keep_messages: found.and_then(|rule| rule.keep_messages).unwrap_or(history.keep_messages()),
            keep_bytes: found.and_then(|rule| rule.keep_bytes).unwrap_or(history.keep_bytes()),
            keep_age: found.and_then(|rule| rule.keep_age).unwrap_or(Duration::ZERO),
            ack_wait: found.and_then(|rule| rule.ack_wait).unwrap_or(self.queue.ack_wait),
            max_deliver: found.and_then(|rule| rule.max_deliver).unwrap_or(self.queue.max_deliver),
        }
    }

    /// Whether a room can be searched where it is on disk, however it came into being.
    pub fn searches(&self, room: &RoomName) -> bool {
        let found = self.rooms.iter().find(|rule| rule.pattern.matches(room));
        found.and_then(|rule| rule.search).unwrap_or(true)
    }

    /// The settings of the direct messages between two: what a plain room has, since no pattern names them.
    pub fn direct_settings(&self) -> Settings {
        Settings {
            kind: Kind::Fanout,
            history: HistoryKind::Memory,
            private: true,
            keep_messages: HistoryKind::Memory.keep_messages(),
            keep_bytes: HistoryKind::Memory.keep_bytes(),
            keep_age: Duration::ZERO,
            ack_wait: self.queue.ack_wait,
            max_deliver: self.queue.max_deliver,
        }
    }
}
