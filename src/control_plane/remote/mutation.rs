//! What changes something: the server is asked first, where the party lives there. What it
//! confirmed is done here too; what it could not be asked is done here, and it is told later.

use std::rc::Rc;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::{ConnectionState, Origin, PartyId, PeerId};

use super::actor::Desk;
use super::frames;
use super::session::{Acked, Keys, Lane, Passing, Session, Trouble};
use crate::control_plane::{Ask, Failure, Query};
use crate::core::reconcile::{InFlight, Passage};
use crate::core::{Caller, Command, Left, Outcome, Refusal, RequestKey, UpstreamPart, command};

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
    /// The command as the server is asked it.
    frame: ClientFrame,
    key: RequestKey,
    /// The party that it is about.
    pub(super) party_id: PartyId,
    /// The peer that it is for.
    peer_id: PeerId,
}

impl Request {
    /// `None` for a command that no server is asked.
    pub(super) fn of(caller: &Caller, command: &Command, keys: &Keys) -> Option<Self> {
        let frame = frames::of_command(command)?;
        let (party_id, peer_id) = command.party_id().cloned().zip(command.acts_for().cloned())?;
        let (caller, command, key) = (caller.clone(), command.clone(), keys.next());
        Some(Self { caller, command, frame, key, party_id, peer_id })
    }

    /// How it lets its peer in or out.
    fn passage(&self) -> Option<Passage> {
        Some(match &self.command {
            Command::Register { keepalive, host: peer, .. }
            | Command::Join { keepalive, peer, .. } => Passage::Enters {
                caller: self.caller.clone(),
                keepalive: *keepalive,
                registers: matches!(self.command, Command::Register { .. }),
                info: peer.clone(),
            },
            Command::Leave { .. } => Passage::Leaves,
            Command::Update { .. } => Passage::Updates,
            _ => return None,
        })
    }

    fn enters(&self) -> bool {
        matches!(self.command, Command::Register { .. } | Command::Join { .. })
    }
}

/// Result of a leave on the server.
#[derive(serde::Deserialize)]
struct LeaveResult {
    status: String,
}

impl Desk {
    /// Does what a request asks: the server is asked first where the party lives there, or may.
    ///
    /// # Errors
    /// The [`Failure`] of the server or of the registry.
    pub(super) async fn mutate(self: &Rc<Self>, request: Request) -> Result<Outcome, Failure> {
        let (caller, command) = (request.caller.clone(), request.command.clone());
        self.around.local.ask(caller, |reply| Ask::Check(command, reply)).await?;
        let home = self.home(&request.party_id).await?;
        let (request, home) = self.renamed(request, home).await?;
        let server_first = match (&request.command, home) {
            (Command::Register { .. }, Home::Here | Home::There) => {
                return Err(Refusal::PartyExists(request.party_id).into());
            }
            (Command::Register { .. } | Command::Join { .. }, Home::Unknown) => true,
            (_, home) => home == Home::There,
        };
        match self.line.online().filter(|_| server_first) {
            Some(session) => self.together(&session, request, home).await,
            None => self.alone(request, home).await,
        }
    }

    /// Gives a join that was sent before the client knew the server's choice the party's new id.
    async fn renamed(&self, mut request: Request, home: Home) -> Result<(Request, Home), Failure> {
        let renamed = self.line.session().and_then(|session| session.renamed_to(&request.party_id));
        if let (Command::Join { party_id, .. }, Home::Unknown, Some(to)) =
            (&mut request.command, home, renamed)
            && self.home(&to).await? == Home::There
        {
            party_id.clone_from(&to);
            let frame = frames::of_command(&request.command).unwrap_or(request.frame);
            return Ok((Request { frame, party_id: to, ..request }, Home::There));
        }
        Ok((request, home))
    }

