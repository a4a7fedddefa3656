//! What the server tells. Its frames are taken in one after the other, and each is durable before
//! the next is looked at: an answer that comes after a party comes to one who can see it.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{Beside, Bookmark, ClientFrame, ServerFrame};
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Epoch, Origin, PartyId, PeerId, PeerInput};
use tokio::sync::mpsc;

use super::{Acked, Lane, Rejection, Session, Trouble, inbox};
use crate::control_plane::remote::frames::{self, MOST_MEMBERS};
use crate::control_plane::remote::transport::{Carrier, Incoming, Loss, words};
use crate::control_plane::{Failure, Query};
use crate::core::reconcile::{Change, Heard, Occasion, ServerParty};
use crate::core::{Command, Outcome, UpstreamPart};
use crate::os;

/// Why a connection ended of which nothing else is known.
const GONE: &str = "the connection is gone";

/// A server may ask for signs of life this often, and not more.
const FASTEST_HEARTBEAT: Duration = Duration::from_secs(1);

/// Frames in a row that are not understood before the server is given up.
const MOST_GARBAGE: u32 = 8;

/// Mistakes of the server on a connection, garbage among them, before it is given up.
const MOST_WARNINGS: u32 = 50;

impl Session {
    /// Takes in what comes until the connection is gone. `alive` is called for each sign of life,
    /// as it is read, with what the server fails in, if it does: what came before it may wait for
    /// this machine's disk.
    pub(in super::super) async fn hear(
        self: Rc<Self>,
        incoming: mpsc::Receiver<Incoming>,
        alive: impl Fn(Option<String>),
    ) -> Loss {
        let (inbox, unread) = inbox::inbox();
        let heard =
            futures_util::future::join(self.read(incoming, inbox, alive), self.take_in_all(unread));
        tokio::select! {
            biased;
            () = self.ended.notified() => self.loss(),
            (loss, ()) = heard => self.explained(loss),
        }
    }

    /// Reads what comes ahead of what is taken in, until the connection is gone.
    async fn read(
        &self,
        mut incoming: mpsc::Receiver<Incoming>,
        inbox: inbox::Sender,
        alive: impl Fn(Option<String>),
    ) -> Loss {
        while let Some(came) = incoming.recv().await {
            match &came {
                Incoming::Frame(frame) => {
                    alive(None);
                    if let ServerFrame::Ack { req_id, .. }
                    | ServerFrame::Error { req_id: Some(req_id), .. } = &**frame
                    {
                        self.answer_read(req_id);
                    }
                }
                Incoming::Alive => {
                    alive(None);
                    continue;
                }
                Incoming::Fault(words) => {
                    alive(Some(words.clone()));
                    continue;
                }
                Incoming::Lost(loss) => return loss.clone(),
                Incoming::Garbage(_) | Incoming::Flaw(_) | Incoming::Renamed { .. } => {}
            }
            inbox.put(came).await;
        }
        Loss::new(GONE)
    }

    async fn take_in_all(self: &Rc<Self>, mut unread: inbox::Receiver) {
        let mut garbage = 0;
        while let Some(came) = unread.next().await {
            match came {
                Incoming::Frame(frame) => match self.take_in(*frame).await {
                    Ok(()) => garbage = 0,
                    Err(words) => self.puzzled(&mut garbage, &words),
                },
                Incoming::Garbage(words) => self.puzzled(&mut garbage, &words),
                Incoming::Flaw(words) => {
                    self.warn(format_args!("the control server: {}", words::shown(&words)));
                }
                Incoming::Renamed { from, to } => self.renamed(from, to).await,
                Incoming::Alive | Incoming::Fault(_) | Incoming::Lost(_) => {}
            }
        }
    }

    fn loss(&self) -> Loss {
        let loss = self.end.borrow().clone();
        self.explained(loss.unwrap_or_else(|| Loss::new(GONE)))
    }

