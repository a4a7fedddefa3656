//! A session between a server and a registry that do what a test says.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::control::{ClientFrame, ReqId, Secret, ServerFrame};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use super::*;
use crate::control_plane::Call;
use crate::control_plane::remote::transport::tls;
use crate::core::{ConnectionId, CredentialRecord, Principal, Proof};

/// Longest silence of the server while a request waits for its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Long enough for a slow machine.
const ENOUGH: Duration = Duration::from_secs(20);

/// A registry that answers once the disk is told to work.
struct Registry {
    disk: Option<oneshot::Receiver<()>>,
}

impl Actor for Registry {
    type Context = Context<Self>;
}

impl Handler<Call> for Registry {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, call: Call, _: &mut Self::Context) -> Self::Result {
        let disk = self.disk.take();
        Box::pin(async move {
            if let Some(disk) = disk {
                disk.await.ok();
            }
            if let Ask::Command(_, reply) = call.ask {
                reply.send(Ok(Outcome::Done));
            }
        })
    }
}

/// A session, what it sends, and the way to it.
struct World {
    session: Rc<Session>,
    sent: mpsc::Receiver<Outgoing>,
    came: mpsc::Sender<Incoming>,
    /// Gets a sign of life each time the session hears one.
    lives: mpsc::UnboundedReceiver<()>,
}

impl World {
    fn new(disk: Option<oneshot::Receiver<()>>) -> Self {
        let principal = Principal::User { user: User(0), admin: true };
        let around = Surroundings {
            local: ControlPlane::new(Registry { disk }.start().recipient()),
            itself: Caller { principal, connection: ConnectionId(0), address: None },
            clock: Clock::start(),
            outbox: Arc::default(),
            forgiveness: Duration::ZERO,
            keys: Keys::new().unwrap(),
            signals: SentSignals::default(),
            warnings: Warnings::default(),
        };
        let target = Target {
            url: "http://server".parse().unwrap(),
            carrier: Carrier::Ws,
            tls: tls::client_config(None).unwrap(),
            connect_timeout: ENOUGH,
            request_timeout: PATIENCE * 5 / 2,
            poll: ENOUGH,
            proxies: Arc::default(),
        };
        let (outgoing, sent) = mpsc::channel(256);
        let (came, incoming) = mpsc::channel(16);
        let wire = Wire { outgoing, incoming, carrier: Carrier::Ws, clock_ahead: None };
        let (session, incoming) = Session::new(around, target, wire, ENOUGH);
        let (lived, lives) = mpsc::unbounded_channel();
        let hearing = session.clone().hear(incoming, move |_| {
            lived.send(()).ok();
        });
        actix::spawn(async move { drop(hearing.await) });
        Self { session, sent, came, lives }
    }

    /// Begins a request.
    fn ask(&self, lane: Lane) -> tokio::task::JoinHandle<Result<Acked, Trouble>> {
        let session = self.session.clone();
        actix::spawn(async move {
            let key = session.around.keys.next();
            session.ask(ClientFrame::ListRelays { region: None }, &key, lane).await
        })
    }

    /// The name of the next request.
    async fn request(&mut self) -> ReqId {
        match timeout(ENOUGH, self.sent.recv()).await.expect("a request in time") {
            Some(Outgoing::Frame(inbound)) => inbound.req_id.expect("a name"),
            other => panic!("{other:?}"),
        }
    }

    /// The names of the requests that are sent without an answer to one.
    async fn requests(&mut self) -> Vec<ReqId> {
        let mut sent = vec![self.request().await];
        while let Ok(Some(Outgoing::Frame(inbound))) =
            timeout(PATIENCE / 10, self.sent.recv()).await
        {
            sent.push(inbound.req_id.expect("a name"));
        }
        sent
    }

    async fn tell(&self, frame: ServerFrame) {
        self.came.send(Incoming::Frame(Box::new(frame))).await.expect("a session");
    }

    async fn acknowledge(&self, req_id: ReqId) {
        let (epoch, result) = ("e".parse().unwrap(), (&json!({})).into());
        self.tell(ServerFrame::Ack { req_id, epoch, seq: None, result }).await;
    }
}

/// A frame that the registry takes in.
fn signal() -> ServerFrame {
    ServerFrame::Signal {
        party_id: "p".parse().unwrap(),
        from_peer_id: "a".parse().unwrap(),
        to_peer_id: "b".parse().unwrap(),
        signal_data: serde_json::from_value(json!(1)).unwrap(),
    }
}

#[actix::test]
async fn a_slow_disk_is_no_silence_of_the_server() {
    let (work, disk) = oneshot::channel();
    let mut world = World::new(Some(disk));
    world.tell(signal()).await;
    let asked = world.ask(Lane::Background);
    let req_id = world.request().await;
    world.acknowledge(req_id).await;
    for _ in 0..50 {
        world.came.send(Incoming::Alive).await.expect("a session that reads");
    }
    for _ in 0..52 {
        timeout(ENOUGH, world.lives.recv()).await.expect("a sign of life").expect("a session");
    }
    sleep(PATIENCE * 5 / 2).await;
    assert!(!asked.is_finished(), "the answer comes after what was told before it");
    assert!(world.session.end.borrow().is_none(), "{:?}", world.session.end);
    work.send(()).expect("the registry");
    asked.await.expect("no panic").expect("an answer");
}