    /// Has the server do it, and then does it here; or here alone, when the server is lost.
    async fn together(
        self: &Rc<Self>,
        session: &Rc<Session>,
        request: Request,
        home: Home,
    ) -> Result<Outcome, Failure> {
        match self.ask_server(session, &request).await {
            Ok((acked, passing)) => {
                if request.enters()
                    && let Some(refusal) = self.entry_refusal(session, &request, &passing).await
                {
                    drop(passing);
                    return self.declined(session, &request, refusal).await;
                }
                // An update is under way until it is done here, too.
                let passing = passing.filter(|_| matches!(request.command, Command::Update { .. }));
                let party_id = request.party_id.clone();
                let answer = self.confirmed(session, request, acked).await;
                if passing.map(drop).is_some() {
                    session.look_again(&party_id).await;
                }
                answer
            }
            Err(Trouble::Refused { code, message }) => {
                match self.is_over(session, &request.command, code).await {
                    true => self.apply(request.caller, request.command).await,
                    false => Err(Failure::Rejected { code, message }),
                }
            }
            Err(Trouble::Lost) => {
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

    /// Returns the reason to refuse an entry that the server confirmed: what it tells of the party
    /// exceeds a bound of this daemon, or it told no party that this daemon understands.
    async fn entry_refusal(
        &self,
        session: &Session,
        request: &Request,
        passing: &Option<Passing>,
    ) -> Option<Refusal> {
        let Request { party_id, peer_id, .. } = request;
        if let Some(refusal) = session.declined(party_id) {
            return Some(refusal);
        }
        // One that was told may have ended since.
        if passing.as_ref().is_none_or(Passing::is_told) {
            return None;
        }
        self.lacks(party_id, peer_id).await.then(|| session.untold(party_id))
    }

    /// True if a peer is not in a party here.
    async fn lacks(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        let (party_id, peer_id) = (party_id.clone(), peer_id.clone());
        let known = self.itself(|reply| Query::Peer(party_id, peer_id, reply)).await;
        matches!(known, Err(Failure::Refused(_)))
    }

    /// Refuses an entry that the server confirmed. A peer that was no member before leaves again.
    async fn declined(
        self: &Rc<Self>,
        session: &Rc<Session>,
        request: &Request,
        refusal: Refusal,
    ) -> Result<Outcome, Failure> {
        if self.lacks(&request.party_id, &request.peer_id).await {
            self.withdraw(session, request).await?;
        }
        Err(refusal.into())
    }

    /// Has a peer leave that the server may have let in, though its client is told that it can't be
    /// reached. On a connection that goes on the leave is sent behind the join.
    async fn withdraw(
        self: &Rc<Self>,
        session: &Rc<Session>,
        request: &Request,
    ) -> Result<(), Failure> {
        let (party_id, peer_id) = (request.party_id.clone(), request.peer_id.clone());
        let withdraw = command!(Withdraw { party_id: party_id.clone(), peer_id: peer_id.clone() });
        if !session.is_online() {
            return self.itself(withdraw).await;
        }
        let (desk, session, key) = (self.clone(), session.clone(), self.around.keys.next());
        actix::spawn(async move {
            let (party, peer) = (party_id.clone(), peer_id.clone());
            let frame = ClientFrame::LeaveParty { party_id, peer_id };
            match session.ask(frame, &key, Lane::Asked).await {
                Ok(_) => session.has_left(&party, &peer).await,
                Err(Trouble::Refused { .. }) => {}
                Err(Trouble::Lost) => {
                    if let Err(failure) = desk.itself(withdraw).await {
                        log::warn!("party {party}: {peer} may stay in it: {failure}");
                    }
                }
            }
        });
        Ok(())
    }

    /// Answers with a party that somebody has entered.
    async fn show(&self, caller: Caller, party_id: PartyId) -> Result<Outcome, Failure> {
        self.around
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

    async fn ask_server(
        &self,
        session: &Rc<Session>,
        request: &Request,
    ) -> Result<(Acked, Option<Passing>), Trouble> {
        let Request { caller, party_id, peer_id, frame, key, .. } = request;
        session.greet(peer_id, caller.user(), Lane::Asked).await?;
        let in_flight = request.passage().map(|what| InFlight { peer_id: peer_id.clone(), what });
        let passing = in_flight.map(|in_flight| session.passing(party_id, in_flight));
        if request.enters() {
            session.forget_not_understood();
        }
        if let Command::SendSignal { party_id, from, to, data } = &request.command {
            self.around.signals.note(party_id, from, to, data);
        }
        session.ask(frame.clone(), key, Lane::Asked).await.map(|acked| (acked, passing))
    }

    /// Does here what the server has done.
    async fn confirmed(
        &self,
        session: &Rc<Session>,
        Request { caller, command, .. }: Request,
        acked: Acked,
    ) -> Result<Outcome, Failure> {
        match command {
            Command::Register { party_id, host: peer, .. }
            | Command::Join { party_id, peer, .. } => {
                // The server told the party before it answered; perhaps under an id of its own.
                let party_id = session.renamed_to(&party_id).unwrap_or(party_id);
                session.insist(&party_id, &peer).await;
                self.show(caller, party_id).await
            }
            Command::Leave { party_id, peer_id } => {
                let left = acked.result.read::<LeaveResult>();
                let party_deleted = left.is_ok_and(|left| left.status == "party_deleted");
                let leave = Command::Leave { party_id: party_id.clone(), peer_id: peer_id.clone() };
                let left = self.apply(caller, leave).await;
                session.has_left(&party_id, &peer_id).await;
                match left {
                    // The server may have told it before it answered.
                    Ok(_) | Err(Failure::Refused(_)) => Ok(Outcome::Left(Left { party_deleted })),
                    Err(failure) => Err(failure),
                }
            }
            Command::Update { party_id, peer, utc_offset } => {
                session.confirmed(&party_id, &peer);
                let update = Command::Update { party_id, peer, utc_offset };
                self.apply(caller, update).await
            }
            Command::Heartbeat { party_id, peer_id } => {
                session.seen(party_id.clone(), acked).await;
                let heartbeat = Command::Heartbeat { party_id, peer_id };
                self.apply(caller, heartbeat).await
            }
            _ => Ok(Outcome::Queued),
        }
    }

    /// Whether a refusal says that what was asked for is so already: who leaves is gone.
    async fn is_over(&self, session: &Rc<Session>, command: &Command, code: ErrorCode) -> bool {
        use ErrorCode::{NotAMember, PartyNotFound, PeerNotFound};
        let is_gone = matches!(code, PartyNotFound | NotAMember | PeerNotFound);
        match command {
            Command::Leave { party_id, peer_id } if is_gone => {
                session.has_left(party_id, peer_id).await;
                true
            }
            Command::Update { party_id, .. } | Command::Heartbeat { party_id, .. } if is_gone => {
                session.clone().sync(party_id.clone()).await;
                false
            }
            _ => false,
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
            _ => self.around.local.ask(caller, |reply| Ask::Defer(key, command, reply)).await,
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
