//! A session between a scripted server and a scripted registry, in virtual time.

mod bad_servers;
mod parties;
mod requests;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use jiff::SignedDuration;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ClientFrame, Inbound, Secret, ServerFrame};
use lanrage_ipc::model::{Keepalive, PartyId, PeerId, PeerInput, Relay};
use serde_json::json;

use super::*;
use crate::core::reconcile::{MembershipOp, OpBody};
use crate::core::{
    Caller, ChoiceRecord, Command, ConnectionId, CredentialRecord, Failure, Membership, Now,
    Outcome, Principal, Proof, Reconciled, RequestKey, ServerKey, Upstream, UpstreamPart, User,
};

/// Upper bound of the server's silence while a request waits for its answer.
const PATIENCE: Duration = Duration::from_secs(1);

const OWNER: User = User(1000);

/// Codes of refusals that are unrelated to the request.
pub(in crate::core) const NO_VERDICTS: [ErrorCode; 7] = [
    ErrorCode::RateLimited,
    ErrorCode::StoreUnavailable,
    ErrorCode::Timeout,
    ErrorCode::ShuttingDown,
    ErrorCode::TooManyInFlight,
    ErrorCode::Internal,
    ErrorCode::Offline,
];

#[derive(Debug, Default)]
struct Names(Cell<u64>);

impl Machine for Names {
    fn claim(&self) -> Result<Secret, String> {
        self.0.set(self.0.get() + 1);
        Ok(format!("claim-{:0>20}", self.0.get()).into())
    }

    fn party_id(&self) -> Option<PartyId> {
        "spare".parse().ok()
    }

    fn networks(&self) -> Vec<Ipv4Net> {
        Vec::new()
    }
}

type RelaysReply = Result<Vec<Relay>, ClientError>;

/// A session with its pending outputs.
struct World {
    session: Session,
    now: Now,
    upstream: Upstream,
    sent: Vec<Inbound>,
    /// Commands whose answers the registry withholds while the disk is slow.
    held: Vec<Then>,
    is_disk_slow: bool,
    relays: Vec<(ClientId, RelaysReply)>,
    /// Replies to commands.
    replies: Vec<CommandReply>,
    is_online: bool,
    /// True while the registry keeps copies of the compared parties.
    keeps_copies: bool,
    /// Operation that results from the next comparison.
    operation: Option<(&'static str, OpBody)>,
    /// Number of comparisons by the registry.
    comparisons: usize,
    /// Number of operations whose refusal the registry was told.
    verdicts: usize,
    /// Number of peers that the registry was told to withdraw.
    withdrawals: usize,
    /// Number of tokens that the registry was told to keep.
    tokens: usize,
    closed: Option<crate::core::upstream::link::Loss>,
    clients: u64,
}

impl World {
    /// Returns a session that has started for the peers of these tokens.
    fn new(peers: &[&str]) -> Self {
        let wall = "2026-01-01T12:00:00Z".parse().unwrap();
        let now = Now { wall, elapsed: Duration::from_secs(1000) };
        let server = ServerKey("http://server".into());
        let principal = Principal::User { user: User(0), admin: true };
        let settings = SessionSettings {
            server: server.clone(),
            itself: Caller { principal, connection: ConnectionId(0), address: None },
            transport: TransportKind::WebSocket,
            request_timeout: PATIENCE * 5 / 2,
            heartbeat: Duration::from_secs(3600),
            forgiveness: Duration::ZERO,
            clock_ahead: 0,
        };
        let (keys, memory) = (Keys::new("k"), Memory::default());
        let session = Session::new(settings, Rc::new(Names::default()), keys, memory, now);
        let choice = ChoiceRecord { server: Some(server.clone()), ..ChoiceRecord::default() };
        let credential = |id: &&str| CredentialRecord {
            server: server.clone(),
            peer_id: id.parse().unwrap(),
            proof: Proof::Token(Secret::from("token".to_owned())),
            renew_at: wall.checked_add(SignedDuration::from_hours(12)).unwrap(),
            owner: OWNER,
        };
        let membership = |id: &&str| Membership {
            party_id: "p".parse().unwrap(),
            peer_id: id.parse().unwrap(),
            owner: OWNER,
            live: true,
        };
        let upstream = Upstream {
            choice,
            credentials: peers.iter().map(credential).collect(),
            memberships: peers.iter().map(membership).collect(),
            ..Upstream::default()
        };
        let (sent, held, relays, replies) = Default::default();
        let mut world = Self {
            session,
            now,
            upstream,
            sent,
            held,
            is_disk_slow: false,
            relays,
            replies,
            is_online: false,
            keeps_copies: true,
            operation: None,
            comparisons: 0,
            verdicts: 0,
            withdrawals: 0,
            tokens: 0,
            closed: None,
            clients: 0,
        };
        world.pump();
        world
    }