    /// A server of another epoch has lost its history, and one that is new to this daemon is new to
    /// others, too: the parties that it does not know have not ended, their hosts are on their way.
    async fn note_epoch(&self, epoch: Epoch) -> Result<(), Failure> {
        // What an HTTP server is in is known only party by party.
        if self.carrier == Carrier::Http || self.is_welcome.replace(true) {
            return Ok(());
        }
        let before = self.upstream(UpstreamPart::Choice).await?.choice.epoch;
        if before.as_ref() == Some(&epoch) {
            return Ok(());
        }
        if before.is_some() {
            log::warn!("the control server has lost its history: all is told anew");
        }
        let until = self.around.clock.elapsed() + self.around.forgiveness;
        self.forgiving_until.set(until);
        self.command(Command::NoteEpoch(self.server.clone(), epoch)).await.map(drop)
    }

    fn puzzled(&self, garbage: &mut u32, why: &str) {
        *garbage += 1;
        let why = words::shown(why);
        self.warn(format_args!("the control server sent what is not understood: {why}"));
        self.not_understood.replace(Some(why.clone()));
        if *garbage < MOST_GARBAGE && self.warnings.get() < MOST_WARNINGS {
            self.note_said(format!("what it sent is not understood: {why}"));
        } else {
            self.said.take();
            self.give_up(Loss::new(format!("what the server sends is not understood: {why}")));
        }
    }

    /// Gives the connection up, since another one of the same identity took over.
    pub(super) fn displaced(&self, message: &str) {
        self.give_up(Loss::displaced(&format!("The server says: {message}")));
    }

    /// # Errors
    /// What is wrong with the frame, in words.
    async fn take_in(self: &Rc<Self>, frame: ServerFrame) -> Result<(), String> {
        frames::check_ids(&frame)?;
        match frame {
            ServerFrame::Ack { req_id, epoch, seq, result } => {
                let at = seq.map(|seq| Bookmark { epoch, seq });
                self.answered(&req_id, Ok(Acked { at, result }));
            }
            ServerFrame::Error { message, code, req_id, retry_after_ms } => {
                let (message, code) =
                    (words::shown(&message), code.unwrap_or(ErrorCode::ServerRejected));
                let retry_after = retry_after_ms.map(Duration::from_millis);
                match req_id {
                    Some(req_id) => {
                        self.answered(&req_id, Err(Rejection { code, message, retry_after }));
                    }
                    None if code == ErrorCode::PermissionDenied && self.revokes.get() => {
                        self.make_way("the tokens of a released peer ended");
                    }
                    // It is about the connection, which was welcome before.
                    None if code == ErrorCode::PermissionDenied && self.is_online() => {
                        self.displaced(&message);
                    }
                    None => {
                        self.warn(format_args!(
                            "the control server complains: {message} ({code:?})"
                        ));
                        self.note_said(format!("it complains: {message}"));
                    }
                }
            }
            ServerFrame::Goaway { retry_after_ms } => {
                let wait = Duration::from_millis(retry_after_ms);
                if self.goaway.replace(Some(wait)).is_none() {
                    log::info!("the control server is going away for a while");
                }
                self.note_said("it is going away for a while".to_owned());
            }
            _ if self.is_deaf.get() => {}
            ServerFrame::Welcome {
                peer_id, token, token_expires_at, heartbeat_ms, epoch, ..
            } => {
                if let Err(failure) = self.note_epoch(epoch).await {
                    self.stumble(&failure);
                }
                let wanted = Duration::from_millis(heartbeat_ms).max(FASTEST_HEARTBEAT);
                self.heartbeat.set(self.heartbeat.get().min(wanted));
                if let Some((peer_id, token)) = peer_id.zip(token)
                    && let Err(failure) = self.keep_token(peer_id, token, token_expires_at).await
                {
                    self.stumble(&failure);
                }
            }
            ServerFrame::Signal { party_id, from_peer_id, to_peer_id, signal_data } => {
                let (from, to) = (from_peer_id, to_peer_id);
                let is_ours = self.owners.borrow().contains_key(&from);
                if is_ours && !self.around.signals.take(&party_id, &from, &to, &signal_data) {
                    self.warn(format_args!(
                        "a signal of a local peer that it did not send is refused: party={party_id} peer={from}"
                    ));
                    return Ok(());
                }
                let deliver = Command::Deliver { party_id, from, to, data: signal_data };
                match self.command(deliver).await {
                    Ok(_) => {}
                    // The registry warns of its limits, once a minute.
                    Err(failure) if failure.code() == ErrorCode::RateLimited => {
                        log::debug!("a signal could not be taken in: {failure}");
                    }
                    Err(failure) => {
                        self.warn(format_args!("a signal could not be taken in: {failure}"));
                    }
                }
            }
            frame => self.take_in_news(frame).await?,
        }
        Ok(())
    }

