//! Every key there is, with what it takes: the one list that the file, the variables and reloading follow.
//!
//! A key is a line here and a field in the structs. What a bound protects is said beside it, since the one who ran into
//! it reads that too. Bounds between two keys are in `check`.

use std::net::SocketAddr;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::value::Value;
use super::{Config, Listen, LogFormat, Protocol, RoomRule};
use crate::model::{HistoryKind, Kind, Pattern};

/// A key of a table that is there once.
pub(super) struct Key {
    pub(super) table: &'static str,
    pub(super) name: &'static str,
    /// Both with a dot between.
    pub(super) path: &'static str,
    /// Whether a running server cannot take a new value.
    pub(super) restart: bool,
    /// Reads a value into a configuration.
    pub(super) set: fn(&mut Config, &Value<'_>) -> Result<(), String>,
    /// Takes the value from another configuration and says whether that changed it.
    pub(super) take: fn(&mut Config, &Config) -> bool,
}

/// A key of a table that is there many times.
pub(super) struct Entry<T> {
    pub(super) name: &'static str,
    pub(super) set: fn(&mut T, &Value<'_>) -> Result<(), String>,
}

macro_rules! keys {
    ($($when:ident $table:ident.$name:ident = |$value:ident| $read:expr;)*) => {
        &[$(Key {
            table: stringify!($table),
            name: stringify!($name),
            path: concat!(stringify!($table), ".", stringify!($name)),
            restart: keys!(@ $when),
            set: |config, $value| {
                config.$table.$name = $read?;
                Ok(())
            },
            take: |config, other| {
                let changes = config.$table.$name != other.$table.$name;
                config.$table.$name.clone_from(&other.$table.$name);
                changes
            },
        }),*]
    };
    (@ live) => { false };
    (@ restart) => { true };
}

macro_rules! entries {
    ($($name:ident = |$value:ident| $read:expr;)*) => {
        &[$(Entry {
            name: stringify!($name),
            set: |entry, $value| {
                entry.$name = $read?;
                Ok(())
            },
        }),*]
    };
}

const HISTORIES: [HistoryKind; 3] = [HistoryKind::None, HistoryKind::Memory, HistoryKind::Disk];
const ANY: u64 = u64::MAX;
/// What counters and offsets of 32 bits hold.
const MANY: u64 = u32::MAX as u64;
/// What `create` takes too.
const MILLION: u64 = 1_000_000;
const GIB: u64 = 1 << 30;
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Keys of the tables that are there once.
pub(super) const KEYS: &[Key] = keys! {
    live server.sniff_timeout = |v| v.duration(MS, "a program needs a moment to send its first bytes");
    live server.shutdown_timeout = |v| v.duration(MS, "no client would be told that the server goes");
    live server.resume_window = |v| v.duration(Duration::ZERO, "");
    restart server.threads = |v| v.count(1..=1_024, "somebody has to do the work");
    restart data.dir = |v| v.path();
    // Both sides were told it in `welcome`, and histories hold messages of that size.
    restart limits.max_line = |v| v.size(
        2 << 10..=1 << 20,
        "a frame's own fields take up to 1 KiB of it, and one line is held, checked and sent as one piece",
    );
    live limits.max_connections = |v| v.count(1..=MANY, "");
    live limits.max_connections_per_address = |v| v.count(0..=MANY, "");
    live limits.max_rooms = |v| v.count(1..=MANY, "");
    live limits.max_rooms_per_connection = |v| v.count(1..=MANY, "");
    live limits.max_members = |v| v.count(1..=MANY, "");
    live limits.max_errors = |v| v.count(1..=MANY, "one bad line is told, not punished");
    live limits.messages_per_second = |v| v.count(0..=MANY, "");
    live limits.line_timeout = |v| v.duration(SECOND, "a slow network needs that for one line");
    live limits.text_line_timeout = |v| v.duration(SECOND, "people type slowly");
    live limits.write_timeout = |v| v.duration(SECOND, "a lost packet alone takes that long");
    live limits.outbox_bytes = |v| v.size(4 << 10..=GIB, "");
    live limits.outbox_total_bytes = |v| v.size(4 << 10..=ANY, "");
    live limits.uncommitted_bytes = |v| v.size(2 << 10..=GIB, "");
    live limits.presence_members = |v| v.count(0..=MANY, "");
    live limits.max_requests = |v| v.count(1..=MANY, "");
    restart limits.router_mailbox = |v| v.count(1..=1 << 20, "each place is made when the server starts");
    live limits.memory_history_bytes = |v| v.size(4 << 10..=ANY, "");
    live queue.ack_wait = |v| v.duration(MS, "no worker could ever ack");
    live queue.max_deliver = |v| v.count(1..=MILLION, "");
    live queue.prefetch = |v| v.count(1..=65_536, "a worker without credit is given nothing");
    live history.dedup_window = |v| v.duration(SECOND, "a client's repeat takes longer");
    live history.dedup_keys = |v| v.count(1..=MANY, "");
    live auth.guests = |v| guests(v);
    restart log.format = |v| v.word(&[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    restart log.filter = |v| v.parsed("a filter, as `info` or `linehub=debug`", filter);
};

/// Keys of each `[[listen]]`.
pub(super) const LISTEN: &[Entry<Listen>] = entries! {
    addr = |v| address(v);
    protocol = |v| v.word(&[("auto", Protocol::Auto), ("json", Protocol::Json), ("text", Protocol::Text)]);
};

/// Keys of each `[[rooms]]`.
pub(super) const ROOMS: &[Entry<RoomRule>] = entries! {
    pattern = |v| v.parsed("a pattern of rooms, as `\"jobs.>\"`", Pattern::parse);
    kind = |v| v.word(&[Kind::Fanout, Kind::Queue, Kind::Latest].map(|kind| (kind.as_str(), kind))).map(Some);
    history = |v| v.word(&HISTORIES.map(|kind| (kind.as_str(), kind))).map(Some);
    private = |v| v.flag().map(Some);
    keep_messages = |v| v.count(0..=ANY, "").map(Some);
    keep_bytes = |v| v.size(0..=ANY, "").map(Some);
    keep_age = |v| v.duration(Duration::ZERO, "").map(Some);
    ack_wait = |v| v.duration(MS, "no worker could ever ack").map(Some);
    max_deliver = |v| v.count(1..=MILLION, "").map(Some);
    search = |v| v.flag().map(Some);
};

/// The address of a listener.
pub(super) fn address(value: &Value<'_>) -> Result<SocketAddr, String> {
    value.parsed("an address and port, as `0.0.0.0:7878` or `[::]:7878`", str::parse)
}

/// The filter of the log, if it is one.
pub(super) fn filter(text: &str) -> Result<String, String> {
    // A word alone could name a part of the program, with nothing but that logged; it is a level written wrongly.
    let words = text.split(',').map(str::trim).filter(|part| !part.contains(['=', '[']));
    for word in words {
        word.parse::<LevelFilter>().map_err(|_| format!("`{word}` is no level"))?;
    }
    EnvFilter::builder().parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// Guests are let in: there are no accounts to tell them from yet.
fn guests(value: &Value<'_>) -> Result<bool, String> {
    match value.flag() {
        Ok(true) => Ok(true),
        _ => Err("can only be `true`: this version has no accounts, so everyone is a guest".to_owned()),
    }
}
