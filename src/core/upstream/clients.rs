//! Requests of this daemon's clients: executed by the server first, then by the registry.

use std::collections::HashMap;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::{PartyId, PeerId};

use super::frames;
use super::greeting::Greeted;
use super::message::{Acked, RequestResult};
use super::output::{LookUp, Output, Purpose, Then, Timer};
use super::pace::Lane;
use super::reconcile::Source;
use super::replica::EntryId;
use super::requests::RequestError;
use super::session::Session;
use crate::core::reconcile::{InFlight, InFlightKind};
use crate::core::{
    Caller, Command, Failure, Left, Now, Outcome, Refusal, RequestKey, Upstream, UpstreamPart,
};

/// Number of a client's request, unique over all kinds of requests, chosen by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientId(pub(crate) u64);

/// A change of a party, or a signal, that a client requests.
#[derive(Debug)]
pub(crate) struct ClientCommand {
    /// Client.
    pub(crate) caller: Caller,
    /// Idempotency key for the server, also for a repetition.
    pub(crate) key: RequestKey,
    /// Command for the server. [`is_for_server`].
    pub(crate) command: Command,
    /// Time that the client has waited already.
    pub(crate) waited: Duration,
}

/// Answer to a [`ClientCommand`].
pub(crate) type CommandReply = Result<CommandOutcome, ClientError>;

/// Outcome of a [`ClientCommand`].
#[derive(Debug)]
pub(crate) enum CommandOutcome {
    /// The peer is in this party.
    Entered(PartyId),
    /// The command is executed on the server and here.
    Done(Outcome),
}

/// Reason why a client's request failed.
#[derive(Debug)]
pub(crate) enum ClientError {
    /// The server refused it.
    Rejected {
        /// Reason.
        code: ErrorCode,
        /// Reason in words, safe to show.
        message: String,
    },
    /// The server executed it, and this daemon reverts it.
    Undone(Refusal),
    /// The server executed it, and the registry failed.
    Failed(Failure),
    /// The connection is gone, or the answer did not come in time. The server may have executed it.
    Lost,
}

/// Commands in flight.
#[derive(Debug, Default)]
pub(super) struct Clients(HashMap<ClientId, Client>);

#[derive(Debug)]
struct Client {
    request: ClientCommand,
    entry: Option<EntryId>,
    /// Reply that waits for the comparison of the party.
    reply: Option<CommandReply>,
    /// True if the peer's leave is executed here after the comparison: it is gone on the server.
    leaves_here: bool,
    /// Party whose snapshot is requested before the reply.
    syncs: Option<PartyId>,
    /// True if the party ended with the leave.
    party_deleted: bool,
    /// True once the registry executes the command: its result is the reply.
    is_applied: bool,
}

impl Clients {
    /// Removes all commands. Returns their numbers.
    pub(super) fn end(&mut self) -> Vec<ClientId> {
        self.0.drain().map(|(id, _)| id).collect()
    }

    fn command(&self, id: ClientId) -> Option<(&Caller, &Command)> {
        let ClientCommand { caller, command, .. } = &self.0.get(&id)?.request;
        Some((caller, command))
    }
}

impl Session {
    /// Sends a command to the server, and executes it here after the answer; then
    /// [`Output::Reply`]. Requires [`Session::is_online`].
    pub(crate) fn handle_request(&mut self, id: ClientId, request: ClientCommand, now: Now) {
        let peer_id = request.command.acts_for().cloned();
        let Some(peer_id) = peer_id.filter(|_| self.advance(now) && !self.is_leaving()) else {
            return self.output(Output::Reply(id, Err(ClientError::Lost)));
        };
        let user = request.caller.user();
        let wait = (self.requests.patience() * 2).saturating_sub(request.waited);
        let (entry, reply, syncs) = Default::default();
        let (leaves_here, party_deleted, is_applied) = (false, false, false);
        let client =
            Client { request, entry, reply, leaves_here, syncs, party_deleted, is_applied };
        self.clients.0.insert(id, client);
        self.set_timer(Timer::Client(id), wait);
        self.greet(&peer_id, user, Lane::Asked, Greeted::Client(id));
    }

    pub(super) fn client_greeted(&mut self, id: ClientId, result: Result<(), RequestError>) {
        if let Err(error) = result {
            return self.client_answered(id, Err(error));
        }
        let Some(client) = self.clients.0.get_mut(&id) else { return };
        let ClientCommand { caller, key, command, .. } = &client.request;
        let Some(frame) = frames::of_command(command) else { return };
        if let (Some(party_id), Some(peer_id), Some(what)) =
            (command.party_id(), command.acts_for(), in_flight_kind(caller, command))
        {
            if matches!(what, InFlightKind::Enters { .. }) {
                // The request in flight keeps the peer alive.
                self.auth.idle.remove(peer_id);
                self.replica.not_understood = None;
            }
            let in_flight = InFlight { peer_id: peer_id.clone(), what };
            client.entry = Some(self.replica.enter(party_id, in_flight));
        }
        if let Command::SendSignal { party_id, from, to, data } = command {
            self.memory.note_signal(party_id, from, to, data);
        }
        let key = key.clone();
        self.request_as(key, frame, Lane::Asked, Purpose::Client(id));
    }

