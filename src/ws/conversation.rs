//! One connection's conversation: what its client asks for, in the order in which it asks, and
//! what it hears of its parties. It knows no socket.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use jiff::tz::TimeZone;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{self, ClientFrame, Inbound, ReqId, ServerFrame};
use lanrage_ipc::lanrage::input::PeerForm;
use lanrage_ipc::model::{Epoch, Keepalive, Party, PartyId, PeerId, PeerInput, UtcOffset};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::face::Face;
use super::hearing::Hearing;
use super::line::{CloseCode, Line};
use super::render::{self, Rejection, Style};
use super::session::send;
use crate::control_plane::{Answer, Ask, Failure, Query};
use crate::core::{Caller, Command, Outcome, Principal, Receipt, Refusal, RequestKey};
use crate::events::Delivery;
use crate::token::random_text;

/// Signals are looked for again that often while the client has not read what it was sent.
const SIGNALS_AGAIN: Duration = Duration::from_millis(50);
/// How often a LANrage client that gives signs of life is told its parties anew: its copies of
/// them are not refreshed by anything else, and it takes a peer of five minutes for gone.
const REFRESH: Duration = Duration::from_secs(60);

/// The conversation with one client.
pub(super) struct Conversation {
    pub(super) face: Arc<Face>,
    pub(super) line: Arc<Line>,
    frames: mpsc::Receiver<ByteString>,
    pub(super) style: Style,
    /// The peers that the connection speaks for.
    pub(super) peers: BTreeSet<PeerId>,
    pub(super) hearing: Hearing,
    /// Members for whom signals wait until the client has read some of what it was sent.
    pub(super) late_signals: BTreeSet<(PartyId, PeerId)>,
}

/// What an `ack` tells.
pub(super) struct Reply {
    epoch: Epoch,
    seq: Option<u64>,
    result: Value,
}

impl Conversation {
    /// Over a line whose client's texts come as `frames`.
    pub(super) fn new(
        face: Arc<Face>,
        line: Arc<Line>,
        frames: mpsc::Receiver<ByteString>,
        events: usize,
    ) -> Self {
        let hearing = Hearing::new(line.id, events);
        let style = Style { additions: false, zone: TimeZone::UTC };
        let (peers, late_signals) = Default::default();
        Self { face, line, frames, style, peers, hearing, late_signals }
    }

    /// Speaks until the session is gone, then lets go of what the connection held.
    pub(super) async fn run(mut self) {
        loop {
            let queue = self.hearing.queue.clone();
            let may_signal = self.line.queued() < self.face.settings().ws.queue_frames / 2;
            tokio::select! {
                biased;
                delivery = queue.next() => self.hear(delivery).await,
                frame = self.frames.recv() => match frame {
                    Some(text) => self.take(&text).await,
                    None => break,
                },
                () = tokio::time::sleep(SIGNALS_AGAIN), if !self.late_signals.is_empty() => {
                    if may_signal {
                        self.bring_late_signals().await;
                    }
                }
            }
        }
        self.end().await;
    }

    async fn end(mut self) {
        log::debug!("{:?}: closed", self.line.id);
        self.face.leave(&self.line);
        self.face.release(&self.peers, self.line.id);
        // With the server everything ends at once, and who was connected stays so to the end.
        if self.face.http.is_stopping() {
            return;
        }
        for key in self.hearing.end_all() {
            self.ask(Ask::Unsubscribe(key)).await.ok();
        }
        // Until it is known that the connection is gone, its peers live for ever.
        while let Err(failure) = self.ask(Ask::Command(Command::Disconnect)).await {
            log::warn!("{:?}: could not let go of its peers yet: {failure}", self.line.id);
            if !matches!(failure, Failure::TimedOut(_)) {
                break;
            }
        }
    }

