//! Continuations: what follows an answer of the registry or the server, by the purpose of the request.

use super::message::Acked;
use super::output::{LookUp, Purpose, Then};
use super::requests::RequestError;
use super::session::Session;
use crate::core::{Failure, Now, Outcome, Upstream};

impl Session {
    /// Handles the registry's answer to a command.
    pub(crate) fn handle_applied(
        &mut self,
        then: Then,
        result: Result<Outcome, Failure>,
        now: Now,
    ) {
        if !self.advance(now) {
            return;
        }
        match then {
            Then::Forgotten => {
                if let Err(failure) = result {
                    log::warn!("a credential was not deleted: {failure}");
                }
            }
            Then::Refreshed => {
                if let Err(failure) = result {
                    log::debug!("members were not refreshed: {failure}");
                }
            }
            Then::EpochNoted => {
                self.done_or_abort(result);
                self.taken_in();
            }
            Then::TokenStored => {
                if self.done_or_abort(result).is_some() {
                    self.token_stored();
                }
                self.taken_in();
            }
            Then::ClaimStored(peer_id, claim) => match self.done_or_abort(result) {
                Some(_) => self.claim_stored(&peer_id, claim),
                None => self.end_turn(&peer_id, Err(RequestError::Lost)),
            },
            Then::RelayTokenStored(peer_id, token) => {
                self.relay_token_stored(&peer_id, token, result);
            }
            Then::Delivered => {
                self.delivered(result);
                self.taken_in();
            }
            Then::Renamed { from, to } => {
                self.renamed(from, to, result);
                self.taken_in();
            }
            Then::Compared(comparison) => self.compared(*comparison, result),
            Then::Refused(key) => {
                if let Some(Outcome::Operations(operations)) = self.done_or_abort(result) {
                    self.carry_out(operations);
                }
                self.operated(&key);
            }
            Then::Client(id) => self.client_applied(id, result),
            Then::Withdrawn => {
                if let Err(failure) = result {
                    log::warn!("a peer may stay in a party on the server: {failure}");
                }
            }
        }
    }

    /// Handles the registry's answer to a look-up.
    pub(crate) fn handle_looked_up(
        &mut self,
        then: LookUp,
        result: Result<Upstream, Failure>,
        now: Now,
    ) {
        if !self.advance(now) {
            return;
        }
        let is_followed =
            |upstream: &Upstream| upstream.choice.server.as_ref() == Some(&self.settings.server);
        let result = match result {
            Ok(upstream) if is_followed(&upstream) => Ok(upstream),
            Ok(_) => Err(Failure::NoLink("another control server is followed now")),
            Err(failure) => Err(failure),
        };
        match (then, result) {
            (LookUp::Begin, Ok(upstream)) => self.begin(upstream),
            (LookUp::Absent, Ok(upstream)) => self.compare_absent(upstream),
            (LookUp::Absent, Err(_)) => self.absent_compared(),
            (LookUp::Peer(peer_id), Ok(upstream)) => self.introduce(&peer_id, &upstream),
            (LookUp::Room(peer_id), Ok(upstream)) => self.make_room(&peer_id, &upstream),
            (LookUp::Begin, Err(failure)) => self.abort(&failure),
            (LookUp::Peer(peer_id) | LookUp::Room(peer_id), Err(failure)) => {
                self.abort(&failure);
                self.end_turn(&peer_id, Err(RequestError::Lost));
            }
            (LookUp::Live, result) => self.send_heartbeats(result),
            (LookUp::Idle(live), Ok(upstream)) => self.send_idle_changes(&live, upstream),
            (LookUp::Idle(_), Err(failure)) => self.abort(&failure),
            (LookUp::Credentials, result) => self.renew(result),
            (LookUp::Intents(noted), result) => self.flush(noted, result),
            (LookUp::Left(party_id, peer_id, source), result) => {
                let known = result.map(|upstream| upstream.credentials).unwrap_or_default();
                self.left(&party_id, &peer_id, &known, source);
            }
            (LookUp::Entry(id, refusal), result) => self.entry_looked_up(id, refusal, result),
        }
    }

    /// Handles the end of a request.
    pub(super) fn answered(&mut self, purpose: Purpose, result: Result<Acked, RequestError>) {
        match purpose {
            Purpose::Anonymous => self.anonymous_greeted(result.map(drop)),
            Purpose::Greeting(peer_id) => self.hello_answered(&peer_id, result.map(drop)),
            Purpose::Renewal(peer_id) => self.renewed(peer_id, result.map(drop)),
            // Without this message the server keeps the peer alive, and it expires here.
            Purpose::Idle(peer_id) => log::debug!("idle peer reported: peer={peer_id} {result:?}"),
            Purpose::MembershipOp(operation, entry) => {
                self.operation_answered(operation, entry, result.map(drop));
            }
            Purpose::Client(id) => self.client_answered(id, result),
            Purpose::Relays(id) => self.relays_answered(id, result),
            Purpose::Withdrawal(party_id, peer_id) => {
                self.withdrawn(party_id, peer_id, result.map(drop));
            }
            Purpose::Departure => self.departure_answered(),
            Purpose::Sync(party_id) => self.sync_answered(party_id, result.map(drop)),
            Purpose::Heartbeat(party_id, peer_id) => {
                self.heartbeat_answered(party_id, &peer_id, result);
            }
        }
    }
}
