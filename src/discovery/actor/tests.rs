use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;

use lanrage_ipc::model::Party;
use lanrage_ipc::results::{DiscoveredParty, DiscoverySource};

use super::*;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::{Ask, Call, ControlPlane, Page, Query};
use crate::core::{Caller, ConnectionId, Principal, Refusal, User};
use crate::discovery::fixtures::{Place, foreign, party};

/// Ends a test that would wait for ever.
async fn eventually(condition: impl Future<Output = ()>) {
    let patience = Duration::from_secs(60);
    actix::clock::timeout(patience, condition).await.expect("it comes to pass");
}

const HOUR: Duration = Duration::from_secs(3600);

/// Control plane with the parties to announce. It counts the requests.
#[derive(Default)]
struct Plane {
    parties: BTreeMap<PartyId, Arc<Party>>,
    asked: usize,
}

impl Actor for Plane {
    type Context = Context<Self>;
}

impl Handler<Call> for Plane {
    type Result = ();

    fn handle(&mut self, call: Call, _: &mut Self::Context) {
        self.asked += 1;
        match call.ask {
            Ask::Query(Query::Party(id, reply)) => {
                let party = self.parties.get(&id).map(|party| Party::clone(party));
                reply.send(party.ok_or_else(|| Refusal::PartyNotFound(id).into()));
            }
            Ask::Query(Query::Parties { after, limit, reply, .. }) => {
                let all = self.parties.iter();
                let mut rest = all.filter(|(id, _)| Some(id.as_str()) > after.as_deref());
                let parties = rest.by_ref().take(limit).map(|(_, party)| Party::clone(party));
                reply.send(Ok(Page { parties: parties.collect(), more: rest.next().is_some() }));
            }
            other => panic!("{other:?} was not asked for"),
        }
    }
}

/// Sets a party, or removes it. The answer is the number of requests so far.
#[derive(Message)]
#[rtype(result = "usize")]
struct Set(PartyId, Option<Arc<Party>>);

impl Handler<Set> for Plane {
    type Result = usize;

    fn handle(&mut self, Set(party_id, party): Set, _: &mut Self::Context) -> usize {
        match party {
            Some(party) => self.parties.insert(party_id, party),
            None => self.parties.remove(&party_id),
        };
        self.asked
    }
}

/// Discovery in front of a control plane.
struct Started {
    discovery: Addr<Discovery>,
    plane: Addr<Plane>,
    changed: Arc<DirtyParties>,
    announced: RefCell<BTreeSet<PartyId>>,
}

impl std::ops::Deref for Started {
    type Target = Addr<Discovery>;

    fn deref(&self) -> &Self::Target {
        &self.discovery
    }
}

impl Started {
    async fn set(&self, party_id: &PartyId, party: Option<&Arc<Party>>) -> usize {
        match party {
            Some(_) => self.announced.borrow_mut().insert(party_id.clone()),
            None => self.announced.borrow_mut().remove(party_id),
        };
        let asked = self.plane.send(Set(party_id.clone(), party.cloned())).await;
        self.changed.note(party_id.clone());
        asked.expect("answered")
    }
}

fn start(place: &Place, refresh: Duration) -> Started {
    start_with(place, refresh, Duration::ZERO, Plane::default())
}

fn start_with(place: &Place, refresh: Duration, gather: Duration, plane: Plane) -> Started {
    let state_dir = place.dir.path().to_owned();
    let config = Config { file: place.path.clone(), state_dir, refresh, gather };
    let (plane, changed) = (plane.start(), Arc::<DirtyParties>::default());
    let principal = Principal::User { user: User(0), admin: true };
    let itself = Caller { principal, connection: ConnectionId(0), address: None };
    let parties = ControlPlane::new(plane.clone().recipient());
    let source = Source { parties, itself, changed: changed.clone() };
    let discovery = Discovery::new(config, source).start();
    Started { discovery, plane, changed, announced: RefCell::default() }
}

/// Announces just these.
async fn announce_all(discovery: &Started, parties: &[&Arc<Party>]) {
    for party_id in discovery.announced.take() {
        discovery.set(&party_id, None).await;
    }
    for party in parties {
        announce(discovery, party).await;
    }
}

async fn announce(discovery: &Started, party: &Arc<Party>) {
    discovery.set(&party.party_id, Some(party)).await;
}

async fn withdraw(discovery: &Started, party: &Arc<Party>) {
    discovery.set(&party.party_id, None).await;
}

async fn flush(discovery: &Addr<Discovery>) {
    discovery.send(Flush).await.expect("answered");
}

async fn discover(discovery: &Addr<Discovery>) -> Result<Arc<AnnouncedParties>, DiscoveryError> {
    discovery.send(Discover).await.expect("answered")
}

fn all(parties: &AnnouncedParties) -> impl Iterator<Item = &DiscoveredParty> {
    parties.own.iter().chain(&parties.others)
}

async fn discovered(discovery: &Addr<Discovery>) -> Vec<String> {
    let parties = discover(discovery).await.expect("a list");
    let mut ids: Vec<_> = all(&parties).map(|found| found.party.party_id.to_string()).collect();
    ids.sort();
    ids
}

