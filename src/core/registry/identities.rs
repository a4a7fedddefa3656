//! Rules of identities: ownership of peer ids, and claims.

use std::time::Duration;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Keepalive, PartyId, PeerId, UtcOffset};

use super::changes::{Effect, Ended, HoldProof};
use super::tokens::{Token, signed};
use super::transaction::Transaction;
use super::{Keeper, Member, Party, Registry};
use crate::core::command::{
    Command, Hold, Identity, Now, Outcome, Principal, ProvenPeer, Refusal, Revoked,
};
use crate::core::outcome::Claimed;
use crate::core::record::{ClaimHash, MemberRecord, Owner, TokenHash, TokenRecord};

impl Registry {
    /// Returns the peer that a token proves, and notes that the token was shown.
    ///
    /// # Errors
    /// [`Refusal::BadToken`].
    pub(crate) fn authenticate(
        &mut self,
        hash: &TokenHash,
        now: Now,
    ) -> Result<ProvenPeer, Refusal> {
        let token = self.identities.show(hash, now).ok_or(Refusal::BadToken)?;
        // Whether the token is shown in its last time decides about its renewal.
        let holds_until = token.ends.saturating_sub(self.rules.peer_timeout);
        Ok(ProvenPeer { peer_id: token.record.peer_id.clone(), holds_until })
    }

    /// Returns the wall clock offset of a peer's program, if a membership has it.
    pub(crate) fn utc_offset_of(&self, peer_id: &PeerId, now: Now) -> Option<UtcOffset> {
        let memberships = self.parties.of_peer(peer_id);
        let known = memberships.filter_map(|(party, member)| {
            Some((&party.record.party_id, member.record.utc_offset?))
        });
        let noted = known.min_by_key(|(party_id, _)| *party_id).map(|(_, offset)| offset);
        self.offset_at(noted, now)
    }

    /// As [`Registry::authenticate`], for a token that is shown to claim its peer id: it may have
    /// expired recently.
    ///
    /// # Errors
    /// [`Refusal::BadToken`].
    pub(crate) fn authenticate_claim(
        &mut self,
        hash: &TokenHash,
        now: Now,
    ) -> Result<Identity, Refusal> {
        self.identities.show(hash, now);
        let grace = self.rules.peer_timeout;
        let token = self.identities.renewable(hash, grace, now).ok_or(Refusal::BadToken)?;
        Ok(self.identity(&token.record.peer_id, Some(token.ends), now))
    }

    fn identity(&self, peer_id: &PeerId, ends: Option<Duration>, now: Now) -> Identity {
        let mut parties: Vec<_> =
            self.parties.of_peer(peer_id).map(|(party, _)| party.record.party_id.clone()).collect();
        parties.sort_unstable();
        let utc_offset = self.utc_offset_of(peer_id, now);
        let expires_at = ends.map(|ends| now.wall_at(ends));
        Identity { peer_id: peer_id.clone(), expires_at, utc_offset, parties }
    }

    /// Number of tokens, recently expired ones included.
    pub(crate) fn token_count(&self) -> usize {
        self.identities.len()
    }

    /// True while a peer is in a party.
    pub(crate) fn is_in_a_party(&self, peer_id: &PeerId) -> bool {
        self.parties.of_peer(peer_id).next().is_some()
    }

    /// Returns the parties of a peer, by id.
    fn parties_of(&self, peer_id: &PeerId) -> Vec<PartyId> {
        let parties = self.parties.of_peer(peer_id).map(|(party, _)| &party.record.party_id);
        let mut parties: Vec<_> = parties.cloned().collect();
        parties.sort_unstable();
        parties
    }

    /// Returns the owner of a peer id. A membership, a live token, a relay or a holding connection
    /// gives it an owner.
    pub(super) fn owner_of(&self, peer_id: &PeerId, now: Now) -> Option<Owner> {
        // A peer has one owner in all its parties.
        if let Some((_, member)) = self.parties.of_peer(peer_id).next() {
            return Some(member.record.owner.clone());
        }
        if let Some(owner) = self.outbox.owner_of(peer_id) {
            return Some(Owner::User(owner));
        }
        let claimed = self.identities.holders.contains_key(peer_id)
            || self.identities.has_live_token(peer_id, now)
            // Otherwise a new owner of the id could change the relay.
            || self.relay_owners.contains_key(peer_id);
        claimed.then(|| Owner::Peer(peer_id.clone()))
    }
}

/// Effect of a claim on the peer's tokens.
enum Plan {
    Nothing,
    /// Issues another token, and may displace an existing one.
    Issue {
        displaced: Option<TokenHash>,
    },
    /// Extends this token to the life of a fresh one.
    Renew(Token),
}

