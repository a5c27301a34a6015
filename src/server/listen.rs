//! Listening sockets: how they are opened, and how many connections the process can have.
//!
//! A socket is opened or refused here, before anything is served; nobody is accepted.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol as Transport, Socket, TcpKeepalive, Type};
use tokio::net::TcpListener;

use crate::config::{Limits, LogFormat, Protocol};

/// Connections that wait to be accepted: each that does not find a place costs its client a second.
const BACKLOG: i32 = 4_096;

/// Silence after which the kernel asks whether the peer is alive; with the two below a dead one is found within 60 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

/// How long what was sent may go without a sign of the peer: the kernel does not ask while it still sends, and would go on
/// sending for a quarter of an hour.
const UNANSWERED: Duration = Duration::from_secs(60);

/// Descriptors that are not for connections: listeners, the runtime's own, logs, and some to answer those that are too many.
const DESCRIPTORS_RESERVED: u64 = 64;

/// Opens a listener; the sockets it accepts inherit its options. A peer that lives and takes nothing is given
/// `write_timeout` at least.
pub(super) fn open(address: SocketAddr, write_timeout: Duration) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Transport::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_EVERY);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))?;
    socket.set_tcp_user_timeout(Some(UNANSWERED.max(write_timeout)))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Tells where the server listens, to people and to scripts that asked for any free port: on standard output, or in the log
/// where that is read by programs, which would stumble over a line that is not JSON.
pub(super) fn announce(format: LogFormat, protocol: Protocol, address: SocketAddr) -> io::Result<()> {
    if format == LogFormat::Json {
        tracing::info!(%address, protocol = protocol.as_str(), "listening");
        return Ok(());
    }
    let mut output = io::stdout().lock();
    writeln!(output, "listening on {address} ({})", protocol.as_str())?;
    output.flush()
}

/// How many connections there can be: as configured, or as many as the process may have descriptors for.
pub(super) fn connections(limits: &Limits) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // What may be raised is: services are often started with a soft limit from another age.
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = if setrlimit(Resource::Nofile, raised).is_ok() { limit.maximum } else { limit.current };
    let allowed = current.map_or(usize::MAX, |most| most.saturating_sub(DESCRIPTORS_RESERVED).max(1) as usize);
    if allowed < limits.max_connections {
        tracing::info!(
            allowed,
            configured = limits.max_connections,
            "the descriptor limit allows fewer connections; `ulimit -n` or `LimitNOFILE=` raises it"
        );
    }
    allowed.min(limits.max_connections)
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;

    use super::*;

    /// A peer that is dead is found within this, as clients are promised.
    const FOUND_WITHIN: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn an_accepted_socket_has_the_kernel_find_a_dead_peer_within_a_minute() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = match open(address.parse().expect("an address"), Duration::from_secs(30)) {
                // A machine without IPv6 accepts nobody over it.
                Err(error) if address.starts_with('[') => {
                    assert!(std::net::TcpListener::bind(address).is_err(), "{error}");
                    continue;
                }
                opened => opened.expect("loopback has free ports"),
            };
            let client = std::net::TcpStream::connect(listener.local_addr().expect("it is bound"));
            let (accepted, _) = listener.accept().await.expect("somebody came");
            let socket = SockRef::from(&accepted);
            assert!(socket.keepalive().expect("it is a socket"));
            let idle = socket.tcp_keepalive_time().expect("it is TCP");
            let every = socket.tcp_keepalive_interval().expect("it is TCP");
            let retries = socket.tcp_keepalive_retries().expect("it is TCP");
            assert!(idle + every * retries <= FOUND_WITHIN, "{idle:?} and {retries} times {every:?}");
            let unanswered = socket.tcp_user_timeout().expect("it is TCP");
            assert_eq!(unanswered, Some(FOUND_WITHIN), "also while something is on its way to it");
            assert!(socket.tcp_nodelay().expect("it is TCP"), "what is written goes at once");
            drop(client);
        }
    }
}
