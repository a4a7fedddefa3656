//! Import of parties.

use super::*;
use lanrage_ipc::lanrage::ImportedParty;

use crate::core::{ImportCounts, ImportMode};

const LONG_AGO: &str = "2020-01-01T00:00:00Z";

fn imported(id: &str, host: &str, peers: &[&str]) -> ImportedParty {
    ImportedParty {
        party_id: id.parse().unwrap(),
        name: id.parse().unwrap(),
        host_id: host.parse().unwrap(),
        created_at: timestamp(LONG_AGO),
        peers: peers.iter().map(|id| (peer(id), timestamp(LONG_AGO))).collect(),
    }
}

fn merge(parties: impl Into<Vec<ImportedParty>>) -> Command {
    Command::Import { parties: parties.into(), mode: ImportMode::Merge }
}

fn replace(parties: impl Into<Vec<ImportedParty>>) -> Command {
    Command::Import { parties: parties.into(), mode: ImportMode::Replace }
}

/// Returns the counts of imported, skipped and removed entries, and a line for each rejected one.
fn counts(applied: &Applied) -> ([u64; 4], Vec<String>) {
    let Outcome::Imported(counts) = &applied.outcome else { panic!("{:?}", applied.outcome) };
    let ImportCounts { parties, peers, skipped, removed, rejected } = counts;
    let rejected = rejected.iter().map(|rejected| {
        let peer = rejected.peer_id.as_deref().unwrap_or("all");
        format!("{} {peer}: {}", rejected.party_id, rejected.reason)
    });
    ([*parties, *peers, *skipped, *removed], rejected.collect())
}

#[test]
fn import_adds_a_party_with_all_members() {
    let mut world = World::new();
    let applied = world.ann(merge([imported("lan", "m", &["z", "a", "m"])]));
    assert_eq!(counts(&applied), ([1, 3, 0, 0], vec![]));
    assert_eq!(told(&applied), ["party.registered lan #1"]);
    let party = world.party("lan");
    assert_eq!((party.host_id.as_str(), party.created_at), ("m", timestamp(LONG_AGO)));
    for (id, address) in [("m", "10.66.0.1"), ("a", "10.66.0.2"), ("z", "10.66.0.3")] {
        let member = world.peer("lan", id);
        assert_eq!(member.virtual_ip.to_string(), address);
        assert_eq!((member.info, member.connected), (peer(id), false), "nothing keeps it alive");
        assert_eq!(member.last_seen, timestamp(LONG_AGO));
    }
    world.refused(BEN, leave("lan", "m"));
    world.pass(PEER_TIMEOUT - SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0], "it counts as seen at the import");
    world.pass(SECOND);
    assert_eq!(told(&world.ann(Command::Expire)).len(), 4);
}

#[test]
fn merge_keeps_existing_parties() {
    let mut world = World::new();
    world.ann(register("here", "host"));
    let applied = world.ann(merge([imported("here", "x", &["x"]), imported("new", "y", &["y"])]));
    assert_eq!(counts(&applied), ([1, 1, 1, 0], vec![]));
    assert_eq!(told(&applied), ["party.registered new #1"]);
    assert_eq!(world.members("here"), ["host"]);
}

#[test]
fn replace_removes_existing_parties_first() {
    let mut world = World::new();
    world.ann(register("lan", "z"));
    world.ann(join("lan", "a"));
    world.by(BEN, register("two", "b"));
    world.ann(relay("r", 1));
    let applied = world.by(ROOT, replace([imported("lan", "b", &["b"])]));
    assert_eq!(counts(&applied), ([1, 1, 0, 2], vec![]));
    let expected = [
        "peer.left lan z Removed #3",
        "peer.left lan a Removed #4",
        "party.removed lan Removed #5",
        "peer.left two b Removed #2",
        "party.removed two Removed #3",
        "party.registered lan #1",
    ];
    assert_eq!(told(&applied), expected);
    assert_eq!(world.members("lan"), ["b"]);
    assert_eq!(world.registry.relays(None).len(), 1, "an import leaves relays unchanged");
}

#[test]
fn import_takes_the_first_of_duplicates() {
    let mut world = World::new();
    let mut twice = imported("lan", "host", &["a", "host", "a", "host"]);
    twice.peers[2].0 = moved("a");
    twice.peers[3].0 = moved("host");
    let applied = world.ann(replace([twice, imported("lan", "x", &["x"])]));
    assert_eq!(counts(&applied), ([1, 2, 1, 0], vec![]));
    assert_eq!(world.members("lan"), ["a", "host"]);
    assert_eq!(world.peer("lan", "a").info, peer("a"));
    assert_eq!(world.peer("lan", "host").info, peer("host"));
}

#[test]
fn import_rejects_a_party_without_its_host() {
    let mut world = World::new();
    let applied = world.ann(merge([imported("a", "host", &["x"]), imported("b", "host", &[])]));
    let reason = "its host is not among its peers";
    let rejected = [format!("a all: {reason}"), format!("b all: {reason}")];
    assert_eq!(counts(&applied), ([0, 0, 0, 0], rejected.into()));
    assert_eq!((applied.events.len(), applied.changes.len()), (0, 0));
}

#[test]
fn import_respects_the_ownership_of_peers() {
    let mut world = World::new();
    world.by(BEN, register("here", "bens"));
    let parties = [imported("one", "bens", &["a", "bens"]), imported("two", "a", &["a", "bens"])];
    let applied = world.ann(merge(parties.clone()));
    let reason = "peer bens belongs to somebody else";
    let rejected = vec![format!("one all: {reason}"), format!("two bens: {reason}")];
    assert_eq!(counts(&applied), ([1, 1, 0, 0], rejected));
    assert_eq!(world.members("two"), ["a"]);
    world.ann(leave("two", "a"));
    assert_eq!(counts(&world.by(ROOT, merge(parties))), ([2, 4, 0, 0], vec![]));
    world.by(BEN, leave("two", "bens"));
}

#[test]
fn import_respects_the_bounds() {
    let mut world = World::with(|rules| {
        (rules.parties, rules.peers_per_party, rules.parties_per_peer) = (3, 2, 2);
    });
    let parties = [
        imported("p1", "h", &["h", "a", "b"]),
        imported("p2", "a", &["a", "h"]),
        imported("p3", "h", &["h"]),
        imported("p4", "b", &["b", "a"]),
        imported("p5", "b", &["b"]),
    ];
    let applied = world.ann(merge(parties));
    let rejected = [
        "p1 b: party p1 has 2 peers, the most it may have",
        "p3 all: peer h is in 2 parties, the most it may be in: leave one first",
        "p4 a: peer a is in 2 parties, the most it may be in: leave one first",
        "p5 all: there are 3 parties, the most there may be",
    ];
    assert_eq!(counts(&applied), ([3, 5, 0, 0], rejected.map(str::to_owned).into()));
    assert_eq!(world.members("p1"), ["a", "h"]);
}

#[test]
fn import_is_bounded_by_a_small_subnet() {
    let mut world = World::with(|rules| rules.subnet = "192.0.2.0/30".parse().unwrap());
    let applied = world.ann(merge([imported("lan", "host", &["host", "a", "b"])]));
    let rejected = vec!["lan b: party lan has 2 peers, the most it may have".to_owned()];
    assert_eq!(counts(&applied), ([1, 2, 0, 0], rejected));
}
