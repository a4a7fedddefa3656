//! A disk that hangs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;
use lanrage_ipc::model::{Address, Keepalive, NatType, Party, Peer, PeerInput, Relay};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::waiting::{Pending, Read, Waiting};
use super::{Collaborators, LocalControlPlane};
use crate::clock::Clock;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::{
    Ask, ChangedParties, ControlPlane, Failure, IntoAsk, Query, Reply, Status, StoreStatus,
};
use crate::core::{
    Caller, ClaimHash, CommandFor, ConnectionId, DirtySet, Hold, Principal, Registry, Rules,
    Shares, User, command,
};
use crate::events::Publish;
use crate::store::{BackUp, BackupError, Commit, Committed, StoreError, StoreErrorKind};

const HOUR: Duration = Duration::from_secs(3600);

/// A disk that lets commits through while its gate is open; they fail while `is_full`.
struct Disk {
    gate: watch::Receiver<bool>,
    is_full: Arc<AtomicBool>,
}

impl Actor for Disk {
    type Context = Context<Self>;
}

impl Handler<Commit> for Disk {
    type Result = ResponseFuture<Result<Committed, StoreError>>;

    fn handle(&mut self, _: Commit, _: &mut Self::Context) -> Self::Result {
        let (mut open, is_full) = (self.gate.clone(), self.is_full.clone());
        Box::pin(async move {
            open.wait_for(|open| *open).await.expect("the gate stays");
            match is_full.load(Ordering::Relaxed) {
                true => {
                    let (kind, path) = (StoreErrorKind::Full, PathBuf::new());
                    Err(StoreError { kind, path, detail: String::new() })
                }
                false => Ok(Committed { took: Duration::ZERO }),
            }
        })
    }
}

impl Handler<BackUp> for Disk {
    type Result = Result<u64, BackupError>;

    fn handle(&mut self, _: BackUp, _: &mut Self::Context) -> Self::Result {
        Ok(0)
    }
}

impl Handler<Publish> for Disk {
    type Result = ();

    fn handle(&mut self, _: Publish, _: &mut Self::Context) {}
}

struct Plane {
    plane: ControlPlane,
    gate: watch::Sender<bool>,
    is_full: Arc<AtomicBool>,
}

/// An administrator, who may have all places in the queue.
fn caller() -> Caller {
    caller_as(1000, true)
}

fn caller_as(uid: u32, admin: bool) -> Caller {
    let principal = Principal::User { user: User(uid), admin };
    Caller { principal, connection: ConnectionId(1), address: None }
}

fn rules() -> Rules {
    Rules {
        peer_timeout: HOUR,
        relay_timeout: HOUR,
        signal_ttl: HOUR,
        grace_until: Duration::ZERO,
        parties_per_peer: 2,
        peers_per_party: 2,
        parties: 10,
        relays: 10,
        tokens: 10,
        token_ttl: HOUR,
        intents: 0,
        receipts: 10,
        signal_bytes: 1000,
        signals_per_peer: 10,
        signals_total_bytes: 100_000,
        shares: Shares { address: 1, user: 1 },
        copies_bytes: 1 << 20,
        hold_keys: false,
        subnet: "10.66.0.0/16".parse().unwrap(),
    }
}

fn host(port: u16) -> PeerInput {
    PeerInput {
        peer_id: "host".parse().unwrap(),
        name: "host".parse().unwrap(),
        public_key: "key".parse().unwrap(),
        nat_type: NatType::Open,
        public_ip: Address::Unknown,
        public_port: port,
        local_ip: Address::Unknown,
        local_port: port,
    }
}

fn update(port: u16) -> CommandFor<Peer> {
    let party_id = "lan".parse().unwrap();
    command!(Update { party_id, peer: host(port), utc_offset: None })
}

fn read() -> impl IntoAsk<Party> {
    |reply| Query::Party("lan".parse().unwrap(), reply)
}

fn is_overload<T>(answer: &Result<T, Failure>) -> bool {
    matches!(answer, Err(Failure::Store(words)) if words.contains("too many"))
}

impl Plane {
    /// With one party, on a disk that hangs from then on.
    async fn stalled() -> Self {
        let (gate, open) = watch::channel(true);
        let is_full = Arc::<AtomicBool>::default();
        let disk = Disk { gate: open, is_full: is_full.clone() }.start();
        let to = Collaborators {
            ending: Default::default(),
            store: disk.clone().recipient(),
            archive: disk.clone().recipient(),
            hub: disk.recipient(),
            announcer: None,
            dirty: Arc::default(),
        };
        let registry = Registry::new(rules(), "epoch".parse().unwrap());
        let status = StoreStatus {
            path: PathBuf::new(),
            pending: 0,
            last_commit: None,
            last_error: None,
            recovery: None,
        };
        let plane = LocalControlPlane::new(registry, Clock::start(), to, HOUR, status).start();
        let plane = Self { plane: ControlPlane::new(plane.recipient()), gate, is_full };
        let party = command!(Register {
            party_id: "lan".parse().unwrap(),
            name: "lan".parse().unwrap(),
            host: host(1),
            keepalive: Keepalive::Manual,
            utc_offset: None,
        });
        plane.ask(party).await.expect("a party");
        plane.gate.send(false).unwrap();
        plane
    }

