//! Offsets of clients' wall clocks when the clock here steps.

use lanrage_ipc::model::UtcOffset;

use super::*;

fn offset(minutes: i16) -> Option<UtcOffset> {
    UtcOffset::from_minutes(minutes)
}

/// Returns the offset that a heartbeat of a member reports.
fn told_offset(world: &mut World, id: &str) -> Option<UtcOffset> {
    match world.ann(heartbeat("lan", id)).outcome {
        Outcome::Alive(alive) => alive.utc_offset,
        other => panic!("{other:?}"),
    }
}

/// Returns a party of `a`, whose clock is two hours ahead of UTC. The clock here was then set back
/// an hour.
fn stepped() -> World {
    let mut world = World::new();
    world.registry.watch_clock(world.now);
    world.ann(Command::Register {
        party_id: "lan".parse().unwrap(),
        name: "lan".parse().unwrap(),
        host: peer("a"),
        keepalive: Keepalive::Manual,
        utc_offset: offset(120),
    });
    world.pass(SECOND);
    world.now.wall -= HOUR;
    world
}

#[test]
fn offsets_follow_a_step_at_once_and_are_written_with_the_next_clean_up() {
    let mut world = stepped();
    assert_eq!(told_offset(&mut world, "a"), offset(180));
    let lan: model::PartyId = "lan".parse().unwrap();
    let seen = world.registry.parties[&lan].members.clone();
    let followed = world.ann(Command::Expire);
    assert_eq!((followed.changes.len(), followed.events.len()), (1, 0));
    let after = &world.registry.parties[&lan].members;
    assert!(seen.values().zip(after.values()).all(|(one, other)| one.seen == other.seen));
    assert_eq!(told_offset(&mut world, "a"), offset(180));
    assert_eq!(world.ann(Command::Expire).changes.len(), 0);
}

#[test]
fn offset_stated_after_a_step_counts_from_the_new_clock() {
    let mut world = stepped();
    let command = Command::Update {
        party_id: "lan".parse().unwrap(),
        peer: peer("a"),
        utc_offset: offset(60),
    };
    world.ann(command);
    assert_eq!(told_offset(&mut world, "a"), offset(60));
    world.ann(Command::Expire);
    assert_eq!(told_offset(&mut world, "a"), offset(60));
}

#[test]
fn clock_step_is_followed_again_after_a_failed_commit() {
    let mut world = stepped();
    let Applied { changes, effect, .. } = world.ann(Command::Expire);
    world.registry.revert(effect.expect("an effect"));
    world.registry.undo(changes.into_iter());
    assert_eq!(told_offset(&mut world, "a"), offset(180));
    assert_eq!(world.ann(Command::Expire).changes.len(), 1);
}