    /// Returns an online session without a peer.
    fn online() -> Self {
        let mut world = Self::new(&[]);
        world.acknowledge_all();
        assert!(world.is_online);
        world
    }

    fn pump(&mut self) {
        loop {
            if let Some(output) = self.session.poll_output() {
                match output {
                    Output::Apply(Apply { then, .. }) if self.is_disk_slow => self.held.push(then),
                    Output::Apply(Apply { command, then, .. }) => {
                        let outcome = self.apply(&command);
                        self.session.handle_applied(then, Ok(outcome), self.now);
                    }
                    Output::LookUp(part, then) => {
                        let mut upstream = self.upstream.clone();
                        if part == UpstreamPart::Live {
                            upstream.memberships.retain(|one| one.live);
                        }
                        self.session.handle_looked_up(then, Ok(upstream), self.now);
                    }
                    Output::Relays(id, reply) => self.relays.push((id, reply)),
                    Output::Online => self.is_online = true,
                    Output::Close { loss, .. } => self.closed = Some(loss),
                    Output::Reply(_, reply) => self.replies.push(reply),
                    Output::Call(..) | Output::Departed | Output::Announced(..) => {}
                }
                continue;
            }
            match self.session.poll_send(self.now) {
                Some(Outgoing::Frame(inbound)) => self.sent.push(*inbound),
                Some(Outgoing::Ping) => {}
                None => return,
            }
        }
    }

    fn apply(&mut self, command: &Command) -> Outcome {
        match command {
            Command::Reconcile { party_id, .. } => {
                self.comparisons += 1;
                let operations = Vec::from_iter(self.operation.take().map(|(key, body)| {
                    MembershipOp { key: RequestKey(key.into()), party_id: party_id.clone(), body }
                }));
                let (host_before, is_copy) = (None, self.keeps_copies);
                Outcome::Reconciled(Reconciled { operations, host_before, is_copy })
            }
            Command::Refused { .. } => {
                self.verdicts += 1;
                Outcome::Operations(Vec::new())
            }
            Command::Withdraw { .. } => {
                self.withdrawals += 1;
                Outcome::Done
            }
            Command::StoreCredential(_) => {
                self.tokens += 1;
                Outcome::Done
            }
            _ => Outcome::Done,
        }
    }

    /// Has a client join the party `p` as `ann` on this port.
    fn join(&mut self, port: u16) {
        let (party_id, peer) = ("p".parse().unwrap(), peer("ann", port));
        let keepalive = Keepalive::Connection;
        self.command(Command::Join { party_id, peer, keepalive, utc_offset: None });
    }

    /// Has a client request a change.
    fn command(&mut self, command: Command) {
        self.command_after(Duration::ZERO, command);
    }

    /// Has a client request a change for which it has waited already.
    fn command_after(&mut self, waited: Duration, command: Command) {
        self.clients += 1;
        let principal = Principal::User { user: OWNER, admin: false };
        let caller = Caller { principal, connection: ConnectionId(1), address: None };
        let key = RequestKey(format!("client.{}", self.clients).into());
        let request = ClientCommand { caller, key, command, waited };
        self.session.handle_request(ClientId(self.clients), request, self.now);
        self.pump();
    }

