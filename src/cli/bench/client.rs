//! One connection of the generator: a non-blocking socket, what waits to be sent, and what is held of a frame.
//!
//! Knows no protocol. Readiness is edge-triggered: a client is written to until the socket is full and read until it is
//! empty, and then heard of again.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Bytes of the buffer that all clients of a thread read to: more than a socket mostly holds, and small enough to stay in
/// the cache.
const BUFFER_BYTES: usize = 256 << 10;

/// Where clients read to, one after the other.
#[derive(Debug)]
pub(super) struct Buffer(Box<[u8]>);

impl Default for Buffer {
    fn default() -> Self {
        Self(vec![0; BUFFER_BYTES].into())
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    socket: TcpStream,
    waiting: Vec<u8>,
    sent: usize,
    held: Vec<u8>,
    is_open: bool,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing is left for now.
    All,
    /// There may be more.
    Some,
    /// The server has closed the connection.
    Closed,
}

impl Client {
    /// Connects, and has events come with a token.
    pub(super) fn connect(address: SocketAddr, registry: &Registry, token: Token) -> io::Result<Self> {
        // Blocking, since on loopback it is done at once and a refusal is best told here.
        let socket = std::net::TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut socket = TcpStream::from_std(socket);
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { socket, waiting: Vec::new(), sent: 0, held: Vec::new(), is_open: true })
    }

    /// Where to append what is to be sent.
    pub(super) fn waiting(&mut self) -> &mut Vec<u8> {
        &mut self.waiting
    }

    /// Whether the socket has taken everything.
    pub(super) fn is_flushed(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether the server has not closed the connection.
    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.is_open && self.sent < self.waiting.len() {
            match self.socket.write(&self.waiting[self.sent..]) {
                Ok(written) => self.sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_hang_up(&error) => self.is_open = false,
                Err(error) => return Err(error),
            }
        }
        self.waiting.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads once and has it taken; `take` says how many bytes it was done with.
    pub(super) fn read(&mut self, buffer: &mut Buffer, take: impl FnOnce(&[u8]) -> usize) -> io::Result<Taken> {
        let held = self.held.len();
        buffer.0[..held].copy_from_slice(&self.held);
        let read = loop {
            match self.socket.read(&mut buffer.0[held..]) {
                Ok(0) => break 0,
                Ok(read) => break read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Taken::All),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_hang_up(&error) => break 0,
                Err(error) => return Err(error),
            }
        };
        if read == 0 {
            self.is_open = false;
            return Ok(Taken::Closed);
        }
        let filled = &buffer.0[..held + read];
        let done = take(filled);
        self.held.clear();
        self.held.extend_from_slice(&filled[done..]);
        if self.held.len() > BUFFER_BYTES / 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the server sends a frame without an end"));
        }
        // A read that did not fill the buffer has emptied the socket.
        Ok(if filled.len() < BUFFER_BYTES { Taken::All } else { Taken::Some })
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