    pub(super) fn client_answered(&mut self, id: ClientId, result: Result<Acked, RequestError>) {
        let Some((_, command)) = self.clients.command(id) else { return };
        let command = command.clone();
        match result {
            Ok(acked) => self.client_confirmed(id, command, &acked),
            Err(RequestError::Lost) => self.client_done(id, Err(ClientError::Lost)),
            Err(RequestError::Refused { code, message }) => {
                self.client_refused(id, command, code, message);
            }
        }
    }

    /// Executes a command here that the server has executed.
    fn client_confirmed(&mut self, id: ClientId, command: Command, acked: &Acked) {
        match command {
            Command::Register { party_id, host: peer, .. }
            | Command::Join { party_id, peer, .. } => {
                let entry = self.clients.0.get(&id).and_then(|client| client.entry);
                let refusal = self.replica.declined(&party_id).cloned();
                // The party may have ended after the server stated it.
                if refusal.is_none() && entry.is_none_or(|entry| self.replica.is_stated(entry)) {
                    return self.client_entered(id);
                }
                let part = UpstreamPart::Peer(peer.peer_id);
                self.look_up(part, LookUp::Entry(id, refusal));
            }
            Command::Leave { .. } => {
                if let Some(client) = self.clients.0.get_mut(&id) {
                    client.party_deleted =
                        matches!(acked.result, RequestResult::Left { party_deleted: true });
                }
                self.remove_client_entry(id);
                self.client_apply(id);
            }
            Command::Update { party_id, peer, .. } => {
                self.replica.parties.confirmed(&party_id, &peer);
                self.client_apply(id);
            }
            Command::Heartbeat { party_id, .. } => {
                self.seen(party_id, acked);
                self.client_apply(id);
            }
            Command::SendSignal { .. } => {
                self.client_done(id, Ok(CommandOutcome::Done(Outcome::Queued)));
            }
            _ => self.client_apply(id),
        }
    }

    /// Has the registry execute a client's command.
    fn client_apply(&mut self, id: ClientId) {
        if let Some(client) = self.clients.0.get_mut(&id) {
            client.is_applied = true;
            let ClientCommand { caller, command, .. } = &client.request;
            let (caller, command) = (caller.clone(), command.clone());
            self.apply_as(caller, command, Then::Client(id));
        }
    }

    /// Ends a client's wait for the server. Each of its requests has a timeout of its own; together
    /// a greeting, the command and a snapshot may take several times as long.
    pub(super) fn client_expired(&mut self, id: ClientId) {
        let Some(client) = self.clients.0.get_mut(&id).filter(|client| !client.is_applied) else {
            return;
        };
        let reply = client.reply.take().unwrap_or(Err(ClientError::Lost));
        self.client_done(id, reply);
    }

    fn client_refused(&mut self, id: ClientId, command: Command, code: ErrorCode, message: String) {
        use ErrorCode::{NotAMember, PartyNotFound, PeerNotFound};
        let is_gone = matches!(code, PartyNotFound | NotAMember | PeerNotFound);
        let rejected = Err(ClientError::Rejected { code, message });
        self.remove_client_entry(id);
        match command {
            // The peer has left already.
            Command::Leave { party_id, peer_id } if is_gone => {
                if let Some(client) = self.clients.0.get_mut(&id) {
                    client.leaves_here = true;
                }
                self.has_left(&party_id, &peer_id, Source::Client(id));
            }
            Command::Update { party_id, .. } | Command::Heartbeat { party_id, .. } if is_gone => {
                if let Some(client) = self.clients.0.get_mut(&id) {
                    (client.reply, client.syncs) = (Some(rejected), Some(party_id.clone()));
                }
                self.sync(&party_id);
            }
            _ => self.client_done(id, rejected),
        }
    }

    /// Handles the snapshot of a party, or the failure to get it.
    pub(super) fn synced(&mut self, party_id: &PartyId) {
        let waits = self.clients.0.iter().filter(|(_, one)| one.syncs.as_ref() == Some(party_id));
        let waits: Vec<_> = waits.map(|(id, _)| *id).collect();
        waits.into_iter().for_each(|id| self.client_compared(id));
    }

    /// Completes a client's entry after the look-up of its membership here. A peer that is not a
    /// member here leaves again on the server.
    pub(super) fn entry_looked_up(
        &mut self,
        id: ClientId,
        refusal: Option<Refusal>,
        upstream: Result<Upstream, Failure>,
    ) {
        let Some((_, command)) = self.clients.command(id) else { return };
        let (Some(party_id), Some(peer_id)) = (command.party_id(), command.acts_for()) else {
            return;
        };
        let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
        let upstream = match upstream {
            Ok(upstream) => upstream,
            Err(failure) => return self.client_done(id, Err(ClientError::Failed(failure))),
        };
        let is_in =
            |party_id: &PartyId| upstream.memberships.iter().any(|one| one.party_id == *party_id);
        let is_member = is_in(&party_id) || self.replica.renamed_to(&party_id).is_some_and(is_in);
        let refusal = match refusal {
            None if is_member => return self.client_entered(id),
            None => self.unstated_party(&party_id),
            Some(refusal) => refusal,
        };
        self.remove_client_entry(id);
        if !is_member {
            self.withdraw(party_id, peer_id);
        }
        self.client_done(id, Err(ClientError::Undone(refusal)));
    }

