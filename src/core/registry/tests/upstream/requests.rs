//! Idempotency keys of requests, and requests that are refused or whose answer is lost.

use super::*;

#[test]
fn reverted_request_is_repeated_under_a_fresh_key() {
    let mut world = followed();
    world.offline("k", register("lan", "host"));
    let back = world.reconcile_absent("lan", Occasion::Return);
    let again = world.refuse(&back, ErrorCode::NotAMember);
    assert_eq!(asks(&again), ["register lan host"]);
    assert_ne!(ops(&again)[0].key, RequestKey("k".into()));

    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    let back = world.reconcile(&party, Occasion::Return);
    assert_eq!(asks(&back), ["join lan b"]);
    let again = world.refuse(&back, ErrorCode::NotAMember);
    assert_eq!(asks(&again), ["join lan b"]);
    assert_ne!(ops(&again)[0].key, ops(&back)[0].key);
    assert_eq!(told(&again), nothing());
}

#[test]
fn requests_of_one_instant_have_different_keys() {
    let mut world = followed();
    let keys = ["p", "q"].map(|id| {
        world.ann(register(id, "host"));
        world.by(ITSELF, follow(None));
        world.by(ITSELF, follow(Some(server_key())));
        world.registry.outbox.of_party(&id.parse().unwrap()).next().unwrap().key.clone()
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn peer_leaves_a_party_that_it_did_not_ask_for() {
    let mut world = followed();
    world.by(ITSELF, credential("a"));
    for occasion in [Occasion::Return, Occasion::News] {
        let heard = world.reconcile(&there("lan", &["host", "a"]), occasion);
        assert_eq!((told(&heard), asks(&heard)), (vec![], vec!["leave lan a".to_owned()]));
        assert_eq!((world.members("lan"), pending(&world)), (vec![], vec![]));
    }
    // A party of this daemon alone does not become the server's either.
    world.ann(register("two", "b"));
    world.registry.outbox.intents.clear();
    world.registry.outbox.intent_count = 0;
    world.registry.outbox.payers = Default::default();
    let heard = world.reconcile(&there("two", &["b", "a"]), Occasion::News);
    assert_eq!((told(&heard), asks(&heard)), (vec![], vec!["leave two a".to_owned()]));
    assert_eq!(world.party("two").origin, Origin::Local);
}

#[test]
fn newer_intent_is_sent_after_the_older_request_is_refused() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    let back = world.reconcile(&party, Occasion::Return);
    world.offline("l", leave("lan", "b"));
    let refused = world.refuse(&back, ErrorCode::PartyFull);
    assert_eq!((asks(&refused), told(&refused)), (vec!["leave lan b".to_owned()], vec![]));
    let refused = world.refuse(&refused, ErrorCode::NotAMember);
    assert_eq!((asks(&refused), pending(&world)), (vec![], vec![]));
}

#[test]
fn leaving_member_stays_until_the_server_confirms() {
    for who in ["a", "host"] {
        let (mut world, _) = World::with_copy(&["host", "a"], &["host", "a"]);
        let leaves =
            || vec![InFlight { peer_id: who.parse().unwrap(), what: InFlightKind::Leaves }];
        let party = there("lan", &["host", "a", "x"]);
        let heard = world.reconcile_while(&party, Occasion::News, leaves());
        assert_eq!(told(&heard), ["peer.joined lan x #2"]);
        // Earlier messages of the server do not bring it back.
        world.ann(leave("lan", who));
        let heard = world.reconcile_while(&party, Occasion::News, leaves());
        assert_eq!((told(&heard), asks(&heard)), (vec![], vec![]));
    }
}

#[test]
fn withdrawn_peer_leaves_a_party_that_let_it_in() {
    let mut world = followed();
    world.by(ITSELF, credential("a"));
    let withdraw =
        Command::Withdraw { party_id: "lan".parse().unwrap(), peer_id: "a".parse().unwrap() };
    world.by(ITSELF, withdraw.clone());
    let back = world.reconcile(&there("lan", &["host", "a"]), Occasion::Return);
    assert_eq!(asks(&back), ["leave lan a"]);
    // A peer that is in the party here has made another request since.
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.by(ITSELF, withdraw);
    assert_eq!(asks(&world.reconcile(&party, Occasion::Return)), nothing());
}

#[test]
fn part_of_the_upstream_state_equals_that_part_of_the_whole() {
    use crate::core::Upstream;

    let (mut world, _) = World::with_copy(&["a", "b"], &["host", "a", "b"]);
    world.by(ITSELF, credential("a"));
    world.by(ITSELF, credential("b"));
    world.offline("k", leave("lan", "b"));
    let part = |part| world.registry.upstream(&part);
    let all = part(UpstreamPart::All);
    assert_eq!((all.memberships.len(), all.credentials.len()), (1, 2));
    assert_eq!((all.outbox.len(), all.leaves.len()), (1, 1));
    let only = || Upstream { choice: all.choice.clone(), ..Upstream::default() };
    assert_eq!(part(UpstreamPart::Choice), only());
    let credentials = all.credentials.clone();
    assert_eq!(part(UpstreamPart::Credentials), Upstream { credentials, ..only() });
    let outbox = all.outbox.clone();
    assert_eq!(part(UpstreamPart::Intents), Upstream { outbox, ..only() });
    let mut memberships = all.memberships.clone();
    memberships.retain(|one| one.live);
    assert_eq!(part(UpstreamPart::Live), Upstream { memberships, ..only() });
    for id in ["a", "b", "host"] {
        let (mut memberships, mut credentials) = (all.memberships.clone(), all.credentials.clone());
        memberships.retain(|one| one.peer_id.as_str() == id);
        credentials.retain(|one| one.peer_id.as_str() == id);
        let of_peer = part(UpstreamPart::Peer(id.parse().unwrap()));
        assert_eq!(of_peer, Upstream { memberships, credentials, ..only() }, "{id}");
    }
}
