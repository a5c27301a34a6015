//! One JSON-lines connection that waits for each line, under a deadline.
//!
//! Knows no op; judges nothing.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::server::DEADLINE;

/// The connection.
#[derive(Debug)]
pub struct Client {
    input: BufReader<TcpStream>,
    line: Vec<u8>,
    next: u64,
}

impl Client {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { input: BufReader::with_capacity(64 << 10, stream), line: Vec::new(), next: 1 })
    }

    /// A number that no request of this connection had.
    pub const fn id(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Writes one frame.
    pub fn send(&mut self, frame: &Value) -> io::Result<()> {
        self.input.get_mut().write_all(format!("{frame}\n").as_bytes())
    }

    /// Writes one frame with a number of its own, which it gives.
    pub fn ask(&mut self, mut frame: Value) -> io::Result<u64> {
        let id = self.id();
        frame["id"] = id.into();
        self.send(&frame)?;
        Ok(id)
    }

    /// The next event; none when the server has closed.
    pub fn event(&mut self) -> io::Result<Option<Value>> {
        self.line.clear();
        self.input.read_until(b'\n', &mut self.line)?;
        if !self.line.ends_with(b"\n") {
            // The end of a process cuts its last line short.
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&self.line)?))
    }

    /// The next event, which has to come.
    pub fn expect(&mut self) -> io::Result<Value> {
        Ok(self.event()?.ok_or(io::ErrorKind::UnexpectedEof)?)
    }

    /// The events up to the answer to a request, which is the last.
    pub fn until(&mut self, id: u64) -> io::Result<Vec<Value>> {
        let mut events = Vec::new();
        loop {
            let event = self.expect()?;
            let is_last = event["id"] == id;
            events.push(event);
            if is_last {
                return Ok(events);
            }
        }
    }

    /// Asks, and gives the answer alone.
    pub fn answer(&mut self, frame: Value) -> io::Result<Value> {
        let id = self.ask(frame)?;
        Ok(self.until(id)?.pop().unwrap_or_default())
    }
}
