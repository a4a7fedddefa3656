//! Relays: the server's list, and announcements, for which the server has a route and no frame.

use std::collections::HashMap;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ClientFrame, Secret};
use lanrage_ipc::model::PeerId;

use super::clients::{ClientError, ClientId};
use super::greeting::Greeted;
use super::message::{Acked, RequestResult};
use super::output::{Output, Purpose, Then};
use super::pace::Lane;
use super::requests::RequestError;
use super::session::Session;
use crate::core::{Command, Failure, Now, Outcome, Proof, RelayInput, Upstream, User};

/// Announcements in flight.
#[derive(Debug, Default)]
pub(super) struct Announcements(HashMap<ClientId, RelayInput>);

/// Call of a route of the server.
#[derive(Debug)]
pub(crate) enum Call {
    /// Takes a peer id by its token or by a claim; [`Called::Registered`].
    Register {
        /// Peer id to take.
        peer_id: PeerId,
        /// Its proof.
        proof: Proof,
    },
    /// Announces a relay.
    Announce {
        /// Token of the peer whose id the relay has.
        token: Secret,
        /// The relay.
        relay: RelayInput,
    },
}

/// Answer to a [`Call`].
#[derive(Debug)]
pub(crate) enum Called {
    /// Token of the peer, and its expiry.
    Registered(Secret, Option<jiff::Timestamp>),
    /// The relay is announced.
    Announced,
}

/// Reason why a [`Call`] failed.
#[derive(Debug)]
pub(crate) struct CallError {
    /// Reason.
    pub(crate) code: ErrorCode,
    /// Reason in words, safe to show.
    pub(crate) message: String,
    /// True if the server does not accept the token.
    pub(crate) is_unauthorized: bool,
    /// True if the server did not answer.
    pub(crate) is_lost: bool,
}

/// Purpose of a call.
#[derive(Debug)]
pub(crate) enum CallThen {
    /// Renewal of a relay peer's token, which is still valid.
    Renewed(PeerId, Secret),
    /// Claim of a relay's id.
    Claimed(PeerId),
    /// Announcement of a relay; true for the last attempt.
    Announced(PeerId, bool),
}

impl Announcements {
    /// Removes all announcements. Returns their numbers.
    pub(super) fn end(&mut self) -> Vec<ClientId> {
        self.0.drain().map(|(id, _)| id).collect()
    }
}

impl Session {
    /// Requests the server's relays; then [`Output::Relays`]. Requires [`Session::is_online`].
    pub(crate) fn handle_relay_query(&mut self, id: ClientId, now: Now) {
        self.advance(now);
        let frame = ClientFrame::ListRelays { region: None };
        self.request(frame, Lane::Asked, Purpose::Relays(id));
    }

    pub(super) fn relays_answered(&mut self, id: ClientId, result: Result<Acked, RequestError>) {
        let reply = match result.map(|acked| acked.result) {
            Ok(RequestResult::Relays(Ok(relays))) => Ok(relays),
            Ok(RequestResult::Relays(Err(reason))) => Err(reason),
            Ok(_) => Err("an answer without relays".to_owned()),
            Err(error) => return self.output(Output::Relays(id, Err(error.into()))),
        };
        let reply = reply.map_err(|reason| {
            self.warn(format_args!("the server's relays are not understood: {reason}"));
            ClientError::Lost
        });
        self.output(Output::Relays(id, reply));
    }

    /// Announces a relay as the peer of its id, so that only that peer may change it; then
    /// [`Output::Announced`]. A peer has one announcement or greeting in flight: two claims would
    /// displace each other. Requires [`Session::is_online`].
    pub(crate) fn handle_announcement(
        &mut self,
        id: ClientId,
        relay: RelayInput,
        user: Option<User>,
        now: Now,
    ) {
        let peer_id = relay.relay_id.as_str().parse::<PeerId>();
        let is_open = self.advance(now) && !self.is_leaving();
        let Some(peer_id) = peer_id.ok().filter(|_| is_open) else {
            return self.output(Output::Announced(id, Err(ClientError::Lost)));
        };
        self.announcements.0.insert(id, relay);
        self.wait_for_turn(&peer_id, user, Greeted::Relay(id));
    }

    pub(super) fn announcement_done(&mut self, id: ClientId, result: Result<(), RequestError>) {
        if self.announcements.0.remove(&id).is_some() {
            self.output(Output::Announced(id, result.map_err(ClientError::from)));
        }
    }

