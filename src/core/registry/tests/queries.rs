//! Reading.

use super::*;

#[test]
fn parties_are_listed_by_id_from_a_cursor_or_one_of_them() {
    let mut world = World::new();
    for id in ["b", "d", "a", "c"] {
        world.ann(register(id, "host"));
    }
    let list = |party: Option<&str>, after| -> Vec<String> {
        let filter = Filter { party_id: party.map(|id| id.parse().unwrap()) };
        let parties = world.registry.parties(&filter, after, world.now);
        parties.map(|party| party.party_id.to_string()).collect()
    };
    assert_eq!(list(None, None), ["a", "b", "c", "d"]);
    assert_eq!(list(None, Some("b")), ["c", "d"]);
    assert_eq!(list(None, Some("bb")), ["c", "d"]);
    assert_eq!(list(None, Some("d")), [""; 0]);
    assert_eq!(list(Some("c"), None), ["c"]);
    assert_eq!(list(Some("x"), None), [""; 0]);
}

#[test]
fn relays_are_listed_by_region_then_id() {
    let mut world = World::new();
    for (id, region) in [("a", "us"), ("c", "eu"), ("b", "eu"), ("d", "ap")] {
        let Command::RegisterRelay { relay_id, public_ip, port, capacity, .. } = relay(id, 1)
        else {
            unreachable!()
        };
        let region = region.parse().unwrap();
        world.ann(Command::RegisterRelay { relay_id, public_ip, port, region, capacity });
    }
    let list = |region: Option<&str>| -> Vec<String> {
        let region = region.map(|name| name.parse().unwrap());
        let relays = world.registry.relays(region.as_ref());
        relays.iter().map(|relay| relay.relay_id.to_string()).collect()
    };
    assert_eq!(list(None), ["d", "b", "c", "a"]);
    assert_eq!(list(Some("eu")), ["b", "c"]);
    assert_eq!(list(Some("x")), [""; 0]);
}
