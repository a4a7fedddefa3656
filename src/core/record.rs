//! The records of the registry that are stored.

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::Timestamp;
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::{
    Epoch, Keepalive, Name, Origin, PartyId, PeerId, PeerInput, PublicKey, Relay, RelayId,
    UtcOffset,
};
use serde::{Deserialize, Serialize};

use super::address::AddressKey;
use super::request::Request;

/// A user of this machine, by uid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct User(pub(crate) u32);

/// Owner of a peer or relay: only the owner may act for it or change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The user of this machine who registered it.
    User(User),
    /// Any caller that proves to be this peer.
    Peer(PeerId),
    /// Any caller with the relay key.
    RelayKey,
    /// An owner on another machine. Only the control server changes the peer.
    Elsewhere,
}

/// SHA-256 of a token's text. Only the peer has the token itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

/// SHA-256 of a claim secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimHash(pub(crate) [u8; 32]);

/// A token: proof of a peer's identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRecord {
    /// Hash of its text.
    pub(crate) hash: TokenHash,
    /// Peer that it proves.
    pub(crate) peer_id: PeerId,
    /// Time of issue.
    pub(crate) issued_at: Timestamp,
    /// Expiry.
    pub(crate) expires_at: Timestamp,
    /// Address that requested it.
    pub(crate) address: Option<AddressKey>,
    /// Claim for which it was issued. While the token is live, the claim secret proves the peer,
    /// too.
    pub(crate) claim: Option<ClaimHash>,
}

/// Idempotency key of a request, chosen by the client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestKey(pub(crate) Arc<str>);

impl std::borrow::Borrow<str> for RequestKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Result of a request, returned again when the request is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// Epoch in which `seq` counts.
    pub(crate) epoch: Epoch,
    /// Number of the party's change, or of the last change before the request.
    pub(crate) seq: u64,
    /// Effect of the request.
    pub(crate) done: Done,
}

/// Effect of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub(crate) enum Done {
    /// The peer is a member.
    Entered {
        /// Party of the member.
        party_id: PartyId,
        /// Virtual address of the member.
        virtual_ip: Ipv4Addr,
    },
    /// The peer is not a member any more.
    Left {
        /// True if the party ended with the leave.
        party_deleted: bool,
    },
    /// The peer's description has changed.
    Updated,
    /// A signal is queued.
    Queued,
}

/// A receipt with its peer and idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiptRecord {
    /// Peer that made the request.
    pub(crate) peer_id: PeerId,
    /// Idempotency key of the request.
    pub(crate) key: RequestKey,
    /// Time of execution.
    pub(crate) at: Timestamp,
    /// Request of the receipt. `None` in receipts of earlier versions, which compared requests only
    /// by kind and party.
    pub(crate) request: Option<Request>,
    /// Result of the request.
    pub(crate) receipt: Receipt,
}

/// A party without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartyRecord {
    /// Its id.
    pub(crate) party_id: PartyId,
    /// Its name.
    pub(crate) name: Name,
    /// The member whose leave ends the party.
    pub(crate) host_id: PeerId,
    /// Time of the registration.
    pub(crate) created_at: Timestamp,
    /// Number of changes in this epoch.
    pub(crate) seq: u64,
    /// Origin; a party of a control server is a copy here.
    pub(crate) origin: Origin,
    /// Address that registered it.
    pub(crate) address: Option<AddressKey>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    /// The peer's description of itself.
    pub(crate) info: PeerInput,
    /// Virtual address.
    pub(crate) virtual_ip: Ipv4Addr,
    /// Owner of the peer.
    pub(crate) owner: Owner,
    /// Keepalive that was agreed: it refreshes `last_seen`.
    pub(crate) keepalive: Keepalive,
    /// Wall clock offset of its program, if known.
    pub(crate) utc_offset: Option<UtcOffset>,
    /// Time of the last sign of life. Written behind, as [`Seen`].
    pub(crate) last_seen: Timestamp,
    /// Address from which the peer entered the party, the last time that it did.
    pub(crate) address: Option<AddressKey>,
}

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayRecord {
    /// Public description of the relay.
    pub(crate) relay: Relay,
    /// Owner of the relay.
    pub(crate) owner: Owner,
}

