//! Tokens, which survive a restart, and holds, which end with their connection.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use jiff::SignedDuration;
use lanrage_ipc::model::PeerId;

use super::changes::{Effect, HoldProof};
use super::token_table::TokenTable;
use crate::core::command::{ConnectionId, Now};
use crate::core::record::{ClaimHash, TokenHash, TokenRecord};
use crate::core::shares::{Payer, Tally};

/// Upper bound of a peer's tokens. Each comes from a renewal whose answer may have been lost. At
/// the bound a renewal issues no token; it extends the one that was shown.
const TOKENS_OF_A_PEER: usize = 8;

/// A token, with its life on the clock of [`Now::elapsed`].
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) struct Token {
    pub(super) record: TokenRecord,
    /// Time of issue; negative for a token from before the start.
    pub(super) issued: SignedDuration,
    pub(super) ends: Duration,
    /// Time at which it was last shown.
    pub(super) shown: Option<Duration>,
}

impl Token {
    /// Restores a stored token. Its remaining life counts by the wall clock, up to that of a fresh
    /// token. The time at which it was last shown is unknown: it counts as shown now.
    pub(super) fn restored(record: TokenRecord, now: Now) -> Self {
        let life = record.expires_at.duration_since(record.issued_at);
        let life = Duration::try_from(life).unwrap_or_default();
        let age = now.age_of(record.issued_at);
        let ends = now.elapsed.saturating_add(life.saturating_sub(age));
        let issued = signed(now.elapsed).saturating_sub(signed(age));
        Self { record, issued, ends, shown: Some(now.elapsed) }
    }

    /// Returns its payer.
    fn payer(&self) -> Option<Payer> {
        self.record.address.map(Payer::Address)
    }

    pub(super) fn is_live(&self, now: Now) -> bool {
        self.ends > now.elapsed
    }

    /// True while the token may be exchanged for a fresh one. A token that was shown within `grace`
    /// before its expiry may be exchanged for `grace` after it: its peer can't have expired
    /// meanwhile.
    pub(super) fn is_renewable(&self, grace: Duration, now: Now) -> bool {
        let was_in_use = self.shown.is_some_and(|at| at.saturating_add(grace) >= self.ends);
        self.is_live(now) || (was_in_use && !self.is_spent(grace, now))
    }

    /// True once the token is neither valid nor renewable.
    fn is_spent(&self, grace: Duration, now: Now) -> bool {
        self.ends.saturating_add(grace) <= now.elapsed
    }
}

/// Converts a time to a signed one, from which any time may be subtracted.
pub(super) fn signed(time: Duration) -> SignedDuration {
    SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX)
}

/// Tokens and holds. `set` updates the indexes of tokens, `hold` and `release` also that of claims.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Identities {
    pub(super) tokens: TokenTable,
    pub(super) holders: HashMap<PeerId, BTreeMap<ConnectionId, HoldProof>>,
    pub(super) held: HashMap<ConnectionId, BTreeSet<PeerId>>,
    /// Open connections whose hold of a peer ended when its tokens were revoked.
    pub(super) released: BTreeSet<(ConnectionId, PeerId)>,
    /// Open connections that reattached to a peer without proof; `reattached_peers` is the reverse.
    pub(super) reattached: HashMap<PeerId, BTreeSet<ConnectionId>>,
    pub(super) reattached_peers: HashMap<ConnectionId, BTreeSet<PeerId>>,
    /// Latest connection that claimed a peer in mode `Hold::Alone`, open or not. Older connections
    /// are superseded.
    pub(super) taken_alone: HashMap<PeerId, ConnectionId>,
    /// Number of tokens, by the address that requested them.
    pub(super) payers: Tally,
    pub(super) unused: UnusedClaims,
}

/// Tokens of peers that never showed one, have no party and no relay, and are held by no
/// connection. They are evicted first.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct UnusedClaims {
    /// Oldest first.
    all: BTreeSet<(SignedDuration, TokenHash)>,
    /// Tokens by payer, oldest first.
    by_payer: BTreeSet<(Payer, SignedDuration, TokenHash)>,
}

impl UnusedClaims {
    pub(super) fn insert(&mut self, token: &Token) {
        let (issued, hash) = (token.issued, token.record.hash);
        self.all.insert((issued, hash));
        for payer in token.payer().iter().flat_map(Payer::with_group) {
            self.by_payer.insert((payer, issued, hash));
        }
    }

    fn remove(&mut self, token: &Token) {
        let (issued, hash) = (token.issued, token.record.hash);
        if self.all.remove(&(issued, hash)) {
            for payer in token.payer().iter().flat_map(Payer::with_group) {
                self.by_payer.remove(&(payer, issued, hash));
            }
        }
    }

