//! What only a server from within can show: a part of it that fails while clients are connected.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::*;
use crate::config::Protocol;

/// The longest that anything may take that must happen.
const DEADLINE: Duration = Duration::from_secs(15);

/// What a server writes to its log.
#[derive(Clone, Debug, Default)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer fails").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connection that reads line by line.
struct Peer {
    lines: Lines<BufReader<OwnedReadHalf>>,
    output: OwnedWriteHalf,
}

impl Peer {
    async fn connect(address: SocketAddr) -> Self {
        let (input, output) = TcpStream::connect(address).await.expect("the server listens").into_split();
        Self { lines: BufReader::new(input).lines(), output }
    }

    async fn say(&mut self, lines: &str) {
        self.output.write_all(lines.as_bytes()).await.expect("the server reads");
    }

    /// The next line; `None` at the end.
    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(DEADLINE, self.lines.next_line()).await;
        line.expect("the server answers within the deadline").expect("the connection ends in order")
    }

    /// Says something, and reads up to a line that has this in it.
    async fn hears(&mut self, lines: &str, wanted: &str) {
        self.say(lines).await;
        while !self.line().await.expect("the connection lives").contains(wanted) {}
    }

    /// All that is still said.
    async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while let Some(line) = self.line().await {
            rest.push(line);
        }
        rest
    }
}

const BYE: &str = r#"{"ev":"bye","reason":"shutdown","reconnect_ms":1000}"#;
const WORDS: &str = "-- The server is going down. Come back in a moment.";

/// A server with a JSON-lines port and one that recognises people, who are given a minute to show what they are.
fn bound() -> (Server, [SocketAddr; 2]) {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let listen = [Protocol::Json, Protocol::Auto].map(|protocol| Listen { addr, protocol });
    let mut config = Config { listen: listen.into(), ..Config::default() };
    config.server.sniff_timeout = Duration::from_secs(60);
    let server = Server::bind(config).expect("loopback has free ports");
    let addresses = server.addresses().expect("they are bound").into_iter().map(|(_, address)| address);
    let addresses = addresses.collect::<Vec<_>>().try_into().expect("there are two");
    (server, addresses)
}

#[tokio::test]
async fn a_router_that_fails_ends_the_server_as_a_signal_does_and_everyone_is_told() {
    let logged = Logged::default();
    let log = logged.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).finish();
    let _log = tracing::subscriber::set_default(subscriber);
    let (server, [json, auto]) = bound();
    let router = server.router.0.clone();
    let tasks = TaskTracker::new();
    let running = tasks.spawn(server.run(std::future::pending()));

    let mut idle = Peer::connect(json).await;
    idle.hears("{\"op\":\"ping\"}\n", "pong").await;
    // Accepted before the next one on its port, and so known to be there once that one is answered.
    let mut silent = Peer::connect(auto).await;
    silent.say(" \n").await;
    let mut person = Peer::connect(auto).await;
    person.hears("ada\n", "You are ada.").await;
    let mut worker = Peer::connect(json).await;
    worker.hears("{\"op\":\"join\",\"room\":\"svc\",\"as\":\"worker\",\"id\":1}\n", "\"ok\"").await;
    let mut asker = Peer::connect(json).await;
    asker.say("{\"op\":\"request\",\"room\":\"svc\",\"body\":1,\"id\":\"r\"}\n").await;
    worker.hears("", "\"request\"").await;

    router.fail().await.expect("it runs");
    assert_eq!(idle.rest().await, [BYE]);
    assert_eq!(person.rest().await, [WORDS]);
    assert_eq!(worker.rest().await, [BYE]);
    let refused = r#"{"ev":"error","id":"r","code":"shutting_down","message":"the server goes down","op":"request"}"#;
    assert_eq!(asker.rest().await, [refused, BYE], "an open question has an answer");
    assert_eq!(silent.rest().await, [WORDS, BYE], "nobody knows whether it is a person or a program");
    drop((idle, person, worker, asker, silent));
    let () = tokio::time::timeout(DEADLINE, running).await.expect("it stops").expect("it ends in order");
    let logged = String::from_utf8(logged.0.lock().expect("no writer fails").clone()).expect("a log is UTF-8");
    let fault = logged.lines().find(|line| line.contains("ERROR")).unwrap_or_else(|| panic!("no error in {logged}"));
    assert!(fault.contains("router") && fault.contains("a test has it fail"), "{fault}");
}

#[tokio::test]
async fn one_who_comes_while_the_router_is_gone_is_told_too() {
    let (handle, mailbox) = router::mailbox(1);
    drop(mailbox);
    let services = Services {
        router: handle,
        sessions: Arc::default(),
        total: Arc::default(),
        tasks: TaskTracker::new(),
        shutdown: CancellationToken::new(),
    };
    let (near, far) = tokio::io::duplex(1_024);
    let (input, output) = tokio::io::split(near);
    let config = Arc::new(Config::default());
    let serving = crate::connection::serve(input, output, crate::model::ConnId(1), Protocol::Json, config, services);
    let reading = async {
        let mut lines = BufReader::new(far).lines();
        assert_eq!(lines.next_line().await.expect("it is written to").as_deref(), Some(BYE));
        assert_eq!(lines.next_line().await.expect("it ends in order"), None);
    };
    tokio::time::timeout(DEADLINE, async { tokio::join!(serving, reading) }).await.expect("it ends");
}
