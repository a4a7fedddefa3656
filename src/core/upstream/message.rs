//! Messages of the server in the core's types, whatever transport carries them.

use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::control::{ReqId, Secret};
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Epoch, PartyId, PeerId, Relay, SignalData};

use super::requests::Rejection;
use crate::core::reconcile::{Change, Point, ServerParty};
use crate::core::upstream::link::Loss;

/// Upper bound of a member's memory, in bytes.
const MEMBER_BYTES: usize = 1024;

/// Upper bound of the memory of a message without members, relays and texts, in bytes.
const MESSAGE_BYTES: usize = 512;

/// Input from the server.
#[derive(Debug)]
pub(crate) enum Message {
    /// The server accepts the connection, or a local peer.
    Welcome {
        /// Epoch of the server's parties.
        epoch: Epoch,
        /// Longest interval of keepalives.
        heartbeat: Duration,
        /// New token of a local peer.
        token: Option<PeerToken>,
    },
    /// Answer to a request.
    Answer {
        /// Id of the request.
        req_id: ReqId,
        /// Result, or refusal.
        result: Result<Acked, Rejection>,
    },
    /// Error that answers no request.
    Complaint(Rejection),
    /// The server is about to stop. Wait that it requests before the next connection.
    Goaway(Duration),
    /// State of a party at a position in its history. Its times are by the server's clock.
    Party(ServerParty, Point),
    /// Change of a party. Its times are by the server's clock.
    Change {
        /// The party.
        party_id: PartyId,
        /// Its change.
        change: Change,
        /// Position of the change.
        at: Point,
    },
    /// End of a party.
    Removed(PartyId, RemovalReason),
    /// Signal from another member.
    Signal {
        /// Party of both members.
        party_id: PartyId,
        /// Sender.
        from: PeerId,
        /// Receiver.
        to: PeerId,
        /// Payload.
        data: SignalData,
    },
    /// The server chose another id for a registered party. It comes before all messages about the
    /// party.
    Renamed {
        /// Id in the request.
        from: PartyId,
        /// Id on the server.
        to: PartyId,
    },
    /// An unintelligible message, with the reason.
    Garbage(String),
    /// A part of a message that breaks a rule and is ignored, in words.
    Flaw(String),
    /// The connection is gone.
    Lost(Loss),
}

/// Token of a local peer.
#[derive(Debug)]
pub(crate) struct PeerToken {
    /// The peer.
    pub(crate) peer_id: PeerId,
    /// Its token.
    pub(crate) token: Secret,
    /// Time at which the token expires by the server's clock, if the server states it.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Answer to an executed request.
#[derive(Debug, Clone)]
pub(crate) struct Acked {
    /// Position of the request's party.
    pub(crate) at: Option<Point>,
    /// Result of the request.
    pub(crate) result: RequestResult,
}

/// Result of an executed request, as far as a session uses it.
#[derive(Debug, Clone)]
pub(crate) enum RequestResult {
    /// No data.
    Done,
    /// Result of a leave.
    Left {
        /// True if the party ended with it.
        party_deleted: bool,
    },
    /// The server's relays, or the reason why they are unintelligible.
    Relays(Result<Vec<Relay>, String>),
}

impl Acked {
    /// Returns an answer without data.
    pub(crate) fn done(at: Option<Point>) -> Self {
        Self { at, result: RequestResult::Done }
    }
}

impl Message {
    /// Upper bound of the memory that the message takes while it waits, in bytes.
    pub(super) fn size(&self) -> usize {
        let content = match self {
            Self::Party(party, _) => party.members.len() * MEMBER_BYTES,
            Self::Change { .. } => MEMBER_BYTES,
            Self::Signal { data, .. } => data.len(),
            Self::Answer {
                result: Ok(Acked { result: RequestResult::Relays(relays), .. }),
                ..
            } => relays.as_ref().map_or(0, |relays| relays.len() * MEMBER_BYTES),
            Self::Answer { result: Err(rejection), .. } | Self::Complaint(rejection) => {
                rejection.message.len()
            }
            Self::Garbage(words) | Self::Flaw(words) => words.len(),
            _ => 0,
        };
        MESSAGE_BYTES + content
    }
}
