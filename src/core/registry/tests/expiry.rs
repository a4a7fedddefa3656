//! Expiry of silent entries.

use lanrage_ipc::model::Keepalive;

use super::*;
use crate::core::Write;

#[test]
fn expired_guest_leaves_the_party() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.pass(SECOND);
    world.ann(heartbeat("lan", "host"));
    world.pass(PEER_TIMEOUT - 2 * SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    world.pass(SECOND);
    let expired = world.ann(Command::Expire);
    assert_eq!(expired.outcome, Outcome::Done);
    assert_eq!(told(&expired), ["peer.left lan a Expired #3"]);
    assert_eq!(world.members("lan"), ["host"]);
}

#[test]
fn expired_host_ends_the_party() {
    let mut world = World::new();
    world.ann(register("lan", "m"));
    world.ann(register("two", "x"));
    world.pass(SECOND);
    world.ann(join("lan", "a"));
    world.ann(join("lan", "z"));
    world.ann(heartbeat("two", "x"));
    world.pass(PEER_TIMEOUT - SECOND);
    let expected = [
        "peer.left lan m Expired #4",
        "peer.left lan a HostLeft #5",
        "peer.left lan z HostLeft #6",
        "party.removed lan Expired #7",
    ];
    assert_eq!(told(&world.ann(Command::Expire)), expected);
    assert_eq!((world.registry.party_count(), world.registry.peer_count()), (1, 1));
}

#[test]
fn guests_that_expire_before_the_host_are_removed_first() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.pass(SECOND);
    world.ann(heartbeat("lan", "host"));
    world.pass(PEER_TIMEOUT);
    let expected = [
        "peer.left lan a Expired #3",
        "peer.left lan host Expired #4",
        "party.removed lan Expired #5",
    ];
    assert_eq!(told(&world.ann(Command::Expire)), expected);
}

#[test]
fn no_member_expires_during_the_grace_period() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    let grace_until = world.now.elapsed + 2 * PEER_TIMEOUT;
    world.registry.set_rules(Rules { grace_until, ..rules() });
    world.pass(2 * PEER_TIMEOUT - SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    world.pass(SECOND);
    assert_eq!(told(&world.ann(Command::Expire)).len(), 2);
}

#[test]
fn wall_clock_steps_do_not_expire_members() {
    for jump in [
        jiff::SignedDuration::try_from(YEAR).unwrap(),
        -jiff::SignedDuration::try_from(YEAR).unwrap(),
    ] {
        let mut world = World::new();
        world.ann(register("lan", "host"));
        world.ann(relay("r", 1));
        world.ann(send("lan", "host", "host", "1"));
        world.now.wall += jump;
        world.pass(SIGNAL_TTL - SECOND);
        assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
        assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["1"]);
        world.pass(PEER_TIMEOUT - SIGNAL_TTL);
        assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
        world.pass(SECOND);
        assert_eq!(told(&world.ann(Command::Expire)).len(), 2);
        world.pass(RELAY_TIMEOUT - PEER_TIMEOUT - SECOND);
        assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
        world.pass(SECOND);
        assert_eq!(told(&world.ann(Command::Expire)), ["relay.removed r"]);
    }
}

#[test]
fn longest_timeout_never_expires() {
    let mut world = World::with(|rules| {
        rules.peer_timeout = Duration::MAX;
        rules.relay_timeout = Duration::MAX;
        rules.signal_ttl = Duration::MAX;
    });
    world.ann(register("lan", "host"));
    world.ann(relay("r", 1));
    world.ann(send("lan", "host", "host", "1"));
    world.pass(YEAR);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["1"]);
}

/// Returns a new registry with the rows that another one wrote, started long after.
fn restart(world: &World, writes: Vec<Write>) -> World {
    let mut restarted = World::new();
    restarted.now.wall = world.now.wall + YEAR;
    restarted.now.elapsed = SECOND;
    restarted.registry.restore(writes, restarted.now);
    state::check_indexes(&restarted.registry);
    restarted
}

#[test]
fn members_count_as_seen_at_a_restart() {
    let mut world = World::new();
    let mut writes = Vec::new();
    for command in [
        register("lan", "manual"),
        join_as("lan", peer("c"), Keepalive::Connection),
        join_as("lan", peer("d"), Keepalive::Daemon),
        relay("r", 1),
    ] {
        writes.extend(world.ann(command).changes.iter().map(|change| change.write().clone()));
    }
    let mut restarted = restart(&world, writes);
    for (id, connected) in [("manual", true), ("c", false), ("d", false)] {
        let peer = restarted.peer("lan", id);
        assert_eq!(peer.connected, connected, "{id}: no connection or daemon is left");
        assert_eq!(peer.virtual_ip, world.peer("lan", id).virtual_ip);
        assert_eq!(peer.last_seen, world.now.wall, "{id}: for people, the truth");
    }
    assert_eq!(restarted.party("lan").seq, 3);
    restarted.refused(BEN, heartbeat("lan", "c"));
    restarted.pass(PEER_TIMEOUT - SECOND);
    assert_eq!(told(&restarted.ann(Command::Expire)), [""; 0]);
    restarted.ann(heartbeat("lan", "manual"));
    restarted.pass(SECOND);
    let expected = ["peer.left lan c Expired #4", "peer.left lan d Expired #5"];
    assert_eq!(told(&restarted.ann(Command::Expire)), expected);
    restarted.pass(RELAY_TIMEOUT - PEER_TIMEOUT - SECOND);
    assert!(!told(&restarted.ann(Command::Expire)).contains(&"relay.removed r".to_owned()));
    restarted.pass(SECOND);
    assert_eq!(told(&restarted.ann(Command::Expire)), ["relay.removed r"]);
}
