//! Events and answers as frames, in the client's wire format.

use jiff::tz::TimeZone;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{AckResult, BadFrame, PartyExtensions, ReqId, ServerFrame};
use lanrage_ipc::event::Event;
use lanrage_ipc::lanrage::{AnnouncedParty, AnnouncedPeer};
use lanrage_ipc::model::{Epoch, Party, Peer, Signal, UtcOffset};
use lanrage_ipc::results::LeaveStatus;

use crate::control_plane::Failure;
use crate::core::{Done, RetryAfter};
use crate::events::WireFormat;

fn zone(format: WireFormat) -> TimeZone {
    format.utc_offset.map_or(TimeZone::UTC, UtcOffset::zone)
}

/// Returns the frame of a whole party.
pub(super) fn party(format: WireFormat, party: &Party) -> ServerFrame {
    let extensions = format.additions.then(|| PartyExtensions::of(party));
    ServerFrame::PartyUpdate { party: AnnouncedParty::new(party, &zone(format)), extensions }
}

/// Returns the frame of a party's event, if there is one.
pub(super) fn event(format: WireFormat, event: &Event) -> Option<ServerFrame> {
    let announced = |peer: &Peer| AnnouncedPeer::new(&peer.info, peer.last_seen, &zone(format));
    Some(match event {
        Event::PartyRegistered { party: it, .. } | Event::PartyUpdated { party: it, .. } => {
            party(format, it)
        }
        Event::PeerJoined { party_id, peer, epoch, seq } => {
            let extensions =
                format.additions.then(|| PartyExtensions::new(epoch.clone(), *seq, [peer]));
            let (party_id, peer) = (party_id.clone(), announced(peer));
            ServerFrame::PeerJoined { party_id, peer, extensions }
        }
        Event::PeerUpdated { party_id, peer, epoch, seq, .. } => {
            let extensions =
                format.additions.then(|| PartyExtensions::new(epoch.clone(), *seq, [peer]));
            let (party_id, peer) = (party_id.clone(), announced(peer));
            ServerFrame::PeerUpdated { party_id, peer, extensions }
        }
        Event::PeerLeft { party_id, peer_id, epoch, seq, .. } => {
            let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
            ServerFrame::PeerLeft { party_id, peer_id, extensions: extensions(format, epoch, *seq) }
        }
        Event::PartyRemoved { party_id, reason, epoch, seq } => {
            let (party_id, reason) = (party_id.clone(), *reason);
            ServerFrame::PartyRemoved {
                party_id,
                reason,
                extensions: extensions(format, epoch, *seq),
            }
        }
        Event::SignalReceived { .. }
        | Event::RelayUpdated { .. }
        | Event::RelayRemoved { .. }
        | Event::ConnectionChanged(_) => return None,
    })
}

/// Returns the additions of a frame about a change that shows no peer.
pub(super) fn extensions(format: WireFormat, epoch: &Epoch, seq: u64) -> Option<PartyExtensions> {
    format.additions.then(|| PartyExtensions::new(epoch.clone(), seq, []))
}

/// Returns the frame of a refusal.
pub(super) fn error(
    format: WireFormat,
    rejection: Rejection,
    req_id: Option<ReqId>,
) -> ServerFrame {
    let Rejection { code, message, retry_after_ms } = rejection;
    match format.additions {
        true => ServerFrame::Error { message, code: Some(code), req_id, retry_after_ms },
        false => ServerFrame::Error { message, code: None, req_id: None, retry_after_ms: None },
    }
}

pub(super) fn signal(signal: Signal) -> ServerFrame {
    let Signal { party_id, from_peer_id, to_peer_id, signal_data, .. } = signal;
    ServerFrame::Signal { party_id, from_peer_id, to_peer_id, signal_data }
}

/// Returns the result for an `ack`, from a receipt.
pub(super) fn result(done: Done) -> AckResult {
    match done {
        Done::Entered { party_id, virtual_ip } => {
            AckResult::Entered { party_id, virtual_ip: Some(virtual_ip) }
        }
        Done::Left { party_deleted: true } => AckResult::Left { status: LeaveStatus::PartyDeleted },
        Done::Left { party_deleted: false } => AckResult::Left { status: LeaveStatus::Left },
        Done::Updated => AckResult::Empty {},
        Done::Queued => AckResult::Queued { queued: true },
    }
}

/// Refusal of a request or frame.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    /// Delay before the next attempt.
    pub(super) retry_after_ms: Option<u64>,
}

impl Rejection {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }

    /// Creates a refusal of a rate limit.
    pub(super) fn too_often(message: &str, RetryAfter(wait): RetryAfter) -> Self {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let rejection = Self::new(ErrorCode::RateLimited, message);
        Self { retry_after_ms: Some(wait.saturating_add(1)), ..rejection }
    }
}

/// Retry delay after a temporary failure, in milliseconds.
const RETRY_AFTER_MS: u64 = 1000;

impl From<Failure> for Rejection {
    fn from(failure: Failure) -> Self {
        let code = failure.code();
        let retry_after_ms = code.retryable().then_some(RETRY_AFTER_MS);
        Self { code, message: failure.to_string(), retry_after_ms }
    }
}

impl From<BadFrame> for Rejection {
    fn from(bad: BadFrame) -> Self {
        Self::new(bad.code, bad.message)
    }
}
