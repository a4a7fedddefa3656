//! The part of each table that one client may fill.

use std::net::IpAddr;

use super::*;
use crate::core::{Payer, Write};

fn at(address: &str, caller: Caller) -> Caller {
    let address: IpAddr = address.parse().unwrap();
    Caller { address: Some(address.into()), ..caller }
}

fn payer(address: &str) -> Payer {
    Payer::Address(address.parse::<IpAddr>().unwrap().into())
}

fn full(what: &'static str, payer: Payer, limit: usize) -> Refusal {
    Refusal::ShareFull { what, payer, limit }
}

/// Returns a registry with shares of a quarter.
fn shared(adjust: impl FnOnce(&mut Rules)) -> World {
    World::with(|rules| {
        rules.shares = Shares { address: 4, user: 4 };
        adjust(rules);
    })
}

#[test]
fn an_address_registers_its_share_of_the_parties() {
    let mut world = shared(|rules| rules.parties = 8);
    let a = |id| at("192.0.2.1", peers([id], 1));
    world.by(a("a"), register("p0", "a"));
    let rows: Vec<_> =
        world.by(a("b"), register("p1", "b")).changes.iter().map(|c| c.write().clone()).collect();
    let refusal = full("parties", payer("192.0.2.1"), 2);
    assert_eq!(world.refused(a("a"), register("p2", "a")), refusal);
    world.by(at("192.0.2.2", peers(["c"], 2)), register("p2", "c"));
    // A member from elsewhere still counts at the address that registered the party.
    world.by(at("192.0.2.3", peers(["b"], 3)), leave("p1", "b"));
    world.by(a("a"), register("p3", "a"));
    assert_eq!(world.refused(a("a"), register("p4", "a")), refusal);
    // Programs of this machine have their own share.
    world.ann(register("p4", "d"));
    let mut restarted = shared(|rules| rules.parties = 4);
    restarted.registry.restore(rows, restarted.now);
    state::check_indexes(&restarted.registry);
    let refusal = full("parties", payer("192.0.2.1"), 1);
    assert_eq!(restarted.refused(a("a"), register("p2", "a")), refusal);
}

#[test]
fn a_user_has_a_share_of_the_memberships_and_an_administrator_all() {
    let mut world = shared(|rules| rules.parties = 8);
    world.by(ROOT, register("r", "root"));
    world.ann(register("p0", "a"));
    world.ann(join("r", "a"));
    let refusal = full("memberships", Payer::User(User(1000)), 2);
    assert_eq!(world.refused(ANN, register("p1", "b")), refusal);
    assert_eq!(world.refused(ANN, join("r", "b")), refusal);
    // A repeated join is no new membership.
    world.ann(join("r", "a"));
    world.by(BEN, register("p1", "b"));
    for party in ["p2", "p3", "p4"] {
        world.by(ROOT, register(party, "root"));
    }
    world.ann(leave("r", "a"));
    world.ann(join("p1", "a"));
}

#[test]
fn an_unused_claim_makes_room_and_a_used_one_stays() {
    let mut world = World::with(|rules| rules.tokens = 4);
    let stranger = || at("192.0.2.1", peers([], 0));
    for (n, id) in ["shown", "member", "held", "unused"].into_iter().enumerate() {
        world.by(stranger(), claim_with(id, None, Some(n as u64), false));
    }
    world.registry.authenticate(&token(0), world.now).unwrap();
    world.by(peers(["member"], 1), register("lan", "member"));
    world.by(peers([], 2), claim_with("held", Some(2), None, true));
    let claimed = world.by(stranger(), claim_with("new", None, Some(4), false));
    assert_eq!(claimed.changes[0].write(), &Write::DeleteToken(token(3)));
    world.registry.authenticate(&token(4), world.now).unwrap();
    let limit = Refusal::RegistryFull { what: "tokens", limit: 4 };
    assert_eq!(world.refused(stranger(), claim_with("more", None, Some(5), false)), limit);
    // The use of the claim has ended: it is unused again.
    world.by(peers([], 2), Command::Disconnect);
    let claimed = world.by(stranger(), claim_with("more", None, Some(5), false));
    assert_eq!(claimed.changes[0].write(), &Write::DeleteToken(token(2)));
    world.by(peers(["member"], 1), leave("lan", "member"));
    let claimed = world.by(stranger(), claim_with("most", None, Some(6), false));
    assert_eq!(claimed.changes[0].write(), &Write::DeleteToken(token(1)));
}

