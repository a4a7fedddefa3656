//! `result` of all methods.

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
    /// Result of a method without data.
    Done {}

    /// Result of `hello`.
    HelloResult {
        /// Protocol version of this connection.
        pub protocol: u32,
        /// Server program.
        pub server: Agent,
        /// Current epoch of the daemon.
        pub epoch: Epoch,
        /// Role of the caller.
        pub role: Role,
        /// Optional features that the daemon supports.
        pub features: Vec<String>,
        /// Limits of the daemon.
        pub limits: Limits,
    }

    /// Limits of the daemon. Sizes are in bytes.
    Limits {
        /// Longest line that the daemon reads.
        pub frame_in: u64,
        /// Longest line that the daemon writes.
        pub frame_out: u64,
        /// Longest `signal_data`.
        pub signal_bytes: u64,
        /// Maximum number of queued signals for one peer.
        pub signals_per_peer: u64,
        /// Lifetime of a queued signal, in milliseconds.
        pub signal_ttl_ms: u64,
        /// Maximum number of requests in flight on one connection.
        pub requests_in_flight: u64,
        /// Maximum number of open connections.
        pub connections: u64,
        /// Maximum number of open connections of one user.
        pub connections_per_uid: u64,
        /// Maximum number of queued events of one connection.
        pub queue_events: u64,
        /// Maximum size of the queued events of one connection.
        pub queue_bytes: u64,
        /// Longest time for a line to arrive once it has begun, in milliseconds.
        pub partial_frame_ms: u64,
        /// Longest time for a reply, in milliseconds.
        pub request_timeout_ms: u64,
        /// Maximum number of parties of one peer.
        pub parties_per_peer: u64,
        /// Maximum number of peers in one party.
        pub peers_per_party: u64,
    }

    /// Result of `status.get`.
    StatusResult {
        /// Version of the daemon.
        pub version: String,
        /// Uptime, in milliseconds.
        pub uptime_ms: u64,
        /// Mode of the daemon: local or remote.
        pub mode: Mode,
        /// Connection to the control server.
        pub connection: Connection,
        /// Number of known parties.
        pub parties: u64,
        /// Number of known memberships.
        pub peers: u64,
        /// Number of open connections, including this one.
        pub clients: u64,
        /// State of the store.
        pub store: StoreStatus,
    }

    /// State of the store.
    StoreStatus {
        /// Path of the database file.
        pub path: String,
        /// Number of changes that are not written yet.
        pub pending: u64,
        /// Duration of the last commit, in milliseconds, rounded up; null before the first.
        pub last_commit_ms: Option<u64>,
        /// Message of the last failed write; null while writes succeed.
        #[serde(default)]
        pub last_error: Option<String>,
        /// Recovery from damage that was found at startup, if any.
        #[serde(default)]
        pub recovery: Option<Recovery>,
    }

    /// Recovery from a damaged state, which was set aside at startup.
    Recovery {
        /// Time of the recovery.
        #[serde(with = "crate::model::millis")]
        #[cfg_attr(feature = "schema", schemars(with = "Timestamp"))]
        pub at: Timestamp,
        /// Reason: the damage that was found.
        pub reason: String,
        /// Present paths of the damaged files.
        pub set_aside: Vec<String>,
        /// Source of the restored state: the newest valid backup, or the readable part of the
        /// damaged files. Null if there was neither, and the state is empty.
        pub restored_from: Option<String>,
    }

    /// Result of a method that returns a party.
    PartyResult {
        /// The party.
        pub party: Party,
    }

    /// Result of `party.leave`.
    LeaveResult {
        /// Outcome for the party.
        pub status: LeaveStatus,
    }

    /// Result of `party.list`.
    PartyListResult {
        /// Parties, by id.
        pub parties: Vec<Party>,
        /// Cursor of the next page; absent on the last page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub next_cursor: Option<String>,
    }

    /// Result of `party.discover`.
    PartyDiscoverResult {
        /// Parties that are announced on the local network, by id.
        pub parties: Vec<DiscoveredParty>,
    }

    /// Announced party.
    DiscoveredParty {
        /// The announcement.
        #[serde(flatten)]
        pub party: lanrage::AnnouncedParty,
        /// Source of the announcement.
        pub source: DiscoverySource,
    }

    /// Result of a method that returns a peer.
    PeerResult {
        /// The peer.
        pub peer: Peer,
    }

    /// Result of `peer.list`.
    PeerListResult {
        /// Peers, by id.
        pub peers: BTreeMap<PeerId, Peer>,
    }

    /// Result of `peer.heartbeat`.
    HeartbeatResult {
        /// Time until the peer expires without another sign of life, in milliseconds.
        pub expires_in_ms: u64,
    }

    /// Result of `signal.send`.
    SignalSendResult {
        /// Always true: the signal is queued for its receiver.
        pub queued: bool,
    }

    /// Result of `signal.poll`.
    SignalPollResult {
        /// Queued signals, oldest first; they are removed from the queue.
        pub signals: Vec<Signal>,
    }

    /// Result of `relay.register`.
    RelayResult {
        /// The relay.
        pub relay: Relay,
    }

    /// Result of `peer.release`.
    PeerReleaseResult {
        /// Number of revoked tokens.
        pub tokens: u64,
        /// Number of ended memberships.
        pub parties: u64,
        /// Number of closed connections that acted for the peer.
        pub connections: u64,
    }

    /// Result of `relay.list`.
    RelayListResult {
        /// Relays, by region, then id.
        pub relays: Vec<Relay>,
    }

    /// Result of `events.subscribe`.
    SubscribeResult {
        /// Id of the subscription on this connection.
        pub subscription: String,
        /// Number before that of the first event.
        pub seq: u64,
        /// State at the start of the events; absent if it was not requested.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub snapshot: Option<Snapshot>,
    }

    /// Result of `state.export`.
    StateExportResult {
        /// LANrage `control_state.json` document.
        pub state: lanrage::State,
    }

    /// Result of `state.import`.
    StateImportResult {
        /// Number of imported parties.
        pub parties: u64,
        /// Number of members of the imported parties.
        pub peers: u64,
        /// Number of parties that existed already and were not changed.
        pub skipped: u64,
        /// Number of parties that were removed before the import.
        pub removed: u64,
        /// Records that were rejected.
        pub rejected: Vec<Rejected>,
    }

    /// Result of `state.backup`.
    StateBackupResult {
        /// Path of the backup.
        pub path: String,
        /// Size of the backup, in bytes.
        pub bytes: u64,
    }
}

words! {
    /// Rights of a caller. Each role includes the rights of those before it.
    #[derive(PartialOrd, Ord)]
    Role {
        /// May query the state of the daemon.
        Observer = "observer",
        /// May register, join and leave parties.
        Operator = "operator",
        /// May act for every peer, and export or import the whole state.
        Admin = "admin";
        /// A role that this version does not know; it ranks above all others.
        Unknown
    }

    /// Place of a daemon's authoritative state.
    Mode {
        /// The daemon.
        Local = "local",
        /// The control server.
        Remote = "remote";
        /// A value that this version does not know.
        Unknown
    }

    /// Outcome of leaving a party.
    LeaveStatus {
        /// The peer left; the party continues.
        Left = "left",
        /// The host left, so the party ended.
        PartyDeleted = "party_deleted";
        /// A value that this version does not know.
        Unknown
    }

    /// Source of an announcement.
    DiscoverySource {
        /// The discovery file.
        File = "file";
        /// A value that this version does not know.
        Unknown
    }
}

/// OpenRPC document that describes the whole protocol.
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
