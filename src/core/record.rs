//! What of the registry outlives the process.

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

/// Who may act for a peer, or change a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The user of this machine who registered it.
    User(User),
    /// Whoever can show that they are this peer.
    Peer(PeerId),
    /// Whoever has the relay key.
    RelayKey,
    /// Somebody on another machine: a control server told of the peer, and it alone changes it.
    Elsewhere,
}

/// What is kept of a token: the SHA-256 of its text. The token itself is with its peer alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TokenHash(pub(crate) [u8; 32]);

/// SHA-256 of a claim secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ClaimHash(pub(crate) [u8; 32]);

/// A token: proof of being a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenRecord {
    /// What its text hashes to.
    pub(crate) hash: TokenHash,
    /// Whom it proves.
    pub(crate) peer_id: PeerId,
    /// When it was given out.
    pub(crate) issued_at: Timestamp,
    /// From when on it proves nothing.
    pub(crate) expires_at: Timestamp,
    /// The address that asked for it.
    pub(crate) address: Option<AddressKey>,
    /// Claim that it was issued for. While the token is live, the claim proves the peer, too.
    pub(crate) claim: Option<ClaimHash>,
}

/// A client's own name for a request, by which it is known when it comes again.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequestKey(pub(crate) Arc<str>);

impl std::borrow::Borrow<str> for RequestKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a request did, to be told again when it comes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receipt {
    /// The stretch of history that `seq` counts in.
    pub(crate) epoch: Epoch,
    /// The number of the change of the party, or of the last one before it.
    pub(crate) seq: u64,
    /// What was done.
    pub(crate) done: Done,
}

/// What a request can have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "done", rename_all = "snake_case")]
pub(crate) enum Done {
    /// The peer is a member.
    Entered {
        /// Of this party.
        party_id: PartyId,
        /// With this address.
        virtual_ip: Ipv4Addr,
    },
    /// The peer is no member any more.
    Left {
        /// Whether the party ended with it.
        party_deleted: bool,
    },
    /// The peer says something else of itself.
    Updated,
    /// A signal waits.
    Queued,
}

/// A receipt, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReceiptRecord {
    /// Who asked.
    pub(crate) peer_id: PeerId,
    /// What they call the request.
    pub(crate) key: RequestKey,
    /// When it was done.
    pub(crate) at: Timestamp,
    /// Request that it is for; `None` in receipts from before requests were told apart by more
    /// than their kind and party.
    pub(crate) request: Option<Request>,
    /// What it did.
    pub(crate) receipt: Receipt,
}

/// A party without its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartyRecord {
    /// Its id.
    pub(crate) party_id: PartyId,
    /// Its name.
    pub(crate) name: Name,
    /// The member whose leaving ends it.
    pub(crate) host_id: PeerId,
    /// When it was registered.
    pub(crate) created_at: Timestamp,
    /// How many changes it has seen in this epoch.
    pub(crate) seq: u64,
    /// Where it lives. One that lives on a control server is a copy here.
    pub(crate) origin: Origin,
    /// The address that registered it.
    pub(crate) address: Option<AddressKey>,
}

/// A membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberRecord {
    /// What the peer says of itself.
    pub(crate) info: PeerInput,
    /// Its address in the virtual LAN.
    pub(crate) virtual_ip: Ipv4Addr,
    /// Who may act for it.
    pub(crate) owner: Owner,
    /// Who was asked to refresh `last_seen`.
    pub(crate) keepalive: Keepalive,
    /// The wall clock of its program, where it showed.
    pub(crate) utc_offset: Option<UtcOffset>,
    /// Its last sign of life. Written behind, as [`Seen`].
    pub(crate) last_seen: Timestamp,
    /// The address from which the peer entered the party, the last time that it did.
    pub(crate) address: Option<AddressKey>,
}

/// A relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayRecord {
    /// What is told of it.
    pub(crate) relay: Relay,
    /// Who may change it.
    pub(crate) owner: Owner,
}

/// Something that was done here and that the control server does not know of yet: one for each
/// peer of a party, so that what is done later takes the place of what was done before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IntentRecord {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The peer of ours that it is about.
    pub(crate) peer_id: PeerId,
    /// What was done.
    pub(crate) kind: OpKind,
    /// What to call the request, however often it is made.
    pub(crate) key: RequestKey,
    /// When it was done.
    pub(crate) at: Timestamp,
    /// User that the peer belongs to, whose share it counts for; none in rows of before.
    pub(crate) owner: Option<User>,
}

/// What a control server is to be told of a peer and its party. What the peer says of itself is in
/// its membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum OpKind {
    /// It registered the party, as its host.
    Register,
    /// It joined.
    Join,
    /// It says something else of itself.
    Update,
    /// It left.
    Leave,
}

/// The public key of a member from another machine, as it was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PinRecord {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The member, or former member.
    pub(crate) peer_id: PeerId,
    /// The first key, or the one that was accepted last.
    pub(crate) public_key: PublicKey,
    /// Another key that is in force, though nobody accepted it.
    pub(crate) replaced_by: Option<PublicKey>,
    /// Time at which it was first seen.
    pub(crate) at: Timestamp,
}

/// The address of a control server, as it was checked and normalised.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServerKey(pub(crate) Arc<str>);

/// What proves to a control server that a peer is one of this machine's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CredentialRecord {
    /// The server that it is good for.
    pub(crate) server: ServerKey,
    /// The peer that it proves.
    pub(crate) peer_id: PeerId,
    /// What there is to show.
    pub(crate) proof: Proof,
    /// When to ask for another token, by this machine's clock; it expires later than that.
    pub(crate) renew_at: Timestamp,
    /// The user of this machine whose peer it is.
    pub(crate) owner: User,
}

/// What this machine can show for a peer of its own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Proof {
    /// The token that the server gave.
    Token(Secret),
    /// Claim secret of a claim whose answer has not come yet, or was lost: it can be repeated with
    /// this secret, and with no other.
    Claim(Secret),
}

/// The control server that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ChoiceRecord {
    /// Which; `None` is local mode.
    pub(crate) server: Option<ServerKey>,
    /// What the configuration said when it was chosen. Once that says something else, it counts.
    pub(crate) configured: Option<ServerKey>,
    /// The stretch of its history that the server was in when it was spoken to last.
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
    /// Sets the choice of a server, of which there is one at most.
    PutChoice(ChoiceRecord),
    /// Deletes it.
    DeleteChoice,
}

/// A sign of life to write behind: worth no disk flush of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The party.
    pub(crate) party_id: PartyId,
    /// The member.
    pub(crate) peer_id: PeerId,
    /// When.
    pub(crate) at: Timestamp,
}
