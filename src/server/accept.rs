//! The acceptor actor of a listener: takes connections in, counts them, and turns away those that are too many.
//!
//! One too many is accepted and told, never left hanging. Where the process has no descriptors left it waits a little and goes
//! on, since nothing else brings them back.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::config::{Config, Protocol};
use crate::connection::{self, Services};
use crate::model::{ByeReason, Code, ConnId, ErrorEvent, Event, Tag};
use crate::sessions::{Sessions, log_of};

/// First wait after an accept that failed for want of descriptors or memory; doubled each time.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);

/// Longest such wait: descriptors come back when connections end, so it is worth looking again soon.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Connections turned away that may be waited for at once, to see that their peers have read why.
const TURNED_AWAY_MAX: usize = 32;

/// What all acceptors share.
#[derive(Clone, Debug)]
pub(super) struct Acceptor(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    open: AtomicUsize,
    max_connections: usize,
    last: AtomicU64,
    turning_away: Arc<Semaphore>,
    sessions: Arc<Sessions>,
    services: Services,
    config: watch::Receiver<Arc<Config>>,
}

impl Acceptor {
    pub(super) fn new(
        max_connections: usize,
        sessions: Arc<Sessions>,
        services: Services,
        config: watch::Receiver<Arc<Config>>,
    ) -> Self {
        Self(Arc::new(Shared {
            open: AtomicUsize::new(0),
            max_connections,
            last: AtomicU64::new(0),
            turning_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
            sessions,
            services,
            config,
        }))
    }

    /// Accepts until the server goes down.
    pub(super) async fn run(self, listener: TcpListener, protocol: Protocol) {
        let mut backoff = BACKOFF_FIRST;
        loop {
            tokio::select! {
                () = self.0.services.shutdown.cancelled() => return,
                accepted = listener.accept() => match accepted {
                    Ok((stream, address)) => {
                        backoff = BACKOFF_FIRST;
                        self.admit(stream, address, protocol);
                    }
                    // The peer has gone again: that is its own affair.
                    Err(error) if is_peers(&error) => {}
                    Err(error) => {
                        tracing::warn!(%error, ?backoff, "cannot accept");
                        tokio::time::sleep(backoff).await;
                        backoff = (backoff * 2).min(BACKOFF_MAX);
                    }
                },
            }
        }
    }

    fn admit(&self, stream: TcpStream, address: SocketAddr, protocol: Protocol) {
        let shared = &self.0;
        let config = Arc::clone(&shared.config.borrow());
        let most = shared.max_connections.min(config.limits.max_connections);
        let ip = address.ip();
        if shared.open.fetch_add(1, Ordering::Relaxed) >= most {
            shared.open.fetch_sub(1, Ordering::Relaxed);
            return self.turn_away(stream, address, "the server has as many connections as it may");
        }
        if !shared.sessions.admit(ip, config.limits.max_connections_per_address) {
            shared.open.fetch_sub(1, Ordering::Relaxed);
            return self.turn_away(stream, address, "your address has as many connections as it may");
        }
        let conn = ConnId(shared.last.fetch_add(1, Ordering::Relaxed) + 1);
        shared.sessions.arrived(conn, address);
        log_of!(DEBUG, shared.sessions, conn, "connected");
        let admitted = Admitted { acceptor: self.clone(), conn, address };
        let services = shared.services.clone();
        let (input, output) = stream.into_split();
        shared.services.tasks.spawn(async move {
            connection::serve(input, output, conn, protocol, config, services).await;
            drop(admitted);
        });
    }

    /// Tells a connection that it is one too many, and closes it.
    fn turn_away(&self, mut stream: TcpStream, address: SocketAddr, words: &'static str) {
        tracing::debug!(%address, words, "turned away");
        let Ok(permit) = Arc::clone(&self.0.turning_away).try_acquire_owned() else {
            return dismiss(stream, words);
        };
        self.0.services.tasks.spawn(async move {
            let (input, output) = stream.split();
            connection::part(input, output, &farewell(words)).await;
            drop(permit);
        });
    }
}

/// Counts a connection for as long as its reader runs, which is until its writer is done too.
#[derive(Debug)]
struct Admitted {
    acceptor: Acceptor,
    conn: ConnId,
    address: SocketAddr,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let shared = &self.acceptor.0;
        shared.open.fetch_sub(1, Ordering::Relaxed);
        shared.sessions.dismiss(self.address.ip());
        log_of!(DEBUG, shared.sessions, self.conn, "disconnected");
        shared.sessions.departed(self.conn);
    }
}

/// Tells a connection that it is one too many, and closes it without seeing that it has read so: a crowd must not cost what
/// connections cost.
fn dismiss(stream: TcpStream, words: &'static str) {
    if let Ok(mut socket) = stream.into_std() {
        // A new socket has room for one line; where it has not, or the peer is gone, nobody can be told.
        let _ = socket.write(&farewell(words));
    }
}

/// The line that one connection too many gets.
fn farewell(words: &'static str) -> Vec<u8> {
    let error = Event::Error(Tag::None, Box::new(ErrorEvent::new(Code::TooManyConnections, words)));
    let bye = Event::bye(Tag::None, ByeReason::TooManyConnections);
    connection::last_words(vec![error, bye])
}

fn is_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
