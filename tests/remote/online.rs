//! Two machines and a server that answers.

use serde_json::{Value, json};

use super::{
    Watcher, agree, entry, essence, follower, join, member, members, moved, party, register,
    registration, server, url,
};
use crate::harness::{
    Client, Daemon, FAST_REMOTE, Http, Setup, announced, assert_error, cases, eventually, is_root,
    peer,
};

/// A server and two daemons that are online.
fn two() -> (Daemon, Daemon, Daemon) {
    let server = server();
    let (here, there) = (follower(&server), follower(&server));
    (server, here, there)
}

#[test]
fn answered_changes_are_on_the_server() {
    let (server, here, there) = two();
    register(&here, "p", "ann", "synced");
    // The server is looked at at once: nothing is awaited.
    assert_eq!(members(&server, "p"), ["ann"]);
    join(&there, "p", "bob", "synced");
    assert_eq!(essence(&party(&server, "p")), essence(&party(&there, "p")));
    assert_eq!(members(&server, "p"), ["ann", "bob"]);
    let here_or_there = json!({"party_id": "p", "peer": moved("bob", 7)});
    let told = there.client().call("peer.update", here_or_there)["peer"].take();
    assert_eq!(told["public_port"], 7);
    assert_eq!(party(&server, "p")["peers"]["bob"]["public_port"], 7);
    let left = there.client().call("party.leave", member("p", "bob"));
    assert_eq!(left["status"], "left");
    assert_eq!(members(&server, "p"), ["ann"]);
    let left = here.client().call("party.leave", member("p", "ann"));
    assert_eq!(left["status"], "party_deleted");
    assert_eq!(party(&server, "p"), Value::Null);
    assert_eq!(party(&here, "p"), Value::Null);
}

#[test]
fn changes_reach_the_other_machine() {
    let (server, here, there) = two();
    register(&here, "p", "ann", "synced");
    let mut watcher = Watcher::of(&here);
    let mut guest = Watcher::of(&there);
    join(&there, "p", "bob", "synced");
    let registered = guest.next("party.registered")["party"].take();
    assert_eq!((&registered["origin"], &registered["sync"]), (&json!("remote"), &json!("synced")));
    let joined = watcher.next("peer.joined");
    assert_eq!((&joined["party_id"], &joined["peer"]["peer_id"]), (&json!("p"), &json!("bob")));
    let of_bob = |peer: &Value| essence(&json!({"peers": {"bob": peer}}));
    assert_eq!(of_bob(&joined["peer"]), of_bob(&party(&here, "p")["peers"]["bob"]));
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);

    there.client().call("peer.update", json!({"party_id": "p", "peer": moved("bob", 7)}));
    let updated = watcher.until("peer.updated", |data| data["peer"]["public_port"] == 7);
    assert_eq!(updated["seq"], joined["seq"].as_u64().expect("a number") + 1);
    assert_eq!(updated["epoch"], joined["epoch"]);
    // Again the same is no change.
    there.client().call("peer.update", json!({"party_id": "p", "peer": moved("bob", 7)}));
    join(&there, "p", "cleo", "synced");
    assert_eq!(watcher.client.event().1["peer"]["peer_id"], "cleo");
    let beat = there.client().call("peer.heartbeat", member("p", "bob"));
    assert!(beat["expires_in_ms"].as_u64().is_some_and(|ms| ms > 0), "{beat}");

    there.client().call("party.leave", member("p", "bob"));
    let left = watcher.next("peer.left");
    assert_eq!((&left["peer_id"], &left["reason"]), (&json!("bob"), &json!("left")));
    here.client().call("party.leave", member("p", "ann"));
    let left = guest.until("peer.left", |data| data["peer_id"] == "cleo");
    assert_eq!(left["reason"], "host_left");
    let removed = guest.next("party.removed");
    assert_eq!((&removed["party_id"], &removed["reason"]), (&json!("p"), &json!("host_left")));
    for one in [&server, &here, &there] {
        assert_eq!(party(one, "p"), Value::Null);
    }
}

#[test]
fn signal_send_reaches_the_other_machine() {
    let (_server, here, there) = two();
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    let mut watcher = Watcher::of(&there);
    let send = |client: &mut Client, from: &str, to: &str, data: &Value| {
        let signal = json!({"party_id": "p", "from_peer_id": from, "to_peer_id": to,
            "signal_data": data});
        assert_eq!(client.call("signal.send", signal)["queued"], true);
    };
    let payloads = [
        json!({"sdp": "v=0\r\n", "n": [1, -2.5, 1e300, null, true], "": {"ü": "😀\u{0}"}}),
        json!("text"),
        Value::Null,
        json!(0),
        json!([[], {}]),
    ];
    let mut ann = here.client();
    for payload in &payloads {
        send(&mut ann, "ann", "bob", payload);
        let notice = watcher.next("signal.received");
        let told = [&notice["party_id"], &notice["from_peer_id"], &notice["to_peer_id"]];
        assert_eq!(told, ["p", "ann", "bob"]);
        assert_eq!(notice.get("signal_data"), None);
    }
    let mut bob = there.client();
    let polled = bob.call("signal.poll", member("p", "bob"));
    let polled = polled["signals"].as_array().expect("signals");
    assert_eq!(polled.len(), payloads.len(), "{polled:?}");
    for (signal, payload) in polled.iter().zip(&payloads) {
        assert_eq!((&signal["signal_data"], &signal["from_peer_id"]), (payload, &json!("ann")));
    }
    assert_eq!(bob.call("signal.poll", member("p", "bob"))["signals"], json!([]));
    // On one machine it is the same.
    join(&there, "p", "cleo", "synced");
    send(&mut bob, "bob", "cleo", &payloads[0]);
    let polled = eventually("the signal", || {
        let polled = bob.call("signal.poll", member("p", "cleo"))["signals"].take();
        polled.as_array().is_some_and(|signals| !signals.is_empty()).then_some(polled)
    });
    assert_eq!(polled[0]["signal_data"], payloads[0]);
}