    async fn take(&mut self, text: &str) {
        if self.line.closing_since().is_some() {
            return;
        }
        let Inbound { frame, req_id } = match control::decode(text) {
            Ok(inbound) => inbound,
            Err(bad) => {
                self.face.http.metrics.rejected("invalid");
                let req_id = bad.req_id.clone();
                return self.offended(bad.into(), req_id);
            }
        };
        let is_hello = matches!(frame, ClientFrame::Hello { .. });
        if !self.line.is_greeted() && !is_hello {
            let message = "type: the first frame must be hello or auth";
            return self.offended(Rejection::new(ErrorCode::InvalidRequest, message), req_id);
        }
        log::debug!("{:?}: {}", self.line.id, kind(&frame));
        match self.act(frame, req_id.as_ref()).await {
            Ok(Reply { epoch, seq, result }) => {
                if let Some(req_id) = req_id.filter(|_| self.style.additions) {
                    self.send(&ServerFrame::Ack { req_id, epoch, seq, result });
                }
            }
            Err(rejection) => self.refuse(rejection, req_id),
        }
    }

    async fn act(
        &mut self,
        frame: ClientFrame,
        req_id: Option<&ReqId>,
    ) -> Result<Reply, Rejection> {
        match frame {
            ClientFrame::Hello { peer_id, token, caps, have, .. } => {
                self.greet(peer_id, token, !caps.is_empty(), have).await
            }
            ClientFrame::RegisterParty { party_id, name, host_peer } => {
                let party_id = match party_id {
                    Some(party_id) => party_id,
                    None => new_party_id()?,
                };
                let (host, utc_offset) = self.introduce(host_peer).await?;
                let keepalive = Keepalive::Connection;
                let peer_id = host.peer_id.clone();
                let command = Command::Register { party_id, name, host, keepalive, utc_offset };
                self.enter(command, peer_id, req_id).await
            }
            ClientFrame::JoinParty { party_id, peer } => {
                let (peer, utc_offset) = self.introduce(peer).await?;
                let keepalive = Keepalive::Connection;
                let peer_id = peer.peer_id.clone();
                self.enter(Command::Join { party_id, peer, keepalive, utc_offset }, peer_id, req_id)
                    .await
            }
            ClientFrame::LeaveParty { party_id, peer_id } => {
                let command =
                    Command::Leave { party_id: party_id.clone(), peer_id: peer_id.clone() };
                let reply = self.command(command, req_id).await?;
                let gone = self.hearing.forget_own(&party_id, &peer_id);
                self.unsubscribe(gone).await;
                Ok(reply)
            }
            ClientFrame::UpdatePeer { party_id, peer } => {
                let utc_offset = self.offset(&peer);
                let command = Command::Update { party_id, peer: peer.info, utc_offset };
                self.command(command, req_id).await
            }
            ClientFrame::Heartbeat { party_id, peer_id } => self.heartbeat(party_id, peer_id).await,
            ClientFrame::Signal { party_id, from_peer_id: from, to_peer_id: to, signal_data } => {
                let command = Command::SendSignal { party_id, from, to, data: signal_data };
                self.command(command, req_id).await
            }
            ClientFrame::Sync { party_id, .. } => self.sync(&party_id).await,
            ClientFrame::ListRelays { region } => {
                if req_id.is_none() || !self.style.additions {
                    let message = "req_id: needed, since the relays come in the ack; and caps";
                    return Err(Rejection::new(ErrorCode::InvalidParams, message));
                }
                match self.ask(Ask::Query(Query::Relays(region))).await? {
                    Answer::Relays(relays) => Ok(self.reply(None, json!({"relays": relays}))),
                    other => Err(unexpected(&other)),
                }
            }
        }
    }

