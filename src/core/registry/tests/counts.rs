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

#[test]
fn sign_of_life_allocates_nothing_and_changes_no_index() {
    let mut world = party_of(8);
    world.pass(SECOND);
    let before = world.registry.parties.clone();
    let info = measured(&mut world, heartbeat("lan", "m3"));
    // `measured` keeps the result in a local variable.
    assert_eq!(info.count_total, 0, "{info:?}");
    let noted = |parties: &super::super::Parties| parties[&"lan".parse().unwrap()].looked_at;
    assert_eq!(noted(&world.registry.parties), noted(&before));
}

/// Returns the memory of a peer in a party of eight, in bytes, with or without a token.
fn bytes_of_a_peer(has_token: bool) -> u64 {
    let of_parties = |parties: u64| {
        let mut world = World::with(|rules| (rules.parties, rules.tokens) = (1000, 10_000));
        let (registry, now) = (&mut world.registry, world.now);
        let filled = measure(|| {
            for number in 0..8 * parties {
                let (party, id) = (format!("party-{:05}", number / 8), format!("peer-{number:06}"));
                let caller = peers([&id], 1);
                if has_token {
                    let claim = claim_with(&id, None, Some(number), false);
                    registry.apply(claim, caller.clone(), now).expect("refused");
                }
                let enter = if number % 8 == 0 { register } else { join };
                registry.apply(enter(&party, &id), caller, now).expect("refused");
            }
        });
        filled.bytes_current as u64
    };
    let [few, many] = [100, 900].map(of_parties);
    (many - few) / (8 * 800)
}

#[test]
fn peer_at_rest_takes_few_bytes() {
    let [plain, proven] = [false, true].map(bytes_of_a_peer);
    assert!(plain < 430, "{plain} bytes without a token");
    assert!(proven < plain + 360, "{proven} bytes with a token, {plain} without");
}

#[test]
fn looks_at_the_parties_are_spread_after_a_restart() {
    let mut world = World::new();
    let registered =
        (0..100).map(|number| world.ann(register(&format!("p{number}"), &format!("h{number}"))));
    let rows = registered.flat_map(|applied| applied.changes).map(|change| change.split().0);
    let rows: Vec<_> = rows.collect();
    let mut world = World::new();
    world.registry.restore(rows, world.now);
    state::check_indexes(&world.registry);
    let looks = world.registry.parties.values().filter_map(|party| party.looked_at);
    assert!(looks.collect::<std::collections::BTreeSet<_>>().len() > 90);
    // The expiry is as if there were one look.
    world.pass(PEER_TIMEOUT - SECOND);
    assert_eq!(told(&world.by(ROOT, Command::Expire)), [""; 0]);
    world.pass(SECOND);
    assert_eq!(world.by(ROOT, Command::Expire).events.len(), 200);
}