/// A local change that the control server does not know yet. There is one for each peer of a party:
/// a later change replaces an earlier one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntentRecord {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The local peer.
    pub(crate) peer_id: PeerId,
    /// Kind of the change.
    pub(crate) kind: OpKind,
    /// Idempotency key of the request, the same for each repetition.
    pub(crate) key: RequestKey,
    /// Time of the change.
    pub(crate) at: Timestamp,
    /// User that owns the peer, for whose share it counts; `None` in rows of earlier versions.
    pub(crate) owner: Option<User>,
}

/// Kind of a change of a membership to send to a control server. The peer's description is in its
/// membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OpKind {
    /// It registered the party, as its host.
    Register,
    /// It joined.
    Join,
    /// It changed its description.
    Update,
    /// It left.
    Leave,
}

/// The public key of a member from another machine, as it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PinRecord {
    /// Party of the member.
    pub(crate) party_id: PartyId,
    /// The member, or former member.
    pub(crate) peer_id: PeerId,
    /// The first key, or the one that was accepted last.
    pub(crate) public_key: PublicKey,
    /// Another key that is in force without having been accepted.
    pub(crate) replaced_by: Option<PublicKey>,
    /// Time at which it was first seen.
    pub(crate) at: Timestamp,
}

/// Address of a control server, checked and normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerKey(pub(crate) Arc<str>);

/// Proof to a control server that a peer is local to this machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CredentialRecord {
    /// Server that accepts it.
    pub(crate) server: ServerKey,
    /// Peer that it proves.
    pub(crate) peer_id: PeerId,
    /// Secret to show.
    pub(crate) proof: Proof,
    /// Time to request another token, by this machine's clock; the token expires later.
    pub(crate) renew_at: Timestamp,
    /// User of this machine that owns the peer.
    pub(crate) owner: User,
}

/// Secret that proves a local peer to a control server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Proof {
    /// Token that the server issued.
    Token(Secret),
    /// Secret of a claim whose answer is outstanding or was lost. Only this secret repeats the
    /// claim.
    Claim(Secret),
}

/// The control server that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ChoiceRecord {
    /// Server; `None` is local mode.
    pub(crate) server: Option<ServerKey>,
    /// Configured server at the time of the choice. When the configuration changes, the configured
    /// server counts.
    pub(crate) configured: Option<ServerKey>,
    /// Epoch of the server at the last contact.
    pub(crate) epoch: Option<Epoch>,
}

/// One row to write: the unit of durable change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    /// Inserts or replaces a party. Its members come after it.
    PutParty(PartyRecord),
    /// Deletes a party that has no members left.
    DeleteParty(PartyId),
    /// Inserts or replaces a member of a party.
    PutMember(PartyId, MemberRecord),
    /// Deletes a member.
    DeleteMember(PartyId, PeerId),
    /// Inserts or replaces a relay.
    PutRelay(RelayRecord),
    /// Deletes a relay.
    DeleteRelay(RelayId),
    /// Inserts a token, or replaces it.
    PutToken(TokenRecord),
    /// Deletes a token.
    DeleteToken(TokenHash),
    /// Inserts a receipt, or replaces it.
    PutReceipt(ReceiptRecord),
    /// Deletes a receipt.
    DeleteReceipt(PeerId, RequestKey),
    /// Inserts an intent, or replaces it.
    PutIntent(IntentRecord),
    /// Deletes an intent.
    DeleteIntent(PartyId, PeerId),
    /// Inserts a pin, or replaces it.
    PutPin(PinRecord),
    /// Deletes a pin.
    DeletePin(PartyId, PeerId),
    /// Inserts a credential, or replaces it.
    PutCredential(CredentialRecord),
    /// Deletes a credential.
    DeleteCredential(ServerKey, PeerId),
    /// Sets the followed server; there is at most one.
    PutChoice(ChoiceRecord),
    /// Deletes the followed server.
    DeleteChoice,
}

/// A sign of life to write behind, without a disk flush of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The member.
    pub(crate) peer_id: PeerId,
    /// Time of the sign of life.
    pub(crate) at: Timestamp,
}
