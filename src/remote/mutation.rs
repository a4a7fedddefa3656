//! What changes something: the server is asked first, where the party lives there. What it
//! confirmed is done here too; what it could not be asked is done here, and it is told later.

use std::rc::Rc;

use lanrage_ipc::model::{ConnectionState, Origin, PartyId, PeerId};

use super::actor::RemoteDispatcher;
use super::driver::Driver;
use crate::control_plane::{Ask, Failure, Query};
use crate::core::upstream::{ClientCommand, ClientError, CommandOutcome, Keys, is_for_server};
use crate::core::{Caller, Command, Outcome, Refusal, RequestKey, UpstreamPart, command};

/// Where the party of a command lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Home {
    /// Here, whether the server is to know of it or not.
    Here,
    /// On the server.
    There,
    /// It is not known.
    Unknown,
}

/// A change of a party that somebody asks for.
pub(super) struct Request {
    caller: Caller,
    command: Command,
    key: RequestKey,
    /// The party that it is about.
    pub(super) party_id: PartyId,
    /// The peer that it is for.
    peer_id: PeerId,
}

impl Request {
    /// `None` for a command that no server is asked.
    pub(super) fn of(caller: &Caller, command: &Command, keys: &Keys) -> Option<Self> {
        if !is_for_server(command) {
            return None;
        }
        let (party_id, peer_id) = command.party_id().cloned().zip(command.acts_for().cloned())?;
        let (caller, command, key) = (caller.clone(), command.clone(), keys.next());
        Some(Self { caller, command, key, party_id, peer_id })
    }

    fn enters(&self) -> bool {
        matches!(self.command, Command::Register { .. } | Command::Join { .. })
    }
}

impl RemoteDispatcher {
    /// Does what a request asks: the server is asked first where the party lives there, or may.
    ///
    /// # Errors
    /// The [`Failure`] of the server or of the registry.
    pub(super) async fn mutate(self: &Rc<Self>, request: Request) -> Result<Outcome, Failure> {
        let (caller, command) = (request.caller.clone(), request.command.clone());
        self.context.local.ask(caller, |reply| Ask::Check(command, reply)).await?;
        let home = self.home(&request.party_id).await?;
        let (request, home) = self.renamed(request, home).await?;
        let server_first = match (&request.command, home) {
            (Command::Register { .. }, Home::Here | Home::There) => {
                return Err(Refusal::PartyExists(request.party_id).into());
            }
            (Command::Register { .. } | Command::Join { .. }, Home::Unknown) => true,
            (_, home) => home == Home::There,
        };
        match self.current.online().filter(|_| server_first) {
            Some(session) => self.together(&session, request, home).await,
            None => self.alone(request, home).await,
        }
    }

    /// Gives a join that was sent before the client knew the server's choice the party's new id.
    async fn renamed(&self, mut request: Request, home: Home) -> Result<(Request, Home), Failure> {
        let renamed =
            self.current.session().and_then(|session| session.renamed_to(&request.party_id));
        if let (Command::Join { party_id, .. }, Home::Unknown, Some(to)) =
            (&mut request.command, home, renamed)
            && self.home(&to).await? == Home::There
        {
            party_id.clone_from(&to);
            return Ok((Request { party_id: to, ..request }, Home::There));
        }
        Ok((request, home))
    }

    /// Has the server do it, and then does it here; or here alone, when the server is lost.
    async fn together(
        self: &Rc<Self>,
        session: &Driver,
        request: Request,
        home: Home,
    ) -> Result<Outcome, Failure> {
        let Request { caller, command, key, .. } = &request;
        let (caller, key, command) = (caller.clone(), key.clone(), command.clone());
        match session.request(ClientCommand { caller, key, command }).await {
            Ok(CommandOutcome::Entered(party_id)) => self.show(request.caller, party_id).await,
            Ok(CommandOutcome::Done(outcome)) => Ok(outcome),
            Err(ClientError::Rejected { code, message }) => {
                Err(Failure::Rejected { code, message })
            }
            Err(ClientError::Undone(refusal)) => Err(refusal.into()),
            Err(ClientError::Failed(failure)) => Err(failure),
            Err(ClientError::Lost) => {
                // The server may have told it before it was lost.
                let now = self.home(&request.party_id).await?;
                match request.enters() && home == Home::Unknown && now != Home::Unknown {
                    true => self.show(request.caller, request.party_id).await,
                    false => {
                        if now == Home::Unknown && matches!(request.command, Command::Join { .. }) {
                            self.withdraw(session, &request).await?;
                        }
                        self.alone(request, now).await
                    }
                }
            }
        }
    }

    /// Has a peer leave that the server may have let in, though its client is told that it can't be
    /// reached: at once on a connection that goes on, or else on return.
    async fn withdraw(&self, session: &Driver, request: &Request) -> Result<(), Failure> {
        let (party_id, peer_id) = (request.party_id.clone(), request.peer_id.clone());
        if !session.is_online() {
            return self.itself(command!(Withdraw { party_id, peer_id })).await;
        }
        session.withdraw(party_id, peer_id);
        Ok(())
    }

    /// Answers with a party that somebody has entered.
    async fn show(&self, caller: Caller, party_id: PartyId) -> Result<Outcome, Failure> {
        self.context
            .local
            .ask(caller, |reply| Query::Party(party_id, reply))
            .await
            .map(Outcome::Party)
    }

    async fn home(&self, party_id: &PartyId) -> Result<Home, Failure> {
        match self.itself(|reply| Query::Party(party_id.clone(), reply)).await {
            Ok(party) if party.origin == Origin::Remote => Ok(Home::There),
            Ok(_) => Ok(Home::Here),
            Err(Failure::Refused(Refusal::PartyNotFound(_))) => Ok(Home::Unknown),
            Err(failure) => Err(failure),
        }
    }

    /// Does it here, and notes what the server is to be told.
    async fn alone(
        &self,
        Request { caller, command, key, .. }: Request,
        home: Home,
    ) -> Result<Outcome, Failure> {
        match (&command, home) {
            (Command::SendSignal { party_id, to, .. }, Home::There) => {
                let memberships = self.upstream(UpstreamPart::Peer(to.clone())).await?.memberships;
                let is_ours = memberships.iter().any(|member| member.party_id == *party_id);
                match is_ours {
                    true => self.apply(caller, command).await,
                    false => Err(self.offline(&format!("peer {to} is on another machine")).await),
                }
            }
            (Command::SendSignal { .. }, _) => self.apply(caller, command).await,
            (Command::Join { party_id, .. }, Home::Unknown) => {
                Err(self.offline(&format!("party {party_id} is not known here")).await)
            }
            _ => self.context.local.ask(caller, |reply| Ask::Defer(key, command, reply)).await,
        }
    }

    /// For what takes the server.
    async fn offline(&self, what: &str) -> Failure {
        let (mut why, mut last_error) = ("can't be reached now", None);
        if let Ok(connection) = self.connection().await {
            last_error = connection.last_error;
            if connection.state == ConnectionState::AuthFailed {
                why = "does not let this daemon in";
            }
        }
        let last_error = last_error.map(|words| format!(": {words}")).unwrap_or_default();
        Failure::Offline(format!("{what}, and the control server {why}{last_error}"))
    }
}
