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
fn looks_are_often_after_a_change_and_seldom_in_quiet() {
    let mut now = Instant::now();
    let mut parties = Parties::new(POLL);
    parties.enter(&id("p"), &id("ann"), now);
    let mut waits = Vec::new();
    for seq in [1, 1, 1, 1, 1, 1, 1, 1, 2, 2] {
        parties.see(&state(seq, &["ann"]), now);
        let (due, ..) = parties.next(|_| true).unwrap();
        waits.push(due.duration_since(now).as_millis());
        now = due;
    }
    assert_eq!(waits, [1000, 1500, 2250, 3375, 5062, 7593, 10000, 10000, 1000, 1500]);
    parties.put_off(&id("p"), POLL * 3, now);
    assert_eq!(parties.next(|_| true).unwrap().0, now + POLL * 3);
    parties.hurry(&id("p"), now);
    assert_eq!(parties.next(|_| true).unwrap().0, now);
    assert!(parties.next(|_| false).is_none());
}

#[test]
fn a_party_is_looked_at_while_one_of_its_peers_is_in_it() {
    let now = Instant::now();
    let mut parties = Parties::new(POLL);
    parties.enter(&id("p"), &id("ann"), now);
    parties.enter(&id("p"), &id("ben"), now);
    parties.see(&state(1, &["ann", "ben"]), now);
    assert_eq!(parties.leave(&id("p"), &id("ann")), Some(id("ben")));
    assert_eq!(parties.next(|_| true).unwrap().2, id("ben"));
    // It shows that the other one is gone, too.
    let (_, is_news) = parties.see(&state(2, &["eve"]), now);
    assert!(is_news && parties.own(&id("p")).is_none());
    assert!(!parties.forget(&id("p")));
}
