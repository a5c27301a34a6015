//! The lookups that actors share and that are not room state: who has which nick, and how many connections an address has.
//!
//! The router alone gives and frees nicks; the acceptor alone counts addresses; everybody may look. Knows no rooms and no
//! sockets.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::model::{ConnId, Nick, Wire};

/// Who is connected, by name and by address.
#[derive(Debug, Default)]
pub struct Sessions {
    nicks: DashMap<Box<str>, ConnId>,
    addresses: DashMap<IpAddr, usize>,
    peers: DashMap<ConnId, Peer>,
}

/// What a log line says of a connection, beside its number.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    /// What it speaks, once that is known.
    pub wire: Option<Wire>,
    /// What it is called, once the router knows it.
    pub nick: Option<Arc<Nick>>,
}

/// Logs something of a connection, with its number, address, protocol and nick: they are looked up when something is logged,
/// since a span for each connection costs more than the connection.
macro_rules! log_of {
    ($level:ident, $sessions:expr, $conn:expr, $($rest:tt)+) => {
        if tracing::enabled!(tracing::Level::$level) {
            let (conn, peer) = ($conn, $sessions.peer($conn));
            let address = peer.as_ref().map(|peer| tracing::field::display(peer.address));
            let protocol = peer.as_ref().and_then(|peer| peer.wire).map(|wire| wire.as_str());
            // Quoted and escaped: what people choose cannot pass for another field.
            let nick = peer.as_ref().and_then(|peer| peer.nick.as_ref()).map(|nick| tracing::field::debug(nick.shown()));
            tracing::event!(tracing::Level::$level, %conn, address, protocol, nick, $($rest)+);
        }
    };
}

pub(crate) use log_of;

impl Sessions {
    /// Gives a nick to a connection; `false` where another has it.
    pub fn take(&self, nick: &Nick, conn: ConnId) -> bool {
        match self.nicks.entry(nick.key().into()) {
            Entry::Occupied(held) => *held.get() == conn,
            Entry::Vacant(free) => {
                free.insert(conn);
                true
            }
        }
    }

    /// Frees the nick of a connection.
    pub fn free(&self, nick: &Nick, conn: ConnId) {
        self.nicks.remove_if(nick.key(), |_, holder| *holder == conn);
    }

    /// The connection that has a nick.
    pub fn find(&self, nick: &Nick) -> Option<ConnId> {
        self.nicks.get(nick.key()).map(|conn| *conn)
    }

    /// Notes where a connection comes from.
    pub fn arrived(&self, conn: ConnId, address: SocketAddr) {
        self.peers.insert(conn, Peer { address, wire: None, nick: None });
    }

    /// Notes what a connection speaks.
    pub fn speaks(&self, conn: ConnId, wire: Wire) {
        if let Some(mut peer) = self.peers.get_mut(&conn) {
            peer.wire = Some(wire);
        }
    }

    /// Notes what a connection is called.
    pub fn called(&self, conn: ConnId, nick: &Arc<Nick>) {
        if let Some(mut peer) = self.peers.get_mut(&conn) {
            peer.nick = Some(Arc::clone(nick));
        }
    }

    /// What is known of a connection.
    pub fn peer(&self, conn: ConnId) -> Option<Peer> {
        self.peers.get(&conn).map(|peer| peer.clone())
    }

    /// Forgets a connection that has gone.
    pub fn departed(&self, conn: ConnId) {
        self.peers.remove(&conn);
    }

    /// Counts a connection from an address, unless it has `most` already (0: no limit).
    pub fn admit(&self, address: IpAddr, most: usize) -> bool {
        let mut count = self.addresses.entry(network(address)).or_insert(0);
        let admitted = most == 0 || *count < most;
        *count += usize::from(admitted);
        admitted
    }

    /// Counts an admitted connection out.
    pub fn dismiss(&self, address: IpAddr) {
        let network = network(address);
        if let Some(mut count) = self.addresses.get_mut(&network) {
            *count = count.saturating_sub(1);
        }
        self.addresses.remove_if(&network, |_, count| *count == 0);
    }
}

/// What counts as one address: an IPv4 address, or the /64 that one IPv6 host has to itself.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nick_belongs_to_one_connection_until_that_one_frees_it() {
        let sessions = Sessions::default();
        let nick = Nick::parse("Ada").expect("a nick");
        let same = Nick::parse("aDA").expect("a nick");
        assert!(sessions.take(&nick, ConnId(1)));
        assert!(!sessions.take(&same, ConnId(2)));
        sessions.free(&same, ConnId(2));
        assert_eq!(sessions.find(&same), Some(ConnId(1)), "only its holder frees it");
        sessions.free(&same, ConnId(1));
        assert_eq!(sessions.find(&nick), None);
    }

    #[test]
    fn an_address_is_counted_by_its_network() {
        let sessions = Sessions::default();
        let [one, same, other] = ["2001:db8::1", "2001:db8::2:1", "2001:db8:0:1::1"].map(|a| a.parse().expect("ip"));
        assert!(sessions.admit(one, 1));
        assert!(!sessions.admit(same, 1), "the same /64");
        assert!(sessions.admit(other, 1));
        sessions.dismiss(one);
        assert!(sessions.admit(same, 1));
        let mapped = "::ffff:192.0.2.1".parse().expect("ip");
        assert!(sessions.admit(mapped, 1));
        assert!(!sessions.admit("192.0.2.1".parse().expect("ip"), 1));
    }
}
