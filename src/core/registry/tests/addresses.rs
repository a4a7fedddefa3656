//! Virtual addresses.

use super::*;

#[test]
fn host_gets_the_first_address_and_guests_the_next() {
    let mut world = World::new();
    world.ann(register("lan", "z"));
    world.ann(join("lan", "b"));
    world.ann(join("lan", "a"));
    assert_eq!(world.address("lan", "z"), "10.66.0.1");
    assert_eq!(world.address("lan", "b"), "10.66.0.2");
    assert_eq!(world.address("lan", "a"), "10.66.0.3");
}

#[test]
fn new_guest_gets_the_lowest_free_address() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    for id in ["a", "b", "c"] {
        world.ann(join("lan", id));
    }
    world.ann(leave("lan", "b"));
    world.ann(leave("lan", "a"));
    assert_eq!(world.address("lan", "c"), "10.66.0.4");
    world.ann(join("lan", "d"));
    world.ann(join("lan", "a"));
    world.ann(join("lan", "e"));
    assert_eq!(world.address("lan", "d"), "10.66.0.2");
    assert_eq!(world.address("lan", "a"), "10.66.0.3");
    assert_eq!(world.address("lan", "c"), "10.66.0.4");
    assert_eq!(world.address("lan", "e"), "10.66.0.5");
}

#[test]
fn parties_assign_addresses_independently() {
    let mut world = World::new();
    world.ann(register("one", "host"));
    world.ann(join("one", "a"));
    world.ann(register("two", "a"));
    world.ann(join("two", "host"));
    assert_eq!(world.address("one", "host"), "10.66.0.1");
    assert_eq!(world.address("one", "a"), "10.66.0.2");
    assert_eq!(world.address("two", "a"), "10.66.0.1");
    assert_eq!(world.address("two", "host"), "10.66.0.2");
}

#[test]
fn join_is_refused_when_the_subnet_has_no_free_address() {
    let mut world = World::with(|rules| rules.subnet = "192.0.2.0/29".parse().unwrap());
    world.ann(register("lan", "host"));
    for id in ["a", "b", "c", "d", "e"] {
        world.ann(join("lan", id));
    }
    assert_eq!(world.address("lan", "host"), "192.0.2.1");
    assert_eq!(world.address("lan", "e"), "192.0.2.6");
    let full = Refusal::PartyFull { party_id: "lan".parse().unwrap(), limit: 6 };
    assert_eq!(world.refused(ANN, join("lan", "f")), full);
    world.ann(join("lan", "e"));
    world.ann(leave("lan", "c"));
    world.ann(join("lan", "f"));
    assert_eq!(world.address("lan", "f"), "192.0.2.4");
}

#[test]
fn members_keep_their_addresses_when_the_subnet_changes() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    let subnet = "10.66.0.0/29".parse().unwrap();
    world.registry.set_rules(Rules { subnet, ..rules() });
    world.ann(join("lan", "b"));
    assert_eq!(world.address("lan", "a"), "10.66.0.2");
    assert_eq!(world.address("lan", "b"), "10.66.0.3", "not one that a member has");
    world.registry.set_rules(Rules { subnet: "192.0.2.0/24".parse().unwrap(), ..rules() });
    world.ann(join("lan", "c"));
    assert_eq!(world.address("lan", "host"), "10.66.0.1");
    assert_eq!(world.address("lan", "c"), "192.0.2.2");
}
