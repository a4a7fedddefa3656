//! Results of frames that are acknowledged.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::model::{PartyId, Relay};
use crate::results::LeaveStatus;

/// `result` of an `ack`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AckResult {
    /// Result of a frame without data.
    Empty {},
    /// Result of a registration or a join.
    Entered {
        /// Party that the peer is in.
        party_id: PartyId,
        /// Address of the peer there, where the server gives addresses.
        #[serde(skip_serializing_if = "Option::is_none")]
        virtual_ip: Option<Ipv4Addr>,
    },
    /// Result of a leave.
    Left {
        /// Fate of the party.
        status: LeaveStatus,
    },
    /// Result of a signal.
    Queued {
        /// Always true: the signal is queued for its receiver.
        queued: bool,
    },
    /// Result of a heartbeat.
    Alive {
        /// Time that the peer may be silent from now, in milliseconds.
        expires_in_ms: u64,
    },
    /// Result of a request for the relays.
    Relays {
        /// The relays, by id.
        relays: Vec<Relay>,
    },
}
