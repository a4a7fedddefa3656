//! Ownership of peer ids, and its proof by tokens.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::server_with;
use crate::harness::{Http, Setup, eventually};

fn register(client: &mut Http, peer: &str) -> u16 {
    client.post(&format!("/auth/register?peer_id={peer}"), None).status
}

#[test]
fn auth_register_of_a_taken_id_is_refused() {
    let (server, [mut alice, mut bob]) = server_with(["alice", "bob"]);
    let taken = "Peer id is already registered";
    for client in [&mut server.http(), &mut bob] {
        assert_eq!(client.post("/auth/register?peer_id=alice", None).detail(409), taken);
    }
    // Nobody has an id that is written otherwise.
    assert_eq!(register(&mut bob, "Alice"), 200);
    assert_eq!(register(&mut alice, "alice"), 200);
}

#[test]
fn auth_register_with_its_token_keeps_the_old_token_good() {
    let (server, [mut alice]) = server_with(["alice"]);
    let renewed = alice.post("/auth/register?peer_id=alice", None).ok();
    let mut again = server.http();
    again.token = renewed["token"].as_str().map(str::to_owned);
    assert_ne!(again.token, alice.token);
    // The answer with the new one might have been lost.
    for client in [&mut alice, &mut again] {
        client.get("/relays").ok();
        assert_eq!(register(client, "alice"), 200);
    }
}

/// Old ones give way: a client that renews for ever takes no room.
#[test]
fn auth_register_keeps_the_newest_tokens_up_to_the_limit() {
    let (server, [mut alice]) = server_with(["alice"]);
    let mut tokens = std::collections::BTreeSet::from([alice.token.clone()]);
    for _ in 0..12 {
        let renewed = alice.post("/auth/register?peer_id=alice", None).ok();
        alice.token = renewed["token"].as_str().map(str::to_owned);
        tokens.insert(alice.token.clone());
    }
    assert_eq!(tokens.len(), 8);
    for token in tokens {
        let mut http = server.http();
        http.token = token;
        http.get("/relays").ok();
    }
}

#[test]
fn auth_register_of_an_id_with_expired_tokens_in_no_party_is_taken() {
    const ROOMY: &str = "[limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n";
    let mut server = Setup::server().config(ROOMY).start();
    let mut alice = Http::registered(server.address(), "alice");
    alice.party("alice");
    server.reload(&format!("[auth]\ntoken_ttl = '4s'\n{ROOMY}"));
    let fresh = alice.post("/auth/register?peer_id=alice", None).ok();
    alice.token = fresh["token"].as_str().map(str::to_owned);
    // The other one would be good for longer.
    assert_eq!(alice.delete("/auth/tokens").ok()["revoked"], 1);
    let mut dave = Http::registered(server.address(), "dave");
    // The youngest token: when it is over, so are the others.
    eventually("the end of the tokens", || (dave.get("/relays").status == 401).then_some(()));
    assert_eq!(alice.get("/relays").detail(401), "Invalid or expired token");
    for (peer, status) in [("dave", 200), ("alice", 409)] {
        assert_eq!(register(&mut server.http(), peer), status, "{peer}");
    }
}

#[test]
fn auth_register_decodes_the_query_and_takes_its_last_peer_id() {
    let (server, []) = server_with([]);
    let mut http = server.http();
    for (query, peer) in [
        ("peer_id=a:b", "a:b"),
        ("peer_id=c%3Ad", "c:d"),
        ("x=1&peer_id=e&y", "e"),
        ("peer_id=f&peer_id=g", "g"),
        ("PEER_ID=h&peer_id=i", "i"),
    ] {
        let given = http.post(&format!("/auth/register?{query}"), None).ok();
        assert_eq!(given["peer_id"], peer, "{query}");
    }
    let longest = "x".repeat(128);
    assert_eq!(register(&mut http, &longest), 200);
    for (query, kind) in [
        ("", "missing"),
        ("peer_id", "string_too_short"),
        ("Peer_id=a", "missing"),
        ("peer_id=a+b", "string_pattern_mismatch"),
        ("peer_id=a/b", "string_pattern_mismatch"),
        (&format!("peer_id={longest}x"), "string_too_long"),
    ] {
        let told = http.post(&format!("/auth/register?{query}"), None).detail(422);
        assert_eq!(told[0]["type"], kind, "{query}");
        assert_eq!(told[0]["loc"], json!(["query", "peer_id"]));
    }
}

/// A reader of the disk gets no usable token.
#[test]
fn tokens_are_neither_on_the_disk_nor_in_the_log() {
    let (server, [mut alice]) = server_with(["alice"]);
    alice.party("alice");
    let token = alice.token.clone().expect("a token");
    let (setup, _) = server.stop();
    let files = files(setup.dir.path());
    assert!(files.len() > 2, "{files:?}");
    for file in files {
        let bytes = fs::read(&file).expect("a file");
        let found = bytes.windows(token.len()).any(|window| window == token.as_bytes());
        assert!(!found, "a token is in {}", file.display());
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|e| e.expect("it").path());
    let (directories, mut found): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    found.retain(|path| path.is_file());
    found.extend(directories.iter().flat_map(|path| files(path)));
    found
}
