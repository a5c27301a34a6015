//! A JSON-lines client that expects each line it gets, and shows all that was said where it got another.

use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::ops::Deref;

use serde_json::{Value, json};

use super::DEADLINE;

/// Keys whose values differ from run to run, or are for people; see [`Event::masked`].
const VOLATILE: [&str; 6] = ["ts", "epoch", "session", "message", "retry_after_ms", "idle_s"];

/// Characters of a line that a transcript shows.
const SHOWN: usize = 400;

/// One line from the server.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The line as it came, without its ending.
    pub(crate) raw: String,
    value: Value,
}

impl Deref for Event {
    type Target = Value;

    fn deref(&self) -> &Value {
        &self.value
    }
}

impl Event {
    fn new(raw: String) -> Self {
        let value = serde_json::from_str(&raw).unwrap_or_else(|error| panic!("no JSON: {error}: {raw}"));
        Self { raw, value }
    }

    /// What the event is.
    pub(crate) fn ev(&self) -> &str {
        self["ev"].as_str().unwrap_or_default()
    }

    /// A text of it.
    pub(crate) fn text(&self, key: &str) -> &str {
        self[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {}", self.raw))
    }

    /// A number of it.
    pub(crate) fn number(&self, key: &str) -> u64 {
        self[key].as_u64().unwrap_or_else(|| panic!("no number `{key}` in {}", self.raw))
    }

    /// The line with `_` for each value that no test can know: of `ts`, `epoch`, `session`, `message`, `retry_after_ms` and
    /// `idle_s`.
    pub(crate) fn masked(&self) -> String {
        let mut line = self.raw.clone();
        for key in VOLATILE {
            line = mask(&line, &format!("\"{key}\":"));
        }
        line
    }
}

fn mask(line: &str, key: &str) -> String {
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(key) {
        let (before, value) = rest.split_at(at + key.len());
        masked.push_str(before);
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
        values.next().expect("a key has a value").expect("the line is JSON");
        rest = &value[values.byte_offset()..];
        masked.push('_');
    }
    masked + rest
}

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    transcript: Vec<String>,
    ids: u64,
    /// Whether it wants to hear how far it has come, which it is told at times that no test chooses.
    hears_cursors: bool,
}