    /// Does something for one of the connection's peers; once, if the client says which request
    /// it is.
    async fn command(&self, command: Command, req_id: Option<&ReqId>) -> Result<Reply, Rejection> {
        let ask = match req_id {
            Some(req_id) => Ask::Once(RequestKey(req_id.key().into()), command),
            None => Ask::Command(command),
        };
        match self.ask(ask).await? {
            Answer::Outcome(Outcome::Receipt(Receipt { epoch, seq, done })) => {
                Ok(Reply { epoch, seq: Some(seq), result: render::result(&done) })
            }
            // Only an ack tells it, and who wants one says which request it is.
            Answer::Outcome(_) => Ok(self.reply(None, json!({}))),
            other => Err(unexpected(&other)),
        }
    }

    /// Takes a sign of life.
    async fn heartbeat(&mut self, party_id: PartyId, peer_id: PeerId) -> Result<Reply, Rejection> {
        let command = Command::Heartbeat { party_id: party_id.clone(), peer_id: peer_id.clone() };
        let (expires_in, seq, utc_offset) = match self.ask(Ask::Command(command)).await? {
            Answer::Outcome(Outcome::Alive { expires_in, seq, utc_offset }) => {
                (expires_in, seq, utc_offset)
            }
            other => return Err(unexpected(&other)),
        };
        if self.hearing.get(&party_id).is_none() {
            // A LANrage client that came back: it says nothing else of its parties, nor of its
            // wall clock.
            if let Some(offset) = utc_offset {
                self.style.zone = offset.zone();
            }
            self.attend(&party_id, &peer_id).await?;
        }
        self.refresh(&party_id).await;
        let expires_in_ms = u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX);
        Ok(self.reply(Some(seq), json!({"expires_in_ms": expires_in_ms})))
    }

    /// Registers a party or joins one; the answer is the whole party.
    async fn enter(
        &mut self,
        command: Command,
        peer_id: PeerId,
        req_id: Option<&ReqId>,
    ) -> Result<Reply, Rejection> {
        let mut party_id = command.party_id().cloned();
        let reply = self.command(command, req_id).await?;
        if let Some(first) = reply.result.get("party_id").and_then(Value::as_str) {
            // Of a request that came again the first answer counts, also where the server had
            // chosen the id.
            party_id = first.parse().ok();
        }
        if let Some(party_id) = party_id {
            self.attend(&party_id, &peer_id).await?;
            self.bring_signals(&party_id, &peer_id).await;
        }
        Ok(reply)
    }

    /// Makes sure that the connection may speak for a peer: one that is nobody's is taken.
    async fn introduce(
        &mut self,
        form: PeerForm,
    ) -> Result<(PeerInput, Option<UtcOffset>), Rejection> {
        let utc_offset = self.offset(&form);
        if !self.peers.contains(&form.info.peer_id) {
            let claimed = self.claim(form.info.peer_id.clone(), None).await?;
            if self.style.additions {
                self.welcome(Some(claimed));
            }
        }
        Ok((form.info, utc_offset))
    }

    /// The client's wall clock, if it shows; from here on it is told times by it.
    fn offset(&mut self, form: &PeerForm) -> Option<UtcOffset> {
        let utc_offset = form.offset(self.face.http.clock.now().wall);
        if let Some(offset) = utc_offset {
            self.style.zone = offset.zone();
        }
        utc_offset
    }

    async fn sync(&mut self, party_id: &PartyId) -> Result<Reply, Rejection> {
        let party = self.party(party_id).await?;
        if !party.peers.keys().any(|id| self.peers.contains(id)) {
            let message = format!("none of this connection's peers is in party {party_id}");
            return Err(Rejection::new(ErrorCode::NotAMember, message));
        }
        let own: Vec<_> = party.peers.keys().filter(|id| self.peers.contains(*id)).collect();
        for peer_id in own.into_iter().cloned().collect::<Vec<_>>() {
            self.attend(party_id, &peer_id).await?;
        }
        Ok(self.reply(Some(party.seq), json!({})))
    }

    /// A sign of life of a client that can't ask for a fresh copy brings it one, now and then.
    async fn refresh(&mut self, party_id: &PartyId) {
        let now = self.face.now();
        let is_due = |told: Duration| now.saturating_sub(told) >= REFRESH;
        if !self.style.additions
            && self.hearing.get(party_id).is_some_and(|heard| is_due(heard.told))
            && let Ok(party) = self.party(party_id).await
        {
            self.tell_party(&party);
        }
    }

    pub(super) async fn party(&self, party_id: &PartyId) -> Result<Party, Failure> {
        match self.ask(Ask::Query(Query::Party(party_id.clone()))).await? {
            Answer::Party(party) => Ok(party),
            other => {
                unexpected(&other);
                Err(Failure::Refused(Refusal::PartyNotFound(party_id.clone())))
            }
        }
    }

    pub(super) fn reply(&self, seq: Option<u64>, result: Value) -> Reply {
        Reply { epoch: self.face.epoch.clone(), seq, result }
    }

    /// Asks as the peers that the connection speaks for.
    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let principal = Principal::Peers(self.peers.iter().cloned().collect());
        self.face.http.ask(Caller { principal, connection: self.line.id }, ask).await
    }

    pub(super) fn send(&self, frame: &ServerFrame) {
        send(&self.line, frame, self.face.now());
    }

    fn refuse(&self, rejection: Rejection, req_id: Option<ReqId>) {
        log::debug!("{:?}: refused: {}", self.line.id, rejection.message);
        self.send(&self.style.error(rejection, req_id));
    }

    fn offended(&self, rejection: Rejection, req_id: Option<ReqId>) {
        self.refuse(rejection, req_id);
        self.line.offended(self.face.now());
    }

    async fn hear(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event(key, news) => {
                if let Some(party_id) = self.hearing.party_of(key) {
                    self.tell(&party_id, news.event()).await;
                }
            }
            Delivery::Behind(_) => {
                let now = self.face.now();
                self.line.close(CloseCode::TryAgain, "too slow: connect again and sync", now);
            }
            // Nobody asked for one.
            Delivery::Reset(..) => {}
        }
    }
}

