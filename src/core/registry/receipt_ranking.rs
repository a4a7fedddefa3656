//! Order in which receipts are evicted.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use lanrage_ipc::model::PeerId;

use crate::core::record::RequestKey;
use crate::core::shares::Payer;

/// Receipts ranked for eviction. The first to go is the oldest receipt of the peer with most
/// receipts, at the address with most receipts. The address counts first because it can create any
/// number of peers.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct ReceiptRanking {
    groups: HashMap<Group, Ranked>,
    largest: BTreeSet<(usize, Group)>,
}

/// Address or /48 that made the requests; `None` if unknown.
type Group = Option<Payer>;

/// Receipts of one group; never empty.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
struct Ranked {
    count: usize,
    /// Receipts of each peer, oldest first; no peer is empty.
    peers: HashMap<PeerId, BTreeSet<(Duration, RequestKey)>>,
    largest: BTreeSet<(usize, PeerId)>,
}

impl ReceiptRanking {
    pub(super) fn insert(
        &mut self,
        group: &Group,
        (peer_id, key): &(PeerId, RequestKey),
        until: Duration,
    ) {
        let ranked = self.groups.entry(group.clone()).or_default();
        self.largest.remove(&(ranked.count, group.clone()));
        ranked.count += 1;
        self.largest.insert((ranked.count, group.clone()));
        let receipts = ranked.peers.entry(peer_id.clone()).or_default();
        ranked.largest.remove(&(receipts.len(), peer_id.clone()));
        receipts.insert((until, key.clone()));
        ranked.largest.insert((receipts.len(), peer_id.clone()));
    }

    pub(super) fn remove(
        &mut self,
        group: &Group,
        (peer_id, key): &(PeerId, RequestKey),
        until: Duration,
    ) {
        let Some(ranked) = self.groups.get_mut(group) else { return };
        let Some(receipts) = ranked.peers.get_mut(peer_id) else { return };
        let before = receipts.len();
        if !receipts.remove(&(until, key.clone())) {
            return;
        }
        ranked.largest.remove(&(before, peer_id.clone()));
        if receipts.is_empty() {
            ranked.peers.remove(peer_id);
        } else {
            ranked.largest.insert((before - 1, peer_id.clone()));
        }
        self.largest.remove(&(ranked.count, group.clone()));
        ranked.count -= 1;
        if ranked.count == 0 {
            self.groups.remove(group);
        } else {
            self.largest.insert((ranked.count, group.clone()));
        }
    }

    /// Returns the receipt to evict first.
    pub(super) fn first(&self) -> Option<(PeerId, RequestKey)> {
        let (_, group) = self.largest.last()?;
        let ranked = self.groups.get(group)?;
        let (_, peer_id) = ranked.largest.last()?;
        let (_, key) = ranked.peers.get(peer_id)?.first()?;
        Some((peer_id.clone(), key.clone()))
    }
}