#[test]
fn live_token_is_renewed_when_the_table_is_full() {
    let mut world = World::with(|rules| rules.tokens = 1);
    world.by(peers([], 0), claim_with("x", None, Some(1), false));
    for n in 2..6 {
        world.registry.authenticate(&token(1), world.now).unwrap();
        world.pass(SECOND);
        let renewed = world.by(peers([], 0), claim_with("x", Some(1), Some(n), false));
        let Outcome::Claimed(Claimed { identity, is_issued }) = renewed.outcome else { panic!() };
        let shown = world.registry.authenticate_claim(&token(1), world.now);
        assert_eq!(shown, Ok(identity), "it lasts");
        assert!(!is_issued && world.registry.authenticate(&token(n), world.now).is_err());
        assert_eq!(world.registry.token_count(), 1);
    }
    world.refused(peers([], 0), claim_with("y", None, Some(9), false));
}

#[test]
fn an_address_has_its_share_of_the_tokens() {
    let mut world = shared(|rules| rules.tokens = 16);
    let stranger = |address: &str| at(address, peers([], 0));
    let fill = |world: &mut World, address: &str, from: u64| {
        for n in from..from + 4 {
            world.by(stranger(address), claim_with(&format!("x{n}"), None, Some(n), false));
            world.registry.authenticate(&token(n), world.now).unwrap();
        }
    };
    fill(&mut world, "192.0.2.1", 0);
    let refused = world.refused(stranger("192.0.2.1"), claim_with("y", None, Some(99), false));
    assert_eq!(refused, full("tokens", payer("192.0.2.1"), 4));
    world.by(stranger("192.0.2.2"), claim_with("y", None, Some(99), false));
    // A claim of another address gives no room to this one.
    world.refused(stranger("192.0.2.1"), claim_with("z", None, Some(100), false));
    world.by(stranger("192.0.2.1"), claim_with("x0", Some(0), Some(100), false));
}

#[test]
fn signals_have_a_share_by_sender_payer_and_target() {
    let one = 512 + 3;
    let mut world = shared(|rules| {
        (rules.signals_total_bytes, rules.signal_bytes) = (8 * one, 3);
    });
    world.by(ROOT, register("lan", "host"));
    for id in ["a", "b", "c", "d"] {
        world.by(peers([id], 1), join("lan", id));
    }
    let what = "bytes of waiting signals";
    let by = |address, id| at(address, peers([id], 1));
    world.by(by("192.0.2.1", "a"), send("lan", "a", "b", "100"));
    world.by(by("192.0.2.2", "a"), send("lan", "a", "c", "100"));
    let refusal = full(what, Payer::Peer("a".parse().unwrap()), 2 * one);
    assert_eq!(world.refused(by("192.0.2.3", "a"), send("lan", "a", "d", "100")), refusal);
    world.by(by("192.0.2.1", "b"), send("lan", "b", "c", "100"));
    let refusal = full(what, payer("192.0.2.1"), 2 * one);
    assert_eq!(world.refused(by("192.0.2.1", "c"), send("lan", "c", "d", "100")), refusal);
    let refusal = full(what, Payer::Peer("c".parse().unwrap()), 2 * one);
    assert_eq!(world.refused(by("192.0.2.3", "d"), send("lan", "d", "c", "100")), refusal);
    // Polled signals no longer count.
    world.by(peers(["c"], 1), poll("lan", "c"));
    world.by(by("192.0.2.1", "c"), send("lan", "c", "d", "100"));
}

