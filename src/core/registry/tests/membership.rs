//! Registration, join, update and leave.

use lanrage_ipc::model::Keepalive;

use super::*;

#[test]
fn a_party_begins_with_its_host() {
    let mut world = World::new();
    let applied = world.ann(register("lan", "host"));
    assert_eq!(told(&applied), ["party.registered lan #1"]);
    let party = world.party("lan");
    assert_eq!(applied.outcome, Outcome::Party(party.clone()));
    assert_eq!((party.host_id.as_str(), party.created_at), ("host", world.now.wall));
    assert_eq!((party.epoch.as_str(), party.seq), ("epoch", 1));
    assert_eq!(world.members("lan"), ["host"]);
    assert_eq!((world.registry.party_count(), world.registry.peer_count()), (1, 1));
}

#[test]
fn a_party_id_is_taken_until_the_party_is_gone() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    let refusal = world.refused(ANN, register("lan", "other"));
    assert_eq!(refusal, Refusal::PartyExists("lan".parse().unwrap()));
    world.ann(leave("lan", "host"));
    assert_eq!(told(&world.ann(register("lan", "other"))), ["party.registered lan #1"]);
}

#[test]
fn guest_joins_and_leaves() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    let joined = world.ann(join("lan", "guest"));
    assert_eq!(told(&joined), ["peer.joined lan guest #2"]);
    assert_eq!(joined.outcome, Outcome::Party(world.party("lan")));
    assert_eq!(world.members("lan"), ["guest", "host"]);
    let left = world.ann(leave("lan", "guest"));
    assert_eq!(told(&left), ["peer.left lan guest Left #3"]);
    assert_eq!(left.outcome, Outcome::Left(Left { party_deleted: false }));
    assert_eq!(world.members("lan"), ["host"]);
    assert_eq!(world.party("lan").seq, 3);
}

#[test]
fn the_party_ends_when_its_host_leaves() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(join("lan", "z"));
    let left = world.ann(leave("lan", "host"));
    assert_eq!(left.outcome, Outcome::Left(Left { party_deleted: true }));
    let expected = [
        "peer.left lan host Left #4",
        "peer.left lan a HostLeft #5",
        "peer.left lan z HostLeft #6",
        "party.removed lan HostLeft #7",
    ];
    assert_eq!(told(&left), expected);
    assert_eq!((world.registry.party_count(), world.registry.peer_count()), (0, 0));
}

#[test]
fn joining_twice_updates() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(join("lan", "b"));
    world.ann(leave("lan", "a"));
    world.pass(SECOND);
    let again = world.ann(join_as("lan", moved("b"), Keepalive::Manual));
    assert_eq!(told(&again), ["peer.updated lan b #5"]);
    assert_eq!(again.outcome, Outcome::Party(world.party("lan")));
    let peer = world.peer("lan", "b");
    assert_eq!((peer.info, peer.last_seen), (moved("b"), world.now.wall));
    assert_eq!(peer.virtual_ip.to_string(), "10.66.0.3", "though a lower one is free");
}

#[test]
fn identical_second_join_is_only_a_sign_of_life() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.pass(SECOND);
    let again = world.ann(join("lan", "host"));
    assert_eq!((again.events.len(), again.changes.len()), (0, 0));
    assert_eq!(again.outcome, Outcome::Party(world.party("lan")));
    let seen = again.seen.expect("a sign of life");
    assert_eq!((seen.party_id.as_str(), seen.peer_id.as_str()), ("lan", "host"));
    assert_eq!(seen.at, world.now.wall);
    assert_eq!(world.peer("lan", "host").last_seen, world.now.wall);
    assert_eq!(world.party("lan").seq, 1);
}

#[test]
fn changed_keepalive_is_stored_without_an_event() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    let again = world.ann(join_as("lan", peer("host"), Keepalive::Daemon));
    assert_eq!((again.events.len(), again.changes.len()), (0, 1));
    assert_eq!(world.party("lan").seq, 1);
}

#[test]
fn update_changes_the_members_description() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.pass(SECOND);
    let updated = world.ann(update("lan", moved("host")));
    assert_eq!(told(&updated), ["peer.updated lan host #2"]);
    assert_eq!(updated.outcome, Outcome::Peer(world.peer("lan", "host")));
    assert_eq!(world.peer("lan", "host").info, moved("host"));
    world.pass(SECOND);
    let same = world.ann(update("lan", moved("host")));
    assert_eq!((same.events.len(), same.changes.len()), (0, 0));
    assert_eq!(world.peer("lan", "host").last_seen, world.now.wall);
}

#[test]
fn a_peer_may_be_in_several_parties() {
    let mut world = World::new();
    world.ann(register("one", "host"));
    world.ann(register("two", "host"));
    world.ann(register("three", "other"));
    world.ann(join("three", "host"));
    world.ann(update("two", moved("host")));
    assert_eq!(world.peer("one", "host").info, peer("host"), "each membership is its own");
    world.ann(leave("one", "host"));
    assert_eq!(world.members("one"), [""; 0]);
    assert_eq!(world.members("two"), ["host"]);
    assert_eq!(world.members("three"), ["host", "other"]);
}

#[test]
fn commands_about_unknown_parties_and_peers_are_refused() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    let unknown = || Refusal::PartyNotFound("x".parse().unwrap());
    for command in [
        join("x", "host"),
        leave("x", "host"),
        update("x", peer("host")),
        heartbeat("x", "host"),
        send("x", "host", "host", "1"),
        poll("x", "host"),
    ] {
        assert_eq!(world.refused(ANN, command), unknown());
    }
    let (party_id, peer_id) = ("lan".parse().unwrap(), "x".parse().unwrap());
    let absent = Refusal::PeerNotFound { party_id, peer_id };
    for command in [update("lan", peer("x")), heartbeat("lan", "x"), send("lan", "host", "x", "1")]
    {
        assert_eq!(world.refused(ANN, command), absent);
    }
    let (party_id, peer_id) = ("lan".parse().unwrap(), "x".parse().unwrap());
    let stranger = Refusal::NotAMember { party_id, peer_id };
    for command in [leave("lan", "x"), send("lan", "x", "host", "1"), poll("lan", "x")] {
        assert_eq!(world.refused(ANN, command), stranger);
    }
}
