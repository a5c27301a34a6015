//! One connection over a pipe in memory, with a router behind it and a clock that stands still unless all wait: what comes of
//! peers that stay, stop reading or die.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::model::Nick;
use crate::router::{Router, mailbox, now, run};

/// A router, and what connections to it need.
struct Stage {
    services: Services,
    config: Arc<Config>,
    /// Held so that the router goes on without a change of its configuration.
    _control: mpsc::Sender<crate::router::Control>,
    conns: u64,
}

impl Stage {
    fn new() -> Self {
        let (config, sessions, total) = (Arc::new(Config::default()), Arc::default(), Arc::default());
        let (router, messages) = mailbox(8);
        let (control, controls) = mpsc::channel(1);
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let state = Router::new(Arc::clone(&config), Arc::clone(&sessions), Arc::clone(&total), now());
        tasks.spawn(run(state, messages, controls, mpsc::channel(1).1, shutdown.clone()));
        let services = Services { router, sessions, total, tasks, shutdown };
        Self { services, config, _control: control, conns: 0 }
    }

    /// A JSON-lines connection through a pipe that holds so many bytes, and the task that serves it.
    fn connect(&mut self, bytes: usize) -> (Peer, JoinHandle<()>) {
        let (near, far) = tokio::io::duplex(bytes);
        let (input, output) = tokio::io::split(near);
        self.conns += 1;
        let (config, services) = (Arc::clone(&self.config), self.services.clone());
        let serving = serve(input, output, ConnId(self.conns), Protocol::Json, config, services);
        (Peer(BufReader::new(far)), self.services.tasks.spawn(serving))
    }

    /// Whether somebody has a nick.
    fn is_there(&self, nick: &str) -> bool {
        self.services.sessions.find(&Nick::parse(nick).expect("a nick")).is_some()
    }
}

/// The other end of a connection.
struct Peer(BufReader<DuplexStream>);

impl Peer {
    async fn say(&mut self, lines: &str) {
        self.0.write_all(lines.as_bytes()).await.expect("it is read");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("it is written to");
        line
    }

    /// Says something, and reads up to its answer.
    async fn asks(&mut self, line: &str) -> String {
        self.say(&format!("{line}\n")).await;
        loop {
            let answer = self.line().await;
            if answer.contains("\"id\":") {
                return answer;
            }
        }
    }

