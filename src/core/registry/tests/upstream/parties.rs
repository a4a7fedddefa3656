//! Whole parties in remote mode.

use super::*;

#[test]
fn offline_registration_is_sent_on_return() {
    let mut world = followed();
    let done = world.offline("k", register("lan", "host"));
    assert_eq!(told(&done), ["party.registered lan #1"]);
    let Outcome::Party(party) = done.outcome else { panic!("no party") };
    assert_eq!((party.origin, party.sync), (Origin::Local, Sync::Pending));
    assert_eq!(pending(&world), ["Register lan host k"]);
    for _ in 0..2 {
        let back = world.reconcile_absent("lan", Occasion::Return);
        assert_eq!(asks(&back), ["register lan host"]);
        assert_eq!(ops(&back)[0].key, RequestKey("k".into()), "the same request");
    }
    let heard = world.reconcile(&there("lan", &["host"]), Occasion::News);
    assert_eq!(told(&heard), ["party.updated lan Remote Synced #2"]);
    assert_eq!((asks(&heard).len(), pending(&world).len()), (0, 0));
}

#[test]
fn party_is_refused_if_its_local_host_is_not_a_member() {
    let (mut world, mut party) = World::with_copy(&["a"], &["x", "a", "h"]);
    world.by(ITSELF, credential("h"));
    party.host_id = "h".parse().unwrap();
    let (party_id, server) = ("lan".parse().unwrap(), Some(Arc::new(party)));
    let (occasion, in_flight) = (Occasion::News, entering(&["a"]));
    let reconcile = Command::Reconcile { party_id, server, occasion, in_flight, machine: vec![] };
    let refusal = world.refused(ITSELF, reconcile);
    assert!(matches!(refusal, Refusal::HostAbsent { .. }), "{refusal}");
    assert_eq!(world.members("lan"), ["a", "h", "x"], "the copy is unchanged");
}

#[test]
fn party_with_a_taken_id_is_renamed() {
    let mut world = followed();
    world.offline("k", register("lan", "host"));
    world.offline("l", join("lan", "a"));
    let back = world.reconcile_absent("lan", Occasion::Return);
    assert_eq!(asks(&back), ["register lan host"], "the guest follows");
    let refused = world.refuse(&back, ErrorCode::PartyExists);
    assert_eq!(told(&refused), ["party.updated spare was lan Local Pending #3"]);
    assert_eq!(asks(&refused), ["register spare host"]);
    assert_ne!(ops(&refused)[0].key, RequestKey("k".into()), "another request");
    assert_eq!((world.members("lan").len(), world.members("spare").len()), (0, 2));
    let heard = world.reconcile(&there("spare", &["host"]), Occasion::News);
    assert_eq!(asks(&heard), ["join spare a"]);
}

#[test]
fn leave_of_the_other_party_of_that_id_is_still_sent() {
    let (mut world, party) = World::with_copy(&["host", "a"], &["host", "a", "x"]);
    world.offline("k", leave("lan", "host"));
    assert_eq!(pending(&world).len(), 2, "the guests left with the host: {:?}", pending(&world));
    world.offline("l", register("lan", "b"));
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan a", "leave lan host", "register lan b"]);
    let [.., register] = &ops(&back)[..] else { panic!("no operations") };
    let (party_id, peer_id) = ("lan".parse().unwrap(), "b".parse().unwrap());
    let (key, code, spare) =
        (register.key.clone(), ErrorCode::PartyExists, "spare".parse().unwrap());
    world.by(ITSELF, Command::Refused { party_id, peer_id, key, code, spare });
    assert_eq!(asks(&world.reconcile(&party, Occasion::Return)), ["leave lan host"]);
    assert_eq!(world.members("spare"), ["b"]);
}

#[test]
fn leave_stays_pending_when_the_id_is_reused() {
    let (mut world, party) = World::with_copy(&["host"], &["host", "x"]);
    world.offline("k", leave("lan", "host"));
    world.offline("l", register("lan", "a"));
    world.offline("m", leave("lan", "a"));
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan host"]);
    assert_eq!(world.members("lan"), nothing());
}

#[test]
fn local_member_of_another_party_of_that_id_leaves_it() {
    let (mut world, party) = World::with_copy(&["host"], &["host", "x"]);
    world.offline("k", leave("lan", "host"));
    world.offline("l", register("lan", "a"));
    world.offline("m", join("lan", "host"));
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan host", "register lan a"]);
    let again = world.reconcile(&party, Occasion::Return);
    assert_eq!(ops(&again), ops(&back), "the same requests");
    assert_ne!(ops(&back)[0].key, RequestKey("m".into()), "that is the key of its join");
    assert_eq!(pending(&world), ["Register lan a l", "Join lan host m"]);
}

#[test]
fn ended_party_is_registered_again_only_by_its_host() {
    let (mut world, _) = World::with_copy(&["host"], &["host", "x"]);
    assert_eq!(asks(&world.reconcile_absent("lan", Occasion::Return)), ["register lan host"]);
    let heard = world.reconcile(&there("lan", &["host"]), Occasion::News);
    assert_eq!(
        told(&heard),
        ["peer.left lan x Left #3", "party.updated lan Remote Synced #4"],
        "whose members from elsewhere come by themselves"
    );

    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    let back = world.reconcile_absent("lan", Occasion::Return);
    assert_eq!(asks(&back), ["join lan a"], "a join recreates no party");
    let refused = world.refuse(&back, ErrorCode::PartyNotFound);
    assert_eq!(told(&refused).last().unwrap(), "party.removed lan Removed #5");
    assert_eq!(world.members("lan"), nothing());
}

#[test]
fn state_of_the_server_is_taken_over_while_online() {
    let (mut world, mut party) = World::with_copy(&["a"], &["host", "a"]);
    let joined = world.reconcile(&there("lan", &["host", "a", "x"]), Occasion::News);
    assert_eq!(told(&joined), ["peer.joined lan x #2"]);
    assert_eq!(told(&world.reconcile(&party, Occasion::News)), ["peer.left lan x Left #3"]);
    party.members.get_mut("host").unwrap().info.public_port = 1;
    assert_eq!(told(&world.reconcile(&party, Occasion::News)), ["peer.updated lan host #4"]);
    party.members.get_mut("host").unwrap().connected = false;
    assert_eq!(told(&world.reconcile(&party, Occasion::News)), ["peer.updated lan host #5"]);
    party.name = "another".parse().unwrap();
    let renamed = world.reconcile(&party, Occasion::News);
    assert_eq!(told(&renamed), ["party.updated lan Remote Synced #6"]);
    party.created_at += SECOND;
    let anew = world.reconcile(&party, Occasion::Return);
    assert_eq!(told(&anew), ["party.updated lan Remote Synced #7"], "it was registered anew");
    assert_eq!(told(&world.reconcile(&party, Occasion::Return)), nothing());
    let gone = world.reconcile_absent("lan", Occasion::Gone(RemovalReason::HostLeft));
    assert_eq!(
        told(&gone),
        [
            "peer.left lan host Left #8",
            "peer.left lan a HostLeft #9",
            "party.removed lan HostLeft #10"
        ]
    );
}
