use serde_json::json;

use super::*;

const POLL: Duration = Duration::from_secs(10);

fn state(seq: u64, members: &[&str]) -> PartyState {
    let peers: serde_json::Map<_, _> = members
        .iter()
        .map(|id| {
            let peer = json!({"peer_id": id, "name": id, "public_key": "a2V5", "nat_type": "open",
                "public_ip": "unknown", "public_port": 0, "local_ip": "unknown", "local_port": 0,
                "last_seen": "2026-11-22T10:00:00"});
            ((*id).to_owned(), peer)
        })
        .collect();
    let body = json!({"epoch": "e", "seq": seq, "party": {"party_id": "p", "name": "n",
        "host_id": members[0], "created_at": "2026-11-22T10:00:00", "peers": peers}});
    PartyState::new(PartyAnswer::from_json(body.to_string().as_bytes()).unwrap())
}

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

#[test]
fn poll_interval_grows_without_changes_and_shrinks_after_one() {
    let mut now = Instant::now();
    let mut parties = PolledParties::new(POLL);
    parties.add_peer(&id("p"), &id("ann"), now);
    let mut waits = Vec::new();
    for seq in [1, 1, 1, 1, 1, 1, 1, 1, 2, 2] {
        parties.update(&state(seq, &["ann"]), now);
        let (due, ..) = parties.next_poll(|_| true).unwrap();
        waits.push(due.duration_since(now).as_millis());
        now = due;
    }
    assert_eq!(waits, [1000, 1500, 2250, 3375, 5062, 7593, 10000, 10000, 1000, 1500]);
    parties.postpone(&id("p"), POLL * 3, now);
    assert_eq!(parties.next_poll(|_| true).unwrap().0, now + POLL * 3);
    parties.poll_soon(&id("p"), now);
    assert_eq!(parties.next_poll(|_| true).unwrap().0, now);
    assert!(parties.next_poll(|_| false).is_none());
}

#[test]
fn party_is_polled_while_a_local_peer_is_in_it() {
    let now = Instant::now();
    let mut parties = PolledParties::new(POLL);
    parties.add_peer(&id("p"), &id("ann"), now);
    parties.add_peer(&id("p"), &id("ben"), now);
    parties.update(&state(1, &["ann", "ben"]), now);
    assert_eq!(parties.remove_peer(&id("p"), &id("ann")), Some(id("ben")));
    assert_eq!(parties.next_poll(|_| true).unwrap().2, id("ben"));
    // This state lacks the other local peer, too.
    let (_, is_changed) = parties.update(&state(2, &["eve"]), now);
    assert!(is_changed && parties.local_peers(&id("p")).is_none());
    assert!(!parties.remove(&id("p")));
}