    /// Announces a relay with the proof of its peer, or else after a claim.
    pub(super) fn announce_by(
        &mut self,
        peer_id: &PeerId,
        proof: Option<Proof>,
        upstream: &Upstream,
    ) {
        let now = self.now.wall;
        let mut credentials = upstream.credentials.iter();
        let is_due = credentials.any(|known| known.peer_id == *peer_id && known.renew_at <= now);
        match proof {
            Some(Proof::Token(token)) if is_due => {
                let then = CallThen::Renewed(peer_id.clone(), token.clone());
                self.register(peer_id, Proof::Token(token), then);
            }
            Some(Proof::Token(token)) => self.call_announce(peer_id, token, false),
            Some(Proof::Claim(claim)) if claim.is_claim() => self.claim_relay(peer_id, claim),
            Some(Proof::Claim(_)) | None => self.claim(peer_id),
        }
    }

    /// Claims the id of a relay with a stored secret.
    pub(super) fn claim_relay(&mut self, peer_id: &PeerId, claim: Secret) {
        self.register(peer_id, Proof::Claim(claim), CallThen::Claimed(peer_id.clone()));
    }

    fn register(&mut self, peer_id: &PeerId, proof: Proof, then: CallThen) {
        self.call(Call::Register { peer_id: peer_id.clone(), proof }, then);
    }

    fn call_announce(&mut self, peer_id: &PeerId, token: Secret, is_last: bool) {
        let Some(relay) = self.current_relay(peer_id) else { return };
        let then = CallThen::Announced(peer_id.clone(), is_last);
        self.call(Call::Announce { token, relay }, then);
    }

    fn current_relay(&self, peer_id: &PeerId) -> Option<RelayInput> {
        let Some(Greeted::Relay(id)) = self.auth.current(peer_id) else { return None };
        self.announcements.0.get(id).cloned()
    }

    /// Notes that this daemon revokes the tokens of a peer, or that this failed. A connection that
    /// is greeted as the peer then ends, and another one replaces it.
    pub(crate) fn note_revocation(&mut self, peer_id: &PeerId, is_under_way: bool) {
        self.auth.revokes = is_under_way && self.auth.is_greeted(peer_id);
    }

    fn call(&mut self, call: Call, then: CallThen) {
        self.output(Output::Call(call, then));
    }

    /// Handles the answer of a route.
    pub(crate) fn handle_called(
        &mut self,
        then: CallThen,
        result: Result<Called, CallError>,
        now: Now,
    ) {
        if !self.advance(now) {
            return;
        }
        match (then, result) {
            (
                CallThen::Renewed(peer_id, _) | CallThen::Claimed(peer_id),
                Ok(Called::Registered(token, expires_at)),
            ) => match self.credential(&peer_id, token.clone(), expires_at) {
                Some(credential) => {
                    self.apply(
                        Command::StoreCredential(credential),
                        Then::RelayTokenStored(peer_id, token),
                    );
                }
                None => self.call_announce(&peer_id, token, true),
            },
            (CallThen::Renewed(peer_id, token), _) => {
                log::debug!("the token of a relay is not renewed: peer={peer_id}");
                self.call_announce(&peer_id, token, false);
            }
            (CallThen::Claimed(peer_id), Err(error)) => {
                if error.code == ErrorCode::PermissionDenied {
                    self.forget(&peer_id);
                }
                // The message may reveal nothing about the owner of the id.
                let message = format!("{peer_id}: {}", error.message);
                self.announced(&peer_id, Err(CallError { message, ..error }));
            }
            // The server lost the token, or the token expired and the id has no owner.
            (CallThen::Announced(peer_id, false), Err(error)) if error.is_unauthorized => {
                self.claim(&peer_id);
            }
            (CallThen::Announced(peer_id, _), result) => {
                self.announced(&peer_id, result.map(drop));
            }
            (CallThen::Claimed(peer_id), Ok(_)) => self.announced(&peer_id, Ok(())),
        }
    }

    pub(super) fn relay_token_stored(
        &mut self,
        peer_id: &PeerId,
        token: Secret,
        result: Result<Outcome, Failure>,
    ) {
        match result {
            Ok(_) => self.call_announce(peer_id, token, true),
            Err(failure) => {
                log::warn!("the token of a relay could not be kept: peer={peer_id} {failure}");
                self.end_turn(peer_id, Err(RequestError::Lost));
            }
        }
    }

    fn announced(&mut self, peer_id: &PeerId, result: Result<(), CallError>) {
        let result = result.map_err(|error| match error.is_lost {
            true => RequestError::Lost,
            false => RequestError::Refused { code: error.code, message: error.message },
        });
        self.end_turn(peer_id, result);
    }
}
