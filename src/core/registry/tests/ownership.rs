//! Ownership by local users: the user who registered a peer or relay first owns it.

use lanrage_ipc::model::Keepalive;

use super::*;

/// Returns all commands for `guest`, which is in `lan`.
fn acts_for_guest() -> Vec<Command> {
    vec![
        join("lan", "guest"),
        join("other", "guest"),
        register("new", "guest"),
        update("lan", moved("guest")),
        heartbeat("lan", "guest"),
        send("lan", "guest", "host", "1"),
        poll("lan", "guest"),
        leave("lan", "guest"),
    ]
}

fn world() -> World {
    let mut world = World::new();
    world.by(BEN, register("lan", "host"));
    world.by(BEN, register("other", "host"));
    world.by(ANN, join("lan", "guest"));
    world
}

#[test]
fn other_user_may_not_act_for_a_peer() {
    let mut world = world();
    for command in acts_for_guest() {
        let refusal = world.refused(BEN, command);
        assert_eq!(refusal, Refusal::PeerNotYours("guest".parse().unwrap()));
    }
    let refusal = world.refused(ANN, leave("lan", "host"));
    assert_eq!(refusal, Refusal::PeerNotYours("host".parse().unwrap()));
}

#[test]
fn owner_and_administrator_may_act_for_a_peer() {
    for caller in [ANN, ROOT, Caller { connection: ConnectionId(9), ..ANN }] {
        let mut world = world();
        for command in acts_for_guest() {
            world.by(caller.clone(), command);
        }
    }
}

#[test]
fn peer_keeps_its_owner_when_an_administrator_acts_for_it() {
    let mut world = world();
    world.by(ROOT, join_as("lan", moved("guest"), Keepalive::Daemon));
    world.by(ROOT, join("other", "guest"));
    world.by(ROOT, register("new", "guest"));
    world.by(ANN, leave("lan", "guest"));
    world.by(ANN, leave("other", "guest"));
    world.by(ANN, heartbeat("new", "guest"));
    world.refused(BEN, heartbeat("new", "guest"));
}

#[test]
fn peer_without_a_party_has_no_owner() {
    let mut world = world();
    world.by(ANN, join("other", "guest"));
    world.by(ANN, leave("lan", "guest"));
    world.refused(BEN, join("lan", "guest"));
    world.by(ANN, leave("other", "guest"));
    world.by(BEN, join("lan", "guest"));
    world.refused(ANN, leave("lan", "guest"));
}

#[test]
fn signal_may_target_a_member_of_another_user() {
    let mut world = world();
    world.by(ANN, send("lan", "guest", "host", "1"));
    world.by(BEN, send("lan", "host", "guest", "2"));
    assert_eq!(payloads(&world.by(ANN, poll("lan", "guest"))), ["2"]);
}

#[test]
fn relay_belongs_to_its_user() {
    let mut world = World::new();
    world.by(ANN, relay("r", 1));
    for port in [1, 2] {
        let refusal = world.refused(BEN, relay("r", port));
        assert_eq!(refusal, Refusal::RelayNotYours("r".parse().unwrap()));
    }
    world.by(ROOT, relay("r", 3));
    world.by(ANN, relay("r", 4));
    world.refused(BEN, relay("r", 5));
}
