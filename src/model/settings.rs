//! What a room can be set to: its kind, its history, and how much of it is kept.
//!
//! Values alone: the configuration says what a new room gets, `create` what a client wants, the room what follows.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a room does with a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Every message goes to everyone in the room.
    #[default]
    Fanout,
    /// Each message goes to exactly one worker, and again until it is acked.
    Queue,
    /// The newest value counts; a slow member skips to it.
    Latest,
}

impl Kind {
    /// The word on the wire and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fanout => "fanout",
            Self::Queue => "queue",
            Self::Latest => "latest",
        }
    }
}

/// Where a room's messages are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HistoryKind {
    /// Nowhere: what was delivered is forgotten.
    None,
    /// In memory, within the room's `keep_*`, until the room goes away or the server stops.
    Memory,
    /// On disk, through restarts and crashes.
    #[default]
    Disk,
}

impl HistoryKind {
    /// The word on the wire and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

impl HistoryKind {
    /// Messages that a room keeps where nobody says otherwise; 0 means no limit.
    pub const fn keep_messages(self) -> u64 {
        match self {
            // Some days of talk, some minutes of a sensor.
            Self::None | Self::Memory => 10_000,
            // What it takes on disk is what counts there.
            Self::Disk => 0,
        }
    }

    /// Bytes of messages that a room keeps where nobody says otherwise.
    pub const fn keep_bytes(self) -> u64 {
        match self {
            // A thousand members catch up from it without the server noticing.
            Self::None | Self::Memory => 8 << 20,
            // Years of talk, a day of a busy sensor; ten such rooms still fit the smallest disk that servers have.
            Self::Disk => 1 << 30,
        }
    }
}

/// The settings one room has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What happens to a message.
    pub kind: Kind,
    /// Where messages are kept.
    pub history: HistoryKind,
    /// Whether only the invited may join.
    pub private: bool,
    /// Messages kept at most; 0 means no limit of its own.
    pub keep_messages: u64,
    /// Bytes of messages kept at most; 0 means no limit of its own.
    pub keep_bytes: u64,
    /// Age of the oldest message kept; zero means no limit.
    pub keep_age: Duration,
    /// How long a worker has to ack before the message goes to another.
    pub ack_wait: Duration,
    /// Deliveries of one message before it goes to the dead-letter room.
    pub max_deliver: u32,
}
