//! A session between a scripted server and a scripted registry, in virtual time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use jiff::SignedDuration;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ClientFrame, Inbound, ReqId, Secret, ServerFrame};
use lanrage_ipc::model::{Keepalive, PartyId, PeerId, PeerInput, Relay};
use serde_json::json;

use super::*;
use crate::core::reconcile::{MembershipOp, OpBody};
use crate::core::{
    Caller, ChoiceRecord, Command, ConnectionId, CredentialRecord, Failure, Membership, Now,
    Outcome, Principal, Proof, Reconciled, RequestKey, ServerKey, Upstream, User,
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
        let settings = Settings {
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
        let (sent, held, relays) = Default::default();
        let mut world = Self {
            session,
            now,
            upstream,
            sent,
            held,
            is_disk_slow: false,
            relays,
            is_online: false,
            keeps_copies: true,
            operation: None,
            comparisons: 0,
            verdicts: 0,
            withdrawals: 0,
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
                    Output::LookUp(_, then) => {
                        let upstream = self.upstream.clone();
                        self.session.handle_looked_up(then, Ok(upstream), self.now);
                    }
                    Output::Relays(id, reply) => self.relays.push((id, reply)),
                    Output::Online => self.is_online = true,
                    Output::Close { loss, .. } => self.closed = Some(loss),
                    Output::Call(..)
                    | Output::Departed
                    | Output::Reply(..)
                    | Output::Announced(..) => {}
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
            _ => Outcome::Done,
        }
    }

    /// Has a client join the party `p` as `ann` on this port.
    fn join(&mut self, port: u16) {
        self.clients += 1;
        let principal = Principal::User { user: OWNER, admin: false };
        let caller = Caller { principal, connection: ConnectionId(1), address: None };
        let command = Command::Join {
            party_id: "p".parse().unwrap(),
            peer: peer("ann", port),
            keepalive: Keepalive::Connection,
            utc_offset: None,
        };
        let key = RequestKey(format!("client.{}", self.clients).into());
        let request = ClientCommand { caller, key, command };
        self.session.handle_request(ClientId(self.clients), request, self.now);
        self.pump();
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

    fn tell(&mut self, frame: ServerFrame) {
        self.session.handle_message(frame.into(), self.now);
        self.pump();
    }

    fn acknowledge(&mut self, inbound: &Inbound) {
        let req_id = inbound.req_id.clone().expect("a key");
        let (epoch, result) = ("e".parse().unwrap(), (&json!({"relays": []})).into());
        self.tell(ServerFrame::Ack { req_id, epoch, seq: None, result });
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

#[test]
fn party_without_a_copy_in_the_registry_leaves_the_replica() {
    for keeps_copies in [true, false] {
        let mut world = World::new(&["ann"]);
        world.keeps_copies = keeps_copies;
        world.acknowledge_all();
        world.tell(party(1));
        let before = world.comparisons;
        let removed = json!({
            "type": "peer_left", "party_id": "p", "peer_id": "bob", "epoch": "e", "seq": 2,
        });
        world.tell(frame(&removed));
        assert_eq!(world.comparisons - before, usize::from(keeps_copies));
        assert_eq!(world.closed, None);
    }
}

#[test]
fn join_with_another_description_on_the_server_compares_the_party_again() {
    for (port, again) in [(1, 0), (2, 1)] {
        let mut world = World::new(&["ann"]);
        world.acknowledge_all();
        world.join(port);
        // The server has the description with port 1.
        world.tell(party(1));
        let before = world.comparisons;
        world.acknowledge_all();
        assert_eq!(world.comparisons - before, again, "port {port}");
    }
}

/// The intent of a request whose answer is lost has the same key.
#[test]
fn client_request_is_sent_under_its_own_key() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    world.join(1);
    let is_join = |inbound: &&Inbound| matches!(inbound.frame, ClientFrame::JoinParty { .. });
    let join = world.sent.iter().find(is_join).expect("a join");
    assert_eq!(join.req_id.as_ref().map(ReqId::key), Some("client.1"));
}

#[test]
fn leave_of_a_peer_that_joins_again_is_not_sent() {
    for joins in [false, true] {
        let mut world = World::new(&["ann"]);
        world.acknowledge_all();
        if joins {
            world.join(1);
        }
        world.operation = Some(("op", OpBody::Leave("ann".parse().unwrap())));
        world.tell(party(1));
        assert_eq!(world.has_left(), !joins);
    }
}

#[test]
fn confirmed_join_of_a_peer_that_the_party_lacks_counts_as_refused() {
    for (peer_id, verdicts) in [("ann", 0), ("bob", 1)] {
        let mut world = World::new(&["ann", "bob"]);
        world.acknowledge_all();
        world.operation = Some(("op", OpBody::Join(peer(peer_id, 1))));
        // Its only member is `ann`.
        world.tell(party(1));
        world.acknowledge_all();
        assert_eq!(world.verdicts, verdicts, "{peer_id}");
    }
}

#[test]
fn withdrawal_with_a_lost_answer_is_noted_in_the_registry() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    let (party_id, peer_id) = ("p".parse().unwrap(), "ann".parse().unwrap());
    world.session.handle_withdrawal(party_id, peer_id, world.now);
    world.pump();
    assert!(world.has_left());
    let lost = Message::Lost(crate::core::upstream::link::Loss::new("lost"));
    world.session.handle_message(lost, world.now);
    world.pump();
    assert_eq!(world.withdrawals, 1);
}

#[test]
fn refusal_unrelated_to_the_request_keeps_the_intent() {
    for &code in ErrorCode::ALL {
        let mut world = World::new(&["ann"]);
        world.acknowledge_all();
        world.operation = Some(("op", OpBody::Leave("ann".parse().unwrap())));
        world.tell(party(1));
        // Each repetition is refused, too.
        for _ in 0..10 {
            for inbound in std::mem::take(&mut world.sent) {
                world.tell(ServerFrame::Error {
                    message: "no".to_owned(),
                    code: Some(code),
                    req_id: inbound.req_id,
                    retry_after_ms: None,
                });
            }
            world.pass(PATIENCE);
        }
        assert_eq!(world.verdicts == 0, NO_VERDICTS.contains(&code), "{code:?}");
    }
}

/// Returns a frame that the registry processes.
fn signal() -> ServerFrame {
    ServerFrame::Signal {
        party_id: "p".parse().unwrap(),
        from_peer_id: "a".parse().unwrap(),
        to_peer_id: "b".parse().unwrap(),
        signal_data: serde_json::from_value(json!(1)).unwrap(),
    }
}

#[test]
fn slow_disk_does_not_count_as_silence_of_the_server() {
    let mut world = World::online();
    world.is_disk_slow = true;
    world.tell(signal());
    let id = world.ask();
    world.acknowledge_all();
    world.pass(PATIENCE * 5);
    assert!(world.reply(id).is_none(), "the answer comes after earlier messages");
    assert_eq!(world.closed, None);
    let then = world.held.pop().expect("a delivery");
    world.session.handle_applied(then, Ok(Outcome::Done), world.now);
    world.pump();
    assert!(world.reply(id).is_some_and(|reply| reply.is_ok()));
}

#[test]
fn client_request_overtakes_the_bounded_background_requests() {
    let mut world = World::online();
    (0..10).for_each(|_| world.ask_in_background());
    assert_eq!(world.sent.len(), 8);
    let id = world.ask();
    let urgent = world.sent.pop().expect("a request");
    world.acknowledge(&urgent);
    assert!(world.reply(id).is_some_and(|reply| reply.is_ok()));
    // A slow server answers one request after the other, and the session waits for it.
    for _ in 0..10 {
        world.pass(PATIENCE / 3);
        let first = world.sent.remove(0);
        world.acknowledge(&first);
    }
    assert_eq!((world.sent.len(), world.closed), (0, None));
}

#[test]
fn request_to_a_silent_server_is_repeated_then_ends_the_session() {
    let mut world = World::online();
    world.ask_in_background();
    world.pass(PATIENCE * 3);
    let keys: Vec<_> = world.sent.iter().map(|inbound| inbound.req_id.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert!(world.closed.expect("a loss").words.contains("no answer to a request"));
}

#[test]
fn client_request_timeout_keeps_a_live_connection_open() {
    let mut world = World::online();
    let id = world.ask();
    for _ in 0..5 {
        world.pass(PATIENCE / 2);
        world.ask_in_background();
        let other = world.sent.pop().expect("a request");
        world.acknowledge(&other);
    }
    let reply = world.reply(id).expect("a reply");
    assert!(matches!(reply, Err(ClientError::Lost)), "{reply:?}");
    assert_eq!(world.closed, None);
}

#[test]
fn deferred_request_is_sent_again_after_the_pause() {
    let mut world = World::online();
    let id = world.ask();
    let first = world.sent.pop().expect("a request");
    let refuse = |inbound: &Inbound, wait: u64| ServerFrame::Error {
        message: "too many".to_owned(),
        code: Some(lanrage_ipc::ErrorCode::RateLimited),
        req_id: inbound.req_id.clone(),
        retry_after_ms: Some(wait),
    };
    world.tell(refuse(&first, 400));
    world.pass(Duration::from_millis(399));
    assert!(world.sent.is_empty());
    world.pass(Duration::from_millis(1));
    let second = world.sent.pop().expect("the same request");
    assert_eq!(second.req_id, first.req_id);
    // There is no time for a longer pause.
    world.tell(refuse(&second, 700));
    let reply = world.reply(id).expect("a reply");
    let Err(ClientError::Rejected { message, .. }) = reply else { panic!("{reply:?}") };
    assert_eq!(message, "too many; try again in 1 s");
}

#[test]
fn token_is_renewed_in_time_after_any_wall_clock_step() {
    for (hours, set) in [(15, 0), (15, -24), (1, 24)] {
        let mut world = World::new(&["ann"]);
        world.tell(ServerFrame::Welcome {
            session: "s".to_owned(),
            token: Some("token".to_owned().into()),
            peer_id: "ann".parse().ok(),
            token_expires_at: world.now.wall.checked_add(SignedDuration::from_hours(24)).ok(),
            heartbeat_ms: 60_000,
            epoch: "e".parse().unwrap(),
        });
        world.acknowledge_all();
        world.pass(PATIENCE * 3);
        world.acknowledge_all();
        world.now.wall = world.now.wall.checked_add(SignedDuration::from_hours(set)).unwrap();
        world.pass(Duration::from_secs(hours * 3600));
        let is_hello = |inbound: &Inbound| matches!(inbound.frame, ClientFrame::Hello { .. });
        assert!(world.sent.iter().any(is_hello), "{hours} h, set by {set} h");
    }
}

#[test]
fn refused_greeting_is_repeated_with_backoff() {
    let mut auth = auth::Auth::default();
    let peer_id: PeerId = "ann".parse().unwrap();
    assert_eq!(auth.greets_again_in(&peer_id), None);
    for (refused, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)] {
        auth.refused.insert(peer_id.clone(), refused);
        assert_eq!(auth.greets_again_in(&peer_id), Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn undeliverable_signal_keeps_the_session_open() {
    let mut world = World::online();
    world.is_disk_slow = true;
    world.tell(signal());
    let then = world.held.pop().expect("a delivery");
    world.session.handle_applied(then, Err(Failure::Store("full".into())), world.now);
    world.pump();
    assert_eq!(world.closed, None);
}
