//! Requests in flight, and the time.

use super::*;

/// Returns a frame that the registry processes.
fn signal() -> ServerFrame {
    ServerFrame::Signal {
        party_id: "p".parse().unwrap(),
        from_peer_id: "a".parse().unwrap(),
        to_peer_id: "b".parse().unwrap(),
        signal_data: serde_json::from_value(json!(1)).unwrap(),
    }
}

#[test]
fn slow_disk_does_not_count_as_silence_of_the_server() {
    let mut world = World::online();
    world.is_disk_slow = true;
    world.receive(signal());
    let id = world.ask();
    world.acknowledge_all();
    world.pass(PATIENCE * 5);
    assert!(world.reply(id).is_none(), "the answer comes after earlier messages");
    assert_eq!(world.closed, None);
    let then = world.held.pop().expect("a delivery");
    world.session.handle_applied(then, Ok(Outcome::Done), world.now);
    world.pump();
    assert!(world.reply(id).is_some_and(|reply| reply.is_ok()));
}

#[test]
fn client_request_overtakes_the_bounded_background_requests() {
    let mut world = World::online();
    (0..10).for_each(|_| world.ask_in_background());
    assert_eq!(world.sent.len(), 8);
    let id = world.ask();
    let urgent = world.sent.pop().expect("a request");
    world.acknowledge(&urgent);
    assert!(world.reply(id).is_some_and(|reply| reply.is_ok()));
    // A slow server answers one request after the other, and the session waits for it.
    for _ in 0..10 {
        world.pass(PATIENCE / 3);
        let first = world.sent.remove(0);
        world.acknowledge(&first);
    }
    assert_eq!((world.sent.len(), world.closed), (0, None));
}

#[test]
fn request_to_a_silent_server_is_repeated_then_ends_the_session() {
    let mut world = World::online();
    world.ask_in_background();
    world.pass(PATIENCE * 3);
    let keys: Vec<_> = world.sent.iter().map(|inbound| inbound.req_id.clone()).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    assert!(world.closed.expect("a loss").words.contains("no answer to a request"));
}

#[test]
fn client_request_timeout_keeps_a_live_connection_open() {
    let mut world = World::online();
    let id = world.ask();
    for _ in 0..5 {
        world.pass(PATIENCE / 2);
        world.ask_in_background();
        let other = world.sent.pop().expect("a request");
        world.acknowledge(&other);
    }
    let reply = world.reply(id).expect("a reply");
    assert!(matches!(reply, Err(ClientError::Lost)), "{reply:?}");
    assert_eq!(world.closed, None);
}

#[test]
fn deferred_request_is_sent_again_after_the_pause() {
    let mut world = World::online();
    let id = world.ask();
    let first = world.sent.pop().expect("a request");
    let refuse = |inbound: &Inbound, wait: u64| ServerFrame::Error {
        message: "too many".to_owned(),
        code: Some(lanrage_ipc::ErrorCode::RateLimited),
        req_id: inbound.req_id.clone(),
        retry_after_ms: Some(wait),
    };
    world.receive(refuse(&first, 400));
    world.pass(Duration::from_millis(399));
    assert!(world.sent.is_empty());
    world.pass(Duration::from_millis(1));
    let second = world.sent.pop().expect("the same request");
    assert_eq!(second.req_id, first.req_id);
    // There is no time for a longer pause.
    world.receive(refuse(&second, 700));
    let reply = world.reply(id).expect("a reply");
    let Err(ClientError::Rejected { message, .. }) = reply else { panic!("{reply:?}") };
    assert_eq!(message, "too many; try again in 1 s");
}

#[test]
fn token_is_renewed_in_time_after_any_wall_clock_step() {
    for (hours, set) in [(15, 0), (15, -24), (1, 24)] {
        let mut world = World::new(&["ann"]);
        world.receive(ServerFrame::Welcome {
            session: "s".to_owned(),
            token: Some("token".to_owned().into()),
            peer_id: "ann".parse().ok(),
            token_expires_at: world.now.wall.checked_add(SignedDuration::from_hours(24)).ok(),
            heartbeat_ms: 60_000,
            epoch: "e".parse().unwrap(),
        });
        world.acknowledge_all();
        world.pass(PATIENCE * 3);
        world.acknowledge_all();
        world.now.wall = world.now.wall.checked_add(SignedDuration::from_hours(set)).unwrap();
        world.pass(Duration::from_secs(hours * 3600));
        let is_hello = |inbound: &Inbound| matches!(inbound.frame, ClientFrame::Hello { .. });
        assert!(world.sent.iter().any(is_hello), "{hours} h, set by {set} h");
    }
}

#[test]
fn refused_greeting_is_repeated_with_backoff() {
    let mut auth = auth::Auth::default();
    let peer_id: PeerId = "ann".parse().unwrap();
    assert_eq!(auth.greets_again_in(&peer_id), None);
    for (refused, seconds) in [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (1000, 60)] {
        auth.refused.insert(peer_id.clone(), refused);
        assert_eq!(auth.greets_again_in(&peer_id), Some(Duration::from_secs(seconds)));
    }
}

#[test]
fn undeliverable_signal_keeps_the_session_open() {
    let mut world = World::online();
    world.is_disk_slow = true;
    world.receive(signal());
    let then = world.held.pop().expect("a delivery");
    world.session.handle_applied(then, Err(Failure::Store("full".into())), world.now);
    world.pump();
    assert_eq!(world.closed, None);
}

#[test]
fn join_after_a_late_greeting_ends_within_the_timeout() {
    let mut world = World::online();
    world.join(1);
    let hello = world.sent.pop().expect("a greeting");
    world.pass(PATIENCE * 7 / 4);
    world.acknowledge(&hello);
    assert!(world.sent.iter().any(|one| matches!(one.frame, ClientFrame::JoinParty { .. })));
    assert!(world.replies.is_empty());
    world.pass(PATIENCE / 4);
    assert!(matches!(world.replies[..], [Err(ClientError::Lost)]), "{:?}", world.replies);
    assert_eq!(world.closed, None);
}

#[test]
fn update_that_waits_for_a_snapshot_ends_within_the_timeout() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    let (party_id, peer) = ("p".parse().unwrap(), peer("ann", 2));
    world.command(Command::Update { party_id, peer, utc_offset: None });
    let is_update = |one: &Inbound| matches!(one.frame, ClientFrame::UpdatePeer { .. });
    let place = world.sent.iter().position(is_update).expect("an update");
    let update = world.sent.remove(place);
    world.pass(PATIENCE * 7 / 4);
    world.refuse(&update, ErrorCode::NotAMember);
    assert!(world.sent.iter().any(|one| matches!(one.frame, ClientFrame::Sync { .. })));
    assert!(world.replies.is_empty());
    world.pass(PATIENCE / 4);
    let code = match &world.replies[..] {
        [Err(ClientError::Rejected { code, .. })] => *code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code, ErrorCode::NotAMember);
}

#[test]
fn update_that_waited_before_ends_that_much_earlier() {
    let mut world = World::new(&["ann"]);
    world.acknowledge_all();
    let (party_id, peer) = ("p".parse().unwrap(), peer("ann", 2));
    world.command_after(PATIENCE, Command::Update { party_id, peer, utc_offset: None });
    world.pass(PATIENCE * 3 / 4);
    assert!(world.replies.is_empty());
    world.pass(PATIENCE / 4);
    assert!(matches!(world.replies[..], [Err(ClientError::Lost)]), "{:?}", world.replies);
    assert_eq!(world.closed, None);
}
