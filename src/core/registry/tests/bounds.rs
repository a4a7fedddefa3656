//! Bounds on the copies of a control server's parties, and on the addresses that it assigns.

use ipnet::Ipv4Net;
use lanrage_ipc::model::Origin;

use super::history::copies::Rows;
use super::upstream::{ITSELF, credential, entering, followed, there};
use super::*;
use crate::core::Change;
use crate::core::reconcile::{Occasion, ServerParty};

/// Reconciles a party while `peers` of this machine enter it.
fn reconcile(
    world: &mut World,
    party: &ServerParty,
    peers: &[&str],
    machine: &[&str],
) -> Result<Applied, Refusal> {
    let machine: Vec<Ipv4Net> = machine.iter().map(|text| text.parse().unwrap()).collect();
    let (party_id, server) = (party.party_id.clone(), Some(std::sync::Arc::new(party.clone())));
    let (occasion, in_flight) = (Occasion::News, entering(peers));
    world.apply(ITSELF, Command::Reconcile { party_id, server, occasion, in_flight, machine })
}

/// Returns a party of `a` and many members from other machines.
fn crowd(party: &str, others: usize) -> ServerParty {
    let names: Vec<_> = (0..others).map(|number| format!("x{number:04}")).collect();
    let mut members: Vec<_> = names.iter().map(String::as_str).collect();
    members.push("a");
    let mut party = there(party, &members);
    for member in party.members.values_mut() {
        member.virtual_ip = None;
    }
    party
}

#[test]
fn copies_count_for_the_bound_on_a_peers_parties() {
    let mut world = followed();
    let rules = Rules { parties_per_peer: 2, ..world.registry.rules.clone() };
    world.registry.set_rules(rules);
    // Each request found room when it was checked.
    for id in ["one", "two"] {
        reconcile(&mut world, &there(id, &["host", "a"]), &["a"], &[]).unwrap();
    }
    let refused = reconcile(&mut world, &there("three", &["host", "a"]), &["a"], &[]).unwrap_err();
    assert_eq!(refused, Refusal::TooManyParties { peer_id: "a".parse().unwrap(), limit: 2 });
    // A party that is followed already may change.
    reconcile(&mut world, &there("two", &["host", "a", "x"]), &[], &[]).unwrap();
}

#[test]
fn copies_are_bounded_in_bytes() {
    let mut world = followed();
    let limit = 100_000;
    let rules = Rules { copies_bytes: limit, ..world.registry.rules.clone() };
    world.registry.set_rules(rules);
    reconcile(&mut world, &crowd("one", 20), &["a"], &[]).unwrap();
    let full = |id: &str| Refusal::CopiesFull { party_id: id.parse().unwrap(), limit };
    assert_eq!(reconcile(&mut world, &crowd("two", 90), &["a"], &[]).unwrap_err(), full("two"));
    assert_eq!(reconcile(&mut world, &crowd("one", 90), &[], &[]).unwrap_err(), full("one"));
    assert_eq!(world.members("one").len(), 21, "the copy is unchanged");
    assert!(world.registry.parties.copies_bytes() <= limit);
    // A shrinking party is followed, however large it is.
    let rules = Rules { copies_bytes: 1000, ..world.registry.rules.clone() };
    world.registry.set_rules(rules);
    reconcile(&mut world, &crowd("one", 19), &[], &[]).unwrap();
    assert_eq!(world.members("one").len(), 20);
}