    /// Sends the leave of a peer that the server may have let in, although its client got an error.
    /// The leave is sent behind the join. Requires [`Session::is_online`].
    pub(crate) fn handle_withdrawal(&mut self, party_id: PartyId, peer_id: PeerId, now: Now) {
        self.advance(now);
        self.withdraw(party_id, peer_id);
    }

    fn withdraw(&mut self, party_id: PartyId, peer_id: PeerId) {
        let purpose = Purpose::Withdrawal(party_id.clone(), peer_id.clone());
        self.request(ClientFrame::LeaveParty { party_id, peer_id }, Lane::Asked, purpose);
    }

    pub(super) fn withdrawn(
        &mut self,
        party_id: PartyId,
        peer_id: PeerId,
        result: Result<(), RequestError>,
    ) {
        match result {
            Ok(()) => self.has_left(&party_id, &peer_id, Source::Other),
            Err(RequestError::Refused { .. }) => {}
            Err(RequestError::Lost) => {
                self.apply(Command::Withdraw { party_id, peer_id }, Then::Withdrawn);
            }
        }
    }

    /// Completes an entry after the server stated the party. If the server has another description
    /// of the peer, its own description is sent again.
    fn client_entered(&mut self, id: ClientId) {
        self.remove_client_entry(id);
        let Some((_, command)) = self.clients.command(id) else { return };
        let (Command::Register { party_id, host: peer, .. } | Command::Join { party_id, peer, .. }) =
            command
        else {
            return;
        };
        let peer = peer.clone();
        // The server may have chosen another id.
        let party_id = self.replica.renamed_to(party_id).unwrap_or(party_id).clone();
        if let Some(client) = self.clients.0.get_mut(&id) {
            client.reply = Some(Ok(CommandOutcome::Entered(party_id.clone())));
        }
        self.resend_description(&party_id, &peer, Source::Client(id));
    }

    /// Handles the registry's answer to a client's command.
    pub(super) fn client_applied(&mut self, id: ClientId, result: Result<Outcome, Failure>) {
        let Some(client) = self.clients.0.get_mut(&id) else { return };
        let command = client.request.command.clone();
        let reply = match result {
            Ok(outcome) => Ok(CommandOutcome::Done(outcome)),
            Err(failure) => Err(ClientError::Failed(failure)),
        };
        match command {
            Command::Leave { .. } if client.leaves_here => self.client_done(id, reply),
            Command::Leave { party_id, peer_id } => {
                let party_deleted = client.party_deleted;
                client.reply = Some(match reply {
                    // The server may have reported the change before its answer.
                    Ok(_) | Err(ClientError::Failed(Failure::Refused(_))) => {
                        Ok(CommandOutcome::Done(Outcome::Left(Left { party_deleted })))
                    }
                    failed => failed,
                });
                self.has_left(&party_id, &peer_id, Source::Client(id));
            }
            Command::Update { party_id, .. } => {
                client.reply = Some(reply);
                self.remove_client_entry(id);
                self.compare_again_for(&party_id, Source::Client(id));
            }
            _ => self.client_done(id, reply),
        }
    }

    /// Handles the comparison of a party for a client's request.
    pub(super) fn client_compared(&mut self, id: ClientId) {
        let Some(client) = self.clients.0.get_mut(&id) else { return };
        match client.reply.take() {
            Some(reply) => self.client_done(id, reply),
            None => self.client_apply(id),
        }
    }

    fn remove_client_entry(&mut self, id: ClientId) {
        let client = self.clients.0.get_mut(&id);
        if let Some(entry) = client.and_then(|client| client.entry.take()) {
            self.replica.remove_entry(entry);
        }
    }

    fn client_done(&mut self, id: ClientId, reply: CommandReply) {
        self.remove_client_entry(id);
        self.timers.remove(&Timer::Client(id));
        if self.clients.0.remove(&id).is_some() {
            self.output(Output::Reply(id, reply));
        }
    }
}

/// True for a command that a control server executes.
pub(crate) fn is_for_server(command: &Command) -> bool {
    frames::of_command(command).is_some()
}

impl From<RequestError> for ClientError {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::Refused { code, message } => Self::Rejected { code, message },
            RequestError::Lost => Self::Lost,
        }
    }
}

/// Effect of a client's command on its peer's membership.
fn in_flight_kind(caller: &Caller, command: &Command) -> Option<InFlightKind> {
    Some(match command {
        Command::Register { keepalive, host: peer, .. } | Command::Join { keepalive, peer, .. } => {
            InFlightKind::Enters {
                caller: caller.clone(),
                keepalive: *keepalive,
                registers: matches!(command, Command::Register { .. }),
                info: peer.clone(),
            }
        }
        Command::Leave { .. } => InFlightKind::Leaves,
        Command::Update { .. } => InFlightKind::Updates,
        _ => return None,
    })
}
