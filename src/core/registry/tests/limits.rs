//! Bounds.

use super::*;

#[test]
fn join_is_refused_when_the_party_is_full() {
    let mut world = World::with(|rules| rules.peers_per_party = 2);
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    let full = Refusal::PartyFull { party_id: "lan".parse().unwrap(), limit: 2 };
    assert_eq!(world.refused(ANN, join("lan", "b")), full);
    world.ann(update("lan", moved("a")));
    world.ann(join("lan", "a"));
    world.ann(leave("lan", "a"));
    world.ann(join("lan", "b"));
}

#[test]
fn parties_of_a_peer_are_bounded() {
    let mut world = World::with(|rules| rules.parties_per_peer = 2);
    world.ann(register("one", "host"));
    world.ann(register("two", "host"));
    world.ann(register("other", "other"));
    let many = Refusal::TooManyParties { peer_id: "host".parse().unwrap(), limit: 2 };
    assert_eq!(world.refused(ANN, register("three", "host")), many);
    assert_eq!(world.refused(ANN, join("other", "host")), many);
    world.ann(join("two", "host"));
    world.ann(leave("one", "host"));
    world.ann(join("other", "host"));
}

#[test]
fn parties_and_relays_are_bounded() {
    let mut world = World::with(|rules| (rules.parties, rules.relays) = (1, 1));
    world.ann(register("one", "host"));
    world.ann(relay("one", 1));
    let parties = world.refused(ANN, register("two", "host"));
    assert_eq!(parties, Refusal::RegistryFull { what: "parties", limit: 1 });
    let relays = world.refused(ANN, relay("two", 1));
    assert_eq!(relays, Refusal::RegistryFull { what: "relays", limit: 1 });
    world.ann(relay("one", 2));
    world.ann(leave("one", "host"));
    world.ann(register("two", "host"));
}

#[test]
fn signal_length_is_bounded() {
    let mut world = World::with(|rules| rules.signal_bytes = 5);
    world.ann(register("lan", "host"));
    world.ann(send("lan", "host", "host", r#""abc""#));
    let refusal = world.refused(ANN, send("lan", "host", "host", r#""abcd""#));
    assert_eq!(refusal, Refusal::SignalTooLarge { bytes: 6, limit: 5 });
}

#[test]
fn signal_queue_of_a_peer_is_bounded() {
    let mut world = World::with(|rules| rules.signals_per_peer = 2);
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(send("lan", "host", "a", "1"));
    world.pass(SIGNAL_TTL / 2);
    world.ann(send("lan", "host", "a", "2"));
    let refusal = world.refused(ANN, send("lan", "host", "a", "3"));
    assert_eq!(refusal, Refusal::SignalQueueFull { peer_id: "a".parse().unwrap(), limit: 2 });
    world.ann(send("lan", "a", "host", "4"));
    // The first signal has expired: it takes no room even before a clean-up.
    world.pass(SIGNAL_TTL / 2);
    world.ann(send("lan", "host", "a", "5"));
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), ["2", "5"]);
    world.ann(send("lan", "host", "a", "6"));
}

#[test]
fn bytes_of_all_waiting_signals_are_bounded() {
    let mut world = World::with(|rules| rules.signals_total_bytes = 1100);
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(send("lan", "host", "a", "1"));
    world.ann(send("lan", "a", "host", "2"));
    let full = Refusal::SignalsFull { limit: 1100 };
    assert_eq!(world.refused(ANN, send("lan", "host", "a", "3")), full);
    world.ann(poll("lan", "a"));
    world.ann(send("lan", "host", "a", "4"));
    assert_eq!(world.refused(ANN, send("lan", "host", "a", "5")), full);
    // A leaving member takes its waiting signals along.
    world.ann(leave("lan", "a"));
    world.ann(send("lan", "host", "host", "6"));
}

#[test]
fn entries_that_exceed_a_new_bound_stay() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world.ann(join("lan", "b"));
    world.registry.set_rules(Rules { peers_per_party: 1, parties: 0, ..rules() });
    assert_eq!(world.members("lan"), ["a", "b", "host"]);
    world.ann(update("lan", moved("b")));
    world.refused(ANN, join("lan", "c"));
    assert_eq!(world.registry.rules.peers_per_party, 1);
}