#[test]
fn refusal_of_the_server_keeps_its_code() {
    let server = Setup::server().config("[limits]\npeers_per_party = 2\n").start();
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "p", "ann", "synced");
    let (mut ann, mut bob) = (here.client(), there.client());
    let register = |id: &str, host: &str| registration(id, host);
    let signal = |from: &str, to: &str| {
        json!({"party_id": "p", "from_peer_id": from,
        "to_peer_id": to, "signal_data": 1})
    };
    // The other machine knows nothing of the party before it joins.
    assert_error(&bob.error("party.join", entry("q", "bob")), "party_not_found");
    assert_error(&bob.error("party.register", register("p", "bob")), "party_exists");
    assert_error(&ann.error("party.register", register("p", "ann")), "party_exists");
    join(&there, "p", "bob", "synced");
    agree(&[&here, &there], "p", &["ann", "bob"]);
    assert_error(&bob.error("party.join", entry("p", "cleo")), "party_full");
    assert_error(&bob.error("party.leave", member("p", "cleo")), "not_a_member");
    assert_error(&bob.error("signal.send", signal("cleo", "ann")), "not_a_member");
    assert_error(&bob.error("signal.send", signal("bob", "cleo")), "peer_not_found");
    let absent = json!({"party_id": "p", "peer": peer("cleo")});
    assert_error(&bob.error("peer.update", absent), "peer_not_found");
    assert_error(&bob.error("peer.heartbeat", member("p", "cleo")), "peer_not_found");
    assert_error(&bob.error("party.leave", member("q", "bob")), "party_not_found");
    assert_eq!(members(&server, "p"), ["ann", "bob"]);
}

#[test]
fn requests_for_a_peer_of_another_machine_are_refused() {
    let (server, here, there) = two();
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    agree(&[&here, &there], "p", &["ann", "bob"]);
    let mut bob = there.client();
    for (method, params) in [
        ("party.join", entry("p", "ann")),
        ("party.register", registration("q", "ann")),
        ("party.leave", member("p", "ann")),
        ("peer.heartbeat", member("p", "ann")),
        ("peer.update", json!({"party_id": "p", "peer": moved("ann", 7)})),
    ] {
        let error = bob.error(method, params);
        // Only the superuser's requests come as far as the server.
        let code = if is_root() { "server_rejected" } else { "permission_denied" };
        assert_error(&error, code);
        assert!(error["message"].as_str().is_some_and(|why| why.contains("ann")), "{error}");
    }
    // An id that is somebody's whom this machine has never heard of.
    let mut other = Http::registered(server.address(), "eve");
    other.party("eve");
    let error = bob.error("party.join", entry("p", "eve"));
    assert_error(&error, "server_rejected");
    let why = error["message"].as_str().expect("words");
    assert!(why.contains("eve"), "{why}");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
}

/// A daemon that soon takes for gone who is silent, long before the server would.
const SOON: &str = "[cleanup]\ninterval = '20ms'\npeer_timeout = '300ms'\nstartup_grace = '0s'\n";

#[test]
fn member_that_nothing_keeps_alive_expires_on_the_server() {
    let server = server();
    let setup = Setup::new().server_url(&url(&server));
    let here = setup.config(&format!("{FAST_REMOTE}{SOON}")).start();
    here.await_state("online");
    let there = follower(&server);
    register(&there, "p", "ann", "synced");
    let mut watcher = Watcher::of(&there);
    let mut client = here.client();
    let keep = |id: &str, keepalive: &str| json!({"party_id": "p", "peer": peer(id), "keepalive": keepalive});
    client.call("party.join", keep("bound", "connection"));
    client.call("party.join", keep("kept", "daemon"));
    assert_eq!(members(&server, "p"), ["ann", "bound", "kept"]);
    // Its connection is there and does not count: it gives no sign of life.
    client.call("party.join", keep("manual", "manual"));
    let left = watcher.next("peer.left");
    assert_eq!(left["peer_id"], "manual");
    assert_eq!(members(&server, "p"), ["ann", "bound", "kept"]);
    drop(client);
    let left = watcher.next("peer.left");
    assert_eq!(left["peer_id"], "bound");
    agree(&[&server, &here, &there], "p", &["ann", "kept"]);
}

