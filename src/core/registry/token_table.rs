//! Table of the tokens, with its indexes.

use std::collections::BTreeSet;
use std::time::Duration;

use lanrage_ipc::model::PeerId;
use slab::Slab;

use super::hash_index::HashIndex;
use super::tokens::Token;
use crate::core::record::TokenHash;

/// All tokens. Each has a slot, by which the indexes name it.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct TokenTable {
    slots: Slab<Token>,
    /// Slot of each token, by hash.
    by_hash: HashIndex,
    /// Slots of the tokens of each peer.
    by_peer: HashIndex,
    /// Slots by expiry.
    expiring: BTreeSet<(Duration, u32)>,
}

impl TokenTable {
    fn slot(&self, hash: &TokenHash) -> Option<u32> {
        let has_hash = |slot: &u32| self.at(*slot).is_some_and(|token| token.record.hash == *hash);
        self.by_hash.slots(hash).find(has_hash)
    }

    fn at(&self, slot: u32) -> Option<&Token> {
        self.slots.get(slot as usize)
    }

    /// Returns a token.
    pub(super) fn get(&self, hash: &TokenHash) -> Option<&Token> {
        self.at(self.slot(hash)?)
    }

    /// Returns a token, of which only `shown` may change.
    pub(super) fn get_mut(&mut self, hash: &TokenHash) -> Option<&mut Token> {
        let slot = self.slot(hash)?;
        self.slots.get_mut(slot as usize)
    }

    /// Number of tokens.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Returns the tokens of a peer, in no order.
    pub(super) fn of_peer<'a>(&'a self, peer_id: &'a PeerId) -> impl Iterator<Item = &'a Token> {
        let tokens = self.by_peer.slots(peer_id).filter_map(|slot| self.at(slot));
        tokens.filter(|token| token.record.peer_id == *peer_id)
    }

    /// Returns the tokens of a peer, oldest first.
    pub(super) fn by_age<'a>(&'a self, peer_id: &'a PeerId) -> Vec<&'a Token> {
        let mut tokens: Vec<_> = self.of_peer(peer_id).collect();
        tokens.sort_unstable_by_key(|token| (token.issued, token.record.hash));
        tokens
    }

    /// True if the peer has a token.
    pub(super) fn has_peer(&self, peer_id: &PeerId) -> bool {
        self.of_peer(peer_id).next().is_some()
    }

    /// Returns the token that expires first.
    pub(super) fn first_expiring(&self) -> Option<&Token> {
        self.at(self.expiring.first()?.1)
    }

    /// Adds a token, whose hash no other one has.
    pub(super) fn insert(&mut self, token: Token) {
        let (hash, peer_id, ends) = (token.record.hash, token.record.peer_id.clone(), token.ends);
        let slot = self.slots.insert(token) as u32;
        self.by_hash.insert(&hash, slot);
        self.by_peer.insert(&peer_id, slot);
        self.expiring.insert((ends, slot));
    }

    /// Removes a token.
    pub(super) fn remove(&mut self, hash: &TokenHash) -> Option<Token> {
        let slot = self.slot(hash)?;
        let token = self.slots.try_remove(slot as usize)?;
        self.by_hash.remove(hash, slot);
        self.by_peer.remove(&token.record.peer_id, slot);
        self.expiring.remove(&(token.ends, slot));
        Some(token)
    }

    /// Makes room for further tokens.
    pub(super) fn reserve(&mut self, more: usize) {
        self.slots.reserve(more);
        self.by_hash.reserve(more);
        self.by_peer.reserve(more);
    }
}

#[cfg(test)]
impl PartialEq for TokenTable {
    fn eq(&self, other: &Self) -> bool {
        let has = |token: &Token| other.get(&token.record.hash) == Some(token);
        self.len() == other.len() && self.values().all(has)
    }
}

#[cfg(test)]
impl TokenTable {
    /// Returns all tokens, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &Token> {
        self.slots.iter().map(|(_, token)| token)
    }

    /// Checks that the indexes agree with the tokens.
    pub(super) fn check(&self) {
        for (slot, token) in &self.slots {
            let slot = slot as u32;
            assert_eq!(self.slot(&token.record.hash), Some(slot));
            assert!(self.by_peer.slots(&token.record.peer_id).any(|other| other == slot));
            assert!(self.expiring.contains(&(token.ends, slot)));
        }
        let counts = [self.by_hash.len(), self.by_peer.len(), self.expiring.len()];
        assert_eq!(counts, [self.len(); 3]);
    }
}
