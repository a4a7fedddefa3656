//! Ownership of peers: tokens are stored, renewed in time, and shown to nobody.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use super::{
    Watcher, agree, await_synced, daemon, entry, follower, join, member, moved, register,
    registration, server, url,
};
use crate::harness::{
    Daemon, FAST_REMOTE, Http, NOBODY, Port, Proxy, Setup, Ws, assert_error, cases, eventually,
    has_root, peer, stranger,
};

/// Tokens that the daemon stores for the server.
fn tokens(daemon: &Daemon) -> BTreeSet<String> {
    let path = daemon.setup.state_dir().join("control.db");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).expect("open the database");
    let mut rows = database.prepare("SELECT token FROM credentials").expect("a query");
    let tokens = rows.query_map([], |row| row.get(0)).expect("rows");
    tokens.map(|token| token.expect("a token")).collect()
}

/// Each renewal takes 2 s.
#[test]
fn token_is_renewed_before_it_expires() {
    let server = Setup::server().config("[auth]\ntoken_ttl = '3s'\n").start();
    let proxy = Proxy::to(server.address());
    let (here, there) = (daemon(&proxy.url()), follower(&server));
    here.await_state("online");
    register(&here, "p", "ann", "synced");
    join(&there, "p", "bob", "synced");
    let first = tokens(&here);
    let renewals = || here.setup.log().matches("the token of ann is renewed").count();
    let mut watcher = Watcher::of(&there);
    // Each time but the last on another connection.
    let rounds = cases(2, 5);
    for round in 1..=rounds {
        eventually("a renewal", || (renewals() >= round).then_some(()));
        if round < rounds {
            proxy.cut();
            proxy.await_connections(round + 1);
            here.await_state("online");
        }
        let port = u16::try_from(round).expect("a port");
        let update = json!({"party_id": "p", "peer": moved("ann", port)});
        here.client().call("peer.update", update);
        watcher.until("peer.updated", |data| data["peer"]["public_port"] == port);
    }
    assert!(first.is_disjoint(&tokens(&here)), "the first one is long over");
    for daemon in [&here, &there] {
        assert!(!daemon.setup.log().contains("not renewed"), "{}", daemon.setup.log());
    }
    agree(&[&server, &here, &there], "p", &["ann", "bob"]);
}

#[test]
fn identity_outlives_kills_of_daemon_and_server() {
    let port = Port::reserve();
    let server = super::server_on(&port);
    let (here, there) = (follower(&server), follower(&server));
    register(&here, "p", "ann", "synced");
    let known = tokens(&here);
    assert_eq!(known.len(), 1);
    let here = here.kill().start();
    let server = server.kill().restart_on(port.address()).start();
    for daemon in [&here, &there] {
        daemon.await_state("online");
    }
    // Nobody else is believed to be her, and she is.
    let mut thief = Ws::connect(server.address());
    thief.send(json!({"type": "hello", "version": "1", "client": "test", "caps": ["lanragectl"],
        "peer_id": "ann", "req_id": "1"}));
    assert_eq!(thief.answer("1")["code"], "permission_denied");
    assert_error(&there.client().error("party.join", entry("p", "ann")), "server_rejected");
    join(&here, "p", "ann", "synced");
    let update = json!({"party_id": "p", "peer": moved("ann", 7)});
    here.client().call("peer.update", update);
    agree(&[&server, &here], "p", &["ann"]);
    let (_proof, _) = Ws::hello(server.address(), "ann", known.first().map(String::as_str));
}

/// All that is in a directory, and in those in it.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        }
        found.push(path);
    }
    found
}

/// True for a database and for the files beside it.
fn is_database(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().contains(".db"))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("its mode").permissions().mode() & 0o777
}