#[test]
fn stop_of_a_daemon_is_seen_and_keeps_its_memberships() {
    let (server, here, there) = two();
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    let mut watcher = Watcher::of(&here);
    let (setup, status) = there.stop();
    assert!(status.success());
    let gone = watcher.until("peer.updated", |data| data["peer"]["peer_id"] == "bob");
    assert_eq!(gone["peer"]["connected"], false);
    assert_eq!(members(&server, "p"), ["ann", "bob"]);
    let there = setup.start();
    there.await_state("online");
    agree(&[&server, &here], "p", &["ann", "bob"]);
    // Nothing keeps it alive before its client is back.
    join(&there, "p", "bob", "synced");
    let back = watcher.until("peer.updated", |data| data["peer"]["connected"] == true);
    assert_eq!(back["peer"]["peer_id"], "bob");
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
}

#[test]
fn requests_of_one_client_are_done_in_their_order() {
    let (_server, here, _there) = two();
    let mut client = here.client();
    let mut asked = Vec::new();
    for n in 0..5 {
        let id = format!("p{n}");
        asked.push(client.send("party.register", registration(&id, "ann")));
        asked.push(client.send("party.join", entry(&id, "bob")));
        asked.push(client.send("party.leave", member(&id, "ann")));
    }
    for id in asked {
        let reply = client.reply(id);
        assert!(reply.get("error").is_none(), "{reply}");
    }
    assert_eq!(client.call("party.list", json!({}))["parties"], json!([]));
}

#[test]
fn lanrage_clients_are_members_beside_daemons() {
    let (server, here, _there) = two();
    register(&here, "p", "ann", "synced");
    let mut watcher = Watcher::of(&here);
    let mut http = Http::registered(server.address(), "old");
    http.join("p", "old").ok();
    assert_eq!(watcher.next("peer.joined")["peer"]["peer_id"], "old");
    let mut changed = announced("old");
    changed["public_port"] = json!(7);
    let body = json!({"party_id": "p", "peer_info": changed});
    http.post("/parties/p/join", Some(body)).ok();
    assert_eq!(watcher.next("peer.updated")["peer"]["public_port"], 7);
    agree(&[&server, &here], "p", &["ann", "old"]);
    http.delete("/parties/p/peers/old").ok();
    assert_eq!(watcher.next("peer.left")["reason"], "left");
}

#[test]
fn cli_commands_work_on_parties_of_a_server() {
    let (server, here, there) = two();
    let ctl = here.ctl();
    assert_eq!(ctl.json("wait --for online")["state"], "online");
    let shown = ctl.json("connection show");
    assert_eq!((&shown["state"], &shown["server_url"]), (&json!("online"), &json!(url(&server))));
    assert_eq!(ctl.json("doctor")["ok"], true);
    register(&here, "p", "ann", "synced");
    there.ctl().json("party join p --peer-id bob --public-key k");
    assert_eq!(members(&server, "p"), ["ann", "bob"]);
    ctl.text("wait --for online --timeout 5s");
    let listed = ctl.json("party list");
    assert_eq!(listed["parties"][0]["origin"], "remote");
}

#[test]
fn party_leave_is_told_with_the_reason_left() {
    let server = server();
    let here = follower(&server);
    register(&here, "p", "ann", "synced");
    // One of ours stays, so that the server tells of it.
    join(&here, "p", "bob", "synced");
    let mut watcher = Watcher::of(&here);
    here.client().call("party.leave", member("p", "bob"));
    let left = watcher.next("peer.left");
    assert_eq!((&left["peer_id"], &left["reason"]), (&json!("bob"), &json!("left")));
}

#[test]
fn peers_that_come_and_go_leave_nothing_behind() {
    let server = server();
    let here = follower(&server);
    let mut watcher = Watcher::of(&here);
    let mut client = here.client();
    // A watcher that reads nothing for as long as that takes would be closed.
    let renewals = std::thread::scope(|scope| {
        let watching = scope.spawn(|| renewals_until(&mut watcher, "last"));
        // One connection is greeted as 64 peers at most.
        for number in 0..cases(80, 200) {
            let (party_id, id) = (format!("p{number}"), format!("ann{number}"));
            client.call("party.register", registration(&party_id, &id));
            client.call("party.leave", member(&party_id, &id));
        }
        here.await_state("online");
        register(&here, "last", "bob", "synced");
        watching.join().expect("the watcher")
    });
    assert!(renewals >= cases(1, 3), "{renewals}");
}

/// Counts how often the connection is renewed, without any fault, until a party is registered.
fn renewals_until(watcher: &mut Watcher, last: &str) -> u32 {
    let mut renewals = 0;
    loop {
        let (kind, data) = watcher.client.event();
        match kind.as_str() {
            "connection.changed" => {
                assert_ne!(data["state"], "fallback");
                assert_eq!((&data["attempt"], &data["last_error"]), (&json!(0), &json!(null)));
                renewals += u32::from(data["state"] == "reconnecting");
            }
            "party.registered" if data["party"]["party_id"] == last => return renewals,
            _ => {}
        }
    }
}
