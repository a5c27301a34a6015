//! `linehub ping`: asks a server whether it answers, as a container's health check does.
//!
//! Without an address it looks where `serve` with the same file and variables would listen. One connection, one
//! question, one deadline around it all; plain blocking sockets, since a runtime would cost more than the question.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Deserialize;

use linehub::config::{Config, Layers, Protocol};
use linehub::model::quantity::parse_duration;

use super::Failure;

/// Bytes read before giving up: far more than a banner, and less than would hurt.
const ANSWER_BYTES_MAX: usize = 256 << 10;

#[derive(Args)]
pub(super) struct PingArgs {
    /// Host and port of a server that speaks JSON-lines [default: where `serve` would listen]
    addr: Option<String>,
    /// Configuration file of the server, where no ADDR is given [default: `$LINEHUB_CONFIG`]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long all of it may take
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = timeout)]
    timeout: Duration,
}

fn timeout(text: &str) -> Result<Duration, &'static str> {
    match parse_duration(text) {
        Some(found) if !found.is_zero() => Ok(found),
        _ => Err("a duration is written as `300ms` or `3s`"),
    }
}

pub(super) fn run(args: &PingArgs) -> Result<(), Failure> {
    let started = Instant::now();
    let addr = match &args.addr {
        Some(text) => resolve(text),
        None => configured(args.config.clone()),
    };
    let addr = addr.map_err(Failure::Running)?;
    ask(addr, started + args.timeout).map_err(|why| Failure::Running(format!("{addr}: {why}")))?;
    let _ = writeln!(io::stdout(), "{addr} answers after {:.1?}", started.elapsed());
    Ok(())
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let mut found = text.to_socket_addrs().map_err(|error| format!("{text}: {error}"))?;
    found.next().ok_or_else(|| format!("{text}: no such host"))
}

/// Where a server with this configuration answers to JSON-lines.
fn configured(file: Option<PathBuf>) -> Result<SocketAddr, String> {
    let layers = Layers { file, variables: std::env::vars_os().collect(), ..Layers::default() };
    let config = layers.load().map_err(|problems| problems.to_string())?;
    listener(&config).ok_or_else(|| "no listener with a port of its own speaks JSON-lines: give an address".to_owned())
}

fn listener(config: &Config) -> Option<SocketAddr> {
    // A port for JSON-lines alone needs no recognising.
    let by_protocol =
        |protocol| config.listen.iter().find(move |listen| listen.protocol == protocol && listen.addr.port() != 0);
    let mut addr = by_protocol(Protocol::Json).or_else(|| by_protocol(Protocol::Auto))?.addr;
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Some(addr)
}

/// Asks, and reads lines until the answer is among them.
fn ask(addr: SocketAddr, deadline: Instant) -> Result<(), String> {
    let told = |error: io::Error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer in time".to_owned(),
        _ => error.to_string(),
    };
    let mut stream = TcpStream::connect_timeout(&addr, left(deadline)?).map_err(told)?;
    stream.set_write_timeout(Some(left(deadline)?)).map_err(told)?;
    stream.write_all(b"{\"op\":\"ping\",\"id\":1}\n").map_err(told)?;
    let mut read = Vec::new();
    while read.len() < ANSWER_BYTES_MAX {
        stream.set_read_timeout(Some(left(deadline)?)).map_err(told)?;
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).map_err(told)? {
            0 => return Err("it hung up without an answer".to_owned()),
            count => read.extend_from_slice(&chunk[..count]),
        }
        while let Some(end) = memchr::memchr(b'\n', &read) {
            let line: Vec<u8> = read.drain(..=end).collect();
            if let Some(verdict) = verdict(&line) {
                return verdict;
            }
        }
    }
    Err("it talks without answering".to_owned())
}

fn left(deadline: Instant) -> Result<Duration, String> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err("no answer in time".to_owned()) } else { Ok(left) }
}

/// What one line says; `None` where it is a banner or not about the question.
fn verdict(line: &[u8]) -> Option<Result<(), String>> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        ev: &'a str,
        id: Option<u64>,
        #[serde(borrow)]
        code: Option<&'a str>,
        #[serde(borrow)]
        reason: Option<&'a str>,
    }
    let answer: Answer<'_> = serde_json::from_slice(line).ok()?;
    match (answer.ev, answer.id) {
        ("pong", Some(1)) => Some(Ok(())),
        ("error", _) => Some(Err(format!("it refuses with {:?}", answer.code.unwrap_or_default()))),
        ("bye", _) => Some(Err(format!("it says goodbye with {:?}", answer.reason.unwrap_or_default()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use linehub::config::Listen;

    use super::*;

    #[test]
    fn the_listener_asked_speaks_json_and_can_be_reached() {
        let listen = |addr: &str, protocol| Listen { addr: addr.parse().unwrap(), protocol };
        let table = [
            (vec![listen("0.0.0.0:1", Protocol::Auto), listen("0.0.0.0:2", Protocol::Json)], Some("127.0.0.1:2")),
            (vec![listen("[::]:1", Protocol::Auto)], Some("[::1]:1")),
            (vec![listen("10.0.0.1:1", Protocol::Text), listen("10.0.0.1:2", Protocol::Auto)], Some("10.0.0.1:2")),
            (vec![listen("10.0.0.1:1", Protocol::Text)], None),
            (vec![listen("127.0.0.1:0", Protocol::Json)], None),
        ];
        for (listen, expected) in table {
            let config = Config { listen, ..Config::default() };
            assert_eq!(listener(&config).map(|addr| addr.to_string()).as_deref(), expected);
        }
        assert_eq!(listener(&Config::default()).map(|addr| addr.to_string()).as_deref(), Some("127.0.0.1:7879"));
    }
}