#[test]
fn tokens_are_in_no_log_and_no_readable_file() {
    let server = server();
    let mut here = follower(&server);
    let mut shown = BTreeSet::new();
    register(&here, "p", "ann", "synced");
    shown.extend(tokens(&here));
    // Through another connection, another run, and a refusal.
    here = here.kill().start();
    here.await_state("online");
    join(&here, "p", "bob", "synced");
    shown.extend(tokens(&here));
    let there = follower(&server);
    assert_error(&there.client().error("party.join", entry("p", "bob")), "server_rejected");
    join(&there, "p", "cleo", "synced");
    shown.extend(tokens(&there));
    let ctl = here.ctl();
    let told = [ctl.text("doctor"), ctl.text("status --json"), ctl.text("connection show --json")];
    let backup = here.setup.path("backup.db");
    here.client().call("state.backup", json!({"path": backup}));
    assert_eq!(mode(&backup), 0o600);
    assert!(shown.len() >= 3, "{}", shown.len());
    for daemon in [&here, &there, &server] {
        let log = daemon.setup.log();
        assert!(log.contains("DEBUG"));
        for text in told.iter().chain([&log]) {
            // The second half would be too much already.
            assert!(!shown.iter().any(|token| text.contains(&token[token.len() / 2..])), "{text}");
        }
        let state = daemon.setup.state_dir();
        assert_eq!(mode(&state), 0o700);
        let all = files(&state);
        assert!(all.iter().any(|path| is_database(path)));
        for path in all {
            if path.is_dir() {
                assert_eq!(mode(&path), 0o700, "{}", path.display());
            } else if is_database(&path) {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
            } else {
                // Other users may read it.
                let text = fs::read(&path).expect("a file");
                let text = String::from_utf8_lossy(&text);
                assert!(!shown.iter().any(|token| text.contains(token)), "{}", path.display());
            }
        }
    }
}

#[test]
fn relay_register_gives_no_access_to_the_peer_of_another() {
    if !has_root("to connect as another user") {
        return;
    }
    let server = server();
    let config = format!("{FAST_REMOTE}[access]\noperators = [{NOBODY}]\n");
    let mut setup = Setup::new().server_url(&url(&server)).config(&config);
    setup.args.push("--system".into());
    fs::set_permissions(setup.dir.path(), fs::Permissions::from_mode(0o755)).expect("let them in");
    let daemon = setup.start();
    daemon.await_state("online");
    register(&daemon, "p", "ann", "synced");
    daemon.client().call("party.leave", member("p", "ann"));
    // On a connection on which ann was not greeted yet, too.
    let daemon = daemon.kill().start();
    daemon.await_state("online");
    let mut other = stranger(&daemon.setup.socket()).expect("an operator");
    let relay = json!({"relay_id": "ann", "public_ip": "203.0.113.9", "port": 4000});
    for _ in 0..2 {
        assert_error(&other.error("relay.register", relay.clone()), "permission_denied");
        assert_error(&other.error("party.register", registration("q", "ann")), "permission_denied");
    }
    register(&daemon, "r", "ann", "synced");
}

#[test]
fn peer_that_is_no_member_is_not_claimed_on_the_server() {
    let server = server();
    let here = daemon(&url(&server));
    here.await_state("online");
    register(&here, "p", "ann", "synced");
    // Somebody else has the one; the other is nobody's, and stays so.
    let mut foreign = Http::registered(server.address(), "bob");
    let mut client = here.client();
    for peer_id in ["bob", "carol"] {
        let member = json!({"party_id": "p", "peer_id": peer_id});
        assert_error(&client.error("peer.heartbeat", member), "peer_not_found");
        let update = json!({"party_id": "p", "peer": peer(peer_id)});
        assert_error(&client.error("peer.update", update), "peer_not_found");
        let signal = json!({"party_id": "p", "from_peer_id": peer_id, "to_peer_id": "ann",
            "signal_data": 1});
        assert_error(&client.error("signal.send", signal), "not_a_member");
    }
    foreign.token = None;
    foreign.post("/auth/register?peer_id=carol", None).ok();
}

#[test]
fn host_whose_id_becomes_free_is_registered() {
    let server = server();
    let proxy = Proxy::to(server.address());
    let here = daemon(&proxy.url());
    here.await_state("online");
    proxy.refuse();
    proxy.cut();
    here.await_state("fallback");
    register(&here, "p", "ann", "pending");
    // The other client holds the id by an open connection alone.
    let mut other = Ws::plain(server.address());
    other.send(json!({"type": "auth", "peer_id": "ann"}));
    other.send(json!({"type": "heartbeat", "party_id": "none", "peer_id": "ann"}));
    other.await_type("error");
    proxy.accept();
    here.await_log("is somebody else's there");
    other.close();
    await_synced(&here, "p");
    agree(&[&server, &here], "p", &["ann"]);
}