    /// Returns the oldest token of a payer, or of all; never the one that was shown.
    pub(super) fn oldest(
        &self,
        payer: Option<&Payer>,
        shown: Option<TokenHash>,
    ) -> Option<TokenHash> {
        let is_other = |hash: &TokenHash| Some(*hash) != shown;
        let Some(payer) = payer else {
            return self.all.iter().map(|(_, hash)| *hash).find(is_other);
        };
        let from = (payer.clone(), SignedDuration::MIN, TokenHash([0; 32]));
        let tokens = self.by_payer.range(from..).take_while(|(of, ..)| of == payer);
        tokens.map(|(.., hash)| *hash).find(is_other)
    }
}

impl Identities {
    /// Sets or removes a token, and updates the indexes. Returns the previous token.
    pub(super) fn set(&mut self, hash: &TokenHash, token: Option<Token>) -> Option<Token> {
        let before = self.tokens.remove(hash);
        if let Some(before) = &before {
            self.unused.remove(before);
            if let Some(payer) = before.payer() {
                self.payers.remove(&payer, 1);
            }
        }
        if let Some(token) = token {
            if let Some(payer) = token.payer() {
                self.payers.add(&payer, 1);
            }
            self.tokens.insert(token);
        } else if let Some(Token { record: TokenRecord { peer_id, .. }, .. }) = &before
            && !self.tokens.has_peer(peer_id)
        {
            self.taken_alone.remove(peer_id);
        }
        before
    }

    /// Counts a peer's tokens as unused claims unless one was shown, or the peer is in use
    /// elsewhere.
    pub(super) fn index_claims(&mut self, peer_id: &PeerId, is_used: bool) {
        let is_used = is_used || self.tokens.of_peer(peer_id).any(|token| token.shown.is_some());
        for token in self.tokens.of_peer(peer_id) {
            match is_used {
                true => self.unused.remove(token),
                false => self.unused.insert(token),
            }
        }
    }

    /// Notes that a token was shown, and returns it if it is live.
    pub(super) fn show(&mut self, hash: &TokenHash, now: Now) -> Option<&Token> {
        let token = self.tokens.get_mut(hash).filter(|token| token.is_live(now))?;
        if token.shown.replace(now.elapsed).is_none() {
            let peer_id = token.record.peer_id.clone();
            self.index_claims(&peer_id, true);
        }
        self.tokens.get(hash)
    }

    /// Returns a token that may be exchanged for a fresh one.
    pub(super) fn renewable(&self, hash: &TokenHash, grace: Duration, now: Now) -> Option<&Token> {
        self.tokens.get(hash).filter(|token| token.is_renewable(grace, now))
    }

    pub(super) fn has_live_token(&self, peer_id: &PeerId, now: Now) -> bool {
        self.tokens.of_peer(peer_id).any(|token| token.is_live(now))
    }

    /// True if a live token of the peer was issued for this claim.
    pub(super) fn was_claimed(&self, peer_id: &PeerId, claim: &ClaimHash, now: Now) -> bool {
        let mut tokens = self.tokens.of_peer(peer_id);
        tokens.any(|token| token.record.claim.as_ref() == Some(claim) && token.is_live(now))
    }

    pub(super) fn is_held_by(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        self.holders.get(peer_id).is_some_and(|holders| holders.contains_key(&connection))
    }

    /// Lets a connection hold a peer id by a new token, or by its previous proof. `None` if nothing
    /// changed.
    pub(super) fn hold(
        &mut self,
        peer_id: &PeerId,
        connection: ConnectionId,
        proof: HoldProof,
        alone: bool,
    ) -> Option<Effect> {
        let taken_alone = self.taken_alone.get(peer_id).copied();
        let holders = self.holders.entry(peer_id.clone()).or_default();
        let proof = HoldProof(proof.0.or(holders.get(&connection).and_then(|before| before.0)));
        let before = holders.insert(connection, proof);
        self.released.remove(&(connection, peer_id.clone()));
        self.held.entry(connection).or_default().insert(peer_id.clone());
        if alone && self.tokens.has_peer(peer_id) {
            self.taken_alone.insert(peer_id.clone(), connection);
        }
        let is_new = before != Some(proof) || self.taken_alone.get(peer_id) != taken_alone.as_ref();
        is_new.then(|| Effect::Held { peer_id: peer_id.clone(), connection, before, taken_alone })
    }

    /// Reverts a hold. `taken_alone` is the connection that superseded older ones before.
    pub(super) fn unhold(
        &mut self,
        peer_id: &PeerId,
        connection: ConnectionId,
        before: Option<HoldProof>,
        taken_alone: Option<ConnectionId>,
    ) {
        match (before, self.holders.get_mut(peer_id).and_then(|all| all.get_mut(&connection))) {
            (Some(before), Some(proof)) => *proof = before,
            _ => self.forget_holder(peer_id, connection),
        }
        if self.taken_alone.get(peer_id) == Some(&connection) {
            match taken_alone {
                Some(before) => self.taken_alone.insert(peer_id.clone(), before),
                None => self.taken_alone.remove(peer_id),
            };
        }
    }