/// Asks for the wait after a failure, and whether the actor has anything to do by itself.
#[derive(Message)]
#[rtype(result = "(Option<Duration>, bool)")]
struct Look;

impl Handler<Look> for Discovery {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        MessageResult((self.failure.as_ref().map(|failure| failure.pause), self.wake.is_some()))
    }
}

/// Asks if the actor works on the file.
#[derive(Message)]
#[rtype(result = "bool")]
struct IsBusy;

impl Handler<IsBusy> for Discovery {
    type Result = bool;

    fn handle(&mut self, _: IsBusy, _: &mut Self::Context) -> bool {
        self.announcements.is_none()
    }
}

async fn look(discovery: &Addr<Discovery>) -> (Option<Duration>, bool) {
    discovery.send(Look).await.expect("answered")
}

#[actix::test]
async fn announced_party_is_discovered_until_it_is_withdrawn() {
    let place = Place::new();
    let discovery = start(&place, HOUR);
    let (p, q) = (party("p", "a", &["b"]), party("q", "a", &[]));
    announce_all(&discovery, &[&p]).await;
    announce(&discovery, &q).await;
    assert_eq!(discovered(&discovery).await, ["p", "q"]);
    withdraw(&discovery, &p).await;
    assert_eq!(discovered(&discovery).await, ["q"]);
    announce_all(&discovery, &[&p]).await;
    let found = discover(&discovery).await.expect("a list");
    assert_eq!((found.own.len(), found.own[0].source), (1, DiscoverySource::File));
    assert_eq!(found.own[0].party.peers.len(), 2);
}

#[actix::test]
async fn foreign_parties_are_discovered_and_invalid_ones_skipped() {
    let place = Place::new();
    let mut bad = foreign("bad", "b");
    bad["peers"]["b"]["public_port"] = serde_json::json!(-1);
    let file = serde_json::json!({"y": foreign("y", "b"), "bad": bad, "x": foreign("x", "b")});
    place.write(&file.to_string());
    let discovery = start(&place, HOUR);
    let found = discover(&discovery).await.expect("a list");
    let found: Vec<_> = all(&found).map(|found| serde_json::to_value(&found.party)).collect();
    let expected = [foreign("x", "b"), foreign("y", "b")];
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), expected);
}

#[actix::test]
async fn own_parties_are_discovered_as_written_despite_foreign_changes() {
    let place = Place::new();
    let discovery = start(&place, HOUR);
    announce(&discovery, &party("p", "a", &["b"])).await;
    let expected = discover(&discovery).await.expect("a list");
    assert_eq!(expected.own.len(), 1);
    // What others may do to the entry while they keep its id and its host.
    let changes: [fn(&mut serde_json::Value); 4] = [
        |entry| entry["name"] = "Theirs".into(),
        |entry| entry["peers"]["b"]["public_key"] = "k".into(),
        |entry| entry["created_at"] = "2026-01-02T03:04:05".into(),
        |entry| {
            for number in 0..100 {
                let id = format!("x{number}");
                let mut peer = entry["peers"]["b"].clone();
                peer["peer_id"] = id.as_str().into();
                entry["peers"][id] = peer;
            }
        },
    ];
    let written = place.json();
    for change in changes {
        let mut file = written.clone();
        change(&mut file["p"]);
        place.write(&file.to_string());
        assert_eq!(discover(&discovery).await.expect("a list"), expected);
    }
    // With another host it is another party.
    let mut file = written.clone();
    file["p"]["host_id"] = "b".into();
    place.write(&file.to_string());
    let found = discover(&discovery).await.expect("a list");
    assert_eq!((found.own.len(), found.others.len()), (0, 1));
}

#[actix::test]
async fn a_file_that_can_not_be_read_is_an_error_and_no_file_is_an_empty_list() {
    let place = Place::new();
    let discovery = start(&place, HOUR);
    assert!(discovered(&discovery).await.is_empty());
    fs::create_dir(&place.path).expect("a directory");
    let error = discover(&discovery).await.expect_err("refused");
    assert_eq!(error, DiscoveryError::NotAFile(place.path.clone()));
}

#[actix::test]
async fn damaged_file_is_logged_once_and_repaired() {
    let place = Place::new();
    let discovery = start(&place, HOUR);
    flush(&discovery).await;
    place.write("damaged");
    let error = discover(&discovery).await.expect_err("damage");
    assert!(matches!(error, DiscoveryError::Damaged { .. }), "{error}");
    assert!(discovered(&discovery).await.is_empty());
    assert_eq!((place.set_aside().len(), place.text().as_str()), (1, "{}"));
}