impl Transaction<'_> {
    /// Checks that the caller may act for the peer of a command.
    pub(super) fn authorize(&self, command: &Command) -> Result<(), Refusal> {
        match (command, command.acts_for()) {
            (Command::Release { peer_id }, _) if !self.is_admin() => {
                Err(Refusal::PeerNotYours(peer_id.clone()))
            }
            (Command::Heartbeat { .. } | Command::Reattach { .. }, Some(peer_id)) => {
                self.may_keep_alive(peer_id, command.party_id())
            }
            (_, Some(peer_id)) => self.may_act_for(peer_id),
            (_, None) => Ok(()),
        }
    }

    fn is_admin(&self) -> bool {
        matches!(self.caller.principal, Principal::User { admin: true, .. })
    }

    /// Checks that the caller may act for a peer. No other place decides this.
    pub(super) fn may_act_for(&self, peer_id: &PeerId) -> Result<(), Refusal> {
        let may = match &self.caller.principal {
            Principal::User { admin: true, .. } => true,
            Principal::User { user, .. } => match self.registry.owner_of(peer_id, self.now) {
                Some(owner) => owner == Owner::User(*user),
                None => true,
            },
            Principal::Peers(own) => {
                let (identities, connection) = (&self.registry.identities, self.caller.connection);
                own.contains(peer_id)
                    && !self.is_caller_superseded(peer_id)
                    && !identities.is_released(peer_id, connection)
            }
            Principal::RelayKey => false,
        };
        if may { Ok(()) } else { Err(Refusal::PeerNotYours(peer_id.clone())) }
    }

    /// True if the caller's connection is superseded by a newer one of the peer. HTTP requests have
    /// no connection.
    fn is_caller_superseded(&self, peer_id: &PeerId) -> bool {
        let (identities, connection) = (&self.registry.identities, self.caller.connection);
        identities.is_held_by(peer_id, connection) && identities.is_superseded(peer_id, connection)
    }

    /// Checks that the caller may refresh a peer's `last_seen`. This is harmless, so a caller
    /// without proof may do it where no proof exists: for a peer without a token and without an
    /// open connection, from the address from which the peer entered. A reconnecting LANrage client
    /// is such a caller.
    fn may_keep_alive(&self, peer_id: &PeerId, party_id: Option<&PartyId>) -> Result<(), Refusal> {
        match &self.caller.principal {
            Principal::Peers(own)
                if own.is_empty()
                    && self.is_unprovable(peer_id)
                    && self.is_home(peer_id, party_id) =>
            {
                Ok(())
            }
            _ => self.may_act_for(peer_id),
        }
    }

    /// True for a peer without another owner for which no proof exists.
    fn is_unprovable(&self, peer_id: &PeerId) -> bool {
        let identities = &self.registry.identities;
        !identities.holders.contains_key(peer_id)
            && !identities.has_live_token(peer_id, self.now)
            && self.registry.owner_of(peer_id, self.now) == Some(Owner::Peer(peer_id.clone()))
    }

    /// True at the address from which the peer entered the party, or any of its parties. An unknown
    /// address does not match. A peer without parties matches: there is nothing to refresh.
    fn is_home(&self, peer_id: &PeerId, party_id: Option<&PartyId>) -> bool {
        let memberships = self.registry.parties.of_peer(peer_id);
        let is_meant =
            |party: &Party| party_id.is_none_or(|party_id| *party_id == party.record.party_id);
        let members = memberships.filter(|(party, _)| is_meant(party)).map(|(_, member)| member);
        let mut members = members.map(|member| self.entered_here(&member.record)).peekable();
        members.peek().is_none() || members.any(|is_here| is_here)
    }

    fn entered_here(&self, member: &MemberRecord) -> bool {
        member.address.is_some() && member.address == self.caller.address
    }

    pub(super) fn claim(
        &mut self,
        peer_id: PeerId,
        proof: Option<TokenHash>,
        issue: Option<TokenHash>,
        hold: Hold,
        claim: Option<ClaimHash>,
    ) -> Result<Outcome, Refusal> {
        let connection = self.caller.connection;
        let (grace, now) = (self.registry.rules.peer_timeout, self.now);
        let identities = &self.registry.identities;
        if hold != Hold::No && identities.is_superseded(&peer_id, connection) {
            return Err(Refusal::PeerTaken(peer_id));
        }
        let shown = proof.and_then(|hash| identities.renewable(&hash, grace, now));
        let shown = shown.filter(|token| token.record.peer_id == peer_id).cloned();
        let is_live = shown.as_ref().is_some_and(|token| token.is_live(now));
        let repeats = claim.is_some_and(|claim| identities.was_claimed(&peer_id, &claim, now));
        let proven = shown.is_some() || repeats || identities.is_held_by(&peer_id, connection);
        if !proven && self.registry.owner_of(&peer_id, now).is_some() {
            return Err(Refusal::PeerTaken(peer_id));
        }
        // An expired token is good for one claim. A token of a former owner is good for none.
        let spent = match (&shown, proven) {
            (Some(token), _) if !is_live => vec![token.record.hash],
            (None, false) => identities.all_of(&peer_id),
            _ => Vec::new(),
        };
        let live = shown.as_ref().filter(|_| is_live);
        let plan = match issue {
            None => Plan::Nothing,
            // A claim that frees a token's place needs no other room.
            Some(_) if !spent.is_empty() => Plan::Issue { displaced: None },
            Some(_) => self.plan_token(&peer_id, live, claim.filter(|_| repeats))?,
        };
        spent.iter().for_each(|hash| self.delete_token(hash));
        if !proven {
            self.forget_receipts(&peer_id);
        }
        let issue = issue.filter(|_| matches!(plan, Plan::Issue { .. }));
        let issued = match plan {
            Plan::Nothing => None,
            Plan::Issue { displaced } => {
                displaced.iter().for_each(|hash| self.delete_token(hash));
                issue.map(|hash| self.issue(hash, &peer_id, claim))
            }
            Plan::Renew(token) => Some(self.renew(token)),
        };
        if hold != Hold::No {
            let identities = &mut self.registry.identities;
            let proof = HoldProof(issue.or(shown.as_ref().map(|token| token.record.hash)));
            self.effect = identities.hold(&peer_id, connection, proof, hold == Hold::Alone);
            self.registry.index_claims(&peer_id);
            self.become_keeper(&peer_id, |_| true);
        }
        // The owner is back: callers without proof may not see its parties any more.
        self.end_reattached(&peer_id);
        let shown = shown.filter(|_| is_live).map(|token| token.ends);
        let identity = self.registry.identity(&peer_id, issued.or(shown), now);
        Ok(Outcome::Claimed(Claimed { identity, is_issued: issue.is_some() }))
    }

    /// Decides how a peer gets a token. Without room for another one, in the peer or the table, a
    /// renewal extends the token itself. This displaces no other token of the peer. `repeated` is
    /// the secret of a repeated claim.
    fn plan_token(
        &self,
        peer_id: &PeerId,
        shown: Option<&Token>,
        repeated: Option<ClaimHash>,
    ) -> Result<Plan, Refusal> {
        let identities = &self.registry.identities;
        let hash = shown.map(|token| token.record.hash);
        let full = match identities.has_all_tokens(peer_id) {
            true => None,
            false => match self.room_for_token(hash) {
                Ok(displaced) => return Ok(Plan::Issue { displaced }),
                Err(refusal) => Some(refusal),
            },
        };
        let used = identities.token_used_by(peer_id, self.caller.connection);
        let used = used.filter(|token| token.is_live(self.now) && repeated.is_none());
        if let Some(token) = shown.or(used) {
            return Ok(Plan::Renew(token.clone()));
        }
        // The answers with these tokens were lost.
        let displaced = identities.oldest_of(peer_id, repeated);
        match full.filter(|_| displaced.is_none()) {
            Some(refusal) => Err(refusal),
            None => Ok(Plan::Issue { displaced }),
        }
    }

    /// Extends a token to the life of a fresh one. Returns its expiry.
    fn renew(&mut self, token: Token) -> Duration {
        let Now { wall: issued_at, elapsed } = self.now;
        let ends = elapsed.saturating_add(self.registry.rules.token_ttl);
        let record = TokenRecord { issued_at, expires_at: self.now.wall_at(ends), ..token.record };
        self.put_token(Token { record, issued: signed(elapsed), ends, shown: token.shown });
        ends
    }

    /// Issues a token. Returns its expiry.
    fn issue(&mut self, hash: TokenHash, peer_id: &PeerId, claim: Option<ClaimHash>) -> Duration {
        let Now { wall: issued_at, elapsed } = self.now;
        let ends = elapsed.saturating_add(self.registry.rules.token_ttl);
        let expires_at = self.now.wall_at(ends);
        let (peer_id, address) = (peer_id.clone(), self.caller.address);
        let record = TokenRecord { hash, peer_id, issued_at, expires_at, address, claim };
        self.put_token(Token { record, issued: signed(elapsed), ends, shown: None });
        ends
    }

    /// Reattaches a caller without proof. It holds nothing, and takes nothing over from an open
    /// connection.
    pub(super) fn reattach(&mut self, peer_id: &PeerId) -> Outcome {
        let address = self.caller.address;
        self.become_keeper(peer_id, |before| {
            before.keeper == Keeper::Nothing && before.record.address == address
        });
        let mut identity = self.registry.identity(peer_id, None, self.now);
        identity.parties.retain(|party_id| {
            let member = self.member(party_id, peer_id);
            member.is_ok_and(|member| {
                member.record.keepalive == Keepalive::Connection
                    && self.entered_here(&member.record)
            })
        });
        self.note_reattached(peer_id);
        Outcome::Reattached(identity)
    }

    /// Makes the caller's connection the keeper of the peer's memberships with that keepalive,
    /// where `may_take` allows it.
    fn become_keeper(&mut self, peer_id: &PeerId, may_take: impl Fn(&Member) -> bool) {
        let keeper = self.keeper(Keepalive::Connection);
        for party_id in self.registry.parties_of(peer_id) {
            let Ok(member) = self.member(&party_id, peer_id) else { continue };
            let silent = member.keeper == Keeper::Nothing;
            let takes = member.keeper != keeper && may_take(member);
            if member.record.keepalive == Keepalive::Connection && takes {
                let record = MemberRecord { last_seen: self.now.wall, ..member.record.clone() };
                self.put_member(&party_id, record, keeper);
                if silent {
                    self.publish_member(&party_id, peer_id, None);
                }
            }
        }
    }

    /// Notes that the caller's connection receives the events of a peer without proof.
    pub(super) fn note_reattached(&mut self, peer_id: &PeerId) {
        let connection = self.caller.connection;
        if matches!(&self.caller.principal, Principal::Peers(own) if own.is_empty()) {
            self.registry.identities.note_reattached(peer_id, connection);
        }
    }

    /// Ends the reattached connections of a peer, except the caller's own.
    fn end_reattached(&mut self, peer_id: &PeerId) {
        let reattached = self.registry.identities.reattached.get(peer_id).into_iter().flatten();
        let others = reattached.filter(|connection| **connection != self.caller.connection);
        let ended = others.map(|connection| Ended::Connection {
            peer_id: peer_id.clone(),
            connection: *connection,
        });
        self.ended.extend(ended);
    }

    /// Revokes the tokens of a peer except `keep`. Ends the connections that hold the peer by
    /// another token or none.
    pub(super) fn revoke(&mut self, peer_id: &PeerId, keep: Option<TokenHash>) -> Revoked {
        let goes = |proof: HoldProof| proof.0.is_none() || proof.0 != keep;
        let holders = self.registry.identities.release_holders(peer_id, goes);
        self.ended.extend(holders.iter().map(|(connection, _)| Ended::Connection {
            peer_id: peer_id.clone(),
            connection: *connection,
        }));
        self.end_reattached(peer_id);
        let connections = holders.len();
        self.effect = Some(Effect::Released { peer_id: peer_id.clone(), holders });
        let tokens = self.registry.identities.all_of(peer_id).into_iter();
        let tokens: Vec<_> = tokens.filter(|hash| Some(*hash) != keep).collect();
        tokens.iter().for_each(|hash| self.delete_token(hash));
        self.registry.index_claims(peer_id);
        Revoked { tokens: tokens.len(), parties: 0, connections }
    }

    /// Ends all ownership of a peer id: its tokens, holds, memberships, relays and receipts.
    pub(super) fn release(&mut self, peer_id: &PeerId) -> Revoked {
        use RemovalReason::{HostLeft, Removed};
        let revoked = self.revoke(peer_id, None);
        let parties = self.registry.parties_of(peer_id);
        for party_id in &parties {
            if self.party(party_id).is_ok_and(|party| party.record.host_id == *peer_id) {
                self.remove_party(party_id, Removed, HostLeft, HostLeft);
            } else {
                self.remove_member(party_id, peer_id, Removed);
                self.drop_if_deserted(party_id);
            }
        }
        let owner = Owner::Peer(peer_id.clone());
        let relays = self.registry.relays.values().filter(|relay| relay.record.owner == owner);
        let relays: Vec<_> = relays.map(|relay| relay.record.relay.relay_id.clone()).collect();
        for relay_id in relays {
            self.delete_relay(&relay_id);
            self.events.push(Event::RelayRemoved { relay_id });
        }
        self.forget_receipts(peer_id);
        Revoked { parties: parties.len(), ..revoked }
    }

    pub(super) fn expire_tokens(&mut self) {
        let grace = self.registry.rules.peer_timeout;
        while let Some(hash) = self.registry.identities.first_spent(grace, self.now) {
            self.delete_token(&hash);
        }
    }
}
