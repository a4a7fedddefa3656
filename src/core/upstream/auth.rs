//! Proofs of local peers: the peers that are greeted on this connection, and their tokens.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::{Epoch, PeerId};

use super::greeting::{Beginning, Greeted, Greeting};
use super::message::PeerToken;
use super::output::{Then, Timer, TransportKind};
use super::requests::RequestError;
use super::session::Session;
use super::times::Times;
use crate::core::{Command, CredentialRecord, Proof, Upstream, User};

/// Wait before the greeting after the first refusal, and its upper bound.
const FIRST_REGREETING: Duration = Duration::from_secs(1);
const LONGEST_REGREETING: Duration = Duration::from_secs(60);

/// Time for which a credential may be valid after its renewal was due, or its claim was made. By
/// default a server's token lasts a day; without the credential the id is locked until then.
pub(super) const GOOD_FOR: SignedDuration = SignedDuration::from_hours(24);

/// Assumed remaining life of a token that seems to be expired on arrival.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(2);

/// Life of a token where the server does not state it.
const UNKNOWN_TTL: SignedDuration = SignedDuration::from_hours(12);

/// Local peers and their proofs on this connection.
#[derive(Debug, Default)]
pub(super) struct Auth {
    /// Peers that the server accepts on this connection.
    pub(super) greeted: HashSet<PeerId>,
    /// Owners of the peers that are greeted, or are being greeted.
    owners: HashMap<PeerId, User>,
    /// Peers that were greeted as idle: nothing keeps them alive.
    pub(super) idle: HashSet<PeerId>,
    /// Number of refused greetings in a row.
    pub(super) refused: HashMap<PeerId, u32>,
    /// Greetings in flight, each with the queue behind it. Two greetings of a peer at once would
    /// get each other's answers.
    pub(super) greetings: HashMap<PeerId, VecDeque<Greeting>>,
    /// The first greetings, until all are answered.
    pub(super) beginning: Option<Beginning>,
    /// Due times of renewals, by elapsed time: the wall clock may be set.
    pub(super) renewals: HashMap<PeerId, Duration>,
    /// Earliest renewals of tokens whose renewal was refused.
    pub(super) put_off: HashMap<PeerId, Duration>,
    /// True while a renewal is in flight.
    pub(super) is_renewing: bool,
    /// True once the server has stated its epoch.
    is_welcome: bool,
    /// Epoch of the server on the previous connection.
    pub(super) epoch_before: Option<Epoch>,
    /// End of the time in which the host may bring back a party that the server lost.
    pub(super) forgiving_until: Duration,
    /// True while this daemon revokes tokens that the connection uses. The server then closes the
    /// connection.
    pub(super) revokes: bool,
}

impl Auth {
    pub(super) fn has_greeted(&self) -> bool {
        !self.greeted.is_empty()
    }

    pub(super) fn is_greeted(&self, peer_id: &PeerId) -> bool {
        self.greeted.contains(peer_id)
    }

    pub(super) fn greeted(&self) -> impl Iterator<Item = &PeerId> {
        self.greeted.iter()
    }

    /// True for a local peer that is greeted on this connection, or is being greeted.
    pub(super) fn is_ours(&self, peer_id: &PeerId) -> bool {
        self.owners.contains_key(peer_id)
    }

    /// Returns the purpose of the greeting of a peer that is in flight.
    pub(super) fn current(&self, peer_id: &PeerId) -> Option<&Greeted> {
        self.greetings.get(peer_id)?.front().map(|greeting| &greeting.then)
    }

    /// Returns the wait before the next greeting of a peer whose id another owner has. Each wait is
    /// twice the one before. `None` if the peer's last greeting was not refused.
    pub(super) fn greets_again_in(&self, peer_id: &PeerId) -> Option<Duration> {
        let refused = self.refused.get(peer_id).copied()?;
        Some((FIRST_REGREETING * (1 << (refused.clamp(1, 8) - 1))).min(LONGEST_REGREETING))
    }

