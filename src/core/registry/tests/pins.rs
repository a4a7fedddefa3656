//! Key continuity of members from other machines.

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{KeyChange, PublicKey};

use super::history::copies::Rows;
use super::upstream::{ITSELF, credential, entering, follow, followed, server_key, there};
use super::*;
use crate::core::reconcile::{Occasion, ServerParty};

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

/// Returns a party of `a` and a host from elsewhere with this key.
fn party(host_key: &str) -> ServerParty {
    let mut party = there("lan", &["host", "a"]);
    party.members.get_mut("host").unwrap().info.public_key = key(host_key);
    party
}

/// Returns a registry with a copy of it.
fn world(hold_keys: bool) -> World {
    let mut world = followed();
    world.registry.set_rules(Rules { hold_keys, ..rules() });
    world.by(ITSELF, credential("a"));
    let party = party("k1");
    world.reconcile_while(&party, Occasion::News, entering(&["a"]));
    world
}

/// Returns the host's key for local readers, and its change.
fn shown(world: &World) -> (String, Option<KeyChange>) {
    let peer = world.peer("lan", "host");
    (peer.info.public_key.to_string(), peer.key_changed)
}

fn change(previous: &str, held: Option<&str>) -> Option<KeyChange> {
    Some(KeyChange { previous: key(previous), held: held.map(key) })
}

/// Returns the key change that was published, if any.
fn told_change(applied: &Applied) -> Option<KeyChange> {
    let changes = applied.events.iter().filter_map(|event| match event {
        Event::PeerUpdated { key_changed, .. } => key_changed.clone(),
        _ => None,
    });
    let changes: Vec<_> = changes.collect();
    assert!(changes.len() < 2, "{changes:?}");
    changes.into_iter().next()
}

fn trust(public_key: &str) -> Command {
    let (party_id, peer_id) = ("lan".parse().unwrap(), "host".parse().unwrap());
    Command::Trust { party_id, peer_id, public_key: key(public_key) }
}

#[test]
fn changed_key_is_published_and_marked_until_it_is_trusted() {
    let mut world = world(false);
    assert_eq!(shown(&world), ("k1".to_owned(), None));
    let heard = world.reconcile(&party("k2"), Occasion::News);
    assert_eq!(told_change(&heard), change("k1", None));
    assert_eq!(shown(&world), ("k2".to_owned(), change("k1", None)));
    assert_eq!(told_change(&world.reconcile(&party("k2"), Occasion::News)), None, "published once");
    let heard = world.reconcile(&party("k3"), Occasion::News);
    assert_eq!(told_change(&heard), change("k2", None));
    assert_eq!(shown(&world), ("k3".to_owned(), change("k1", None)));
    // The pinned key needs no acceptance.
    let heard = world.reconcile(&party("k1"), Occasion::News);
    assert_eq!((told_change(&heard), shown(&world)), (change("k3", None), ("k1".to_owned(), None)));
    world.reconcile(&party("k2"), Occasion::News);
    let trusted = world.ann(trust("k2"));
    assert_eq!(told(&trusted).len(), 1);
    assert_eq!(shown(&world), ("k2".to_owned(), None));
    assert_eq!(told(&world.ann(trust("k2"))), [""; 0], "once is enough");
}

#[test]
fn a_changed_key_is_held_until_it_is_trusted() {
    let mut world = world(true);
    let heard = world.reconcile(&party("k2"), Occasion::News);
    assert_eq!(told_change(&heard), change("k1", Some("k2")));
    assert_eq!(shown(&world), ("k1".to_owned(), change("k1", Some("k2"))));
    assert_eq!(told_change(&world.reconcile(&party("k2"), Occasion::News)), None, "published once");
    let other = Refusal::KeyIsAnother("host".parse().unwrap());
    for wrong in ["k1", "k3"] {
        assert_eq!(world.refused(ANN, trust(wrong)), other);
    }
    world.reconcile(&party("k3"), Occasion::News);
    assert_eq!(world.refused(ANN, trust("k2")), other, "the server states another key now");
    world.ann(trust("k3"));
    assert_eq!(shown(&world), ("k3".to_owned(), None));
}

