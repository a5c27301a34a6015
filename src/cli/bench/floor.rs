//! `linehub bench floor`: the least that a server of this kind must do, as a measure for all others.
//!
//! One thread finds the ends of lines, writes them as linehub's `message` events, byte for byte as long, and copies them to
//! the sockets of the room. No parsing, no names, no limits but one: it is for benchmarks on a trusted machine alone.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Registry, Token};

const LISTENER: Token = Token(usize::MAX);

/// Bytes read at once, by whoever's turn it is.
const BUFFER_BYTES: usize = 256 << 10;

/// Bytes that may wait for a connection; the generator's window keeps it far below, and one that is past it is stuck.
const WAITING_MAX: usize = 64 << 20;

/// The end of what every line ends with, which is not part of the body.
const TAIL: &[u8] = b"}\n";

/// Serves until the process is ended.
pub(super) fn run(address: SocketAddr) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = listen(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut output = io::stdout();
    writeln!(output, "listening on {} (floor)", listener.local_addr()?)?;
    output.flush()?;
    let mut floor = Floor::default();
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener, poll.registry())?;
                continue;
            }
            if event.is_writable() {
                floor.flush(event.token().0);
            }
            if event.is_readable() {
                floor.read(event.token().0, &mut buffer, now);
            }
        }
        floor.deliver();
    }
}

/// The library's listener has too short a queue for thousands who come at once.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4_096)?;
    Ok(TcpListener::from_std(socket.into()))
}

#[derive(Default)]
struct Floor {
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    rooms: Vec<Room>,
    names: HashMap<Vec<u8>, usize>,
    /// Rooms with something to deliver.
    touched: Vec<usize>,
}

struct Peer {
    socket: TcpStream,
    held: Vec<u8>,
    waiting: Vec<u8>,
    /// Its room, and the bytes before the body in each of its lines.
    place: Option<(usize, usize)>,
    /// What stands between the number and the body of its messages, with room for the time.
    from: Vec<u8>,
}

struct Room {
    head: Vec<u8>,
    seq: u64,
    batch: Vec<u8>,
    members: Vec<usize>,
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener, registry: &Registry) -> io::Result<()> {
        loop {
            let mut socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let at = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            registry.register(&mut socket, Token(at), Interest::READABLE | Interest::WRITABLE)?;
            let from = format!(r#","from":"guest{}","ts":0000000000000,"body":"#, at + 1).into_bytes();
            self.peers[at] = Some(Peer { socket, held: Vec::new(), waiting: Vec::new(), place: None, from });
        }
    }

    fn read(&mut self, at: usize, buffer: &mut [u8], now: u64) {
        loop {
            let Some(peer) = self.peers.get_mut(at).and_then(Option::as_mut) else { return };
            let held = peer.held.len();
            buffer[..held].copy_from_slice(&peer.held);
            let filled = match peer.socket.read(&mut buffer[held..]) {
                Ok(1..) if held == buffer.len() => return self.close(at),
                Ok(read @ 1..) => held + read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                _ => return self.close(at),
            };
            let input = &buffer[..filled];
            let mut done = 0;
            if peer.place.is_none() {
                let Some(end) = memchr::memchr(b'\n', input) else {
                    peer.held = input.to_vec();
                    continue;
                };
                done = end + 1;
                if !self.join(at, &input[..end]) {
                    return self.close(at);
                }
            }
            done += self.take(at, &input[done..], now);
            let Some(peer) = self.peers[at].as_mut() else { return };
            peer.held.clear();
            peer.held.extend_from_slice(&input[done..]);
            if filled < buffer.len() {
                return;
            }
        }
    }

    /// The first line: a room, where bodies begin, and whether messages are wanted.
    fn join(&mut self, at: usize, line: &[u8]) -> bool {
        let mut words = line.split(|byte| *byte == b' ');
        let (Some(name), Some(skip), Some(wish)) = (words.next(), words.next(), words.next()) else { return false };
        let Some(skip) = std::str::from_utf8(skip).ok().and_then(|skip| skip.parse().ok()) else { return false };
        let room = *self.names.entry(name.to_vec()).or_insert_with(|| {
            let head = [br#"{"ev":"message","room":""#, name, br#"","seq":"#].concat();
            self.rooms.push(Room { head, seq: 0, batch: Vec::new(), members: Vec::new() });
            self.rooms.len() - 1
        });
        if wish == b"+" {
            self.rooms[room].members.push(at);
        }
        if let Some(peer) = &mut self.peers[at] {
            peer.place = Some((room, skip));
            peer.waiting.extend_from_slice(b"ok\n");
        }
        self.flush(at);
        true
    }

    /// Puts whole lines into their room's batch, and says how many bytes they were.
    fn take(&mut self, at: usize, input: &[u8], now: u64) -> usize {
        let Some(peer) = &mut self.peers[at] else { return 0 };
        let Some((number, skip)) = peer.place else { return 0 };
        let room = &mut self.rooms[number];
        if room.batch.is_empty() {
            self.touched.push(number);
        }
        // Behind it come `,"body":`, nine bytes.
        let end = peer.from.len() - br#","body":"#.len();
        peer.from[end - 13..end].copy_from_slice(&itoa::Buffer::new().format(now).as_bytes()[..13]);
        let mut done = 0;
        for end in memchr::memchr_iter(b'\n', input) {
            let line = &input[done..=end];
            done = end + 1;
            let Some(body) = line.get(skip..line.len().saturating_sub(TAIL.len())) else { continue };
            room.seq += 1;
            room.batch.extend_from_slice(&room.head);
            room.batch.extend_from_slice(itoa::Buffer::new().format(room.seq).as_bytes());
            room.batch.extend_from_slice(&peer.from);
            room.batch.extend_from_slice(body);
            room.batch.extend_from_slice(TAIL);
        }
        done
    }

    /// Copies each batch to the sockets of its room.
    fn deliver(&mut self) {
        for number in std::mem::take(&mut self.touched) {
            let mut batch = std::mem::take(&mut self.rooms[number].batch);
            for place in 0..self.rooms[number].members.len() {
                let at = self.rooms[number].members[place];
                if let Some(peer) = &mut self.peers[at] {
                    peer.send(&batch);
                }
            }
            batch.clear();
            self.rooms[number].batch = batch;
        }
    }

    fn flush(&mut self, at: usize) {
        if let Some(peer) = self.peers.get_mut(at).and_then(Option::as_mut) {
            let waiting = std::mem::take(&mut peer.waiting);
            peer.send(&waiting);
        }
    }

    fn close(&mut self, at: usize) {
        self.peers[at] = None;
        self.free.push(at);
        for room in &mut self.rooms {
            room.members.retain(|member| *member != at);
        }
    }
}

impl Peer {
    /// Writes what the socket takes; the rest waits. One that is broken or stuck is heard of when it is read.
    fn send(&mut self, bytes: &[u8]) {
        let mut sent = 0;
        while self.waiting.is_empty() && sent < bytes.len() {
            match self.socket.write(&bytes[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
        if self.waiting.len() + bytes.len() - sent > WAITING_MAX {
            // Nothing more is kept for it: its reading end sees the close.
            let _ = self.socket.shutdown(std::net::Shutdown::Both);
            return;
        }
        self.waiting.extend_from_slice(&bytes[sent..]);
    }
}