#[actix::test]
async fn a_slow_server_is_asked_a_few_things_at_a_time_and_waited_for() {
    let mut world = World::new(None);
    let asked: Vec<_> = (0..10).map(|_| world.ask(Lane::Background)).collect();
    let mut unanswered: VecDeque<_> = world.requests().await.into();
    assert_eq!(unanswered.len(), 8);
    // A client's request goes past the window.
    let urgent = world.ask(Lane::Asked);
    let req_id = world.request().await;
    world.acknowledge(req_id).await;
    urgent.await.expect("no panic").expect("an answer");
    for _ in 0..asked.len() {
        sleep(PATIENCE / 3).await;
        world.acknowledge(unanswered.pop_front().expect("a request")).await;
        while let Ok(outgoing) = world.sent.try_recv() {
            let Outgoing::Frame(inbound) = outgoing else { continue };
            unanswered.push_back(inbound.req_id.expect("a name"));
        }
    }
    for asked in asked {
        asked.await.expect("no panic").expect("an answer");
    }
}

#[actix::test]
async fn a_silent_server_is_asked_twice_and_given_up() {
    let mut world = World::new(None);
    let asked = world.ask(Lane::Background);
    assert_eq!(world.request().await, world.request().await);
    let lost = asked.await.expect("no panic");
    assert!(matches!(lost, Err(Trouble::Lost)), "{lost:?}");
    assert!(world.session.end.borrow().is_some());
}

#[actix::test]
async fn a_users_request_that_takes_too_long_ends_no_connection_that_is_alive() {
    let mut world = World::new(None);
    let asked = world.ask(Lane::Asked);
    world.request().await;
    let others: Vec<_> = (0..5).map(|_| world.ask(Lane::Background)).collect();
    for _ in &others {
        let req_id = world.request().await;
        world.acknowledge(req_id).await;
        sleep(PATIENCE / 2).await;
    }
    let lost = asked.await.expect("no panic");
    assert!(matches!(lost, Err(Trouble::Lost)), "{lost:?}");
    assert!(world.session.end.borrow().is_none(), "{:?}", world.session.end);
}

/// An instant so long after another, with the wall clock set forward by some more, or back.
fn later(before: Now, by: Duration, set: SignedDuration) -> Now {
    let wall = before.wall.checked_add(by).unwrap().checked_add(set).unwrap();
    Now { wall, elapsed: before.elapsed + by }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);
const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_wall_clock_that_is_set_shows_against_elapsed_time() {
    let before = Clock::start().now();
    for set in [DAY, -DAY, SignedDuration::ZERO] {
        assert_eq!(set_since(before, later(before, HOUR, set)), set.as_secs());
    }
    // The two are not read at once.
    for apart in [-999, 999] {
        let millis = SignedDuration::from_millis(apart);
        assert_eq!(set_since(before, later(before, HOUR, millis)), 0);
    }
}

#[actix::test]
async fn a_token_is_renewed_in_time_however_the_wall_clock_is_set() {
    let world = World::new(None);
    let (session, peer_id) = (&world.session, "ann".parse::<PeerId>().unwrap());
    session.greeted.borrow_mut().insert(peer_id.clone());
    session.owners.borrow_mut().insert(peer_id.clone(), User(0));
    let now = session.opened;
    let expires_at = Some(now.wall.checked_add(DAY).unwrap());
    let token = Secret::from("token".to_owned());
    session.keep_token(peer_id.clone(), token.clone(), expires_at).await.unwrap();
    let credential = CredentialRecord {
        server: session.server.clone(),
        peer_id,
        proof: Proof::Token(token),
        renew_at: now.wall.checked_add(DAY * 6 / 10).unwrap(),
        owner: User(0),
    };
    let is_due = |now: Now| {
        let upstream = Upstream { credentials: vec![credential.clone()], ..Upstream::default() };
        let none = HashMap::new();
        let (due, ..) = session.renewals(upstream, now, &none).next().expect("a token");
        due <= now.elapsed
    };
    assert!(!is_due(later(now, HOUR * 14, SignedDuration::ZERO)));
    assert!(is_due(later(now, HOUR * 15, SignedDuration::ZERO)));
    assert!(is_due(later(now, HOUR * 15, -DAY)), "it was set back");
    assert!(is_due(later(now, HOUR, DAY)), "it was set forward");
}

#[actix::test]
async fn a_refused_greeting_is_tried_again_less_and_less_often() {
    let world = World::new(None);
    let peer_id: PeerId = "ann".parse().unwrap();
    assert_eq!(world.session.greets_again_in(&peer_id), None);
    for (refused, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)] {
        world.session.refused_greetings.borrow_mut().insert(peer_id.clone(), refused);
        let wait = world.session.greets_again_in(&peer_id);
        assert_eq!(wait, Some(Duration::from_secs(seconds)), "after {refused}");
    }
}