    async fn ask<T>(&self, request: impl IntoAsk<T>) -> Result<T, Failure> {
        self.plane.ask(caller(), request).await
    }

    /// Asks, and does not wait.
    fn spawn<T: 'static>(
        &self,
        request: impl IntoAsk<T> + 'static,
    ) -> JoinHandle<Result<T, Failure>> {
        self.spawn_as(caller(), request)
    }

    fn spawn_as<T: 'static>(
        &self,
        caller: Caller,
        request: impl IntoAsk<T> + 'static,
    ) -> JoinHandle<Result<T, Failure>> {
        actix::spawn(self.plane.ask(caller, request))
    }

    async fn status(&self) -> Status {
        self.ask(Ask::Status).await.expect("a status")
    }

    /// Asks until something is refused because too much waits.
    async fn fill<T: 'static, R: IntoAsk<T> + 'static>(
        &self,
        request: impl Fn(u16) -> R,
    ) -> Vec<JoinHandle<Result<T, Failure>>> {
        self.fill_as(&caller(), request).await
    }

    async fn fill_as<T: 'static, R: IntoAsk<T> + 'static>(
        &self,
        caller: &Caller,
        request: impl Fn(u16) -> R,
    ) -> Vec<JoinHandle<Result<T, Failure>>> {
        let mut asked = Vec::new();
        for port in 2..40_000 {
            asked.push(self.spawn_as(caller.clone(), request(port)));
            if port % 1000 == 0 {
                // Calls are taken in in order.
                self.status().await;
                tokio::task::yield_now().await;
                if asked.iter().rev().take(1000).any(JoinHandle::is_finished) {
                    return asked;
                }
            }
        }
        let finished = asked.iter().filter(|asked| asked.is_finished()).count();
        panic!("{} wait, {finished} finished", self.status().await.store.pending);
    }
}

#[actix::test]
async fn waiting_changes_are_bounded_while_the_disk_hangs() {
    let plane = Plane::stalled().await;
    let asked = plane.fill(update).await;
    let waiting = plane.status().await.store.pending;
    let refused = plane.ask(update(1)).await;
    assert!(is_overload(&refused), "{refused:?}");
    assert!(is_overload(&plane.ask(read()).await));
    assert_eq!(plane.status().await.store.pending, waiting);
    // Signs of life wait for no disk, and a connection that closes can't be refused.
    let (party_id, peer_id) = ("lan".parse().unwrap(), "host".parse().unwrap());
    plane.ask(command!(Heartbeat { party_id, peer_id })).await.expect("a sign of life");
    plane.ask(command!(Disconnect)).await.expect("a closed connection");
    plane.gate.send(true).unwrap();
    let mut last = None;
    for (port, asked) in (2..).zip(asked) {
        match asked.await.expect("a task") {
            Ok(peer) => {
                assert_eq!(peer.info, host(port));
                last = Some(port);
            }
            refused => assert!(is_overload(&refused), "{refused:?}"),
        }
    }
    // What was refused was not done.
    let party = plane.ask(read()).await.expect("a party");
    assert_eq!(Some(party.peers[&host(1).peer_id].info.public_port), last);
    plane.ask(update(1)).await.expect("room again");
}

#[actix::test]
async fn request_given_up_before_it_is_taken_is_not_done() {
    let plane = Plane::stalled().await;
    plane.gate.send(true).unwrap();
    drop(plane.plane.ask(caller(), update(2)));
    let party = plane.ask(read()).await.expect("a party");
    assert_eq!(party.peers[&host(1).peer_id].info, host(1));
}

#[actix::test]
async fn one_client_leaves_room_for_others() {
    let plane = Plane::stalled().await;
    let changed = plane.spawn(update(2));
    let attacker = caller_as(1001, false);
    let readers = plane.fill_as(&attacker, |_| read()).await;
    let refused = plane.spawn_as(attacker, read()).await.expect("a task");
    assert!(is_overload(&refused), "{refused:?}");
    let other = plane.spawn_as(caller_as(1002, false), read());
    plane.status().await;
    plane.gate.send(true).unwrap();
    changed.await.expect("a task").expect("a change");
    other.await.expect("a task").expect("a party");
    drop(readers);
}

#[actix::test]
async fn abandoned_query_takes_no_place() {
    let plane = Plane::stalled().await;
    let changed = plane.spawn(update(2));
    let readers = plane.fill(|_| read()).await;
    for reader in readers {
        reader.abort();
    }
    // The control plane sees it only when they have ended.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let patient = plane.spawn(read());
    assert!(plane.status().await.store.pending < 10);
    plane.gate.send(true).unwrap();
    changed.await.expect("a task").expect("a change");
    let party = patient.await.expect("a task").expect("a party");
    assert_eq!(party.peers[&host(1).peer_id].info, host(2));
}