#[test]
fn server_addresses_must_be_of_the_subnet_or_one_private_network() {
    let reconciled = |addresses: [&str; 2], machine: &[&str]| {
        let (mut world, mut party) = (followed(), there("lan", &["host", "a"]));
        for (id, address) in ["host", "a"].into_iter().zip(addresses) {
            party.members.get_mut(id).unwrap().virtual_ip = Some(address.parse().unwrap());
        }
        let reconciled = reconcile(&mut world, &party, &["a"], machine);
        let shown = reconciled.is_ok().then(|| ["host", "a"].map(|id| world.address("lan", id)));
        (reconciled.err(), shown)
    };
    for good in [
        ["10.66.0.1", "10.66.255.254"],
        ["10.99.0.1", "10.99.7.7"],
        ["172.31.0.1", "172.31.0.2"],
        ["192.168.7.1", "192.168.8.1"],
        ["100.64.0.1", "100.64.0.2"],
    ] {
        // Other networks of the machine do not conflict, and the configured subnet is expected.
        let machine = ["127.0.0.1/8", "192.0.2.7/24", "10.66.3.4/16"];
        assert_eq!(reconciled(good, &machine), (None, Some(good.map(String::from))));
    }
    for bad in [
        "8.8.8.8",
        "169.254.169.254",
        "127.0.0.1",
        "224.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "100.128.0.1",
        "172.32.0.1",
        "10.66.0.0",
        "10.66.255.255",
        "192.0.2.1",
    ] {
        let (party_id, peer_id) = ("lan".parse().unwrap(), "a".parse().unwrap());
        let address = bad.parse().unwrap();
        let refused = Refusal::AddressRefused { party_id, peer_id, address };
        assert_eq!(reconciled(["10.66.0.1", bad], &[]), (Some(refused), None));
    }
    // Refused: addresses in two networks, or in a network of this machine.
    assert!(reconciled(["10.98.0.1", "10.99.0.1"], &[]).0.is_some());
    assert!(reconciled(["192.168.7.1", "192.168.7.2"], &["192.168.7.9/24"]).0.is_some());
    assert!(reconciled(["192.168.7.1", "192.168.8.2"], &["192.168.8.9/24"]).0.is_some());
}

#[test]
fn interface_of_the_virtual_network_does_not_conflict() {
    let (mut world, mut party) = (followed(), there("lan", &["host", "a"]));
    for (id, address) in [("host", "10.99.0.1"), ("a", "10.99.0.2")] {
        party.members.get_mut(id).unwrap().virtual_ip = Some(address.parse().unwrap());
    }
    reconcile(&mut world, &party, &["a"], &[]).unwrap();
    // From now on an interface has the address of `a`.
    party.party_id = "two".parse().unwrap();
    assert!(reconcile(&mut world, &party, &["a"], &["10.99.0.7/16"]).is_err());
    reconcile(&mut world, &party, &["a"], &["10.99.0.2/16"]).unwrap();
    assert_eq!(world.address("two", "host"), "10.99.0.1");
}

#[test]
fn trim_copies_drops_the_largest_copies_first() {
    let mut rows = Rows::default();
    let mut write = |changes: &[Change]| changes.iter().for_each(|one| rows.write(one.write()));
    let mut world = followed();
    write(&world.by(ITSELF, credential("a")).changes);
    for (id, others) in [("p1", 30), ("p2", 2), ("p3", 40), ("p4", 3), ("p5", 4)] {
        write(&reconcile(&mut world, &crowd(id, others), &["a"], &[]).unwrap().changes);
    }
    write(&world.ann(register("own", "a")).changes);
    // A copy without local members, as an earlier version may have left it.
    let elsewhere = reconcile(&mut world, &there("p6", &["x", "b"]), &["b"], &[]).unwrap();
    write(&elsewhere.changes);
    let alone = "p6".parse().unwrap();
    let gone = world.registry.set_member(&alone, &"b".parse().unwrap(), None).unwrap();
    write_gone(&mut rows, &gone.record.info.peer_id);
    let rules = Rules { parties_per_peer: 4, copies_bytes: 60_000, ..rules() };
    let mut restored = rows.restore(rules, "epoch".parse().unwrap(), world.now);
    let trimmed = restored.trim_copies(ITSELF, world.now);
    assert_eq!(trimmed.events, []);
    let left: Vec<_> = restored.parties.keys().map(ToString::to_string).collect();
    // It may be in four parties; one of them is its own.
    assert_eq!(left, ["own", "p2", "p4", "p5"]);
    state::check_indexes(&restored);
    trimmed.changes.iter().for_each(|change| rows.write(change.write()));
    rows.check(&restored, world.now);
    assert_eq!(restored.trim_copies(ITSELF, world.now).changes.len(), 0);
    let bytes = restored.parties.copies_bytes();
    let rules = Rules { copies_bytes: bytes - 1, ..restored.rules.clone() };
    restored.set_rules(rules);
    restored.trim_copies(ITSELF, world.now);
    let left: Vec<_> = restored.parties.keys().map(ToString::to_string).collect();
    assert_eq!(left, ["own", "p2", "p4"]);
    let copies = restored.parties.values().filter(|party| party.record.origin == Origin::Remote);
    assert_eq!(copies.count(), 2);
}

fn write_gone(rows: &mut Rows, peer_id: &lanrage_ipc::model::PeerId) {
    rows.write(&crate::core::Write::DeleteMember("p6".parse().unwrap(), peer_id.clone()));
}
