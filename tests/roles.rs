//! Rights by the user at the other end. The superuser runs these with clients of another user; an
//! ordinary user, alone, is the other one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use lanrage_ipc::results::Role;
use serde_json::{Value, json};

use crate::harness::{
    Client, Daemon, NOBODY, Setup, assert_error, has_root, is_root, methods, peer, stranger,
};

/// A daemon of the system's that every user can reach.
fn system(config: &str) -> Daemon {
    let mut setup = Setup::new().config(config);
    setup.args.push("--system".into());
    let everyone = fs::Permissions::from_mode(0o755);
    fs::set_permissions(setup.dir.path(), everyone).expect("open the directory");
    setup.start()
}

/// A user who is not the superuser.
fn user(daemon: &Daemon) -> Client {
    match is_root() {
        true => stranger(&daemon.setup.socket()).expect("every user may connect"),
        false => daemon.client(),
    }
}

fn uid() -> u32 {
    if is_root() { NOBODY } else { nix::unistd::geteuid().as_raw() }
}

fn role(client: &mut Client) -> Value {
    client.call("hello", json!({"protocol": {"min": 1, "max": 1}}))["role"].take()
}

fn member(peer_id: &str) -> Value {
    json!({"party_id": "p", "peer_id": peer_id})
}

fn register(client: &mut Client, party_id: &str, peer_id: &str) -> Value {
    let host = json!({"name": "Quake", "party_id": party_id, "host": peer(peer_id)});
    client.ask("party.register", host).expect("an answer")
}

/// Of `peer.trust`, with the key that the peer has.
fn trusted(peer_id: &str) -> Value {
    let mut params = member(peer_id);
    params["public_key"] = peer(peer_id)["public_key"].clone();
    params
}

#[test]
fn methods_are_for_their_role_and_those_above() {
    for role in [Role::Observer, Role::Operator, Role::Admin] {
        let operators = match role {
            Role::Operator => format!("[access]\noperators = [{}]\n", uid()),
            _ => String::new(),
        };
        let daemon = system(&operators);
        if role == Role::Admin && !has_root("to be the admin") {
            return;
        }
        let mut client = if role == Role::Admin { daemon.client() } else { user(&daemon) };
        for (method, least, params) in methods(&daemon) {
            let answer = client.ask(method, params).expect("an answer");
            let is_denied = answer["error"]["data"]["code"] == "permission_denied";
            assert_eq!(is_denied, role < least, "{method} as {role:?}: {answer}");
        }
        assert_eq!(daemon.setup.path("copy.db").exists(), role == Role::Admin);
    }
}

#[test]
fn role_of_other_users_is_observer() {
    let daemon = system("");
    let mut observer = user(&daemon);
    assert_eq!(role(&mut observer), "observer");
    // Who may not do it is not told what is wrong with it, nor whether it is there.
    assert_eq!(observer.refused("party.get", json!({})), "permission_denied");
    assert_eq!(observer.call("status.get", json!({}))["parties"], 0);
}

#[test]
fn role_of_configured_users_is_operator() {
    let daemon = system(&format!("[access]\noperators = [{}]\n", uid()));
    let mut operator = user(&daemon);
    assert_eq!(role(&mut operator), "operator");
    register(&mut operator, "p", "ann");
    operator.call("party.list", json!({}));
    let state = json!({"parties": {}, "my_peer_id": null, "my_party_id": null});
    let import = json!({"state": state, "mode": "replace"});
    assert_eq!(operator.refused("state.import", import), "permission_denied");
    let backup = json!({"path": daemon.setup.path("copy.db")});
    assert_eq!(operator.refused("state.backup", backup), "permission_denied");
    assert!(!daemon.setup.path("copy.db").exists());
    assert_eq!(operator.call("status.get", json!({}))["parties"], 1);
}

#[test]
fn role_of_group_members_is_operator() {
    let user_of = nix::unistd::User::from_uid(uid().into()).expect("users").expect("the user");
    let group = nix::unistd::Group::from_gid(user_of.gid).expect("groups").expect("their group");
    let daemon = system(&format!("[access]\ngroup = {:?}\n", group.name));
    assert_eq!(role(&mut user(&daemon)), "operator");
}