    /// # Errors
    /// What is wrong with the frame, in words.
    async fn take_in_news(self: &Rc<Self>, frame: ServerFrame) -> Result<(), String> {
        let times = self.times();
        let (party_id, heard) = match frame {
            ServerFrame::PartyUpdate { party, beside } => {
                let at = frames::point(beside.as_ref())?;
                let party = frames::party(&party, beside.as_ref(), times)?;
                let party_id = party.party_id.clone();
                if !self.concerns_us(&party).await {
                    return Err(format!("party {party_id} is told, and none of ours is in it"));
                }
                (party_id, self.shadow.borrow_mut().party(party, at))
            }
            ServerFrame::PeerJoined { party_id, peer, beside }
            | ServerFrame::PeerUpdated { party_id, peer, beside } => {
                let (id, member) = frames::member(&peer, beside.as_ref(), times)?;
                (party_id.clone(), self.changed(&party_id, Change::Put(id, member), beside)?)
            }
            ServerFrame::PeerLeft { party_id, peer_id, beside } => {
                (party_id.clone(), self.changed(&party_id, Change::Removed(peer_id), beside)?)
            }
            ServerFrame::PartyRemoved { party_id, reason, .. } => {
                // A party that this connection has not announced is compared after the greeting.
                let heard = self.shadow.borrow_mut().gone(&party_id, reason);
                (party_id, heard)
            }
            _ => return Ok(()),
        };
        self.follow(party_id, heard).await;
        Ok(())
    }

    fn changed(
        &self,
        party_id: &PartyId,
        change: Change,
        beside: Option<Beside>,
    ) -> Result<Heard, String> {
        let at = frames::point(beside.as_ref())?;
        let mut shadow = self.shadow.borrow_mut();
        if shadow.get(party_id).is_some_and(|party| party.members.len() >= MOST_MEMBERS)
            && matches!(change, Change::Put(..))
        {
            return Err(format!("party {party_id} has more than {MOST_MEMBERS} members"));
        }
        Ok(shadow.change(party_id, change, at))
    }

    /// Whether a party is one that a peer of this machine is in, or was.
    async fn concerns_us(&self, party: &ServerParty) -> bool {
        let is_known = self.known_host(&party.party_id).await.is_some();
        let greeted = self.owners.borrow();
        is_known || party.members.keys().any(|id| greeted.contains_key(id))
    }

    /// The host of a party of which there is a copy.
    async fn known_host(&self, party_id: &PartyId) -> Option<PeerId> {
        match self.local(|reply| Query::Party(party_id.clone(), reply)).await {
            Ok(known) if known.origin == Origin::Remote => Some(known.host_id),
            _ => None,
        }
    }

    pub(super) async fn follow(self: &Rc<Self>, party_id: PartyId, heard: Heard) {
        match heard {
            Heard::Party(party) => {
                let is_first = !self.met.borrow().contains(&party_id);
                let occasion = if is_first { Occasion::Return } else { Occasion::News };
                let (host, known_host) = (party.host_id.clone(), self.known_host(&party_id).await);
                self.compare(&party_id, Some(party), occasion).await;
                if self.known_host(&party_id).await.is_none() {
                    if let Some(known) = known_host.filter(|known| *known != host) {
                        self.warn(format_args!(
                            "the control server has another party under the id {party_id}, of host \
                             {host} in place of {known}: the local peers leave it"
                        ));
                    }
                    // What nobody asked for, or has no room here, is not remembered either.
                    self.met.borrow_mut().remove(&party_id);
                    self.shadow.borrow_mut().gone(&party_id, RemovalReason::Removed);
                }
            }
            Heard::Gone(reason) => {
                // Who only looks can't tell a party that has ended from one that the server lost.
                let occasion = match self.carrier {
                    Carrier::Http => Occasion::Return,
                    _ => Occasion::Gone(reason),
                };
                self.compare(&party_id, None, occasion).await;
            }
            Heard::Missing => self.ask_for(&party_id),
            Heard::Nothing => {}
        }
    }