    fn refuse(&mut self, inbound: &Inbound, code: ErrorCode) {
        let (req_id, message) = (inbound.req_id.clone(), "no".to_owned());
        self.receive(ServerFrame::Error {
            message,
            code: Some(code),
            req_id,
            retry_after_ms: None,
        });
    }

    /// Returns true if a leave was sent.
    fn has_left(&self) -> bool {
        self.sent.iter().any(|inbound| matches!(inbound.frame, ClientFrame::LeaveParty { .. }))
    }

    /// Advances the time, with all timers of the session.
    fn pass(&mut self, time: Duration) {
        let end = self.now.elapsed + time;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.set(due.max(self.now.elapsed));
            self.session.handle_timeout(self.now);
            self.pump();
        }
        self.set(end);
    }

    fn set(&mut self, elapsed: Duration) {
        self.now.wall += elapsed - self.now.elapsed;
        self.now.elapsed = elapsed;
    }

    /// Starts a client's request.
    fn ask(&mut self) -> ClientId {
        self.clients += 1;
        let id = ClientId(self.clients);
        self.session.handle_relay_query(id, self.now);
        self.pump();
        id
    }

    /// Starts a background request.
    fn ask_in_background(&mut self) {
        let frame = ClientFrame::ListRelays { region: None };
        let purpose = output::Purpose::Departure;
        self.session.request(frame, pace::Lane::Background, purpose);
        self.pump();
    }

    fn receive(&mut self, frame: ServerFrame) {
        self.session.handle_message(frame.into(), self.now);
        self.pump();
    }

    fn acknowledge(&mut self, inbound: &Inbound) {
        let req_id = inbound.req_id.clone().expect("a key");
        let (epoch, result) = ("e".parse().unwrap(), (&json!({"relays": []})).into());
        self.receive(ServerFrame::Ack { req_id, epoch, seq: None, result });
    }

    fn acknowledge_all(&mut self) {
        for inbound in std::mem::take(&mut self.sent) {
            self.acknowledge(&inbound);
        }
    }

    fn reply(&mut self, id: ClientId) -> Option<RelaysReply> {
        let place = self.relays.iter().position(|(one, _)| *one == id)?;
        Some(self.relays.remove(place).1)
    }
}

fn peer(peer_id: &str, port: u16) -> PeerInput {
    serde_json::from_value(json!({
        "peer_id": peer_id, "name": "Ann",
        "public_key": "0iLbGzA5pDo1oPMVuNJs1bmYcvpSJDe4ev/QdF6mSGo=", "nat_type": "full_cone",
        "public_ip": "198.51.100.7", "public_port": port,
        "local_ip": "192.168.1.20", "local_port": 1,
    }))
    .expect("a peer")
}

fn frame(frame: &serde_json::Value) -> ServerFrame {
    ServerFrame::decode(&frame.to_string()).expect("a frame").expect("of a known type")
}

/// Returns a snapshot of the party `p`, whose only member is `ann`.
fn party(seq: u64) -> ServerFrame {
    let ann = json!({
        "peer_id": "ann", "name": "Ann",
        "public_key": "0iLbGzA5pDo1oPMVuNJs1bmYcvpSJDe4ev/QdF6mSGo=", "nat_type": "full_cone",
        "public_ip": "198.51.100.7", "public_port": 1, "local_ip": "192.168.1.20", "local_port": 1,
        "last_seen": "2026-01-01T12:00:00",
    });
    let party = json!({
        "type": "party_update",
        "party": {
            "party_id": "p", "name": "P", "host_id": "ann", "created_at": "2026-01-01T12:00:00",
            "peers": {"ann": ann},
        },
        "epoch": "e", "seq": seq, "virtual_ips": {"ann": "10.66.0.1"}, "connected": {"ann": true},
    });
    frame(&party)
}
