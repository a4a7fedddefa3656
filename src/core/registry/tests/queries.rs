//! Queries.

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
fn a_page_ends_at_its_room() {
    let mut world = World::new();
    for id in ["a", "b", "c"] {
        world.ann(register(id, "host"));
    }
    let page = |after, limit, room| {
        let (parties, more) = world.registry.page(after, limit, room, world.now);
        (parties.len(), more)
    };
    assert_eq!(page(None, 9, usize::MAX), (3, false));
    assert_eq!(page(None, 2, usize::MAX), (2, true));
    assert_eq!(page(Some("b"), 9, usize::MAX), (1, false));
    assert_eq!(page(Some("c"), 9, usize::MAX), (0, false));
    let all = world.registry.least_bytes(&Filter::default());
    assert_eq!(page(None, 9, all), (3, false));
    assert_eq!(page(None, 9, all - 1), (2, true));
    assert_eq!(page(None, 9, 0), (1, true));
    let one = Filter { party_id: Some("b".parse().unwrap()) };
    assert_eq!(3 * world.registry.least_bytes(&one), all);
}

/// An answer that may fit is never refused.
#[test]
fn no_json_is_shorter_than_its_lower_bound() {
    use lanrage_ipc::lanrage::AnnouncedParty;
    let mut world = World::new();
    let mut host = peer("a");
    host.name = "a".parse().unwrap();
    host.public_key = "a".parse().unwrap();
    host.public_ip = "::".parse().unwrap();
    host.local_ip = "::".parse().unwrap();
    (host.public_port, host.local_port) = (0, 0);
    host.nat_type = NatType::Open;
    let Command::Register { keepalive, .. } = register("a", "a") else { unreachable!() };
    let (party_id, name) = ("a".parse().unwrap(), "a".parse().unwrap());
    world.ann(Command::Register { party_id, name, host, keepalive, utc_offset: None });
    let least = world.registry.least_bytes(&Filter::default());
    let party = &world.parties()[0];
    let native = serde_json::to_string(party).unwrap();
    let announced = AnnouncedParty::new(party, &jiff::tz::TimeZone::UTC);
    let announced = serde_json::to_string(&announced).unwrap();
    assert!(native.len() >= least, "{} of {native}", native.len());
    assert!(announced.len() >= least, "{} of {announced}", announced.len());
    assert!(announced.len() <= least + 100, "{} of {announced}", announced.len());
    world.ann(Command::RegisterRelay(RelayInput {
        relay_id: "a".parse().unwrap(),
        public_ip: "::".parse().unwrap(),
        port: 0,
        region: "a".parse().unwrap(),
        capacity: 0,
    }));
    let relay = serde_json::to_string(&world.registry.relays(None)[0]).unwrap();
    assert!(relay.len() >= world.registry.least_bytes_of_relays(), "{} of {relay}", relay.len());
}

#[test]
fn relays_are_listed_by_region_then_id() {
    let mut world = World::new();
    for (id, region) in [("a", "us"), ("c", "eu"), ("b", "eu"), ("d", "ap")] {
        let region = region.parse().unwrap();
        world.ann(Command::RegisterRelay(RelayInput { region, ..relay_input(id, 1) }));
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
