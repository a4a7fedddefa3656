//! The connections that speak for each peer.

use std::collections::HashMap;

use lanrage_ipc::model::PeerId;

use crate::core::ConnectionId;

/// Connections that speak for each peer. Signals go to the one that took the peer last.
#[derive(Debug, Default)]
pub(super) struct Holders {
    /// Never empty; the connection that took the peer last is at the end.
    by_peer: HashMap<PeerId, Vec<ConnectionId>>,
    /// Number of peers of each connection; never 0.
    peers: HashMap<ConnectionId, usize>,
}

/// Connection that no longer speaks for a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Displaced {
    pub(super) connection: ConnectionId,
    /// True if the connection speaks for no peer any more.
    pub(super) entirely: bool,
}

impl Holders {
    /// Adds a connection behind the others that speak for a peer.
    pub(super) fn hold(&mut self, peer_id: PeerId, connection: ConnectionId) {
        let holders = self.by_peer.entry(peer_id).or_default();
        let before = holders.len();
        holders.retain(|holder| *holder != connection);
        if holders.len() == before {
            *self.peers.entry(connection).or_default() += 1;
        }
        holders.push(connection);
    }

    /// Removes the connections that were opened before the one that takes a peer over.
    pub(super) fn displace(&mut self, peer_id: &PeerId, by: ConnectionId) -> Vec<Displaced> {
        let holders = self.by_peer.get(peer_id).map_or(&[][..], Vec::as_slice);
        let older: Vec<_> = holders.iter().filter(|holder| **holder < by).copied().collect();
        let displace = |connection| {
            self.release(peer_id, connection);
            Displaced { connection, entirely: !self.peers.contains_key(&connection) }
        };
        older.into_iter().map(displace).collect()
    }

    /// True for the connection that took the peer last, and for any if there is none.
    pub(super) fn is_latest(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        let latest = self.by_peer.get(peer_id).and_then(|holders| holders.last());
        latest.is_none_or(|latest| *latest == connection)
    }

    /// True if a connection speaks for a peer.
    pub(super) fn holds(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        self.by_peer.get(peer_id).is_some_and(|holders| holders.contains(&connection))
    }

    /// True if other connections speak for a peer, and this one does not.
    pub(super) fn only_others_hold(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        self.by_peer.get(peer_id).is_some_and(|holders| !holders.contains(&connection))
    }

    /// Removes a connection from those that speak for a peer.
    pub(super) fn release(&mut self, peer_id: &PeerId, connection: ConnectionId) {
        let Some(holders) = self.by_peer.get_mut(peer_id) else { return };
        let before = holders.len();
        holders.retain(|holder| *holder != connection);
        let is_released = holders.len() < before;
        if holders.is_empty() {
            self.by_peer.remove(peer_id);
        }
        if is_released && let Some(peers) = self.peers.get_mut(&connection) {
            *peers -= 1;
            if *peers == 0 {
                self.peers.remove(&connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(id: &str) -> PeerId {
        id.parse().expect("an id")
    }

    const FIRST: ConnectionId = ConnectionId(1);
    const SECOND: ConnectionId = ConnectionId(2);
    const THIRD: ConnectionId = ConnectionId(3);

    #[test]
    fn signals_go_to_the_connection_that_took_the_peer_last() {
        let mut holders = Holders::default();
        assert!(holders.is_latest(&peer("a"), FIRST));
        for connection in [FIRST, SECOND, FIRST] {
            holders.hold(peer("a"), connection);
        }
        assert!(holders.is_latest(&peer("a"), FIRST) && !holders.is_latest(&peer("a"), SECOND));
        holders.release(&peer("a"), FIRST);
        assert!(holders.is_latest(&peer("a"), SECOND));
    }

    #[test]
    fn older_connections_are_displaced_and_newer_ones_are_not() {
        let mut holders = Holders::default();
        for (id, connection) in [("a", FIRST), ("b", FIRST), ("a", SECOND), ("a", THIRD)] {
            holders.hold(peer(id), connection);
        }
        let displaced = [Displaced { connection: FIRST, entirely: false }];
        assert_eq!(holders.displace(&peer("a"), SECOND), displaced);
        assert_eq!(holders.displace(&peer("a"), SECOND), []);
        let displaced = [Displaced { connection: FIRST, entirely: true }];
        assert_eq!(holders.displace(&peer("b"), SECOND), displaced);
        assert!(holders.is_latest(&peer("a"), THIRD));
        assert!(holders.holds(&peer("a"), THIRD) && !holders.holds(&peer("a"), FIRST));
        assert!(holders.only_others_hold(&peer("a"), FIRST));
        assert!(!holders.only_others_hold(&peer("c"), FIRST), "nobody holds it");
    }

    #[test]
    fn closed_connections_leave_no_state() {
        let mut holders = Holders::default();
        for id in ["a", "a", "b"] {
            holders.hold(peer(id), FIRST);
        }
        for id in ["a", "b", "b", "c"] {
            holders.release(&peer(id), FIRST);
        }
        assert!(holders.by_peer.is_empty() && holders.peers.is_empty(), "{holders:?}");
    }
}
