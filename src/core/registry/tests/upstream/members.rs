//! Members that enter, change and leave in remote mode.

use std::collections::BTreeSet;

use super::*;

#[test]
fn offline_join_is_sent_on_return() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let done = world.offline("k", join("lan", "b"));
    assert_eq!(told(&done), ["peer.joined lan b #2", "party.updated lan Remote Pending #3"]);
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!((asks(&back), told(&back)), (vec!["join lan b".to_owned()], vec![]));
    let heard = world.reconcile(&there("lan", &["host", "a", "b"]), Occasion::News);
    assert_eq!(told(&heard), ["party.updated lan Remote Synced #4"]);
}

#[test]
fn refused_join_removes_the_peer_and_a_deserted_copy() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    let back = world.reconcile(&party, Occasion::Return);
    let refused = world.refuse(&back, ErrorCode::PartyFull);
    assert_eq!(
        told(&refused),
        ["peer.left lan b Removed #4", "party.updated lan Remote Synced #5"]
    );
    // The last local member, which was removed while it was away.
    let back = world.reconcile(&there("lan", &["host"]), Occasion::Return);
    assert_eq!(asks(&back), ["join lan a"]);
    let refused = world.refuse(&back, ErrorCode::PermissionDenied);
    assert_eq!(told(&refused).last().unwrap(), "party.removed lan Removed #9");
}

#[test]
fn a_join_of_an_unknown_party_is_refused() {
    let mut world = followed();
    let refused = world.defer(ANN, "k", join("lan", "a")).unwrap_err();
    assert_eq!(refused, Refusal::PartyNotFound("lan".parse().unwrap()));
}

#[test]
fn offline_leave_applies_at_once_and_drops_the_copy_once_sent() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let left = world.offline("k", leave("lan", "a"));
    assert_eq!(told(&left), ["peer.left lan a Left #2", "party.updated lan Remote Pending #3"]);
    assert_eq!(world.members("lan"), ["host"], "it can be rejoined");
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan a"]);
    assert_eq!(world.members("lan"), ["host"]);
    let told_it = world.reconcile_absent("lan", Occasion::Return);
    assert_eq!(told(&told_it).last().unwrap(), "party.removed lan Removed #5");
    assert_eq!(pending(&world), nothing());
}

#[test]
fn peer_that_rejoined_offline_stays() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", leave("lan", "a"));
    world.offline("l", join_as("lan", peer("a"), Keepalive::Daemon));
    assert_eq!(pending(&world), ["Join lan a l"]);
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!((asks(&back), pending(&world).len()), (vec![], 0));
    assert_eq!(world.members("lan"), ["a", "host"]);
}

#[test]
fn silent_peer_is_not_rejoined() {
    for (members, ours) in [(["host", "a"], "a"), (["a", "x"], "a")] {
        let (mut world, party) = World::with_copy(&[ours], &members);
        let rows = world.registry.parties.values().flat_map(|party| {
            let record = Write::PutParty(party.record.clone());
            let members = party.members.values();
            let id = party.record.party_id.clone();
            let members = members.map(move |m| Write::PutMember(id.clone(), m.record.clone()));
            std::iter::once(record).chain(members)
        });
        let rows: Vec<_> = rows.collect();
        // It has had no keepalive since the daemon restarted.
        let mut restored = followed();
        restored.registry.restore(rows, restored.now);
        let gone = restored.reconcile_absent("lan", Occasion::Return);
        assert_eq!(asks(&gone), nothing());
        assert_eq!(restored.members("lan"), nothing());
        // The server still has it: nothing to do.
        assert_eq!(asks(&world.reconcile(&party, Occasion::Return)), nothing());
        assert_eq!(world.members("lan").len(), 2);
    }
}

#[test]
fn member_removed_by_the_server_while_online_is_removed() {
    let (mut world, _) = World::with_copy(&["a", "b"], &["host", "a", "b"]);
    let gone = world.reconcile(&there("lan", &["host", "a"]), Occasion::News);
    assert_eq!((asks(&gone), told(&gone)), (vec![], vec!["peer.left lan b Removed #2".to_owned()]));
    // After a reconnect, the daemon may have been silent rather than the peer.
    let (mut world, _) = World::with_copy(&["a", "b"], &["host", "a", "b"]);
    let back = world.reconcile(&there("lan", &["host", "a"]), Occasion::Return);
    assert_eq!(asks(&back), ["join lan b"]);
}

