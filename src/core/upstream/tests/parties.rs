//! Parties: comparison, operations and their refusals.

use lanrage_ipc::control::ReqId;

use super::*;

#[test]
fn party_without_a_copy_in_the_registry_leaves_the_replica() {
    for keeps_copies in [true, false] {
        let mut world = World::new(&["ann"]);
        world.keeps_copies = keeps_copies;
        world.acknowledge_all();
        world.receive(party(1));
        let before = world.comparisons;
        let removed = json!({
            "type": "peer_left", "party_id": "p", "peer_id": "bob", "epoch": "e", "seq": 2,
        });
        world.receive(frame(&removed));
        assert_eq!(world.comparisons - before, usize::from(keeps_copies));
        assert_eq!(world.closed, None);
    }
}

#[test]
fn join_with_another_description_on_the_server_compares_the_party_again() {
    for (port, again) in [(1, 0), (2, 1)] {
        let mut world = World::new(&["ann"]);
        world.acknowledge_all();
        world.join(port);
        // The server has the description with port 1.
        world.receive(party(1));
        let before = world.comparisons;
        world.acknowledge_all();
        assert_eq!(world.comparisons - before, again, "port {port}");
    }
}

/// The intent of a request whose answer is lost has the same key.
#[test]
fn client_request_is_sent_under_its_own_key() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    world.join(1);
    let is_join = |inbound: &&Inbound| matches!(inbound.frame, ClientFrame::JoinParty { .. });
    let join = world.sent.iter().find(is_join).expect("a join");
    assert_eq!(join.req_id.as_ref().map(ReqId::key), Some("client.1"));
}

#[test]
fn leave_of_a_peer_that_joins_again_is_not_sent() {
    for joins in [false, true] {
        let mut world = World::new(&["ann"]);
        world.acknowledge_all();
        if joins {
            world.join(1);
        }
        world.operation = Some(("op", OpBody::Leave("ann".parse().unwrap())));
        world.receive(party(1));
        assert_eq!(world.has_left(), !joins);
    }
}

#[test]
fn confirmed_join_of_a_peer_that_the_party_lacks_counts_as_refused() {
    for (peer_id, verdicts) in [("ann", 0), ("bob", 1)] {
        let mut world = World::new(&["ann", "bob"]);
        world.acknowledge_all();
        world.operation = Some(("op", OpBody::Join(peer(peer_id, 1))));
        // Its only member is `ann`.
        world.receive(party(1));
        world.acknowledge_all();
        assert_eq!(world.verdicts, verdicts, "{peer_id}");
    }
}

#[test]
fn withdrawal_with_a_lost_answer_is_noted_in_the_registry() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    let (party_id, peer_id) = ("p".parse().unwrap(), "ann".parse().unwrap());
    world.session.handle_withdrawal(party_id, peer_id, world.now);
    world.pump();
    assert!(world.has_left());
    let lost = Message::Lost(crate::core::upstream::link::Loss::new("lost"));
    world.session.handle_message(lost, world.now);
    world.pump();
    assert_eq!(world.withdrawals, 1);
}

#[test]
fn refusal_unrelated_to_the_request_keeps_the_intent() {
    for &code in ErrorCode::ALL {
        let mut world = World::new(&["ann"]);
        world.acknowledge_all();
        world.operation = Some(("op", OpBody::Leave("ann".parse().unwrap())));
        world.receive(party(1));
        // Each repetition is refused, too.
        for _ in 0..10 {
            for inbound in std::mem::take(&mut world.sent) {
                world.refuse(&inbound, code);
            }
            world.pass(PATIENCE);
        }
        assert_eq!(world.verdicts == 0, NO_VERDICTS.contains(&code), "{code:?}");
    }
}

#[test]
fn peer_that_a_replay_enters_is_reported_as_idle_again() {
    let mut world = World::new(&["ann"]);
    world.upstream.memberships[0].live = false;
    world.acknowledge_all();
    for (seconds, expected) in [(0, 1), (3600, 0), (3600, 1)] {
        world.pass(Duration::from_secs(seconds));
        let hellos = world.sent.iter().filter(|one| is_idle_hello(one)).count();
        assert_eq!(hellos, expected);
        world.acknowledge_all();
        if expected == 0 {
            world.operation = Some(("op", OpBody::Join(peer("ann", 1))));
            world.receive(party(1));
            world.acknowledge_all();
        }
    }
}

fn is_idle_hello(inbound: &Inbound) -> bool {
    match &inbound.frame {
        ClientFrame::Hello { caps, .. } => caps.iter().any(|cap| cap.as_str() == "idle"),
        _ => false,
    }
}

#[test]
fn changes_that_never_follow_request_one_snapshot_a_second() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    world.receive(party(1));
    let is_sync = |inbound: &Inbound| matches!(inbound.frame, ClientFrame::Sync { .. });
    let mut syncs = 0;
    for _ in 0..20 {
        let gap = json!({
            "type": "peer_left", "party_id": "p", "peer_id": "bob", "epoch": "e", "seq": 99,
        });
        world.receive(frame(&gap));
        syncs += world.sent.iter().filter(|one| is_sync(one)).count();
        world.receive(party(1));
        world.acknowledge_all();
        world.pass(Duration::from_millis(100));
    }
    assert_eq!(syncs, 2);
}
