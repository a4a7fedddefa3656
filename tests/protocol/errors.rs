//! Every code that can be met, in its full shape. (The limits have their own tests.)

use std::fs;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Setup, assert_error, has_root, lock, peer, stranger};

#[test]
fn unknown_methods_parties_and_peers_have_their_codes() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let member = |party: &str, peer: &str| json!({"party_id": party, "peer_id": peer});
    let signal = |party: &str, from: &str, to: &str| json!({"party_id": party, "from_peer_id": from, "to_peer_id": to, "signal_data": {}});
    let with_peer = |party: &str, id: &str| json!({"party_id": party, "peer": peer(id)});
    for (method, params, code) in [
        ("party.fly", json!({}), "unknown_method"),
        ("Ping", json!({}), "unknown_method"),
        ("", json!({}), "unknown_method"),
        ("party.join", with_peer("q", "bob"), "party_not_found"),
        ("party.leave", member("q", "ann"), "party_not_found"),
        ("party.get", json!({"party_id": "q"}), "party_not_found"),
        ("peer.update", with_peer("q", "ann"), "party_not_found"),
        ("peer.list", json!({"party_id": "q"}), "party_not_found"),
        ("peer.discover", member("q", "ann"), "party_not_found"),
        ("peer.heartbeat", member("q", "ann"), "party_not_found"),
        ("signal.send", signal("q", "ann", "ann"), "party_not_found"),
        ("signal.poll", member("q", "ann"), "party_not_found"),
        ("events.subscribe", json!({"party_id": "q"}), "party_not_found"),
        ("events.subscribe", json!({"party_id": "q", "snapshot": false}), "party_not_found"),
        ("peer.update", with_peer("p", "bob"), "peer_not_found"),
        ("peer.discover", member("p", "bob"), "peer_not_found"),
        ("peer.heartbeat", member("p", "bob"), "peer_not_found"),
        ("signal.send", signal("p", "ann", "bob"), "peer_not_found"),
        ("party.leave", member("p", "bob"), "not_a_member"),
        ("signal.send", signal("p", "bob", "ann"), "not_a_member"),
        ("signal.poll", member("p", "bob"), "not_a_member"),
    ] {
        assert_error(&client.error(method, params), code);
    }
    let again = json!({"party_id": "p", "name": "Other", "host": peer("bob")});
    assert_error(&client.error("party.register", again), "party_exists");
    // Nothing of all this has changed anything.
    let party = client.party("p");
    assert_eq!((&party["name"], &party["seq"]), (&json!("Quake"), &json!(1)));
}

#[test]
fn party_discover_with_an_unreadable_file_is_store_unavailable() {
    let mut setup = Setup::new();
    let path = setup.path("a directory");
    fs::create_dir(&path).expect("make a directory");
    setup.args = vec!["--discovery-file".into(), path.display().to_string()];
    let daemon = setup.start();
    let mut client = daemon.client();
    let error = client.error("party.discover", json!({}));
    assert_error(&error, "store_unavailable");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("a directory")), "{error}");
    // Parties live on without it.
    client.register("p", "ann");
    assert_eq!(client.party("p")["host_id"], "ann");
}

#[test]
fn request_that_takes_too_long_is_a_timeout() {
    let daemon = Setup::new().start();
    let locked = lock(&daemon.setup.state_dir().join("discovery.json"));
    // The announcement waits for the lock, and whoever asks for announcements for it.
    daemon.client().register("p", "ann");
    let impatient = "[limits]\nrequest_timeout = \"20ms\"";
    fs::write(daemon.setup.path("config.toml"), impatient).expect("write the configuration");
    daemon.signal(Signal::SIGHUP);
    daemon.await_log("the configuration was read again");
    let mut client = daemon.client();
    assert_eq!(client.call("hello", json!({}))["limits"]["request_timeout_ms"], 20);
    assert_error(&client.error("party.discover", json!({})), "timeout");
    drop(locked);
    assert_eq!(client.call("ping", json!({})), json!({}));
}

#[test]
fn peers_of_another_user_are_permission_denied() {
    if !has_root("to connect as another user") {
        return;
    }
    for (config, role) in [("", "observer"), ("[access]\noperators = [65534]", "operator")] {
        let mut setup = Setup::new().config(config);
        setup.args.push("--system".into());
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(setup.dir.path(), open).expect("open the directory");
        let daemon = setup.start();
        daemon.client().register("p", "ann");
        let mut other = stranger(&daemon.setup.socket()).expect("everybody may connect");
        assert_eq!(other.call("hello", json!({}))["role"], role);
        let ann = json!({"party_id": "p", "peer_id": "ann"});
        for (method, params) in [
            ("state.backup", json!({"path": "/tmp/never"})),
            ("party.leave", ann.clone()),
            ("signal.poll", ann),
        ] {
            assert_error(&other.error(method, params), "permission_denied");
        }
    }
}
