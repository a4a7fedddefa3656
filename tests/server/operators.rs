//! Interfaces for operators of the server: its socket, probes, metrics and log.

mod log;
mod metrics;
mod probes;

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::harness::{Http, Setup, Ws, announced, has_root, is_root, stranger};

#[test]
fn admin_socket_shows_the_changes_of_clients() {
    let server = Setup::server().start();
    let ctl = server.ctl();
    assert_eq!(ctl.json("status")["parties"], 0);
    let mut command = ctl.command("watch --json");
    let mut watch = command.spawn().expect("run lanragectl");
    let lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut lines = lines
        .map(|line| serde_json::from_str::<Value>(&line.expect("a line")).expect("a document"));
    // How things are, before what becomes of them.
    lines.next().expect("a snapshot");
    let mut kinds = |count: usize| -> Vec<String> {
        let told = lines.by_ref().take(count);
        told.map(|line| line["kind"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned())
            .collect()
    };
    let mut ann = Http::registered(server.address(), "ann");
    let party = ann.party("ann");
    assert_eq!(kinds(1), ["party.registered"]);
    let (mut bob, _) = Ws::hello(server.address(), "bob", None);
    bob.ask(json!({"type": "join_party", "party_id": party, "peer": announced("bob")}));
    assert_eq!(kinds(1), ["peer.joined"]);
    bob.ask(json!({"type": "signal", "party_id": party, "from_peer_id": "bob", "to_peer_id": "ann", "signal_data": 1}));
    assert_eq!(kinds(1), ["signal.received"]);

    let listed = ctl.json("party list");
    let listed = &listed["parties"][0];
    assert_eq!(listed["party_id"], json!(party));
    for peer in ["ann", "bob"] {
        assert_eq!(listed["peers"][peer]["connected"], true, "{peer}: {listed}");
    }
    let status = ctl.json("status");
    assert_eq!((&status["parties"], &status["peers"]), (&json!(1), &json!(2)), "{status}");
    assert_eq!(status["mode"], "local");
    assert!(ctl.text("status").contains("server.db"));

    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    ann.post("/relays", Some(relay)).ok();
    ann.delete(&format!("/parties/{party}/peers/ann")).ok();
    let rest = kinds(2);
    assert_eq!(rest[0], "relay.updated", "{rest:?}");
    assert!(["party.removed", "peer.left"].contains(&rest[1].as_str()), "{rest:?}");
    watch.kill().expect("end it");
    watch.wait().expect("see it end");
}

#[test]
fn admin_socket_takes_changes_from_administrators_only() {
    let setup = Setup::server().arg("--system");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(setup.dir.path(), open).expect("open the directory");
    let server = setup.start();
    let mut http = Http::registered(server.address(), "ann");
    let party = http.party("ann");
    let mut own = server.client();
    let hello = json!({"protocol": {"min": 1, "max": 1}});
    assert_eq!(own.call("hello", hello.clone())["role"] == "admin", is_root());
    if !has_root("to connect as another user") {
        return;
    }
    let mut observer = stranger(&server.setup.socket()).expect("every user may connect");
    assert_eq!(observer.call("hello", hello)["role"], "observer");
    assert_eq!(observer.call("status.get", json!({}))["parties"], 1);
    for (method, params) in [
        ("party.list", json!({})),
        ("party.leave", json!({"party_id": party, "peer_id": "ann"})),
        ("events.subscribe", json!({})),
        ("state.export", json!({"format": "lanrage"})),
        ("state.backup", json!({"path": server.setup.path("copy.db")})),
    ] {
        assert_eq!(observer.refused(method, params), "permission_denied", "{method}");
    }
    // An administrator acts for anyone.
    let left = own.call("party.leave", json!({"party_id": party, "peer_id": "ann"}));
    assert_eq!(left["status"], "party_deleted");
    assert_eq!(http.get(&format!("/parties/{party}")).status, 404);
}

#[test]
fn state_backup_under_load_is_a_state_to_start_from() {
    let server = Setup::server().start();
    let mut ann = Http::registered(server.address(), "ann");
    let party = ann.party("ann");
    let copy = server.setup.path("copy.db");
    let made = server.client().call("state.backup", json!({"path": copy}));
    assert_eq!(made["bytes"], std::fs::metadata(&copy).expect("the copy").len());
    ann.delete(&format!("/parties/{party}/peers/ann")).ok();

    let other = Setup::server();
    std::fs::create_dir(other.state_dir()).expect("make the directory");
    std::fs::copy(&copy, other.state_dir().join("server.db")).expect("copy it there");
    let other = other.start();
    // Tokens and all.
    let mut there = other.http();
    there.token = ann.token.clone();
    assert_eq!(there.get(&format!("/parties/{party}")).ok()["party"]["host_id"], "ann");
}
