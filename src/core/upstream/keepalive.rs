//! Heartbeats of local peers with a keepalive, and idle peers, which have none.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::{PartyId, PeerId};

use super::message::Acked;
use super::output::{LookUp, Purpose, Timer, TransportKind};
use super::pace::Lane;
use super::requests::RequestError;
use super::session::Session;
use crate::core::{Failure, Proof, Upstream, UpstreamPart};

/// Lower bound of the interval that a server may request.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Keepalives of a connection.
#[derive(Debug)]
pub(super) struct Keepalive {
    interval: Duration,
}

impl Keepalive {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval }
    }

    /// Shortens the interval to the one that the server requests.
    pub(super) fn limit(&mut self, interval: Duration) {
        self.interval = self.interval.min(interval.max(SHORTEST_INTERVAL));
    }
}

impl Session {
    /// Sends a heartbeat for each membership with a keepalive.
    pub(super) fn send_heartbeats(&mut self, upstream: Result<Upstream, Failure>) {
        self.set_timer(Timer::Heartbeat, self.keepalive.interval);
        let live = match upstream {
            Ok(upstream) => upstream.memberships,
            Err(failure) => return log::warn!("no heartbeats were sent: {failure}"),
        };
        let peers: HashSet<_> = live.iter().map(|one| one.peer_id.clone()).collect();
        for membership in live {
            let (party_id, peer_id) = (membership.party_id, membership.peer_id);
            if self.replica.parties.get(&party_id).is_some() {
                let purpose = Purpose::Heartbeat(party_id.clone(), peer_id.clone());
                let frame = ClientFrame::Heartbeat { party_id, peer_id };
                self.request(frame, Lane::Background, purpose);
            }
        }
        // Over HTTP only heartbeats keep a peer alive.
        let is_idle = |peer_id: &PeerId| !peers.contains(peer_id);
        let differs = |peer_id: &PeerId| self.auth.idle.contains(peer_id) != is_idle(peer_id);
        if self.settings.transport == TransportKind::WebSocket && self.auth.greeted().any(differs) {
            self.look_up(UpstreamPart::All, LookUp::Idle(peers));
        }
    }

    pub(super) fn heartbeat_answered(
        &mut self,
        party_id: PartyId,
        peer_id: &PeerId,
        result: Result<Acked, RequestError>,
    ) {
        let is_welcome =
            self.auth.is_greeted(peer_id) && self.settings.transport == TransportKind::WebSocket;
        match result {
            // The party's position reveals lost changes.
            Ok(acked) => self.seen(party_id, &acked),
            Err(RequestError::Refused {
                code: ErrorCode::PartyNotFound | ErrorCode::PeerNotFound | ErrorCode::NotAMember,
                ..
            }) => self.sync(&party_id),
            Err(RequestError::Refused { code: ErrorCode::PermissionDenied, message })
                if is_welcome =>
            {
                self.displaced(&message);
            }
            Err(RequestError::Refused { code, message }) => self.warn(format_args!(
                "party {party_id}: a heartbeat is refused: {message} ({code:?})"
            )),
            Err(RequestError::Lost) => {}
        }
    }

    /// Tells the server which peers are idle, if that changed: the connection does not keep idle
    /// peers alive.
    pub(super) fn send_idle_changes(&mut self, live: &HashSet<PeerId>, upstream: Upstream) {
        let members: HashSet<_> = upstream.memberships.iter().map(|one| &one.peer_id).collect();
        for credential in &upstream.credentials {
            let (peer_id, is_idle) = (&credential.peer_id, !live.contains(&credential.peer_id));
            let Proof::Token(_) = credential.proof else { continue };
            if !self.auth.is_greeted(peer_id)
                || !members.contains(peer_id)
                || self.replica.has_entry(peer_id)
                || self.auth.idle.contains(peer_id) == is_idle
            {
                continue;
            }
            match is_idle {
                true => drop(self.auth.idle.insert(peer_id.clone())),
                false => drop(self.auth.idle.remove(peer_id)),
            }
            let (proof, purpose) = (credential.proof.clone(), Purpose::Idle(peer_id.clone()));
            self.hello(Some(peer_id), Some(proof), BTreeMap::new(), Lane::Background, purpose);
        }
    }
}

/// Returns the peers that nothing keeps alive in any party.
pub(super) fn idle_peers(upstream: &Upstream) -> HashSet<PeerId> {
    let members = upstream.memberships.iter();
    let live: HashSet<_> = members.clone().filter(|one| one.live).map(|one| &one.peer_id).collect();
    members.map(|one| &one.peer_id).filter(|peer_id| !live.contains(peer_id)).cloned().collect()
}