#[test]
fn only_the_last_offline_update_is_sent() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", update("lan", moved("a")));
    let again = PeerInput { public_port: 9, ..peer("a") };
    let done = world.offline("l", update("lan", again.clone()));
    assert_eq!(told(&done), ["peer.updated lan a #4"]);
    assert_eq!(pending(&world), ["Update lan a l"], "a different request has another key");
    let back = world.reconcile(&party, Occasion::Return);
    assert!(matches!(&ops(&back)[0].body, OpBody::Update(info) if *info == again));
    assert_eq!(world.peer("lan", "a").info, again);
    // The difference is found without an intent.
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.ann(update("lan", moved("a")));
    assert_eq!(asks(&world.reconcile(&party, Occasion::Return)), ["update lan a"]);
}

#[test]
fn refused_update_of_a_former_member_becomes_a_join() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", update("lan", moved("a")));
    let back = world.reconcile(&party, Occasion::Return);
    let refused = world.refuse(&back, ErrorCode::PeerNotFound);
    assert_eq!(asks(&refused), ["join lan a"]);
    assert_ne!(ops(&refused)[0].key, RequestKey("k".into()));
}

#[test]
fn address_of_the_server_is_taken_over() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    assert_eq!(world.address("lan", "b"), "10.66.0.3");
    let joined = world.reconcile(&there("lan", &["host", "a", "x", "b"]), Occasion::Return);
    assert_eq!(
        told(&joined),
        ["peer.updated lan b #4", "peer.joined lan x #5", "party.updated lan Remote Synced #6"]
    );
    assert_eq!(world.address("lan", "b"), "10.66.0.4");
}

#[test]
fn address_that_the_server_gives_to_all_members_stays_with_the_host() {
    let (mut world, mut party) = World::with_copy(&["a"], &["host", "a"]);
    for one in [there("lan", &["host", "a", "x"]), there("lan", &["host", "a"])] {
        party.members.extend(one.members);
        party.members.values_mut().for_each(|one| one.virtual_ip = "10.66.0.1".parse().ok());
        world.reconcile(&party, Occasion::News);
        let addresses = ["host", "a", "x"].map(|id| world.address("lan", id));
        assert_eq!(addresses[0], "10.66.0.1");
        assert_eq!(addresses.iter().collect::<BTreeSet<_>>().len(), 3, "{addresses:?}");
    }
}

#[test]
fn commands_for_a_peer_of_another_owner_are_refused() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    assert_eq!(world.refused(ANN, leave("lan", "host")), not_yours("host"));
    for caller in [ANN, BEN, ROOT] {
        for command in [leave("lan", "host"), join("lan", "host"), update("lan", moved("host"))] {
            assert_eq!(world.defer(caller.clone(), "k", command).unwrap_err(), not_yours("host"));
        }
    }
    // A peer that is known only by its credential.
    world.by(ITSELF, credential("b"));
    for command in [join("lan", "b"), register("two", "b")] {
        assert_eq!(world.defer(BEN, "k", command).unwrap_err(), not_yours("b"));
    }
    world.offline("k", register("two", "b"));
}

#[test]
fn expired_local_member_leaves_on_the_server() {
    let (mut world, party) = World::with_copy(&["host", "a"], &["host", "a", "x"]);
    for id in ["a", "host"] {
        world.ann(join_as("lan", peer(id), Keepalive::Manual));
        world.pass(PEER_TIMEOUT);
        world.by(ITSELF, Command::Expire);
        let back = world.reconcile(&party, Occasion::News);
        assert_eq!(asks(&back), [format!("leave lan {id}")]);
    }
    assert_eq!(world.members("lan"), nothing());
}

#[test]
fn member_replaced_by_an_import_leaves_on_the_server() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let mode = crate::core::ImportMode::Replace;
    world.by(ROOT, Command::Import { parties: vec![], mode });
    assert_eq!(world.members("lan"), nothing());
    assert_eq!(asks(&world.reconcile(&party, Occasion::News)), ["leave lan a"]);
    assert_eq!(world.members("lan"), nothing());
    world.reconcile_absent("lan", Occasion::Return);
    assert_eq!(pending(&world), nothing());
}
