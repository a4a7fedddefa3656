//! Events and answers as frames, in the style that the client asked for.

use jiff::tz::TimeZone;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{BadFrame, Beside, ReqId, ServerFrame};
use lanrage_ipc::lanrage::{AnnouncedParty, AnnouncedPeer};
use lanrage_ipc::model::{Epoch, Party, PartyId, Peer, Signal};
use serde_json::{Value, json};

use crate::control_plane::Failure;
use crate::core::{Done, RetryAfter};

/// How a client wants to be spoken to.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// Whether it knows more than LANrage's own frames.
    pub(super) additions: bool,
    /// Its wall clock.
    pub(super) zone: TimeZone,
}

impl Style {
    /// A party as it is.
    pub(super) fn party(&self, party: &Party) -> ServerFrame {
        let beside = self.additions.then(|| Beside::of(party));
        ServerFrame::PartyUpdate { party: AnnouncedParty::new(party, &self.zone), beside }
    }

    pub(super) fn joined(
        &self,
        party_id: &PartyId,
        peer: &Peer,
        epoch: &Epoch,
        seq: u64,
    ) -> ServerFrame {
        let (peer, beside) = self.peer(peer, epoch, seq);
        ServerFrame::PeerJoined { party_id: party_id.clone(), peer, beside }
    }

    pub(super) fn updated(
        &self,
        party_id: &PartyId,
        peer: &Peer,
        epoch: &Epoch,
        seq: u64,
    ) -> ServerFrame {
        let (peer, beside) = self.peer(peer, epoch, seq);
        ServerFrame::PeerUpdated { party_id: party_id.clone(), peer, beside }
    }

    fn peer(&self, peer: &Peer, epoch: &Epoch, seq: u64) -> (AnnouncedPeer, Option<Beside>) {
        let beside = self.additions.then(|| Beside::new(epoch.clone(), seq, [peer]));
        (AnnouncedPeer::new(&peer.info, peer.last_seen, &self.zone), beside)
    }

    /// What a frame says of a change that shows no peer.
    pub(super) fn beside(&self, epoch: &Epoch, seq: u64) -> Option<Beside> {
        self.additions.then(|| Beside::new(epoch.clone(), seq, []))
    }

    /// That something was refused.
    pub(super) fn error(&self, rejection: Rejection, req_id: Option<ReqId>) -> ServerFrame {
        let Rejection { code, message, retry_after_ms } = rejection;
        match self.additions {
            true => ServerFrame::Error { message, code: Some(code), req_id, retry_after_ms },
            false => ServerFrame::Error { message, code: None, req_id: None, retry_after_ms: None },
        }
    }
}

pub(super) fn signal(signal: Signal) -> ServerFrame {
    let Signal { party_id, from_peer_id, to_peer_id, signal_data, .. } = signal;
    ServerFrame::Signal { party_id, from_peer_id, to_peer_id, signal_data }
}

/// What an `ack` tells of what was done.
pub(super) fn result(done: &Done) -> Value {
    match done {
        Done::Entered { party_id, virtual_ip } => {
            json!({"party_id": party_id, "virtual_ip": virtual_ip})
        }
        Done::Left { party_deleted: true } => json!({"status": "party_deleted"}),
        Done::Left { party_deleted: false } => json!({"status": "left"}),
        Done::Updated => json!({}),
        Done::Queued => json!({"queued": true}),
    }
}

/// Why something was refused.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) code: ErrorCode,
    pub(super) message: String,
    /// When to try again.
    pub(super) retry_after_ms: Option<u64>,
}

impl Rejection {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_ms: None }
    }

    /// That something comes too often.
    pub(super) fn too_often(message: &str, RetryAfter(wait): RetryAfter) -> Self {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let rejection = Self::new(ErrorCode::RateLimited, message);
        Self { retry_after_ms: Some(wait.saturating_add(1)), ..rejection }
    }
}

/// How long to wait before what failed for a moment is tried again, in milliseconds.
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