#[test]
fn delivered_signal_counts_for_its_sender_and_the_server() {
    let one = 512 + 3;
    let mut world = World::with(|rules| {
        (rules.signals_total_bytes, rules.signal_bytes) = (16 * one, 3);
        rules.shares = Shares { address: 8, user: 4 };
    });
    for id in ["a", "b", "c"] {
        world.ann(register(id, id));
    }
    let deliver = |from: &str, to: &str| Command::Deliver {
        party_id: to.parse().unwrap(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        data: signal_data("100"),
    };
    let what = "bytes of waiting signals";
    world.by(ROOT, deliver("x", "a"));
    world.by(ROOT, deliver("x", "b"));
    let refusal = full(what, Payer::Peer("x".parse().unwrap()), 2 * one);
    assert_eq!(world.refused(ROOT, deliver("x", "c")), refusal);
    world.by(ROOT, deliver("y", "a"));
    world.by(ROOT, deliver("y", "b"));
    let refusal = full(what, Payer::Server, 4 * one);
    assert_eq!(world.refused(ROOT, deliver("z", "c")), refusal);
    // Signals of this machine are not affected.
    world.ann(send("c", "c", "c", "100"));
}

#[test]
fn a_signal_for_a_connected_target_passes_the_bound_of_all() {
    let mut world = World::with(|rules| rules.signals_total_bytes = 600);
    world.by(ROOT, register("lan", "host"));
    world.by(peers([], 7), claim("b"));
    for id in ["a", "b", "c"] {
        world.by(peers([id], 1), join("lan", id));
    }
    world.by(peers(["a"], 1), send("lan", "a", "host", "1"));
    let full = Refusal::SignalsFull { limit: 600 };
    assert_eq!(world.refused(peers(["c"], 1), send("lan", "c", "a", "1")), full);
    world.by(peers(["c"], 1), send("lan", "c", "b", "1"));
    assert_eq!(payloads(&world.by(peers(["b"], 7), poll("lan", "b"))), ["1"]);
}

#[test]
fn a_peer_has_few_relays_and_an_address_its_share() {
    let mut world = shared(|rules| rules.relays = 48);
    let by = |id| at("192.0.2.1", peers([id], 1));
    for n in 0..16 {
        world.by(by("a"), relay(&format!("a{n}"), 1));
    }
    let refusal = full("relays", Payer::Peer("a".parse().unwrap()), 16);
    assert_eq!(world.refused(by("a"), relay("a99", 1)), refusal);
    world.by(by("a"), relay("a0", 2));
    for n in 0..8 {
        world.by(by("b"), relay(&format!("b{n}"), 1));
    }
    assert_eq!(world.refused(by("b"), relay("b99", 1)), full("relays", payer("192.0.2.1"), 24));
    let key = Caller { principal: Principal::RelayKey, ..by("b") };
    for n in 0..24 {
        world.by(key.clone(), relay(&format!("k{n}"), 1));
    }
    let limit = Refusal::RegistryFull { what: "relays", limit: 48 };
    assert_eq!(world.refused(key, relay("k99", 1)), limit);
}

/// Makes an update from an address, under its own key.
fn receipt(world: &mut World, address: &str, id: &str, key: &str) {
    world.pass(SECOND);
    let caller = at(address, peers([id], 1));
    world.request(caller, Some(key), update("lan", peer(id))).unwrap();
}

fn is_remembered(world: &World, id: &str, key: &str) -> bool {
    let known = (id.parse().unwrap(), RequestKey(key.into()));
    world.registry.receipts.records.contains_key(&known)
}

#[test]
fn eviction_takes_receipts_of_the_largest_peer_at_the_largest_address() {
    let mut world = World::with(|rules| rules.receipts = 7);
    world.by(ROOT, register("lan", "host"));
    for id in ["a", "b", "c", "d"] {
        world.by(ROOT, join("lan", id));
    }
    // A peer alone at its address, with the oldest receipts of all.
    for key in ["d1", "d2", "d3"] {
        receipt(&mut world, "192.0.2.1", "d", key);
    }
    for (id, key) in [("a", "a1"), ("b", "b1"), ("b", "b2"), ("b", "b3")] {
        receipt(&mut world, &format!("2001:db8:1:{id}::1"), id, key);
    }
    for (key, evicted) in [("c1", ("b", "b1")), ("c2", ("b", "b2"))] {
        receipt(&mut world, "2001:db8:1:c::1", "c", key);
        assert!(!is_remembered(&world, evicted.0, evicted.1), "{evicted:?}");
        for (id, key) in [("d", "d1"), ("d", "d2"), ("d", "d3"), ("a", "a1"), ("b", "b3")] {
            assert!(is_remembered(&world, id, key), "{key}");
        }
    }
}
