//! Changes of parties. A change of a server's party is executed on the server first, then in the
//! registry. While offline, the registry executes it at once, with an intent for the server.

use std::rc::Rc;

use lanrage_ipc::model::{ConnectionState, Origin, PartyId, PeerId};
use tokio::time::Instant;

use super::actor::RemoteDispatcher;
use super::driver::Driver;
use crate::control_plane::{Ask, Failure, Query};
use crate::core::upstream::{ClientCommand, ClientError, CommandOutcome, Keys, is_for_server};
use crate::core::{Caller, Command, Left, Outcome, Refusal, RequestKey, UpstreamPart, command};

/// Client's request for a change of a party.
pub(super) struct Request {
    caller: Caller,
    command: Command,
    key: RequestKey,
    pub(super) party_id: PartyId,
    /// Peer on whose behalf the client acts.
    peer_id: PeerId,
    /// Time at which the client asked. Changes of one party wait for each other.
    begun: Instant,
}

impl Request {
    /// Returns the request for a command; `None` for a command that is local only.
    pub(super) fn of(caller: &Caller, command: &Command, keys: &Keys) -> Option<Self> {
        if !is_for_server(command) {
            return None;
        }
        let (party_id, peer_id) = command.party_id().cloned().zip(command.acts_for().cloned())?;
        let (caller, command, key) = (caller.clone(), command.clone(), keys.next());
        Some(Self { caller, command, key, party_id, peer_id, begun: Instant::now() })
    }

    /// True for a request that makes its peer a member.
    fn is_entry(&self) -> bool {
        matches!(self.command, Command::Register { .. } | Command::Join { .. })
    }
}

impl RemoteDispatcher {
    /// Executes a request, on the server first if the party is the server's, or may be.
    ///
    /// # Errors
    /// The [`Failure`] of the server or of the registry.
    pub(super) async fn mutate(self: &Rc<Self>, request: Request) -> Result<Outcome, Failure> {
        let (caller, command) = (request.caller.clone(), request.command.clone());
        let origin = self.context.local.ask(caller, |reply| Ask::Plan(command, reply)).await?;
        let (request, origin) = self.apply_rename(request, origin).await?;
        let server_first = match (&request.command, origin) {
            (Command::Register { .. }, Some(_)) => {
                return Err(Refusal::PartyExists(request.party_id).into());
            }
            (Command::Register { .. } | Command::Join { .. }, None) => true,
            (_, origin) => origin == Some(Origin::Remote),
        };
        match self.current.online().filter(|_| server_first) {
            Some(session) => self.execute_remotely(&session, request, origin).await,
            None => self.execute_locally(request, origin).await,
        }
    }

    /// Replaces the party's id in a join by the id that the server chose at the registration.
    async fn apply_rename(
        &self,
        mut request: Request,
        origin: Option<Origin>,
    ) -> Result<(Request, Option<Origin>), Failure> {
        let renamed =
            self.current.session().and_then(|session| session.renamed_to(&request.party_id));
        if let (Command::Join { party_id, .. }, None, Some(to)) =
            (&mut request.command, origin, renamed)
            && let Some(Origin::Remote) = self.origin(&to).await?
        {
            party_id.clone_from(&to);
            return Ok((Request { party_id: to, ..request }, Some(Origin::Remote)));
        }
        Ok((request, origin))
    }

    /// Executes a request on the server and then in the registry; in the registry only if the
    /// connection is lost.
    async fn execute_remotely(
        self: &Rc<Self>,
        session: &Driver,
        request: Request,
        origin: Option<Origin>,
    ) -> Result<Outcome, Failure> {
        let Request { caller, command, key, .. } = &request;
        let (caller, key, command) = (caller.clone(), key.clone(), command.clone());
        let leaves = matches!(command, Command::Leave { .. }) && self.is_member(&request).await?;
        let waited = request.begun.elapsed();
        match session.request(ClientCommand { caller, key, command, waited }).await {
            Ok(CommandOutcome::Entered(party_id)) => {
                self.party_outcome(request.caller, party_id).await
            }
            Ok(CommandOutcome::Done(outcome)) => Ok(outcome),
            Err(ClientError::Rejected { code, message }) => {
                Err(Failure::Rejected { code, message })
            }
            Err(ClientError::Undone(refusal)) => Err(refusal.into()),
            Err(ClientError::Failed(failure)) => Err(failure),
            Err(ClientError::Lost) => {
                // The server may have reported the party before the loss.
                let now = self.origin(&request.party_id).await?;
                match request.is_entry() && origin.is_none() && now.is_some() {
                    true => self.party_outcome(request.caller, request.party_id).await,
                    false => {
                        if now.is_none() && matches!(request.command, Command::Join { .. }) {
                            self.withdraw(session, &request).await?;
                        }
                        match self.execute_locally(request, now).await {
                            Err(Failure::Refused(refusal)) if leaves => left_before(refusal),
                            result => result,
                        }
                    }
                }
            }
        }
    }