    /// Asks for a party of which something is missing, unless it is being asked for.
    pub(super) fn ask_for(self: &Rc<Self>, party_id: &PartyId) {
        if self.syncing.borrow_mut().insert(party_id.clone()) {
            log::debug!("something of party {party_id} is missing: it is asked for");
            self.tasks.spawn(self.clone().sync(party_id.clone()));
        }
    }

    /// Asks for a party as it is.
    pub(in super::super) async fn sync(self: Rc<Self>, party_id: PartyId) {
        let frame = ClientFrame::Sync { party_id: party_id.clone(), have: None };
        let answer = self.ask(frame, &self.around.keys.next(), Lane::Asked).await;
        self.syncing.borrow_mut().remove(&party_id);
        match answer {
            // It was told before the answer; if that was not understood, the next change shows it.
            Ok(_) => self.shadow.borrow_mut().ask_again(&party_id),
            // On this connection it may be asked for again, if that is still there.
            Err(Trouble::Lost) => self.shadow.borrow_mut().ask_again(&party_id),
            Err(Trouble::Refused {
                code: code @ (ErrorCode::PartyNotFound | ErrorCode::NotAMember),
                ..
            }) => {
                self.declined.borrow_mut().remove(&party_id);
                let heard = self.shadow.borrow_mut().gone(&party_id, RemovalReason::Removed);
                match (code, heard) {
                    (ErrorCode::PartyNotFound, ended @ Heard::Gone(_)) => {
                        self.follow(party_id, ended).await;
                    }
                    _ => self.compare(&party_id, None, Occasion::Return).await,
                }
            }
            Err(Trouble::Refused { code, message }) => {
                self.warn(format_args!("party {party_id} is not told: {message} ({code:?})"));
                self.shadow.borrow_mut().ask_again(&party_id);
            }
        }
    }

    /// Has the registry compare a party with what the server has, and asks the server what comes
    /// of it.
    pub(super) async fn compare(
        self: &Rc<Self>,
        party_id: &PartyId,
        server: Option<Arc<ServerParty>>,
        occasion: Occasion,
    ) {
        if self.is_deaf.get() || self.end.borrow().is_some() {
            return;
        }
        if server.is_none() && occasion == Occasion::Return && self.is_declined(party_id) {
            // The server has it all the same.
            return;
        }
        self.met.borrow_mut().insert(party_id.clone());
        let (party_id, in_flight) = (party_id.clone(), self.in_flight(party_id));
        let machine = server.as_ref().map(|_| os::networks()).unwrap_or_default();
        let (party, told) = (party_id.clone(), server.clone());
        let reconcile = Command::Reconcile { party_id, server, occasion, in_flight, machine };
        match self.command(reconcile).await {
            Ok(outcome) => {
                self.declined.borrow_mut().remove(&party);
                if let Some(told) = told {
                    self.note_told(&party, &told);
                }
                if let Outcome::Operations(operations) = outcome {
                    self.carry_out(operations);
                }
            }
            Err(Failure::Refused(refusal)) => self.decline(party, refusal),
            Err(failure) => self.stumble(&failure),
        }
    }

    /// Tells the server again what a peer of ours says of itself, where it let in something else.
    pub(in super::super) async fn insist(self: &Rc<Self>, party_id: &PartyId, info: &PeerInput) {
        let server = self.shadow.borrow().get(party_id).cloned();
        let member = server.as_ref().and_then(|server| server.members.get(&info.peer_id));
        if member.is_some_and(|member| member.info != *info) {
            self.look_again(party_id).await;
        }
    }

    /// The server has confirmed what a member of ours says of itself.
    pub(in super::super) fn confirmed(&self, party_id: &PartyId, info: &PeerInput) {
        self.shadow.borrow_mut().confirmed(party_id, info);
    }
}
