//! Sessions with servers that lie, lose entries, or refuse.

use super::*;

fn register(party_id: &str) -> MembershipOp {
    let body = OpBody::Register { name: "P".parse().unwrap(), host: peer("ann", 1) };
    MembershipOp { key: RequestKey(party_id.into()), party_id: party_id.parse().unwrap(), body }
}

fn refuse(inbound: &Inbound, code: ErrorCode) -> ServerFrame {
    let (message, req_id) = ("no".to_owned(), inbound.req_id.clone());
    ServerFrame::Error { message, code: Some(code), req_id, retry_after_ms: None }
}

impl World {
    /// Returns an online session with these peers.
    fn with_peers(peers: &[&str]) -> Self {
        let mut world = Self::new(peers);
        world.acknowledge_all();
        assert!(world.is_online);
        world
    }

    /// Has the next comparison cause an operation, and acknowledges it if it is sent.
    fn compare_with(&mut self, seq: u64, body: OpBody) -> bool {
        self.operation = Some((Box::leak(format!("op.{seq}").into()), body));
        self.receive(party(seq));
        let is_sent = !self.sent.is_empty();
        self.acknowledge_all();
        is_sent
    }

    fn refuse_all(&mut self, code: ErrorCode) {
        for inbound in std::mem::take(&mut self.sent) {
            self.receive(refuse(&inbound, code));
        }
    }
}

#[test]
fn server_that_refuses_all_greetings_gets_no_other_request() {
    let mut world = World::new(&["ann", "bob"]);
    let is_hello = |inbound: &Inbound| matches!(inbound.frame, ClientFrame::Hello { .. });
    assert!(world.sent.iter().all(is_hello));
    world.refuse_all(ErrorCode::ServerRejected);
    assert!(world.closed.expect("a loss").words.contains("refuses to speak"));
    assert_eq!((world.sent.len(), world.is_online), (0, false));
}

#[test]
fn hello_takes_over_the_peers_of_earlier_connections() {
    let world = World::new(&["ann"]);
    let ClientFrame::Hello { caps, .. } = &world.sent[0].frame else { panic!("no hello") };
    let caps: Vec<_> = caps.iter().map(|cap| cap.as_str()).collect();
    assert_eq!(caps, ["lanragectl", "takeover"]);
}

#[test]
fn goaway_before_the_welcome_delays_the_next_connection() {
    let mut world = World::new(&["ann"]);
    world.receive(ServerFrame::Goaway { retry_after_ms: 3_000_000 });
    let lost = Message::Lost(crate::core::upstream::link::Loss::new("lost"));
    world.session.handle_message(lost, world.now);
    world.pump();
    let loss = world.closed.expect("a loss");
    assert_eq!(loss.retry_after, Some(Duration::from_secs(3000)));
    assert!(loss.words.contains("it is going away"), "{}", loss.words);
}

#[test]
fn error_of_an_unknown_code_answers_its_request() {
    let mut world = World::online();
    let id = world.ask();
    let req_id = world.sent.pop().expect("a request").req_id.expect("a key");
    world.receive(frame(
        &json!({"type": "error", "message": "it is locked", "code": "party_locked",
        "req_id": req_id.key()}),
    ));
    let reply = world.reply(id).expect("a reply");
    let Err(ClientError::Rejected { code, message }) = reply else { panic!("{reply:?}") };
    assert_eq!((code, message.as_str()), (ErrorCode::ServerRejected, "it is locked"));
}

#[test]
fn frames_about_unknown_parties_peers_and_requests_have_no_effect() {
    let mut world = World::with_peers(&["ann"]);
    world.receive(party(1));
    let before = world.comparisons;
    for stray in [
        json!({"type": "party_removed", "party_id": "q", "reason": "expired", "epoch": "e",
            "seq": 9}),
        json!({"type": "peer_left", "party_id": "q", "peer_id": "ann", "epoch": "e", "seq": 1}),
        json!({"type": "ack", "req_id": "nobody's", "epoch": "e", "seq": 1, "result": {}}),
        json!({"type": "ack", "req_id": 7, "epoch": "e", "result": {}}),
        json!({"type": "error", "message": "oops"}),
        json!({"type": "error", "message": "oops", "code": "internal", "req_id": "nobody's"}),
        json!({"type": "error", "message": "oops", "code": "no_such_code"}),
        json!({"type": "welcome", "session": "s", "heartbeat_ms": 30_000, "epoch": "e",
            "peer_id": "nobody", "token": "stray"}),
    ] {
        world.receive(frame(&stray));
        assert_eq!((world.comparisons, world.tokens), (before, 0), "{stray}");
        assert!(world.closed.is_none() && world.sent.is_empty(), "{stray}");
    }
}