#[actix::test]
async fn changes_of_watched_parties_are_read_again_at_the_end() {
    let plane = Plane::stalled().await;
    plane.gate.send(true).unwrap();
    let register = |id: &str| {
        command!(Register {
            party_id: id.parse().unwrap(),
            name: id.parse().unwrap(),
            host: PeerInput { peer_id: id.parse().unwrap(), ..host(1) },
            keepalive: Keepalive::Manual,
            utc_offset: None,
        })
    };
    for id in ["a", "b"] {
        plane.ask(register(id)).await.expect("a party");
    }
    let room = 1 << 20;
    let changed = plane.ask(|reply| Ask::Watch(room, reply)).await.expect("a watch");
    let idle = plane.ask(|reply| Query::ChangedParties(changed.clone(), room, reply)).await;
    assert_eq!(idle.expect("no changes").parties, []);
    plane.ask(update(7)).await.expect("a change");
    plane.ask(register("c")).await.expect("a party");
    let (party_id, peer_id) = ("a".parse().unwrap(), "a".parse().unwrap());
    plane.ask(command!(Leave { party_id, peer_id })).await.expect("left");
    let read = |changed: &Arc<DirtyParties>| {
        let changed = changed.clone();
        plane.ask(move |reply| Query::ChangedParties(changed, room, reply))
    };
    let ChangedParties { stale, parties } = read(&changed).await.expect("changes");
    let ids = |ids: &[&str]| ids.iter().map(|id| id.parse().unwrap()).collect();
    assert_eq!(stale, DirtySet::Some(ids(&["a", "c", "lan"])));
    let parties: Vec<_> = parties.iter().map(|party| party.party_id.as_str()).collect();
    assert_eq!(parties, ["c", "lan"]);

    // Parties that can't fit are refused before anything is read.
    let refused = plane.ask(|reply| Ask::Watch(100, reply)).await;
    assert!(matches!(refused, Err(Failure::TooLong { .. })), "{refused:?}");
    // A slice shows what may be undone, and then everything is read again.
    plane.gate.send(false).unwrap();
    plane.is_full.store(true, Ordering::Relaxed);
    let lost = plane.spawn(update(9));
    let changed = plane.ask(|reply| Ask::Watch(room, reply)).await.expect("a watch");
    let slice = |reply| Ask::Slice { after: None, limit: 10, room, reply };
    let port = |parties: &[Party]| {
        let party = parties.iter().find(|party| party.party_id.as_str() == "lan").expect("a party");
        party.peers[&host(1).peer_id].info.public_port
    };
    assert_eq!(port(&plane.ask(slice).await.expect("a slice").parties), 9);
    plane.gate.send(true).unwrap();
    lost.await.expect("a task").expect_err("a full disk");
    let ChangedParties { stale, parties } = read(&changed).await.expect("changes");
    assert_eq!((stale, port(&parties)), (DirtySet::Any, 7));
    plane.is_full.store(false, Ordering::Relaxed);

    // A watch that nobody keeps is dropped.
    let (watched, lost) = (Arc::downgrade(&changed), changed);
    drop(lost);
    plane.ask(update(8)).await.expect("a change");
    assert_eq!(watched.strong_count(), 0);
}

#[test]
fn large_answer_counts_its_weight() {
    let relay = Relay {
        relay_id: "r".parse().unwrap(),
        public_ip: "203.0.113.1".parse().unwrap(),
        port: 1,
        region: "r".parse().unwrap(),
        capacity: 1,
        registered_at: jiff::Timestamp::UNIX_EPOCH,
    };
    let mut pending = Pending::default();
    let mut readers = Vec::new();
    while pending.has_room(None, Duration::ZERO) {
        let (mut reply, reader) = Reply::channel();
        readers.push(reader);
        reply.hold(Ok(vec![relay.clone(); 10_000]));
        let query = Query::Relays(None, reply);
        let read = Read { caller: caller(), query, hub_command: None };
        pending.push(None, Waiting::Read(Box::new(read)));
    }
    assert_eq!(readers.len(), 27, "10,000 rows of half a kibibyte each, in 128 MiB");
    readers.pop();
    assert!(!pending.has_room(None, Duration::from_millis(900)), "it is searched each second");
    assert!(pending.has_room(None, Duration::from_secs(1)));
    assert_eq!(pending.take_all().len(), 26);
    assert!(pending.has_room(None, Duration::from_secs(1)));
}

#[actix::test]
async fn claim_with_a_failed_commit_holds_nothing() {
    let plane = Plane::stalled().await;
    let claim = |connection, claim| {
        let (principal, address) = (Principal::Peers([].into()), None);
        let caller = Caller { principal, connection: ConnectionId(connection), address };
        let (peer_id, hold) = ("x".parse().unwrap(), Hold::Shared);
        plane.plane.ask(caller, command!(Claim { peer_id, proof: None, issue: None, hold, claim }))
    };
    let asked = plane.fill(update).await;
    let refused = claim(2, Some(ClaimHash([1; 32]))).await;
    assert!(is_overload(&refused), "{refused:?}");
    plane.gate.send(true).unwrap();
    for asked in asked {
        asked.await.expect("a task").ok();
    }
    claim(3, None).await.expect("nobody has the id");
}