    /// Ends the holds of connections on a peer. Returns their proofs.
    pub(super) fn release_holders(
        &mut self,
        peer_id: &PeerId,
        goes: impl Fn(HoldProof) -> bool,
    ) -> Vec<(ConnectionId, HoldProof)> {
        let holders = self.holders.get(peer_id).into_iter().flatten();
        let holders = holders.map(|(connection, proof)| (*connection, *proof));
        let released: Vec<_> = holders.filter(|(_, proof)| goes(*proof)).collect();
        for (connection, _) in &released {
            self.forget_holder(peer_id, *connection);
            self.released.insert((*connection, peer_id.clone()));
        }
        released
    }

    /// Reverts a release of holds. A connection that has closed meanwhile stays closed.
    pub(super) fn take_again(&mut self, peer_id: &PeerId, holders: Vec<(ConnectionId, HoldProof)>) {
        for (connection, proof) in holders {
            if self.released.remove(&(connection, peer_id.clone())) {
                self.holders.entry(peer_id.clone()).or_default().insert(connection, proof);
                self.held.entry(connection).or_default().insert(peer_id.clone());
            }
        }
    }

    /// True for a connection that held the peer until its tokens were revoked.
    pub(super) fn is_released(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        !self.released.is_empty() && self.released.contains(&(connection, peer_id.clone()))
    }

    /// Notes that a connection reattached to a peer without proof.
    pub(super) fn note_reattached(&mut self, peer_id: &PeerId, connection: ConnectionId) {
        self.reattached.entry(peer_id.clone()).or_default().insert(connection);
        self.reattached_peers.entry(connection).or_default().insert(peer_id.clone());
    }

    fn forget_holder(&mut self, peer_id: &PeerId, connection: ConnectionId) {
        self.drop_holder(peer_id, connection);
        if let Some(held) = self.held.get_mut(&connection) {
            held.remove(peer_id);
            if held.is_empty() {
                self.held.remove(&connection);
            }
        }
    }

    fn drop_holder(&mut self, peer_id: &PeerId, connection: ConnectionId) {
        if let Some(holders) = self.holders.get_mut(peer_id) {
            holders.remove(&connection);
            if holders.is_empty() {
                self.holders.remove(peer_id);
            }
        }
    }

    /// True for a connection that is older than the superseding one of the peer.
    pub(super) fn is_superseded(&self, peer_id: &PeerId, connection: ConnectionId) -> bool {
        self.taken_alone.get(peer_id).is_some_and(|latest| connection < *latest)
    }

    /// Ends all holds of a connection. Returns the peers that it held.
    pub(super) fn release(&mut self, connection: ConnectionId) -> BTreeSet<PeerId> {
        self.released.retain(|(released, _)| *released != connection);
        for peer_id in self.reattached_peers.remove(&connection).unwrap_or_default() {
            if let Some(reattached) = self.reattached.get_mut(&peer_id) {
                reattached.remove(&connection);
                if reattached.is_empty() {
                    self.reattached.remove(&peer_id);
                }
            }
        }
        let held = self.held.remove(&connection).unwrap_or_default();
        for peer_id in &held {
            self.drop_holder(peer_id, connection);
        }
        held
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    pub(super) fn all_of(&self, peer_id: &PeerId) -> Vec<TokenHash> {
        self.tokens.by_age(peer_id).into_iter().map(|token| token.record.hash).collect()
    }

    /// True if the peer has reached the upper bound of its tokens.
    pub(super) fn has_all_tokens(&self, peer_id: &PeerId) -> bool {
        self.tokens.of_peer(peer_id).count() >= TOKENS_OF_A_PEER
    }

    /// Returns the token by which an open connection holds a peer.
    pub(super) fn token_used_by(
        &self,
        peer_id: &PeerId,
        connection: ConnectionId,
    ) -> Option<&Token> {
        let proof = self.holders.get(peer_id)?.get(&connection)?;
        self.tokens.get(&proof.0?)
    }

    /// Returns the peer's oldest token that no open connection uses: of all its tokens, or of those
    /// for a claim.
    pub(super) fn oldest_of(
        &self,
        peer_id: &PeerId,
        claim: Option<ClaimHash>,
    ) -> Option<TokenHash> {
        let holders = self.holders.get(peer_id);
        let is_used = |hash| {
            holders.is_some_and(|all| all.values().any(|proof| *proof == HoldProof(Some(hash))))
        };
        let is_of_claim = |token: &&Token| claim.is_none() || token.record.claim == claim;
        let tokens = self.tokens.by_age(peer_id).into_iter().filter(is_of_claim);
        tokens.map(|token| token.record.hash).find(|hash| !is_used(*hash))
    }

    pub(super) fn first_spent(&self, grace: Duration, now: Now) -> Option<TokenHash> {
        let first = self.tokens.first_expiring().filter(|token| token.is_spent(grace, now));
        first.map(|token| token.record.hash)
    }
}