fn kind(frame: &ClientFrame) -> String {
    match frame {
        ClientFrame::Hello { peer_id, .. } => format!("hello of {peer_id:?}"),
        ClientFrame::RegisterParty { party_id, host_peer, .. } => {
            format!("register_party {party_id:?} by {}", host_peer.info.peer_id)
        }
        ClientFrame::JoinParty { party_id, peer } => {
            format!("join_party {party_id} by {}", peer.info.peer_id)
        }
        ClientFrame::LeaveParty { party_id, peer_id } => {
            format!("leave_party {party_id} by {peer_id}")
        }
        ClientFrame::UpdatePeer { party_id, peer } => {
            format!("update_peer {party_id} by {}", peer.info.peer_id)
        }
        ClientFrame::Heartbeat { party_id, peer_id } => {
            format!("heartbeat {party_id} by {peer_id}")
        }
        ClientFrame::Signal { party_id, from_peer_id, to_peer_id, .. } => {
            format!("signal {party_id} from {from_peer_id} to {to_peer_id}")
        }
        ClientFrame::Sync { party_id, .. } => format!("sync {party_id}"),
        ClientFrame::ListRelays { .. } => "list_relays".into(),
    }
}

pub(super) fn unexpected(answer: &Answer) -> Rejection {
    log::error!("an answer that does not belong to its request: {answer:?}");
    mistake()
}

/// 128 random bits: who knows the id may join.
fn new_party_id() -> Result<PartyId, Rejection> {
    let id = random_text::<16>().map_err(no_random_numbers)?;
    id.parse().map_err(|rule| {
        log::error!("a party id {rule}");
        mistake()
    })
}

pub(super) fn no_random_numbers(error: getrandom::Error) -> Rejection {
    log::error!("the system gives no random numbers: {error}");
    mistake()
}

fn mistake() -> Rejection {
    Rejection::new(ErrorCode::Internal, "the server made a mistake")
}