#[test]
fn a_pin_outlives_a_membership_and_a_restart_and_ends_with_the_party() {
    for hold in [false, true] {
        let mut rows = Rows::default();
        let mut world = World::new();
        world.registry.set_rules(rules_of(hold));
        let mut write = |applied: &Applied| {
            applied.changes.iter().for_each(|change| rows.write(change.write()));
        };
        write(&world.by(ITSELF, follow(Some(server_key()))));
        write(&world.by(ITSELF, credential("a")));
        let with = |id: &str, its_key: &str| {
            let mut party = there("lan", &["host", "a", id]);
            party.members.get_mut(id).unwrap().info.public_key = key(its_key);
            party
        };
        let first = with("x", "k1");
        write(&world.reconcile_while(&first, Occasion::News, entering(&["a"])));
        write(&world.reconcile(&there("lan", &["host", "a"]), Occasion::News));
        rows.check(&world.registry, world.now);
        world.registry = rows.restore(rules_of(hold), "epoch".parse().unwrap(), world.now);
        let back = world.reconcile(&with("x", "k2"), Occasion::News);
        assert!(told(&back).iter().any(|line| line.starts_with("peer.joined lan x")), "{back:?}");
        assert_eq!(told_change(&back), change("k1", hold.then_some("k2")));
        let shown = world.peer("lan", "x").info.public_key;
        assert_eq!(shown, key(if hold { "k1" } else { "k2" }));
        // Another party of the same id has no pins.
        world.reconcile_absent("lan", Occasion::Gone(lanrage_ipc::event::RemovalReason::Removed));
        assert!(state::pins(&world.registry).is_empty());
    }
}

fn rules_of(hold_keys: bool) -> Rules {
    Rules { hold_keys, ..rules() }
}

#[test]
fn trust_needs_a_peer_in_the_party_or_an_administrator() {
    let mut world = world(true);
    world.reconcile(&party("k2"), Occasion::News);
    let theirs = Refusal::PeerNotYours("host".parse().unwrap());
    assert_eq!(world.refused(BEN, trust("k2")), theirs);
    world.by(ROOT, trust("k2"));
    assert_eq!(shown(&world), ("k2".to_owned(), None));
}

#[test]
fn pins_are_bounded_and_evict_former_members_first() {
    let mut world = world(false);
    for number in 0..3000 {
        let newcomer = format!("x{number}");
        let mut party = there("lan", &["host", "a", &newcomer]);
        party.members.get_mut("host").unwrap().info.public_key = key("k1");
        world.pass(SECOND);
        let (party_id, occasion) = (party.party_id.clone(), Occasion::News);
        let (in_flight, machine) = (vec![], vec![]);
        let server = Some(std::sync::Arc::new(party));
        let reconcile = Command::Reconcile { party_id, server, occasion, in_flight, machine };
        world.registry.apply(reconcile, ITSELF, world.now).unwrap();
    }
    state::check_indexes(&world.registry);
    let pins = state::pins(&world.registry);
    let has = |id: &str| pins.iter().any(|pin| pin.peer_id.as_str() == id);
    assert_eq!(pins.len(), 2048);
    assert!(has("host") && has("x2999") && !has("x0"));
}

#[test]
fn pin_follows_a_renamed_party() {
    let mut world = world(false);
    let rename = Command::Rename { from: "lan".parse().unwrap(), to: "new".parse().unwrap() };
    world.by(ITSELF, rename);
    let pins = state::pins(&world.registry);
    let pinned: Vec<_> = pins.iter().map(|pin| (pin.party_id.as_str(), &pin.public_key)).collect();
    assert_eq!(pinned, [("new", &key("k1"))]);
}
