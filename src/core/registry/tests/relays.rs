//! Relays.

use super::*;

fn stored(world: &World) -> Vec<model::Relay> {
    world.registry.relays(None)
}

#[test]
fn a_relay_is_registered_and_changed() {
    let mut world = World::new();
    let registered_at = world.now.wall;
    let applied = world.ann(relay("r", 1));
    assert_eq!(told(&applied), ["relay.updated r"]);
    assert_eq!(applied.outcome, Outcome::Relay(stored(&world)[0].clone()));
    world.pass(SECOND);
    let changed = world.ann(relay("r", 2));
    assert_eq!(told(&changed), ["relay.updated r"]);
    let [relay] = &stored(&world)[..] else { panic!("one relay") };
    assert_eq!((relay.port, relay.registered_at), (2, registered_at));
    assert_eq!(changed.outcome, Outcome::Relay(relay.clone()));
}

#[test]
fn unchanged_relay_registration_is_only_a_sign_of_life() {
    let mut world = World::new();
    world.ann(relay("r", 1));
    let before = stored(&world);
    world.pass(RELAY_TIMEOUT - SECOND);
    let again = world.ann(relay("r", 1));
    assert_eq!((again.events.len(), again.changes.len()), (0, 0));
    assert_eq!(again.outcome, Outcome::Relay(before[0].clone()));
    world.pass(RELAY_TIMEOUT - SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    assert_eq!(stored(&world), before);
}

#[test]
fn silent_relay_expires() {
    let mut world = World::new();
    world.ann(relay("b", 1));
    world.ann(relay("a", 1));
    world.pass(SECOND);
    world.ann(relay("c", 1));
    world.pass(RELAY_TIMEOUT - SECOND);
    let expired = world.by(ROOT, Command::Expire);
    assert_eq!(told(&expired), ["relay.removed a", "relay.removed b"]);
    let left: Vec<_> = stored(&world).iter().map(|relay| relay.relay_id.to_string()).collect();
    assert_eq!(left, ["c"]);
    let registered_at = world.now.wall;
    world.by(BEN, relay("a", 1));
    assert_eq!(stored(&world)[0].registered_at, registered_at, "a new one");
}

#[test]
fn no_relay_expires_during_the_grace_period() {
    let mut world = World::new();
    world.ann(relay("r", 1));
    let grace_until = world.now.elapsed + 2 * RELAY_TIMEOUT;
    world.registry.set_rules(Rules { grace_until, ..rules() });
    world.pass(2 * RELAY_TIMEOUT - SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    world.pass(SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), ["relay.removed r"]);
}