    /// True if the request's peer is a member of the party.
    async fn is_member(
        &self,
        Request { party_id, peer_id, .. }: &Request,
    ) -> Result<bool, Failure> {
        let memberships = self.upstream(UpstreamPart::Peer(peer_id.clone())).await?.memberships;
        Ok(memberships.iter().any(|one| one.party_id == *party_id))
    }

    /// Has a peer leave a party that the server may have added it to, although the client gets an
    /// error: at once while the connection is open, and otherwise after the reconnect.
    async fn withdraw(&self, session: &Driver, request: &Request) -> Result<(), Failure> {
        let (party_id, peer_id) = (request.party_id.clone(), request.peer_id.clone());
        if !session.is_online() {
            return self.itself(command!(Withdraw { party_id, peer_id })).await;
        }
        session.withdraw(party_id, peer_id);
        Ok(())
    }

    /// Returns the outcome of an entry: the party as the caller sees it.
    async fn party_outcome(&self, caller: Caller, party_id: PartyId) -> Result<Outcome, Failure> {
        self.context
            .local
            .ask(caller, |reply| Query::Party(party_id, reply))
            .await
            .map(Outcome::Party)
    }

    async fn origin(&self, party_id: &PartyId) -> Result<Option<Origin>, Failure> {
        self.itself(|reply| Ask::Origin(party_id.clone(), reply)).await
    }

    /// Executes a request in the registry, with an intent for the server.
    async fn execute_locally(
        &self,
        Request { caller, command, key, .. }: Request,
        origin: Option<Origin>,
    ) -> Result<Outcome, Failure> {
        match (&command, origin) {
            (Command::SendSignal { party_id, to, .. }, Some(Origin::Remote)) => {
                let memberships = self.upstream(UpstreamPart::Peer(to.clone())).await?.memberships;
                let is_local = memberships.iter().any(|member| member.party_id == *party_id);
                match is_local {
                    true => self.apply(caller, command).await,
                    false => Err(self.offline(&format!("peer {to} is on another machine")).await),
                }
            }
            (Command::SendSignal { .. }, _) => self.apply(caller, command).await,
            (Command::Join { party_id, .. }, None) => {
                Err(self.offline(&format!("party {party_id} is not known here")).await)
            }
            _ => self.context.local.ask(caller, |reply| Ask::Defer(key, command, reply)).await,
        }
    }

    /// Returns the failure of a request that needs the server, with the connection's last error.
    async fn offline(&self, problem: &str) -> Failure {
        let (mut why, mut last_error) = ("can't be reached now", None);
        if let Ok(connection) = self.connection().await {
            last_error = connection.last_error;
            if connection.state == ConnectionState::AuthFailed {
                why = "does not let this daemon in";
            }
        }
        let last_error = last_error.map(|words| format!(": {words}")).unwrap_or_default();
        Failure::Offline(format!("{problem}, and the control server {why}{last_error}"))
    }
}

/// Returns the outcome of a member's leave with a lost answer that the registry refuses
/// now: the server reported its effect before the loss.
fn left_before(refusal: Refusal) -> Result<Outcome, Failure> {
    match refusal {
        Refusal::PartyNotFound(_) => Ok(Outcome::Left(Left { party_deleted: true })),
        Refusal::NotAMember { .. } => Ok(Outcome::Left(Left { party_deleted: false })),
        refusal => Err(refusal.into()),
    }
}
