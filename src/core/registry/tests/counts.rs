//! Memory and allocations of operations, at two sizes.

use std::mem::size_of;

use allocation_counter::{AllocationInfo, measure};

use super::*;

/// Applies a command and measures it. Its result is dropped afterwards.
fn measured(world: &mut World, command: Command) -> AllocationInfo {
    let mut applied = None;
    let info = measure(|| applied = Some(world.registry.apply(command, ANN, world.now)));
    applied.expect("a result").expect("refused");
    info
}

/// Returns a world with one party of that size.
fn party_of(size: usize) -> World {
    let mut world = World::with(|rules| rules.peers_per_party = 1000);
    world.ann(register("lan", "m0"));
    (1..size).for_each(|number| drop(world.ann(join("lan", &format!("m{number}")))));
    world
}

#[test]
fn join_builds_the_party_once_for_its_answer() {
    let [few, many] = [8, 64].map(|size| measured(&mut party_of(size), join("lan", "z")));
    let more = (many.bytes_total - few.bytes_total) / 56;
    // A list of the members and a buffer to sort it become the map: each has the members once.
    let once = size_of::<(model::PeerId, model::Peer)>() as u64;
    assert!(more < 4 * once, "{more} bytes a member of {once}");
    assert!(many.count_total <= few.count_total + 56 / 5, "{few:?} {many:?}");
}