#[test]
fn role_after_a_reload_is_for_new_connections() {
    let mut daemon = system("");
    let mut before = user(&daemon);
    assert_eq!(role(&mut before), "observer");
    daemon.reload(&format!("[access]\noperators = [{}]\n", uid()));
    assert_eq!(role(&mut user(&daemon)), "operator");
    assert_eq!(role(&mut before), "observer");
}

#[test]
fn peer_is_for_its_user_and_the_superuser_alone() {
    let daemon = system(&format!("[access]\noperators = [{}]\n", uid()));
    let (mut own, mut other) = (daemon.client(), user(&daemon));
    register(&mut own, "p", "ann");
    let moved = json!({"party_id": "p", "peer": peer("ann")});
    let signal =
        json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "ann", "signal_data": 1});
    let acts = [
        ("peer.update", moved.clone()),
        ("party.join", moved),
        ("peer.trust", trusted("ann")),
        ("peer.heartbeat", member("ann")),
        ("signal.poll", member("ann")),
        ("signal.send", signal),
        ("party.leave", member("ann")),
    ];
    if !has_root("to connect as another user") {
        // One user on two connections: what is theirs on one is theirs on the other.
        for (method, params) in acts {
            other.call(method, params);
        }
        return;
    }
    for (method, params) in &acts {
        assert_eq!(other.refused(method, params.clone()), "permission_denied", "{method}");
    }
    // Nor may it speak in that peer's name elsewhere.
    let elsewhere = register(&mut other, "q", "ann");
    let refusal = &elsewhere["error"]["data"];
    assert_eq!(refusal["code"], "permission_denied", "{elsewhere}");
    // The way out is no operator, who is refused just so.
    let hint = refusal["hint"].as_str().expect("a hint");
    assert!(hint.contains("admin") && !hint.contains("operator"), "{hint}");
    // To look is no act.
    assert_eq!(other.call("peer.discover", member("ann"))["peer"]["name"], "Player ann");

    // With both in a party, each still acts for itself.
    other.call("party.join", json!({"party_id": "p", "peer": peer("bob")}));
    let hello =
        json!({"party_id": "p", "from_peer_id": "bob", "to_peer_id": "ann", "signal_data": 1});
    other.call("signal.send", hello);
    assert_eq!(own.call("signal.poll", member("ann"))["signals"][0]["from_peer_id"], "bob");
    // The superuser acts for anyone, and the peer stays whose it is.
    let mut moved = peer("bob");
    moved["public_port"] = json!(1);
    own.call("party.join", json!({"party_id": "p", "peer": moved.clone()}));
    own.call("peer.update", json!({"party_id": "p", "peer": moved}));
    own.call("peer.heartbeat", member("bob"));
    own.call("signal.poll", member("bob"));
    other.call("peer.heartbeat", member("bob"));
    register(&mut own, "z", "ann");
    own.call("party.join", json!({"party_id": "z", "peer": peer("bob")}));
    other.call("peer.heartbeat", json!({"party_id": "z", "peer_id": "bob"}));
    assert_eq!(own.call("party.leave", member("bob"))["status"], "left");
    let daemon = daemon.kill().start();
    user(&daemon).call("peer.heartbeat", json!({"party_id": "z", "peer_id": "bob"}));
}

#[test]
fn peer_is_for_its_user_after_a_restart() {
    let daemon = system(&format!("[access]\noperators = [{}]\n", uid()));
    let mut own = daemon.client();
    register(&mut own, "p", "ann");
    let mut other = user(&daemon);
    other.call("party.join", json!({"party_id": "p", "peer": peer("bob")}));
    let daemon = daemon.kill().start();
    let mut other = user(&daemon);
    other.call("peer.heartbeat", member("bob"));
    let host = other.ask("party.leave", member("ann")).expect("an answer");
    match is_root() {
        true => assert_eq!(host["error"]["data"]["code"], "permission_denied", "{host}"),
        false => assert_eq!(host["result"]["status"], "party_deleted", "{host}"),
    }
}

