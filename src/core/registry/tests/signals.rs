//! Signals.

use lanrage_ipc::model::Signal;

use super::super::signal::ENVELOPE;
use super::*;

fn world() -> World {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    world
}

#[test]
fn a_signal_waits_for_its_target() {
    let mut world = world();
    let sent_at = world.now.wall;
    let sent = world.ann(send("lan", "host", "a", r#"{"b": 1}"#));
    assert_eq!(told(&sent), ["signal.received lan host a"]);
    assert_eq!((&sent.outcome, sent.changes.len()), (&Outcome::Queued, 0));
    world.pass(SECOND);
    assert_eq!(
        payloads(&world.ann(poll("lan", "host"))),
        [""; 0],
        "the sender's own queue is empty"
    );
    let polled = world.ann(poll("lan", "a"));
    let signal = Signal {
        party_id: "lan".parse().unwrap(),
        from_peer_id: "host".parse().unwrap(),
        to_peer_id: "a".parse().unwrap(),
        signal_data: signal_data(r#"{"b": 1}"#),
        sent_at,
    };
    assert_eq!(polled.outcome, Outcome::Signals(vec![signal]));
    assert_eq!((polled.events.len(), polled.changes.len()), (0, 0));
}

#[test]
fn a_poll_empties_the_queue_oldest_first() {
    let mut world = world();
    for json in ["1", "2", "3"] {
        world.ann(send("lan", "host", "a", json));
    }
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), ["1", "2", "3"]);
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), [""; 0]);
}

#[test]
fn poll_leaves_the_signals_that_do_not_fit() {
    let mut world = world();
    let long = format!("\"{}\"", "x".repeat(98));
    for json in [&long, "2", "3"] {
        world.ann(send("lan", "host", "a", json));
    }
    let polled = |world: &mut World, room| {
        let mut command = poll("lan", "a");
        let Command::PollSignals { room: most, .. } = &mut command else { unreachable!() };
        *most = room;
        payloads(&world.ann(command)).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(polled(&mut world, 0), [long]);
    assert_eq!(polled(&mut world, 1200), ["2", "3"]);
    assert_eq!(polled(&mut world, 0), [""; 0]);
}

#[test]
fn expired_signal_is_not_delivered() {
    let mut world = world();
    world.ann(send("lan", "host", "a", "1"));
    world.pass(SECOND);
    world.ann(send("lan", "host", "a", "2"));
    world.pass(SIGNAL_TTL - SECOND);
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), ["2"]);
}

#[test]
fn clean_up_removes_expired_signals_during_the_grace_period() {
    let mut world = world();
    world.registry.set_rules(Rules { grace_until: Duration::MAX, ..rules() });
    world.ann(send("lan", "host", "a", "1"));
    world.pass(SECOND);
    world.ann(send("lan", "host", "a", "2"));
    world.pass(SIGNAL_TTL - SECOND);
    assert_eq!(told(&world.ann(Command::Expire)), [""; 0]);
    let waiting = |world: &World| world.registry.signals_bytes / (1 + ENVELOPE);
    assert_eq!(waiting(&world), 1);
    world.pass(SECOND);
    world.ann(Command::Expire);
    assert_eq!(waiting(&world), 0);
}

#[test]
fn signals_are_dropped_with_their_member() {
    let mut world = world();
    world.ann(send("lan", "host", "a", "1"));
    world.ann(leave("lan", "a"));
    world.ann(join("lan", "a"));
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), [""; 0]);
    world.ann(send("lan", "a", "a", "2"));
    world.ann(leave("lan", "host"));
    world.ann(register("lan", "a"));
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), [""; 0]);
}

#[test]
fn signals_stay_when_their_member_is_updated() {
    let mut world = world();
    world.ann(send("lan", "host", "a", "1"));
    world.ann(update("lan", moved("a")));
    world.ann(heartbeat("lan", "a"));
    world.ann(join("lan", "a"));
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), ["1"]);
}

#[test]
fn a_signal_stays_in_its_party() {
    let mut world = world();
    world.ann(register("two", "host"));
    world.ann(join("two", "a"));
    world.ann(join("two", "b"));
    world.ann(send("two", "host", "a", "2"));
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), [""; 0]);
    assert_eq!(payloads(&world.ann(poll("two", "a"))), ["2"]);
    world.refused(ANN, send("lan", "host", "b", "3"));
    world.refused(ANN, send("lan", "b", "a", "3"));
}

#[test]
fn signals_are_no_sign_of_life() {
    let mut world = world();
    world.pass(PEER_TIMEOUT);
    world.ann(send("lan", "a", "host", "1"));
    world.ann(poll("lan", "a"));
    world.ann(heartbeat("lan", "host"));
    assert_eq!(told(&world.ann(Command::Expire)), ["peer.left lan a Expired #3"]);
}
