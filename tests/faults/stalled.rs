//! Peers that stop reading: what they miss is counted to the message, and nobody else notices.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::DEADLINE;
use super::client::Client;
use super::hub::Hub;

/// Published in all; many times what the server may keep, queue and buffer for anyone.
const PUBLISHED_BYTES: u64 = 200 << 20;

/// One message: large, so that a build without optimisation is through in reasonable time.
const BODY_BYTES: u64 = 8 << 10;

const MESSAGES: u64 = PUBLISHED_BYTES / BODY_BYTES;

/// Messages sent with one write, and read before the publisher hears of it.
const BATCH: u64 = 8;

/// How far the publisher is ahead of the slowest that reads: half of what an outbox holds. With a batch, what of one is read
/// and not told yet, and what a writer has taken and not yet given back, it stays below the whole, so that no reader lags.
const WINDOW: u64 = 64;

/// Resident memory that the server stays under throughout.
const MEMORY_KIB_MAX: u64 = 100 << 10;

const READERS: usize = 9;

/// How far each reader is; the publisher waits for the slowest.
#[derive(Default)]
struct Progress {
    read: Mutex<[u64; READERS]>,
    changed: Condvar,
}

impl Progress {
    fn note(&self, reader: usize, seq: u64) {
        self.read.lock().expect("no reader failed")[reader] = seq;
        self.changed.notify_one();
    }

    fn await_room(&self, next: u64) {
        let read = self.read.lock().expect("no reader failed");
        let is_far_ahead = |read: &mut [u64; READERS]| read.iter().any(|read| read + WINDOW < next);
        let waited = self.changed.wait_timeout_while(read, DEADLINE, is_far_ahead).expect("no reader failed");
        assert!(!waited.1.timed_out(), "a reader stalls before {next}: {:?}", waited.0);
    }
}