#[test]
fn relay_is_for_its_user_and_the_superuser_alone() {
    let daemon = system(&format!("[access]\noperators = [{}]\n", uid()));
    let relay = |port: u16| json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": port});
    let (mut own, mut other) = (daemon.client(), user(&daemon));
    other.call("relay.register", relay(1));
    assert_eq!(own.call("relay.register", relay(2))["relay"]["port"], 2);
    assert_eq!(other.call("relay.register", relay(3))["relay"]["port"], 3, "it stays theirs");
    let mut relay = relay(4);
    relay["relay_id"] = json!("s");
    own.call("relay.register", relay.clone());
    let answer = other.ask("relay.register", relay).expect("an answer");
    assert_eq!(answer.get("error").is_some(), is_root(), "{answer}");
}

#[test]
fn socket_of_a_users_daemon_keeps_others_out() {
    let daemon = Setup::new().start();
    if !has_root("to connect as another user") {
        // There is nobody else to try; they themselves are its admin.
        assert_eq!(role(&mut daemon.client()), "admin");
        return;
    }
    let everyone = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("open it");
    };
    everyone(daemon.setup.dir.path(), 0o755);
    assert!(stranger(&daemon.setup.socket()).is_none(), "the directory lets them in");
    everyone(daemon.setup.path("run").as_path(), 0o755);
    assert!(stranger(&daemon.setup.socket()).is_none(), "the socket lets them in");
    everyone(&daemon.setup.socket(), 0o666);
    let mut stranger = stranger(&daemon.setup.socket()).expect("the door is open");
    let refusal = stranger.line().expect("a refusal");
    assert_eq!(refusal["error"]["data"]["code"], "permission_denied", "{refusal}");
    assert_eq!(refusal["id"], Value::Null);
    assert_eq!(stranger.line(), None, "and it closes");
    assert_eq!(role(&mut daemon.client()), "admin");
}

#[test]
fn share_of_a_user_bounds_its_changes_for_a_server() {
    let uid = uid();
    // Nine of ten thousand changes, and many parties.
    let config = format!(
        "server = 'http://127.0.0.1:1'\n[access]\noperators = [{uid}]\n\
         [limits]\nparties = 1_048_576\nuid_share = 1024\n"
    );
    let daemon = system(&config);
    let mut operator = user(&daemon);
    for number in 0..9 {
        let party_id = format!("p{number}");
        assert_eq!(
            register(&mut operator, &party_id, &format!("ann{number}"))["error"],
            Value::Null
        );
        // That a peer came and went is a change as well, and takes the place of the other.
        if number % 2 == 0 {
            let leave = json!({"party_id": party_id, "peer_id": format!("ann{number}")});
            operator.call("party.leave", leave);
        }
    }
    let error = register(&mut operator, "another", "ben")["error"].take();
    assert_error(&error, "rate_limited");
    let message = error["message"].as_str().expect("a message");
    let told = format!("user {uid} has 9 of the changes that wait for the control server");
    assert!(message.contains(&told), "{message}");
    let hint = error["data"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("limits.uid_share"), "{hint}");
    if is_root() {
        let mut admin = daemon.client();
        for number in 0..12 {
            let party_id = format!("admin{number}");
            assert_eq!(register(&mut admin, &party_id, "root")["error"], Value::Null);
        }
    }
    // So it is after a restart.
    let daemon = daemon.kill().start();
    let error = register(&mut user(&daemon), "another", "ben")["error"].take();
    assert_error(&error, "rate_limited");
}

#[test]
fn share_of_a_user_bounds_its_parties() {
    let uid = uid();
    let daemon = system(&format!("[access]\noperators = [{uid}]\n[limits]\nparties = 8\n"));
    let mut operator = user(&daemon);
    for party_id in ["a", "b"] {
        assert_eq!(register(&mut operator, party_id, "ann")["error"], Value::Null);
    }
    let error = register(&mut operator, "c", "ben")["error"].take();
    assert_error(&error, "rate_limited");
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&format!("user {uid} has 2 of the memberships")), "{message}");
    let hint = error["data"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("limits.parties or lower limits.uid_share"), "{hint}");
    if is_root() {
        let mut admin = daemon.client();
        for party_id in ["c", "d", "e", "f", "g", "h"] {
            assert_eq!(register(&mut admin, party_id, "root")["error"], Value::Null);
        }
    }
}