#[test]
fn seq_gap_or_another_epoch_requests_one_snapshot() {
    for (epoch, seq, requested) in [("e", 3, 0), ("e", 2, 0), ("e", 9, 1), ("f", 4, 1)] {
        let mut world = World::with_peers(&["ann"]);
        world.receive(party(3));
        for seq in [seq, seq + 1].into_iter().take(1 + requested) {
            world.receive(frame(&json!({"type": "peer_left", "party_id": "p", "peer_id": "bob",
                "epoch": epoch, "seq": seq})));
        }
        let is_sync = |inbound: &&Inbound| matches!(inbound.frame, ClientFrame::Sync { .. });
        assert_eq!(world.sent.iter().filter(is_sync).count(), requested, "{epoch} {seq}");
    }
}

#[test]
fn server_that_insists_on_another_description_is_corrected_a_few_times() {
    let mut world = World::with_peers(&["ann"]);
    let correct = |world: &mut World, seq| world.compare_with(seq, OpBody::Update(peer("ann", 2)));
    let sent = (1..20).filter(|seq| correct(&mut world, *seq)).count();
    assert_eq!(sent, 4);
    // Later it is corrected again.
    world.pass(Duration::from_secs(30));
    assert!(correct(&mut world, 20));
}

#[test]
fn member_that_a_server_loses_again_and_again_joins_a_few_times() {
    let mut world = World::with_peers(&["ann", "bob"]);
    // It confirms each join, and the party never has the member.
    let join = |world: &mut World, seq| world.compare_with(seq, OpBody::Join(peer("bob", 1)));
    let sent = (1..20).filter(|seq| join(&mut world, *seq)).count();
    assert_eq!(sent, 4);
}

#[test]
fn guests_that_wait_for_the_same_host_join_again_together() {
    let mut world = World::with_peers(&["ann", "bob"]);
    world.session.auth.forgiving_until = world.now.elapsed + Duration::from_secs(60);
    let refuse_join = |world: &mut World, seq, peer_id| {
        let key: &str = Box::leak(format!("op.{seq}").into());
        world.operation = Some((key, OpBody::Join(peer(peer_id, 1))));
        world.receive(party(seq));
        assert_eq!(world.sent.len(), 1, "{peer_id}");
        world.refuse_all(ErrorCode::PartyNotFound);
    };
    refuse_join(&mut world, 1, "ann");
    world.pass(Duration::from_millis(300));
    // Heartbeats.
    world.acknowledge_all();
    refuse_join(&mut world, 2, "bob");
    let before = world.comparisons;
    world.pass(Duration::from_millis(199));
    assert_eq!(world.comparisons, before);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.comparisons, before + 1, "500 ms after the first refusal");
    world.pass(Duration::from_secs(1));
    assert_eq!((world.comparisons, world.verdicts), (before + 1, 0));
}

#[test]
fn party_whose_generated_id_is_refused_gets_no_third_id() {
    let mut world = World::with_peers(&["ann"]);
    // The world's generated id is `spare`.
    for (party_id, verdicts) in [("p", 1), ("spare", 1)] {
        world.session.carry_out(vec![register(party_id)]);
        world.pump();
        assert_eq!(world.sent.len(), 1, "{party_id}");
        world.refuse_all(ErrorCode::PartyExists);
        assert_eq!(world.verdicts, verdicts, "{party_id}");
    }
}

#[test]
fn refused_renewal_delays_no_other() {
    let mut world = World::with_peers(&["ann", "bob"]);
    world.pass(Duration::from_secs(12 * 3600));
    let renewed = |world: &World| {
        let hello = |inbound: &Inbound| match &inbound.frame {
            ClientFrame::Hello { peer_id, .. } => peer_id.as_ref().map(ToString::to_string),
            _ => None,
        };
        world.sent.iter().filter_map(hello).collect::<Vec<_>>()
    };
    assert_eq!(renewed(&world), ["ann"]);
    world.refuse_all(ErrorCode::PermissionDenied);
    world.pass(Duration::ZERO);
    assert_eq!(renewed(&world), ["bob"]);
    world.acknowledge_all();
    world.pass(Duration::from_secs(14));
    assert_eq!(renewed(&world).iter().filter(|id| *id == "ann").count(), 0, "it waits for 15 s");
}