#[actix::test]
async fn changes_during_a_write_are_written_next() {
    let place = Place::new();
    let discovery = start(&place, HOUR);
    let parties: Vec<_> = (0..200).map(|n| party(&format!("p{n:03}"), "a", &[])).collect();
    let changes = parties.iter().map(|party| announce(&discovery, party));
    futures_util::future::join_all(changes).await;
    for party in &parties[..100] {
        withdraw(&discovery, party).await;
    }
    flush(&discovery).await;
    let left: Vec<_> = parties[100..].iter().map(|party| party.party_id.to_string()).collect();
    assert_eq!(place.ids(), left);
}

#[actix::test]
async fn announcements_are_refreshed_while_there_are_parties() {
    let place = Place::new();
    let discovery = start(&place, Duration::from_millis(1));
    let p = party("p", "a", &[]);
    announce_all(&discovery, &[&p]).await;
    let mut seen = std::collections::BTreeSet::new();
    eventually(async {
        while seen.len() < 3 {
            let found = discover(&discovery).await.expect("a list");
            seen.insert(found.own[0].party.peers["a"].last_seen);
        }
    })
    .await;
    withdraw(&discovery, &p).await;
    assert!(discovered(&discovery).await.is_empty());
    assert_eq!(look(&discovery).await, (None, false));
}

#[actix::test]
async fn no_refresh_is_scheduled_after_a_flush() {
    let place = Place::new();
    let discovery = start(&place, HOUR);
    announce_all(&discovery, &[&party("p", "a", &[])]).await;
    assert_eq!(discovered(&discovery).await, ["p"]);
    assert_eq!(look(&discovery).await, (None, true));
    flush(&discovery).await;
    assert_eq!(look(&discovery).await, (None, false));
    announce(&discovery, &party("q", "a", &[])).await;
    assert_eq!(discovered(&discovery).await, ["p", "q"]);
    assert_eq!(look(&discovery).await, (None, true));
}

#[actix::test]
async fn failed_write_is_retried_with_backoff() {
    let place = Place::new();
    let obstacle = place.obstacle(&place.path);
    let discovery = start(&place, HOUR);
    announce_all(&discovery, &[&party("p", "a", &[])]).await;
    assert!(discovered(&discovery).await.is_empty());
    assert_eq!(look(&discovery).await, (Some(RETRY_FIRST), true));

    // A change waits for the pause to end, a flush does not.
    announce(&discovery, &party("q", "a", &[])).await;
    assert!(discovered(&discovery).await.is_empty());
    assert_eq!(look(&discovery).await, (Some(RETRY_FIRST), true));
    flush(&discovery).await;
    assert_eq!(look(&discovery).await, (Some(2 * RETRY_FIRST), false));
    for _ in 0..9 {
        flush(&discovery).await;
    }
    assert_eq!(look(&discovery).await, (Some(RETRY_MOST), false));

    fs::remove_dir(obstacle).expect("removed");
    flush(&discovery).await;
    assert_eq!(place.ids(), ["p", "q"]);
    assert_eq!(look(&discovery).await, (None, false));
}

#[actix::test]
async fn failed_write_succeeds_once_the_obstacle_is_gone() {
    let place = Place::new();
    let obstacle = place.obstacle(&place.path);
    let discovery = start(&place, HOUR);
    announce_all(&discovery, &[&party("p", "a", &[])]).await;
    assert!(discovered(&discovery).await.is_empty());
    fs::remove_dir(obstacle).expect("removed");
    eventually(async { while discovered(&discovery).await.is_empty() {} }).await;
    assert_eq!(place.ids(), ["p"]);
}

#[actix::test]
async fn first_change_is_written_at_once_and_later_ones_together() {
    let place = Place::new();
    let (p, q) = (party("p", "a", &[]), party("q", "a", &[]));
    let discovery = start_with(&place, HOUR, HOUR, Plane::default());
    // The start counts as quiet: it writes nothing.
    flush(&discovery).await;
    announce(&discovery, &p).await;
    eventually(async {
        while !place.path.exists() {
            tokio::task::yield_now().await
        }
    })
    .await;
    eventually(async { while discovery.send(IsBusy).await.expect("answered") {} }).await;
    let asked = discovery.set(&q.party_id, Some(&q)).await;
    for _ in 0..100 {
        announce(&discovery, &q).await;
        assert!(!discovery.send(IsBusy).await.expect("answered"));
    }
    assert_eq!(place.ids(), ["p"]);
    flush(&discovery).await;
    assert_eq!(place.ids(), ["p", "q"]);
    assert_eq!(discovery.set(&q.party_id, None).await, asked + 1, "all changes are read at once");
}

#[actix::test]
async fn parties_of_a_start_are_read_in_pages() {
    let place = Place::new();
    let by_id = |number: usize| {
        let party = party(&format!("p{number:03}"), "a", &[]);
        (party.party_id.clone(), party)
    };
    let parties: BTreeMap<_, _> = (0..200).map(by_id).collect();
    let plane = Plane { parties: parties.clone(), asked: 0 };
    let discovery = start_with(&place, HOUR, Duration::ZERO, plane);
    assert_eq!(discovered(&discovery).await.len(), 200);
    let (id, party) = parties.first_key_value().expect("a party");
    assert_eq!(discovery.set(id, Some(party)).await, 4, "pages of 64");
}