/// The number of a message, from the head of its line alone.
fn seq_of(line: &[u8]) -> Option<u64> {
    let rest = line.strip_prefix(br#"{"ev":"message","room":"flood","seq":"#)?;
    let end = memchr::memchr(b',', rest)?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned()
}

/// Reads everything, and fails on anything but each message once and in order.
fn read_all(mut client: Client, reader: usize, progress: &Progress) {
    for expected in 1..=MESSAGES {
        let line = client.line().expect("the connection lives");
        assert_eq!(seq_of(line), Some(expected), "reader {reader}: {}", shown(line));
        assert!(line.len() as u64 > BODY_BYTES, "reader {reader}: {}", shown(line));
        if expected % BATCH == 0 || expected == MESSAGES {
            progress.note(reader, expected);
        }
    }
}

fn publish(json: SocketAddr, progress: &Progress) {
    let mut client = Client::connect(json);
    let line = format!("{}\n", json!({"op": "send", "room": "flood", "body": "x".repeat(BODY_BYTES as usize)}));
    let batch = line.repeat(BATCH as usize);
    for first in (1..=MESSAGES).step_by(BATCH as usize) {
        progress.await_room(first);
        client.raw(&batch);
    }
    client.pong();
}

/// Floods a room with ten members of which one reads nothing; gives that one back when all is published.
fn flood(hub: &Hub) -> Client {
    let mut stalled = hub.named("stalled");
    stalled.join("flood");
    let progress = Progress::default();
    let readers: Vec<Client> = (0..READERS)
        .map(|_| {
            let mut client = hub.client();
            client.join("flood");
            client
        })
        .collect();
    std::thread::scope(|scope| {
        for (at, reader) in readers.into_iter().enumerate() {
            let progress = &progress;
            scope.spawn(move || read_all(reader, at, progress));
        }
        publish(hub.json, &progress);
    });
    stalled
}

/// What the one that read nothing finds when it reads again.
struct Found {
    received: u64,
    missed: u64,
    /// Where it went on after the last `lagged`.
    resumed_at: u64,
}

fn read_again(client: &mut Client) -> Found {
    let (mut next, mut found) = (1, Found { received: 0, missed: 0, resumed_at: 1 });
    while next <= MESSAGES {
        let line = client.line().expect("the connection lives");
        if let Some(seq) = seq_of(line) {
            assert_eq!(seq, next, "in order, and none unaccounted for");
            found.received += 1;
            next += 1;
            continue;
        }
        let event: Value = serde_json::from_slice(line).expect("a whole line");
        if event["ev"] == "joined" || event["ev"] == "left" {
            continue;
        }
        assert_eq!(event["ev"], "lagged", "{event}");
        let missed = event["missed"].as_u64().expect("a count");
        assert!(missed > 0, "{event}");
        next += missed;
        assert_eq!(event["next"], next, "{event}");
        found.missed += missed;
        found.resumed_at = next;
    }
    found
}

/// The oldest message that the room still has, as one who asks for all of them is told.
fn oldest_kept(hub: &Hub) -> u64 {
    let mut late = hub.client();
    late.say(&json!({"op": "join", "room": "flood", "after": 0}));
    let gap = late.event("gap");
    assert_eq!(gap["first"], 1, "{gap}");
    gap["last"].as_u64().expect("a number") + 1
}

fn config(room: &str) -> String {
    format!("[limits]\nwrite_timeout = \"10m\"\n[[rooms]]\npattern = \"flood\"\n{room}\n")
}

fn assert_small(hub: &Hub) {
    let peak = hub.memory_kib("VmHWM");
    println!("peak resident memory: {peak} KiB");
    assert!(peak < MEMORY_KIB_MAX, "{peak} KiB at the peak");
}

#[test]
fn a_member_that_reads_nothing_never_stalls_the_others() {
    let hub = Hub::start(&config("history = \"memory\"\nkeep_bytes = \"8MiB\"\nkeep_messages = 0"));
    let mut stalled = flood(&hub);
    let found = read_again(&mut stalled);
    assert_eq!(found.received + found.missed, MESSAGES);
    assert!(found.missed > MESSAGES / 2, "it was not fed from unbounded memory: it missed {} only", found.missed);
    assert_eq!(found.resumed_at, oldest_kept(&hub), "all that history holds comes, from the oldest on");
    assert!(found.resumed_at <= MESSAGES, "history holds something");
    hub.named("later").send("flood", "live again");
    assert_eq!(stalled.event("message")["seq"], MESSAGES + 1);
    assert_small(&hub);
}

#[test]
fn a_member_that_reads_nothing_misses_an_exact_count_where_nothing_is_kept() {
    let hub = Hub::start(&config("history = \"none\""));
    let mut stalled = flood(&hub);
    let found = read_again(&mut stalled);
    assert_eq!(found.received + found.missed, MESSAGES);
    assert_eq!(found.resumed_at, MESSAGES + 1, "nothing but what was on its way can be had");
    hub.named("later").send("flood", "live again");
    assert_eq!(stalled.event("message")["seq"], MESSAGES + 1);
    assert_small(&hub);
}

#[test]
fn a_socket_that_takes_nothing_for_the_write_timeout_is_closed_and_its_leaving_is_seen() {
    let hub = Hub::start("[limits]\nwrite_timeout = \"1s\"\n");
    let mut watcher = hub.named("watcher");
    watcher.join("flood");
    let mut stalled = Client::connect_small(hub.json);
    stalled.hello("stalled");
    stalled.join("flood");
    let mut publisher = hub.client();
    let body = "x".repeat(BODY_BYTES as usize);
    let is_left = |event: &Value| event["ev"] == "left";
    let left = loop {
        // The watcher reads along, so that it is never itself the one that takes nothing.
        let seq = publisher.send("flood", body.as_str());
        let seen = watcher.find(|event| event["seq"] == seq || is_left(event));
        if is_left(&seen) {
            break seen;
        }
    };
    assert_eq!((&left["nick"], &left["reason"]), (&json!("stalled"), &json!("slow_consumer")));
    // Its end comes behind what the kernel already held for it.
    assert!(stalled.rest().iter().all(|event| event["ev"] != "lagged"));
    hub.until("its descriptor is free", |client| client.ask(json!({"op": "who"}))["members"].as_array().is_some());
    hub.named("stalled");
}

#[test]
fn a_client_that_never_reads_its_answers_is_no_longer_read() {
    let hub = Hub::start("[limits]\nwrite_timeout = \"10m\"\n");
    let mut rude = hub.client();
    rude.writes_within(Duration::from_secs(2));
    let lines: String =
        (0..1_000).map(|_| "{\"op\":\"ping\",\"id\":\"a-long-id-that-comes-back-in-the-answer\"}\n").collect();
    let mut taken = 0;
    // Two seconds in which not one byte is taken show that the server has stopped reading.
    let stopped = loop {
        match (&rude.stream).write(&lines.as_bytes()[taken % lines.len()..]) {
            Ok(written) => taken += written,
            Err(error) => break error,
        }
        assert!(taken < 256 << 20, "the server takes whatever comes");
    };
    assert!(matches!(stopped.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{stopped}");
    let peak = hub.memory_kib("VmHWM");
    assert!(peak < 64 << 10, "{peak} KiB at the peak");
    let asked = Instant::now();
    let mut polite = hub.named("polite");
    polite.join("lobby");
    assert_eq!(polite.send("lobby", "still here"), 1);
    println!("others are answered within {:?}; {taken} bytes were taken", asked.elapsed());
    // What was taken is answered once it is read, to the last whole line.
    rude.half_close();
    let pongs = rude.rest().iter().filter(|event| event["ev"] == "pong").count();
    assert_eq!(pongs, taken / (lines.len() / 1_000), "each whole line has one answer");
}