    /// Returns the proof of a peer, and the user for whom its token is kept: its owner, else the
    /// caller.
    ///
    /// # Errors
    /// An error if the peer has no owner and the caller is no local user.
    pub(super) fn proof(
        &mut self,
        peer_id: &PeerId,
        caller: Option<User>,
        upstream: &Upstream,
    ) -> Result<(Option<Proof>, User), RequestError> {
        let known = upstream.credentials.iter().find(|known| known.peer_id == *peer_id);
        let member = upstream.memberships.iter().find(|member| member.peer_id == *peer_id);
        // An administrator may act for a peer, and does not become its owner.
        let owner = known.map(|known| known.owner).or(member.map(|member| member.owner));
        let Some(owner) = owner.or(caller) else {
            let message = format!("peer {peer_id} is no user's of this machine");
            return Err(RequestError::Refused { code: ErrorCode::PermissionDenied, message });
        };
        self.owners.insert(peer_id.clone(), owner);
        Ok((known.map(|known| known.proof.clone()), owner))
    }
}

impl Session {
    pub(super) fn forget(&mut self, peer_id: &PeerId) {
        let forget = Command::ForgetCredential(self.settings.server.clone(), peer_id.clone());
        self.apply(forget, Then::Forgotten);
    }

    /// Takes in the server's epoch. In another epoch the server has lost its history. Parties that
    /// it does not know have not ended then: their hosts may still return.
    pub(super) fn note_epoch(&mut self, epoch: Epoch) {
        // Over HTTP the epoch is known only for each party.
        let is_known = std::mem::replace(&mut self.auth.is_welcome, true);
        if self.settings.transport == TransportKind::Http || is_known {
            return;
        }
        if self.auth.epoch_before.as_ref() == Some(&epoch) {
            return;
        }
        if self.auth.epoch_before.is_some() {
            log::warn!("the control server has lost its history: all parties are sent again");
        }
        self.auth.forgiving_until = self.now.elapsed + self.settings.forgiveness;
        let note = Command::NoteEpoch(self.settings.server.clone(), epoch);
        self.take_in_by(note, Then::EpochNoted);
    }

    /// Keeps a token that the server issued for a peer.
    pub(super) fn store_token(&mut self, PeerToken { peer_id, token, expires_at }: PeerToken) {
        if let Some(credential) = self.credential(&peer_id, token, expires_at) {
            self.take_in_by(Command::StoreCredential(credential), Then::TokenStored);
        }
    }

    /// Returns the record of a token that the server issued for a peer, and notes its renewal time.
    pub(super) fn credential(
        &mut self,
        peer_id: &PeerId,
        token: Secret,
        expires_at: Option<Timestamp>,
    ) -> Option<CredentialRecord> {
        if token.expose().len() > Secret::LONGEST_TOKEN {
            self.warn(format_args!("a token of the control server is too long: peer={peer_id}"));
            return None;
        }
        let Times { now, ahead } = self.times();
        let ahead = SignedDuration::from_secs(ahead);
        let left = expires_at.map_or(UNKNOWN_TTL, |at| at.duration_since(now) - ahead);
        // A token that seems expired on arrival only shows that the clocks differ. The server's
        // clock may also have been set forward.
        let left = if left.is_positive() { left.min(GOOD_FOR) } else { CLOCKS_DIFFER };
        // The server issues a fresh token once half of its life is over.
        let wait = left * 6 / 10;
        let renew_at = now.checked_add(wait).unwrap_or(now);
        let Some(owner) = self.auth.owners.get(peer_id).copied() else {
            log::debug!("the server welcomed a peer that was not greeted: peer={peer_id}");
            return None;
        };
        let due = self.now.elapsed + wait.unsigned_abs();
        self.auth.renewals.insert(peer_id.clone(), due);
        let (server, peer_id) = (self.settings.server.clone(), peer_id.clone());
        Some(CredentialRecord { server, peer_id, proof: Proof::Token(token), renew_at, owner })
    }

    pub(super) fn token_stored(&mut self) {
        if self.is_online() && !self.auth.is_renewing {
            self.set_timer(Timer::Renewal, Duration::ZERO);
        }
    }
}
