//! Keepalive of members.

use lanrage_ipc::model::Keepalive;

use super::*;

fn register_as(party: &str, host: &str, keepalive: Keepalive) -> Command {
    Command::Register {
        party_id: party.parse().unwrap(),
        name: party.parse().unwrap(),
        host: peer(host),
        keepalive,
        utc_offset: None,
    }
}

#[test]
fn an_open_connection_keeps_its_peers_alive() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Connection));
    world.ann(join_as("lan", peer("a"), Keepalive::Connection));
    world.pass(10 * PEER_TIMEOUT);
    let expired = world.ann(Command::Expire);
    assert_eq!((expired.events.len(), expired.changes.len()), (0, 0));
    let host = world.peer("lan", "host");
    assert_eq!((host.last_seen, host.connected), (world.now.wall, true));
}

#[test]
fn closed_connection_ends_the_keepalive_of_its_peers() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Connection));
    world.by(BEN, join_as("lan", peer("a"), Keepalive::Connection));
    world.ann(register_as("two", "host", Keepalive::Connection));
    world.ann(join_as("lan", peer("d"), Keepalive::Daemon));
    world.ann(join_as("lan", peer("m"), Keepalive::Manual));
    world.pass(PEER_TIMEOUT);
    let closed_at = world.now.wall;
    let closed = world.ann(Command::Disconnect);
    assert_eq!(closed.outcome, Outcome::Done);
    assert_eq!(told(&closed), ["peer.updated lan host #5", "peer.updated two host #2"]);
    world.pass(SECOND);
    for (id, connected) in [("host", false), ("a", true), ("d", true), ("m", true)] {
        assert_eq!(world.peer("lan", id).connected, connected, "{id}");
    }
    assert_eq!(world.peer("lan", "host").last_seen, closed_at);
    world.ann(heartbeat("lan", "m"));
    world.pass(PEER_TIMEOUT - 2 * SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0], "silence counts from the close");
    world.pass(SECOND);
    let expected = [
        "peer.left lan host Expired #6",
        "peer.left lan a HostLeft #7",
        "peer.left lan d HostLeft #8",
        "peer.left lan m HostLeft #9",
        "party.removed lan Expired #10",
        "peer.left two host Expired #3",
        "party.removed two Expired #4",
    ];
    assert_eq!(told(&world.ann(Command::Expire)), expected);
}

#[test]
fn close_of_a_connection_without_members_has_no_effect() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Connection));
    world.ann(leave("lan", "host"));
    for _ in 0..2 {
        let closed = world.ann(Command::Disconnect);
        assert_eq!((closed.events.len(), closed.changes.len()), (0, 0));
    }
}

#[test]
fn heartbeats_keep_a_peer_whose_connection_closed() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Connection));
    world.ann(Command::Disconnect);
    for _ in 0..3 {
        world.pass(PEER_TIMEOUT - SECOND);
        let beat = world.ann(heartbeat("lan", "host"));
        let alive = Outcome::Alive(Alive { expires_in: PEER_TIMEOUT, seq: 2, utc_offset: None });
        assert_eq!(beat.outcome, alive);
        assert_eq!((beat.events.len(), beat.changes.len()), (0, 0));
        assert_eq!(beat.seen.expect("a sign of life").at, world.now.wall);
        world.ann(Command::Expire);
    }
    assert!(!world.peer("lan", "host").connected);
    assert_eq!(world.peer("lan", "host").last_seen, world.now.wall);
}

#[test]
fn a_peer_that_joins_again_is_connected_again() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Connection));
    world.ann(Command::Disconnect);
    let anew = Caller { connection: ConnectionId(7), ..ANN };
    let again = world.by(anew, join_as("lan", peer("host"), Keepalive::Connection));
    assert_eq!(told(&again), ["peer.updated lan host #3"]);
    world.pass(PEER_TIMEOUT);
    world.ann(Command::Expire);
    assert!(world.peer("lan", "host").connected);
}

#[test]
fn latest_connection_becomes_the_keeper() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Connection));
    let second = Caller { connection: ConnectionId(7), ..ANN };
    let again = world.by(second.clone(), join_as("lan", peer("host"), Keepalive::Connection));
    assert_eq!(told(&again), [""; 0]);
    assert_eq!(told(&world.ann(Command::Disconnect)), [""; 0]);
    assert!(world.peer("lan", "host").connected);
    // An update over any connection does not change that.
    world.by(ROOT, update("lan", moved("host")));
    assert_eq!(told(&world.by(ROOT, Command::Disconnect)), [""; 0]);
    assert_eq!(told(&world.by(second, Command::Disconnect)), ["peer.updated lan host #3"]);
}

#[test]
fn daemon_keepalive_outlasts_every_connection() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Daemon));
    world.ann(Command::Disconnect);
    world.pass(10 * PEER_TIMEOUT);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    let host = world.peer("lan", "host");
    assert_eq!((host.last_seen, host.connected), (world.now.wall, true));
}

#[test]
fn manual_keepalive_needs_heartbeats() {
    let mut world = World::new();
    world.ann(register_as("lan", "host", Keepalive::Manual));
    let registered_at = world.now.wall;
    world.ann(Command::Disconnect);
    world.pass(PEER_TIMEOUT - SECOND);
    let host = world.peer("lan", "host");
    assert_eq!((host.last_seen, host.connected), (registered_at, true));
    world.ann(heartbeat("lan", "host"));
    world.pass(PEER_TIMEOUT - SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    world.pass(SECOND);
    let expected = ["peer.left lan host Expired #2", "party.removed lan Expired #3"];
    assert_eq!(told(&world.ann(Command::Expire)), expected);
}
