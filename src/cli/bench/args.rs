//! The arguments of `linehub bench`: a subcommand a scenario, and what they share.
//!
//! It says what can be asked for and what the defaults are; what is done with it is each scenario's own business.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use linehub::model::quantity::{parse_duration, parse_size};

use super::check::PAYLOAD_MAX;
use super::crowd::CLIENTS_MAX;
use super::stamp::STAMP;

#[derive(Args)]
pub(in crate::cli) struct BenchArgs {
    #[command(subcommand)]
    pub(super) scenario: Scenario,
}

#[derive(Subcommand)]
pub(super) enum Scenario {
    /// One publisher, so many subscribers
    Fanout(FanoutArgs),
    /// Pairs of a publisher and a subscriber, each in a room of its own
    Pairs(PairsArgs),
    /// Rooms in which everyone sends to everyone, one message a write
    Chat(ChatArgs),
    /// How long a message takes at a fixed rate, counted from when it should have been sent
    Latency(LatencyArgs),
    /// What connections cost that wait for messages
    Idle(IdleArgs),
    /// What one member that never reads does to the others
    Slow(SlowArgs),
    /// Messages that are acknowledged, at most so many under way
    Durable(DurableArgs),
    /// Run the floor: a server that finds line ends and copies, and does nothing else
    Floor(FloorArgs),
}

/// The server under test, and how the result is told.
#[derive(Args, Clone)]
pub(super) struct ServerArgs {
    /// Measure the server here [default: start one, on a free port of this machine, and stop it again]
    #[arg(long, value_name = "ADDR")]
    pub(super) target: Option<SocketAddr>,
    /// The process of that server, to see what it uses
    #[arg(long, value_name = "PID", requires = "target")]
    pub(super) pid: Option<u32>,
    /// What it speaks; servers for `linehub` and `floor` can be started here
    #[arg(long, value_name = "NAME", default_value = "linehub")]
    pub(super) protocol: ProtocolName,
    /// History of the rooms of a linehub started here
    #[arg(long, value_name = "KIND", default_value = "none", conflicts_with = "target")]
    pub(super) history: History,
    /// Bytes of each payload
    #[arg(long, value_name = "SIZE", default_value = "128", value_parser = payload)]
    pub(super) payload: usize,
    /// Print one JSON object a row in place of the table
    #[arg(long)]
    pub(super) json: bool,
}

/// The words of `--protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ProtocolName {
    /// JSON-lines.
    Linehub,
    /// What the floor server speaks.
    Floor,
    /// The text protocol of NATS.
    Nats,
    /// RESP.
    Redis,
    /// MQTT 3.1.1.
    Mqtt,
}

impl ProtocolName {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Linehub => "linehub",
            Self::Floor => "floor",
            Self::Nats => "nats",
            Self::Redis => "redis",
            Self::Mqtt => "mqtt",
        }
    }
}

/// The words of `--history`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum History {
    /// Nothing is kept.
    None,
    /// The rooms' defaults, in memory.
    Memory,
    /// The rooms' defaults, on the disk that holds the folder for temporary files.
    Disk,
}

impl History {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Memory => "memory",
            Self::Disk => "disk",
        }
    }
}

/// How long a run is, and how far publishers may go ahead.
#[derive(Args, Clone)]
pub(super) struct RunArgs {
    /// Send so many messages, of which a tenth warms up [default: as many as --duration lets through]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) messages: Option<u64>,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = duration, conflicts_with = "messages")]
    pub(super) duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = duration, conflicts_with = "messages")]
    pub(super) warm_up: Duration,
    /// Messages that a room's publishers may be ahead of its slowest subscriber [default: 256 KiB of payload for each
    /// subscriber and 32 MiB in all, from 16 to 4,096]
    #[arg(long, value_name = "COUNT", value_parser = count)]
    pub(super) window: Option<usize>,
}

#[derive(Args)]
pub(super) struct FanoutArgs {
    /// Subscribers, one run for each number
    #[arg(short = 'n', long, value_delimiter = ',', value_name = "COUNTS", default_value = "1,10,100,1000", value_parser = count)]
    pub(super) subscribers: Vec<usize>,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Args)]
pub(super) struct PairsArgs {
    /// How many pairs
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "50", value_parser = count)]
    pub(super) pairs: usize,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Args)]
pub(super) struct ChatArgs {
    /// How many rooms
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "50", value_parser = count)]
    pub(super) rooms: usize,
    /// How many members each has
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = count)]
    pub(super) members: usize,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Args)]
pub(super) struct LatencyArgs {
    /// Messages a second, one run for each number
    #[arg(long, value_delimiter = ',', value_name = "RATES", default_value = "5000,20000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) rates: Vec<u32>,
    /// Subscribers
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "10", value_parser = count)]
    pub(super) subscribers: usize,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) duration: Duration,
    /// How long to run before measuring
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = duration)]
    pub(super) warm_up: Duration,
    #[command(flatten)]
    pub(super) server: ServerArgs,
}

#[derive(Args)]
pub(super) struct IdleArgs {
    /// Connections in all
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "9500", value_parser = count)]
    pub(super) connections: usize,
    /// Rooms that they are in
    #[arg(long, value_name = "COUNT", default_value = "100", value_parser = count)]
    pub(super) rooms: usize,
    /// How long to watch them do nothing
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub(super) duration: Duration,
    #[command(flatten)]
    pub(super) server: ServerArgs,
}

#[derive(Args)]
pub(super) struct SlowArgs {
    /// Members that read, beside the one that does not
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "9", value_parser = count)]
    pub(super) readers: usize,
    /// Bytes of payload for each of them
    #[arg(long, value_name = "SIZE", default_value = "200000000", value_parser = size)]
    pub(super) bytes: u64,
    #[command(flatten)]
    pub(super) server: ServerArgs,
}

#[derive(Args)]
pub(super) struct DurableArgs {
    /// Publishers, all in one room
    #[arg(short = 'n', long, value_name = "COUNT", default_value = "8", value_parser = count)]
    pub(super) publishers: usize,
    /// Messages that each may have under way
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = count)]
    pub(super) unacked: usize,
    #[command(flatten)]
    pub(super) server: ServerArgs,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

#[derive(Args)]
pub(super) struct FloorArgs {
    /// Where to listen; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub(super) listen: SocketAddr,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("a duration is written as `300ms` or `3s`")
}

fn size(text: &str) -> Result<u64, &'static str> {
    parse_size(text).filter(|bytes| *bytes > 0).ok_or("a size is written as `128` or `1KiB`")
}

fn payload(text: &str) -> Result<usize, String> {
    let most = PAYLOAD_MAX;
    let found = parse_size(text).and_then(|bytes| usize::try_from(bytes).ok());
    found.filter(|bytes| (STAMP..=most).contains(bytes)).ok_or_else(|| format!("a payload has {STAMP} to {most} bytes"))
}

fn count(text: &str) -> Result<usize, String> {
    let found = text.parse().ok().filter(|count| (1..CLIENTS_MAX).contains(count));
    found.ok_or_else(|| format!("a number from 1 to {}", CLIENTS_MAX - 1))
}
