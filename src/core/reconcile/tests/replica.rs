use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{PartyId, PeerInput};

use super::super::{Change, Point, ReplicaUpdate, ServerReplica};
use super::{id, member, peer, there};

fn lan() -> PartyId {
    "lan".parse().unwrap()
}

fn at(epoch: &str, seq: u64) -> Point {
    Point { epoch: epoch.parse().unwrap(), seq }
}

fn put(text: &str) -> Change {
    Change::Put(id(text), member(text))
}

/// Returns a replica of a party with a host and a guest, up to its third change.
fn told() -> ServerReplica {
    let mut shadow = ServerReplica::default();
    shadow.party(there(&["host", "a"]), at("e", 3));
    shadow
}

fn members(heard: &ReplicaUpdate) -> Vec<String> {
    let ReplicaUpdate::Party(party) = heard else { panic!("{heard:?}") };
    party.members.keys().map(ToString::to_string).collect()
}

#[test]
fn next_change_is_applied() {
    let mut shadow = told();
    assert_eq!(members(&shadow.change(&lan(), put("b"), at("e", 4))), ["a", "b", "host"]);
    let left = shadow.change(&lan(), Change::Removed(id("a")), at("e", 5));
    assert_eq!(members(&left), ["b", "host"]);
    assert_eq!(shadow.point(&lan()), Some(&at("e", 5)));
    assert_eq!(ReplicaUpdate::Party(shadow.get(&lan()).unwrap().clone()), left);
}

#[test]
fn old_change_is_ignored() {
    let mut shadow = told();
    for seq in 0..=3 {
        assert_eq!(shadow.change(&lan(), put("b"), at("e", seq)), ReplicaUpdate::Nothing);
        assert_eq!(shadow.bookmark(&lan(), &at("e", seq)), ReplicaUpdate::Nothing);
    }
    assert_eq!(shadow.get(&lan()).unwrap().members.len(), 2);
}

#[test]
fn gap_requests_one_snapshot() {
    for found in [at("e", 5), at("f", 1), at("f", 4)] {
        let mut shadow = told();
        assert_eq!(shadow.change(&lan(), put("b"), found.clone()), ReplicaUpdate::Missing);
        // Changes are ignored until the snapshot arrives.
        assert_eq!(shadow.change(&lan(), put("b"), at("e", 4)), ReplicaUpdate::Nothing);
        assert_eq!(shadow.bookmark(&lan(), &at("e", 9)), ReplicaUpdate::Nothing);
        shadow.ask_again(&lan());
        assert_eq!(shadow.bookmark(&lan(), &found), ReplicaUpdate::Missing);
        assert_eq!(members(&shadow.party(there(&["host"]), found.clone())), ["host"]);
        assert_eq!(shadow.bookmark(&lan(), &found), ReplicaUpdate::Nothing);
        let next = Point { seq: found.seq + 1, ..found };
        assert_eq!(members(&shadow.change(&lan(), put("b"), next)), ["b", "host"]);
    }
}

#[test]
fn snapshot_and_end_apply_with_any_number() {
    for point in [at("e", 1), at("e", 3), at("e", 9), at("f", 1)] {
        let mut shadow = told();
        assert_eq!(members(&shadow.party(there(&["host"]), point.clone())), ["host"]);
        assert_eq!(shadow.point(&lan()), Some(&point));
        let gone = shadow.gone(&lan(), RemovalReason::HostLeft);
        assert_eq!(gone, ReplicaUpdate::Gone(RemovalReason::HostLeft));
        assert_eq!(shadow.get(&lan()), None);
        let repeated = shadow.gone(&lan(), RemovalReason::HostLeft);
        assert_eq!(repeated, ReplicaUpdate::Nothing, "the end was reported before");
    }
}

#[test]
fn change_of_an_unknown_party_is_ignored() {
    let mut shadow = ServerReplica::default();
    assert_eq!(shadow.change(&lan(), put("a"), at("e", 1)), ReplicaUpdate::Nothing);
    assert_eq!(shadow.bookmark(&lan(), &at("e", 1)), ReplicaUpdate::Nothing);
    assert_eq!(shadow.gone(&lan(), RemovalReason::Removed), ReplicaUpdate::Nothing);
    assert_eq!((shadow.get(&lan()), shadow.point(&lan())), (None, None));
}

#[test]
fn removed_host_requests_a_snapshot() {
    let mut shadow = told();
    let left = shadow.change(&lan(), Change::Removed(id("host")), at("e", 4));
    assert_eq!(left, ReplicaUpdate::Missing);
    assert_eq!(shadow.change(&lan(), put("b"), at("e", 5)), ReplicaUpdate::Nothing);
}

#[test]
fn confirmation_updates_the_description_before_its_event() {
    let mut shadow = told();
    let moved = PeerInput { public_port: 9, ..peer("a") };
    shadow.confirmed(&lan(), &moved);
    assert_eq!(shadow.get(&lan()).unwrap().members[&id("a")].info, moved);
    assert_eq!(shadow.point(&lan()), Some(&at("e", 3)), "the change still comes");
    shadow.confirmed(&lan(), &peer("nobody"));
    assert_eq!(shadow.get(&lan()).unwrap().members.len(), 2);
}

#[test]
fn leave_of_the_last_local_member_drops_the_party() {
    let is =
        |ours: &'static [&'static str]| move |peer: &_| ours.iter().any(|one| id(one) == *peer);
    let mut shadow = told();
    shadow.party(there(&["host", "a", "b"]), at("e", 4));
    assert!(!shadow.left(&lan(), &id("a"), is(&["a", "b"])));
    assert_eq!(shadow.get(&lan()).unwrap().members.len(), 2);
    assert!(shadow.left(&lan(), &id("b"), is(&["a", "b"])));
    assert_eq!(shadow.get(&lan()), None);
    assert!(shadow.left(&lan(), &id("b"), is(&["a", "b"])), "true for an unknown party, too");
    assert!(told().left(&lan(), &id("host"), is(&["a", "host"])), "it ends with its host");
}
