//! A client that speaks JSON-lines over a plain socket, and can be as rude with it as a test needs.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use socket2::{Domain, SockRef, Socket, Type};

use super::DEADLINE;

/// A receive buffer that is soon full.
const SMALL_BYTES: usize = 4 << 10;

/// One connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
    begin: usize,
    asked: u64,
}

impl Client {
    /// Connects.
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&addr, DEADLINE).expect("the server accepts"))
    }

    /// Connects with a receive buffer so small that a reader who stops is soon noticed.
    pub(crate) fn connect_small(addr: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).expect("a socket is free");
        socket.set_recv_buffer_size(SMALL_BYTES).expect("a buffer can be small");
        socket.connect(&addr.into()).expect("the server accepts");
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_nodelay(true).expect("it is a TCP socket");
        Self { stream, held: Vec::new(), begin: 0, asked: 0 }
    }

    /// Has a write give up after so long.
    pub(crate) fn writes_within(&self, patience: Duration) {
        self.stream.set_write_timeout(Some(patience)).expect("it is not zero");
    }

    /// Sends bytes as they are.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
    }

    /// Sends one line.
    pub(crate) fn say(&mut self, frame: &Value) {
        self.raw(format!("{frame}\n"));
    }

    /// Sends a request and returns its answer; what comes before it is passed over.
    pub(crate) fn ask(&mut self, mut frame: Value) -> Value {
        self.asked += 1;
        let id = json!(format!("ask-{}", self.asked));
        frame["id"] = id.clone();
        self.say(&frame);
        self.find(|event| event["id"] == id)
    }

    /// Says who it is.
    pub(crate) fn hello(&mut self, nick: &str) -> Value {
        let welcome = self.ask(json!({"op": "hello", "nick": nick, "presence": true}));
        assert_eq!(welcome["ev"], "welcome", "{welcome}");
        welcome
    }

    /// Joins a room.
    pub(crate) fn join(&mut self, room: &str) -> Value {
        let ok = self.ask(json!({"op": "join", "room": room}));
        assert_eq!(ok["ev"], "ok", "{ok}");
        ok
    }

    /// Sends a message and awaits its number.
    pub(crate) fn send(&mut self, room: &str, body: impl Into<Value>) -> u64 {
        let ok = self.ask(json!({"op": "send", "room": room, "body": body.into()}));
        ok["seq"].as_u64().unwrap_or_else(|| panic!("{ok}"))
    }

    /// One round trip, after which everything said before has been carried out.
    pub(crate) fn pong(&mut self) {
        let pong = self.ask(json!({"op": "ping"}));
        assert_eq!(pong["ev"], "pong", "{pong}");
    }

    /// Whether it is let in: the answer to a ping, unless it is turned away.
    pub(crate) fn is_let_in(&mut self) -> bool {
        // One that is turned away may be gone before it has said anything.
        let _ = self.stream.write_all(b"{\"op\":\"ping\",\"id\":\"in\"}\n");
        let event = self.next().expect("one who is turned away is told");
        assert!(event["ev"] == "pong" || event["code"] == "too_many_connections", "{event}");
        event["ev"] == "pong"
    }

    /// The next line with its ending; `None` at the end of input, whether it came in order or not.
    pub(crate) fn line(&mut self) -> Option<&[u8]> {
        let mut looked = self.begin;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.held[looked..]) {
                let line = self.begin..=looked + at;
                self.begin = looked + at + 1;
                return Some(&self.held[line]);
            }
            self.held.drain(..self.begin);
            self.begin = 0;
            looked = self.held.len();
            self.held.resize(looked + (256 << 10), 0);
            let read = match self.stream.read(&mut self.held[looked..]) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    self.held.truncate(looked);
                    continue;
                }
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => 0,
                Err(error) => panic!("nothing more comes: {error}"),
            };
            self.held.truncate(looked + read);
            if read == 0 {
                return None;
            }
        }
    }

    /// The next event; `None` at the end of input.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let line = self.line()?;
        Some(serde_json::from_slice(line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(line))))
    }

    /// The next event for which something holds; others are passed over.
    pub(crate) fn find(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let event = self.next().expect("the connection lives");
            if wanted(&event) {
                return event;
            }
        }
    }

    /// The next event of a kind; others are passed over.
    pub(crate) fn event(&mut self, ev: &str) -> Value {
        self.find(|event| event["ev"] == ev)
    }

    /// The next line for a person that has some words in it; others are passed over.
    pub(crate) fn words(&mut self, words: &str) -> String {
        loop {
            let line = String::from_utf8_lossy(self.line().expect("the connection lives")).into_owned();
            if line.contains(words) {
                return line;
            }
        }
    }

    /// Everything up to the end of input.
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Says that nothing more will be said.
    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection lives");
    }

    /// Closes so that the peer gets a reset instead of an end.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).expect("it is a TCP socket");
    }
}
