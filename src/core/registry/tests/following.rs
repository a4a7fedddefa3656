//! A change of the followed server, and intents.

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Origin, Sync};

use super::history::copies::Rows;
use super::upstream::{
    ITSELF, asks, credential, entering, follow, followed, pending, server_key, there,
};
use super::*;
use crate::core::reconcile::Occasion;
use crate::core::{Applied, ServerKey};

#[test]
fn without_a_server_copies_are_parties_of_this_daemon() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", update("lan", moved("a")));
    let left = world.by(ITSELF, follow(None));
    assert_eq!(told(&left), ["peer.updated lan host #4", "party.updated lan Local Synced #5"]);
    assert_eq!(pending(&world), [""; 0]);
    assert!(!world.peer("lan", "host").connected, "no server reports it any more");
    world.pass(PEER_TIMEOUT);
    let expired = world.by(ITSELF, Command::Expire);
    assert_eq!(told(&expired).last().unwrap(), "party.removed lan Expired #8");
    assert_eq!(pending(&world), [""; 0]);
}

#[test]
fn local_parties_move_to_the_followed_server() {
    let mut world = World::new();
    world.ann(register("lan", "host"));
    world.ann(join("lan", "a"));
    let followed = world.by(ITSELF, follow(Some(server_key())));
    assert_eq!(told(&followed), ["party.updated lan Local Pending #3"]);
    assert_eq!(asks(&world.reconcile_absent("lan", Occasion::Return)), ["register lan host"]);
    let heard = world.reconcile(&there("lan", &["host"]), Occasion::News);
    assert_eq!(asks(&heard), ["join lan a"]);
}

#[test]
fn party_with_a_host_elsewhere_is_looked_up_on_the_followed_server() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    world.by(ITSELF, follow(None));
    assert_eq!(world.party("lan").origin, Origin::Local);
    world.by(ITSELF, follow(Some(ServerKey("http://another".into()))));
    assert_eq!(world.party("lan").origin, Origin::Remote);
    assert_eq!(pending(&world), [""; 0]);
    assert_eq!(asks(&world.reconcile_absent("lan", Occasion::Return)), ["join lan a"]);
}

#[test]
fn follow_of_the_same_server_changes_nothing() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    let again = world.by(ITSELF, follow(Some(server_key())));
    assert_eq!((again.changes.len(), again.events.len()), (0, 0));
}

#[test]
fn intents_are_bounded() {
    let (mut world, party) = World::with_copy(&["a", "b"], &["host", "a", "b"]);
    let rules = Rules { intents: 1, ..world.registry.rules.clone() };
    world.registry.set_rules(rules);
    world.offline("k", leave("lan", "b"));
    let full = Refusal::OutboxFull { limit: 1 };
    for command in [register("two", "c"), join("lan", "c"), leave("lan", "a")] {
        assert_eq!(world.defer(ANN, "l", command).unwrap_err(), full);
    }
    world.offline("l", join("lan", "b"));
    assert_eq!(pending(&world), ["Join lan b l"], "an existing intent may change");
    // An unsent update is found by the comparison.
    world.offline("m", update("lan", moved("a")));
    assert_eq!(pending(&world), ["Join lan b l"]);
    assert_eq!(asks(&world.reconcile(&party, Occasion::Return)), ["update lan a"]);
}

#[test]
fn intents_survive_a_restart() {
    let (mut world, mut rows) = (World::new(), Rows::default());
    let mut write = |applied: Applied| {
        applied.changes.iter().for_each(|change| rows.write(change.write()));
    };
    write(world.by(ITSELF, follow(Some(server_key()))));
    write(world.by(ITSELF, credential("host")));
    write(world.offline("k", register("lan", "host")));
    write(world.offline("l", join("lan", "a")));
    write(world.reconcile_while(
        &there("two", &["x", "host"]),
        Occasion::Return,
        entering(&["host"]),
    ));
    write(world.offline("m", leave("two", "host")));
    rows.check(&world.registry, world.now);
    let upstream = world.registry.upstream(&UpstreamPart::All);
    let (rules, epoch) = (world.registry.rules.clone(), world.registry.epoch().clone());
    world.registry = rows.restore(rules, epoch, world.now);
    assert_eq!(world.registry.upstream(&UpstreamPart::All), upstream);
    assert_eq!(upstream.outbox.len(), 2);
    assert_eq!(world.party("lan").sync, Sync::Pending);
    assert_eq!(asks(&world.reconcile_absent("lan", Occasion::Return)), ["register lan host"]);
    let party = there("two", &["x", "host"]);
    assert_eq!(asks(&world.reconcile(&party, Occasion::Return)), ["leave two host"]);
}

