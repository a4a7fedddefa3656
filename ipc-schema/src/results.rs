//! The `result` of every method.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::Snapshot;
use crate::lanrage;
pub use crate::lanrage::Rejected;
use crate::model::{Connection, Epoch, Party, Peer, PeerId, Relay, Signal};
use crate::params::Agent;
use crate::words::words;

macro_rules! results {
    ($($(#[$doc:meta])* $name:ident { $($body:tt)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
            pub struct $name { $($body)* }
        )*
    };
}

results! {
    /// Of a method that has nothing to tell.
    Done {}

    /// Of `hello`.
    HelloResult {
        /// The version that this connection speaks.
        pub protocol: u32,
        /// Who answers.
        pub server: Agent,
        /// The stretch of history that this daemon is in.
        pub epoch: Epoch,
        /// What the caller may do.
        pub role: Role,
        /// Optional features that the daemon has.
        pub features: Vec<String>,
        /// What the daemon puts up with.
        pub limits: Limits,
    }

    /// What the daemon puts up with. Sizes are in bytes.
    Limits {
        /// The longest line that it reads.
        pub frame_in: u64,
        /// The longest line that it writes.
        pub frame_out: u64,
        /// The longest `signal_data`.
        pub signal_bytes: u64,
        /// How many signals wait for one peer.
        pub signals_per_peer: u64,
        /// How long a signal waits, in milliseconds.
        pub signal_ttl_ms: u64,
        /// Unanswered requests of one connection.
        pub requests_in_flight: u64,
        /// Open connections.
        pub connections: u64,
        /// Open connections of one user.
        pub connections_per_uid: u64,
        /// Events that wait for one connection.
        pub queue_events: u64,
        /// Their size.
        pub queue_bytes: u64,
        /// How long a line may take to arrive once it has begun, in milliseconds.
        pub partial_frame_ms: u64,
        /// How long a reply may take, in milliseconds.
        pub request_timeout_ms: u64,
        /// Parties that one peer may be in.
        pub parties_per_peer: u64,
        /// Peers that one party may have.
        pub peers_per_party: u64,
    }

    /// Of `status.get`.
    StatusResult {
        /// The daemon's version.
        pub version: String,
        /// How long it has run.
        pub uptime_ms: u64,
        /// Where its truth lives.
        pub mode: Mode,
        /// The connection to the control server.
        pub connection: Connection,
        /// Parties known.
        pub parties: u64,
        /// Memberships known.
        pub peers: u64,
        /// Open connections, this one among them.
        pub clients: u64,
        /// Where the state is kept.
        pub store: StoreStatus,
    }

    /// The state of the store.
    StoreStatus {
        /// The database file.
        pub path: String,
        /// Changes not yet written.
        pub pending: u64,
        /// How long the last commit took, in milliseconds, rounded up; null before the first.
        pub last_commit_ms: Option<u64>,
        /// Why the last write failed; null while writes succeed.
        #[serde(default)]
        pub last_error: Option<String>,
        /// What was found damaged at the start, and what became of it.
        #[serde(default)]
        pub recovery: Option<Recovery>,
    }

    /// A damaged state that was set aside at the start.
    Recovery {
        /// When.
        #[serde(with = "crate::model::millis")]
        #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
        pub at: Timestamp,
        /// What was wrong with it.
        pub reason: String,
        /// Where the damaged files are now.
        pub set_aside: Vec<String>,
        /// What took their place: the newest good backup, or what could still be read of the damaged
        /// files; null when there was neither and the state is empty.
        pub restored_from: Option<String>,
    }

    /// Holds a party.
    PartyResult {
        /// The party.
        pub party: Party,
    }

    /// Of `party.leave`.
    LeaveResult {
        /// What came of it.
        pub status: LeaveStatus,
    }

    /// Of `party.list`.
    PartyListResult {
        /// The parties, by id.
        pub parties: Vec<Party>,
        /// Where the next page starts; absent on the last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
    }

    /// Of `party.discover`.
    PartyDiscoverResult {
        /// What is announced on the local network, by id.
        pub parties: Vec<DiscoveredParty>,
    }

    /// An announced party.
    DiscoveredParty {
        /// The announcement.
        #[serde(flatten)]
        pub party: lanrage::AnnouncedParty,
        /// Where it was seen.
        pub source: DiscoverySource,
    }

    /// Holds a peer.
    PeerResult {
        /// The peer.
        pub peer: Peer,
    }

    /// Of `peer.list`.
    PeerListResult {
        /// The peers, by id.
        pub peers: BTreeMap<PeerId, Peer>,
    }

    /// Of `peer.heartbeat`.
    HeartbeatResult {
        /// How long the peer may be silent from now, in milliseconds.
        pub expires_in_ms: u64,
    }

    /// Of `signal.send`.
    SignalSendResult {
        /// Always true: the signal waits for its target.
        pub queued: bool,
    }

    /// Of `signal.poll`.
    SignalPollResult {
        /// What waited, oldest first; it waits no longer.
        pub signals: Vec<Signal>,
    }

    /// Of `relay.register`.
    RelayResult {
        /// The relay.
        pub relay: Relay,
    }

    /// Of `peer.release`.
    PeerReleaseResult {
        /// Tokens that ended.
        pub tokens: u64,
        /// Memberships that ended.
        pub parties: u64,
        /// Connections that spoke for the peer, and ended.
        pub connections: u64,
    }

    /// Of `relay.list`.
    RelayListResult {
        /// The relays, by region, then id.
        pub relays: Vec<Relay>,
    }

    /// Of `events.subscribe`.
    SubscribeResult {
        /// Names the subscription on this connection.
        pub subscription: String,
        /// The number before that of the first event.
        pub seq: u64,
        /// What the events start from; absent when it was not asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub snapshot: Option<Snapshot>,
    }

    /// Of `state.export`.
    StateExportResult {
        /// A LANrage `control_state.json` document.
        pub state: lanrage::State,
    }

    /// Of `state.import`.
    StateImportResult {
        /// Parties that came in.
        pub parties: u64,
        /// Their members.
        pub peers: u64,
        /// Parties that were here already and stayed as they were.
        pub skipped: u64,
        /// Parties that went first.
        pub removed: u64,
        /// What could not come in.
        pub rejected: Vec<Rejected>,
    }

    /// Of `state.backup`.
    StateBackupResult {
        /// Where the copy is.
        pub path: String,
        /// Its size.
        pub bytes: u64,
    }
}

words! {
    /// What a caller may do. Each role may do what those before it may.
    #[derive(PartialOrd, Ord)]
    Role {
        /// Ask how the daemon is.
        Observer = "observer",
        /// Live in parties.
        Operator = "operator",
        /// Act for every peer, and move the state as a whole.
        Admin = "admin";
        /// Something that this version does not know; it is beyond all others.
        Unknown
    }

    /// Where a daemon's truth lives.
    Mode {
        /// In the daemon.
        Local = "local",
        /// On a control server.
        Remote = "remote";
        /// Somewhere that this version does not know.
        Unknown
    }

    /// What came of leaving.
    LeaveStatus {
        /// The peer is out; the party goes on.
        Left = "left",
        /// The host left, and the party with it.
        PartyDeleted = "party_deleted";
        /// Something that this version does not know.
        Unknown
    }

    /// Where an announcement was seen.
    DiscoverySource {
        /// In the discovery file.
        File = "file";
        /// Somewhere that this version does not know.
        Unknown
    }
}

/// The OpenRPC document that describes the whole protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OpenRpcDocument(pub Box<RawValue>);

impl PartialEq for OpenRpcDocument {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for OpenRpcDocument {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OpenRpcDocument".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "required": ["openrpc", "info", "methods"]})
    }
}