impl Client {
    /// Connects to an address.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, DEADLINE).expect("the server listens");
        stream.set_nodelay(true).expect("the socket is open");
        stream.set_read_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        stream.set_write_timeout(Some(DEADLINE)).expect("the deadline is not zero");
        Self { stream, buffer: Vec::new(), transcript: Vec::new(), ids: 0, hears_cursors: false }
    }

    /// The socket, for what only a socket can do.
    pub(crate) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.note('>', &String::from_utf8_lossy(bytes));
        if let Err(error) = self.stream.write_all(bytes) {
            self.fail(&format!("cannot send: {error}"));
        }
    }

    /// Sends a line as it is.
    pub(crate) fn line(&mut self, line: &str) {
        self.bytes(format!("{line}\n").as_bytes());
    }

    /// Sends a request.
    // By value, so that it is written where it is sent.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn send(&mut self, request: Value) {
        self.line(&request.to_string());
    }

    /// Sends a request with an `id`, and takes what comes next, which must be its answer.
    pub(crate) fn ask(&mut self, request: Value) -> Event {
        let id = self.send_with_id(request);
        let answer = self.recv();
        if answer["id"] != id {
            self.fail(&format!("expected the answer with id {id}, got {}", answer.raw));
        }
        answer
    }

    /// Sends a request with an `id` of the client's own, which it returns.
    pub(crate) fn send_with_id(&mut self, mut request: Value) -> u64 {
        self.ids += 1;
        request["id"] = json!(self.ids);
        self.send(request);
        self.ids
    }

    /// Sends a request that must succeed, whatever its answer is called.
    pub(crate) fn done(&mut self, request: Value) -> Event {
        let answer = self.ask(request);
        if answer.ev() == "error" {
            self.fail(&format!("expected success, got {}", answer.raw));
        }
        answer
    }

    /// Sends a request that must be refused with a code.
    pub(crate) fn refused(&mut self, request: Value, code: &str) -> Event {
        let answer = self.ask(request);
        self.check_code(&answer, code);
        answer
    }

    /// Sends a request with the `id` it has, and expects this line in answer, masked as [`Event::masked`] does.
    pub(crate) fn answers(&mut self, request: &str, expected: &str) -> Event {
        self.line(request);
        self.expect_line(expected)
    }

    /// The next line.
    pub(crate) fn recv(&mut self) -> Event {
        match self.next_line() {
            Some(line) => Event::new(line),
            None => self.fail("expected a line, got the end"),
        }
    }

    /// The next line, which must be this event.
    pub(crate) fn expect(&mut self, ev: &str) -> Event {
        let event = self.recv();
        if event.ev() != ev {
            self.fail(&format!("expected `{ev}`, got {}", event.raw));
        }
        event
    }

    /// The next line, which must be this one, masked as [`Event::masked`] does.
    pub(crate) fn expect_line(&mut self, expected: &str) -> Event {
        let event = self.recv();
        let masked = event.masked();
        if masked != expected {
            self.fail(&format!("expected\n  {expected}\ngot\n  {masked}"));
        }
        event
    }

    /// The next line, which must be an error with this code.
    pub(crate) fn expect_error(&mut self, code: &str) -> Event {
        let event = self.recv();
        self.check_code(&event, code);
        event
    }

    /// The next line, which must be a message with this body.
    pub(crate) fn expect_body(&mut self, body: impl Into<Value>) -> Event {
        let (event, body) = (self.expect("message"), body.into());
        if event["body"] != body {
            self.fail(&format!("expected a message with the body {body}, got {}", event.raw));
        }
        event
    }

    /// Proves that nothing has come that was caused before: the answer to a `ping` is the next line.
    pub(crate) fn expect_nothing(&mut self) {
        let id = self.send_with_id(json!({"op": "ping"}));
        self.expect_line(&format!(r#"{{"ev":"pong","id":{id}}}"#));
    }

    /// The goodbye with its reason, and then the end.
    pub(crate) fn expect_bye(&mut self, reason: &str) -> Event {
        let bye = self.expect("bye");
        if bye["reason"] != reason {
            self.fail(&format!("expected `bye` for `{reason}`, got {}", bye.raw));
        }
        self.expect_end();
        bye
    }

    /// The end of what the server sends.
    pub(crate) fn expect_end(&mut self) {
        if let Some(line) = self.next_line() {
            self.fail(&format!("expected the end, got {line}"));
        }
    }

    /// All lines up to the end.
    pub(crate) fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.next_line().map(Event::new)).collect()
    }

    /// Ends the input of the server, and goes on reading.
    pub(crate) fn end_input(&mut self) {
        self.note('>', "(end of input)");
        self.stream.shutdown(Shutdown::Write).expect("the socket is open");
    }

    /// Takes a nick; the `session` that resumes the connection.
    pub(crate) fn hello(&mut self, nick: &str) -> String {
        let welcome = self.done(json!({"op": "hello", "nick": nick}));
        welcome.text("session").to_owned()
    }

    /// Becomes a member of a room.
    pub(crate) fn join(&mut self, room: &str) -> Event {
        self.done(json!({"op": "join", "room": room}))
    }

    /// Publishes into a room that the connection gets no copy from; the message's number.
    pub(crate) fn publish(&mut self, room: &str, body: impl Into<Value>) -> u64 {
        self.done(json!({"op": "send", "room": room, "body": body.into()})).number("seq")
    }

    /// Publishes into a room that the connection is in, and takes its own copy.
    pub(crate) fn say(&mut self, room: &str, body: impl Into<Value>) -> Event {
        let body = body.into();
        self.publish(room, body.clone());
        self.expect_body(body)
    }

    fn check_code(&mut self, event: &Event, code: &str) {
        if event.ev() != "error" || event["code"] != code {
            self.fail(&format!("expected the error `{code}`, got {}", event.raw));
        }
    }

    /// Wants to hear how far it has come.
    pub(crate) const fn hear_cursors(&mut self) {
        self.hears_cursors = true;
    }

    fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                line.pop();
                let line = String::from_utf8(line).expect("what the server writes is UTF-8");
                self.note('<', &line);
                if !self.hears_cursors && line.starts_with(r#"{"ev":"cursor""#) {
                    continue;
                }
                return Some(line);
            }
            let mut read = [0; 16_384];
            match self.stream.read(&mut read) {
                Ok(0) if self.buffer.is_empty() => return None,
                Ok(0) => self.fail("the last line has no end"),
                Ok(count) => self.buffer.extend_from_slice(&read[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    self.fail("nothing came within the deadline")
                }
                Err(error) if error.kind() == ErrorKind::ConnectionReset => self.fail("the connection was reset"),
                Err(error) => self.fail(&format!("cannot receive: {error}")),
            }
        }
    }

    fn note(&mut self, direction: char, text: &str) {
        let text = text.trim_end_matches('\n');
        let shown: String = text.chars().take(SHOWN).collect();
        let rest = text.chars().count().saturating_sub(SHOWN);
        let rest = if rest == 0 { String::new() } else { format!("… and {rest} more") };
        self.transcript.push(format!("{direction} {shown}{rest}"));
    }

    fn fail(&self, why: &str) -> ! {
        /// What led to a failure is near its end.
        const LAST: usize = 40;
        let mut message = format!("{why}\n");
        let from = self.transcript.len().saturating_sub(LAST);
        for line in &self.transcript[from..] {
            // Writing to a string cannot fail.
            let _ = writeln!(message, "  {line}");
        }
        panic!("{message}")
    }
}