#[test]
fn follow_can_be_undone() {
    let (mut world, mut party) = World::with_copy(&["host", "a"], &["host", "a", "x"]);
    world.offline("j", update("lan", moved("a")));
    party.members.get_mut("x").unwrap().info.public_port = 1;
    let reconcile = |server: Option<&crate::core::reconcile::ServerParty>, occasion| {
        let (party_id, in_flight) = ("lan".parse().unwrap(), vec![]);
        let server = server.cloned().map(std::sync::Arc::new);
        Command::Reconcile { party_id, server, occasion, in_flight, machine: vec![] }
    };
    let commands = [
        reconcile(Some(&party), Occasion::Return),
        reconcile(Some(&there("lan", &["host"])), Occasion::Return),
        reconcile(None, Occasion::Return),
        reconcile(None, Occasion::Gone(RemovalReason::Removed)),
        Command::Rename { from: "lan".parse().unwrap(), to: "new".parse().unwrap() },
        Command::ForgetCredential(server_key(), "a".parse().unwrap()),
        credential("b"),
        follow(None),
        follow(Some(ServerKey("http://another".into()))),
    ];
    let before = state::durable(&world.registry);
    for command in commands {
        let applied = world.by(ITSELF, command);
        assert_ne!(state::durable(&world.registry), before);
        world.registry.undo(applied.changes.into_iter());
        state::check_indexes(&world.registry);
        assert_eq!(state::durable(&world.registry), before);
    }
    for command in [register("two", "b"), join("lan", "b"), leave("lan", "a"), leave("lan", "host")]
    {
        let applied = world.offline("k", command);
        assert_ne!(state::durable(&world.registry), before);
        world.registry.undo(applied.changes.into_iter());
        state::check_indexes(&world.registry);
        assert_eq!(state::durable(&world.registry), before);
    }
}

#[test]
fn rename_keeps_signals_and_needs_a_free_id() {
    let mut world = followed();
    world.offline("k", register("lan", "host"));
    world.ann(send("lan", "host", "host", "1"));
    let rename = Command::Rename { from: "lan".parse().unwrap(), to: "new".parse().unwrap() };
    let renamed = world.by(ITSELF, rename);
    assert_eq!(told(&renamed), ["party.updated new was lan Local Pending #2"]);
    assert_eq!(payloads(&world.ann(poll("new", "host"))), ["1"]);
    world.ann(register("lan", "b"));
    let rename = Command::Rename { from: "new".parse().unwrap(), to: "lan".parse().unwrap() };
    assert_eq!(world.refused(ITSELF, rename), Refusal::PartyExists("lan".parse().unwrap()));
}

#[test]
fn members_from_elsewhere_are_refreshed_by_their_server() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.pass(PEER_TIMEOUT);
    assert_eq!(told(&world.by(ITSELF, Command::Expire)), [""; 0]);
    assert_ne!(world.peer("lan", "host").last_seen, world.now.wall);
    world.by(ITSELF, Command::RefreshLastSeen(party.party_id));
    assert_eq!(world.peer("lan", "host").last_seen, world.now.wall);
}

#[test]
fn delivered_signal_waits_for_its_target() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let deliver = |to: &str| Command::Deliver {
        party_id: party.party_id.clone(),
        from: "new".parse().unwrap(),
        to: to.parse().unwrap(),
        data: signal_data("1"),
    };
    world.by(ITSELF, deliver("a"));
    assert_eq!(payloads(&world.ann(poll("lan", "a"))), ["1"]);
    assert!(matches!(world.refused(ITSELF, deliver("host")), Refusal::NotAMember { .. }));
}