    /// Takes a nick, joins the room `r` to stay, and ends its input.
    async fn stays(&mut self, nick: &str) {
        self.asks(&format!(r#"{{"op":"hello","nick":"{nick}","id":1}}"#)).await;
        self.asks(r#"{"op":"join","room":"r","stay":true,"id":2}"#).await;
        self.0.shutdown().await.expect("the pipe is open");
    }
}

/// An end that fails whoever writes to it.
struct Failing;

impl AsyncWrite for Failing {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        panic!("a test has it fail")
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const PING: &str = "{\"ev\":\"ping\"}\n";
const PING_EVERY: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn one_that_stays_is_pinged_every_minute_and_ends_once_its_peer_is_gone() {
    let mut stage = Stage::new();
    let (mut peer, serving) = stage.connect(65_536);
    peer.stays("owl").await;
    let begun = Instant::now();
    for minute in 1..=3 {
        assert_eq!(peer.line().await, PING);
        assert_eq!(begun.elapsed().as_secs(), 60 * minute);
    }
    assert!(stage.is_there("owl"), "one that reads is left in peace");
    drop(peer);
    let gone = Instant::now();
    serving.await.expect("it ends in order");
    assert!(gone.elapsed() <= PING_EVERY, "the next ping finds that nobody is there");
    assert!(!stage.is_there("owl"), "its nick is free");
}

#[tokio::test(start_paused = true)]
async fn one_that_stays_and_takes_no_pings_ends_too() {
    let mut stage = Stage::new();
    let (mut peer, serving) = stage.connect(256);
    peer.stays("owl").await;
    let begun = Instant::now();
    serving.await.expect("it ends in order");
    let held = 256 / PING.len() + 1;
    let patience = 2 * stage.config.limits.write_timeout;
    assert!(begun.elapsed() <= PING_EVERY * held as u32 + patience, "{:?}", begun.elapsed());
    assert!(!stage.is_there("owl"), "its nick is free");
    drop(peer);
}

/// A member that reads nothing while more is said than its pipe holds, seen to have left; and the task that serves it.
async fn stalled(stage: &mut Stage) -> (Peer, JoinHandle<()>) {
    let (mut watcher, _) = stage.connect(65_536);
    watcher.asks(r#"{"op":"hello","nick":"owl","presence":true,"id":1}"#).await;
    watcher.asks(r#"{"op":"join","room":"r","id":2}"#).await;
    let (mut peer, serving) = stage.connect(1_000);
    peer.asks(r#"{"op":"hello","nick":"stuck","id":1}"#).await;
    peer.asks(r#"{"op":"join","room":"r","id":2}"#).await;
    for body in 1..=9 {
        watcher
            .say(&format!("{{\"op\":\"send\",\"room\":\"r\",\"body\":{body},\"headers\":{{\"x\":\"{:300}\"}}}}\n", ""))
            .await;
    }
    while !watcher.line().await.contains(r#""ev":"left","room":"r","nick":"stuck","reason":"slow_consumer""#) {}
    (peer, serving)
}

#[tokio::test(start_paused = true)]
async fn one_that_reads_again_in_time_gets_whole_lines_and_then_why_it_was_closed() {
    let mut stage = Stage::new();
    let (mut peer, serving) = stalled(&mut stage).await;
    assert!(!stage.is_there("stuck"), "it is out of everything already");
    let mut seen = String::new();
    peer.0.read_to_string(&mut seen).await.expect("it ends in order");
    let lines: Vec<&str> = seen.lines().collect();
    let (bye, messages) = lines.split_last().expect("something is said");
    assert_eq!(*bye, r#"{"ev":"bye","reason":"slow_consumer"}"#);
    assert!((2..9).contains(&messages.len()), "what it had begun to get, and nothing of what still waited: {seen}");
    for (line, body) in messages.iter().zip(1..) {
        assert!(line.starts_with(r#"{"ev":"message","room":"r","seq":"#), "{line}");
        assert!(line.ends_with(&format!("\"body\":{body}}}")), "each is whole: {line}");
    }
    drop(peer);
    serving.await.expect("it ends in order");
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_read_again_is_waited_for_no_longer_than_it_was_before() {
    let mut stage = Stage::new();
    let (mut peer, serving) = stalled(&mut stage).await;
    let closed = Instant::now();
    serving.await.expect("it ends in order");
    let waited = closed.elapsed();
    assert!(waited <= stage.config.limits.write_timeout + Duration::from_secs(1), "{waited:?}");
    let mut seen = Vec::new();
    peer.0.read_to_end(&mut seen).await.expect("it ends in order");
    assert!(!seen.ends_with(b"\"slow_consumer\"}\n"), "there was no room for a goodbye");
}

#[tokio::test(start_paused = true)]
async fn one_that_sends_faster_than_the_router_works_is_kept_waiting_and_does_not_fill_the_mailbox() {
    for (protocol, line) in [(Protocol::Json, "{\"op\":\"send\",\"room\":\"r\",\"body\":1}\n"), (Protocol::Text, "a\n")]
    {
        let mut stage = Stage::new();
        // A router that never comes to it.
        let (router, mut messages) = mailbox(1_024);
        stage.services.router = router;
        let (near, mut far) = tokio::io::duplex(65_536);
        let (input, output) = tokio::io::split(near);
        let (config, services) = (Arc::clone(&stage.config), stage.services.clone());
        stage.services.tasks.spawn(serve(input, output, ConnId(1), protocol, config, services));
        let begin = if protocol == Protocol::Text { "/pipe r\n" } else { "" };
        far.write_all(begin.as_bytes()).await.expect("it is read");
        let flood = line.repeat((64 << 20) / line.len());
        let taken = tokio::time::timeout(PING_EVERY, far.write_all(flood.as_bytes())).await;
        assert!(taken.is_err(), "all of it is taken, though nobody has looked at any");
        let (mut weight, mut outbox) = (0, None);
        while let Ok(message) = messages.try_recv() {
            match message {
                crate::router::Message::Connect(connect) => outbox = Some(connect.outbox),
                crate::router::Message::Parcel(parcel) => weight += parcel.weight,
                _ => {}
            }
        }
        assert!(
            weight > 0 && weight <= stage.config.limits.outbox_bytes,
            "{weight} bytes of {line:?} are on their way"
        );
        // Once that has arrived, more comes.
        outbox.expect("it came").arrived(weight);
        assert!(matches!(messages.recv().await, Some(crate::router::Message::Parcel(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_writer_fails_does_not_stay_in_its_rooms_for_ever() {
    let mut stage = Stage::new();
    stage.conns = 1;
    let (input, mut far) = tokio::io::duplex(1_024);
    let (config, services) = (Arc::clone(&stage.config), stage.services.clone());
    let serving = stage.services.tasks.spawn(serve(input, Failing, ConnId(1), Protocol::Json, config, services));
    far.write_all(b"{\"op\":\"hello\",\"nick\":\"owl\"}\n").await.expect("it is read");
    serving.await.expect("its reader ends in order");
    // The router is told behind everything that it was asked before.
    let (mut other, _) = stage.connect(1_024);
    let answer = other.asks(r#"{"op":"hello","nick":"owl","id":1}"#).await;
    assert!(answer.starts_with(r#"{"ev":"welcome","id":1,"nick":"owl""#), "its nick is free: {answer}");
}
