//! Reverting changes.

use lanrage_ipc::model::Keepalive;

use super::*;

/// Reverts all changes of some commands, newest first.
fn undo(world: &mut World, applied: impl IntoIterator<Item = Applied>) {
    let changes: Vec<_> = applied.into_iter().flat_map(|applied| applied.changes).collect();
    world.registry.undo(changes.into_iter());
    state::check_indexes(&world.registry);
}

#[test]
fn every_change_can_be_undone() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(relay("r", 1));
    let commands = [
        register("two", "host"),
        join("lan", "b"),
        join_as("lan", moved("a"), Keepalive::Daemon),
        update("lan", moved("host")),
        leave("lan", "a"),
        leave("lan", "host"),
        relay("r", 2),
        relay("s", 1),
        Command::Import { parties: vec![], mode: crate::core::ImportMode::Replace },
    ];
    for command in commands {
        let before = world.registry.clone();
        let applied = world.ann(command);
        assert_ne!(world.registry, before);
        undo(&mut world, [applied]);
        assert_eq!(world.registry, before);
    }
    let before = world.registry.clone();
    world.pass(RELAY_TIMEOUT);
    let expired = world.ann(Command::Expire);
    assert_eq!(told(&expired).len(), 4);
    undo(&mut world, [expired]);
    assert_eq!(world.registry, before);
}

#[test]
fn undo_of_a_leave_and_a_rejoin_restores_the_member() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(join("lan", "b"));
    world.ann(send("lan", "host", "b", "1"));
    let before = world.registry.clone();
    let left = world.ann(leave("lan", "b"));
    let other = world.ann(leave("lan", "a"));
    let back = world.by(BEN, join("lan", "b"));
    undo(&mut world, [left, other, back]);
    assert_eq!(world.registry, before);
    assert_eq!(payloads(&world.ann(poll("lan", "b"))), ["1"]);
}

#[test]
fn undo_neither_restores_nor_drops_signals() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(send("lan", "host", "host", "1"));
    let updated = world.ann(update("lan", moved("host")));
    assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["1"]);
    world.ann(send("lan", "host", "host", "2"));
    undo(&mut world, [updated]);
    assert_eq!(world.peer("lan", "host").info, peer("host"));
    assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["2"]);
}

/// Reverts one command, its effect first.
fn fail(world: &mut World, applied: Applied) {
    applied.effect.into_iter().for_each(|effect| world.registry.revert(effect));
    world.registry.undo(applied.changes.into_iter());
    state::check_indexes(&world.registry);
}

#[test]
fn queued_signal_is_reverted_with_its_receipt() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(send("lan", "host", "host", "1"));
    let before = state::durable(&world.registry);
    let sent = world.request(ANN, Some("k"), send("lan", "host", "host", "2")).unwrap();
    world.ann(send("lan", "host", "host", "3"));
    fail(&mut world, sent);
    assert_eq!(state::durable(&world.registry), before);
    // The sender repeats the request: the signal arrives once.
    world.request(ANN, Some("k"), send("lan", "host", "host", "2")).unwrap();
    assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["1", "3", "2"]);
}

#[test]
fn revert_leaves_a_polled_signal() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    let sent = world.request(ANN, Some("k"), send("lan", "host", "host", "1")).unwrap();
    assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["1"]);
    world.ann(send("lan", "host", "host", "2"));
    fail(&mut world, sent);
    assert_eq!(payloads(&world.ann(poll("lan", "host"))), ["2"]);
}

#[test]
fn hold_is_reverted_with_its_claim() {
    let mut world = World::new();
    let alone = |proof, issue| match claim_with("x", proof, issue, true) {
        Command::Claim { peer_id, proof, issue, claim, .. } => {
            Command::Claim { peer_id, proof, issue, hold: Hold::Alone, claim }
        }
        other => other,
    };
    let held = |world: &World| world.registry.identities.clone();
    let empty = held(&world);
    for claim in [claim("x"), claim_with("x", None, Some(1), true), alone(None, Some(1))] {
        let claimed = world.by(peers([], 1), claim);
        fail(&mut world, claimed);
        assert_eq!(held(&world), empty);
    }
    // An older connection stays a holder, and the superseding one if it was that.
    world.by(peers([], 1), alone(None, Some(1)));
    let before = held(&world);
    let claimed = world.by(peers([], 2), alone(Some(1), Some(2)));
    fail(&mut world, claimed);
    assert_eq!(held(&world), before);
    world.by(peers(["x"], 1), register("lan", "x"));
    // A connection that has closed meanwhile stays without holds; other holds stay.
    let claimed = world.by(peers([], 3), claim_with("x", Some(1), Some(3), true));
    world.by(peers([], 3), Command::Disconnect);
    fail(&mut world, claimed);
    let again = world.by(peers([], 1), claim("x"));
    assert!(again.effect.is_none(), "{again:?}");
}

#[test]
fn undo_keeps_signs_of_life() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(relay("r", 1));
    let changed = [world.ann(update("lan", moved("host"))), world.ann(relay("r", 2))];
    world.pass(RELAY_TIMEOUT);
    world.ann(heartbeat("lan", "host"));
    world.ann(relay("r", 2));
    undo(&mut world, changed);
    assert_eq!(world.peer("lan", "host").last_seen, world.now.wall);
    assert_eq!(world.registry.relays(None)[0].port, 1);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
}

#[test]
fn undo_keeps_a_connection_closed() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join_as("lan", peer("a"), Keepalive::Connection));
    let closed = world.ann(Command::Disconnect);
    undo(&mut world, [closed]);
    assert!(world.peer("lan", "a").connected, "closed without a published change");
    // The clean-up ends the keepalive, as often as it is reverted.
    for _ in 0..2 {
        let again = world.by(ROOT, Command::Expire);
        assert_eq!(told(&again), ["peer.updated lan a #3"]);
        undo(&mut world, [again]);
    }
    world.by(ROOT, Command::Expire);
    assert_eq!(told(&world.by(ROOT, Command::Expire)), [""; 0]);
    world.pass(PEER_TIMEOUT);
    world.ann(heartbeat("lan", "host"));
    assert_eq!(told(&world.by(ROOT, Command::Expire)), ["peer.left lan a Expired #4"]);
}

#[test]
fn undo_of_a_takeover_from_a_closed_connection_leaves_the_peer_silent() {
    let second = Caller { connection: ConnectionId(7), ..ANN };
    for keepalive in [Keepalive::Connection, Keepalive::Daemon] {
        let mut world = World::new();
        world.ann(register("lan", "host"));
        world.ann(join_as("lan", peer("a"), Keepalive::Connection));
        let taken_over = world.by(second.clone(), join_as("lan", peer("a"), keepalive));
        assert_eq!(told(&world.ann(Command::Disconnect)), [""; 0]);
        undo(&mut world, [taken_over]);
        let expired = world.by(ROOT, Command::Expire);
        assert_eq!(told(&expired), ["peer.updated lan a #3"]);
        assert!(!world.peer("lan", "a").connected);
    }
}
