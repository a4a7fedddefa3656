//! A full disk: requests that need it get a 503, and all others go on.

use serde_json::{Value, json};

use super::announced_with;
use crate::harness::{
    Http, Response, Setup, announced, eventually, limit_files, start_with_file_limits,
};

/// A party without the times of its members' last signs of life: a refused request is a sign of
/// life, too.
fn timeless(read: Response) -> Value {
    let mut read = read.ok();
    for peer in read["party"]["peers"].as_object_mut().expect("peers").values_mut() {
        peer["last_seen"].take();
    }
    read
}

#[test]
fn post_that_can_not_be_written_is_a_503_and_not_done() {
    let server = start_with_file_limits(Setup::server().config("[store]\nbatch = '1h'\n"));
    let [mut alice, mut bob] =
        ["alice", "bob"].map(|peer| Http::registered(server.address(), peer));
    let party = alice.party("alice");
    let path = format!("/parties/{party}");
    bob.join(&party, "bob").ok();
    let before = timeless(alice.get(&path));
    let mut nobody = server.http();
    assert_eq!(nobody.get("/readyz").status, 200);

    limit_files(&server, Some(1));
    let relay = || Some(json!({"relay_id": "r", "public_ip": "198.51.100.7", "port": 1}));
    let host = || Some(json!({"name": "LAN", "host_peer_info": announced("alice")}));
    let changed = announced_with("bob", json!({"public_key": "bmV3"}));
    let join = json!({"party_id": party, "peer_info": changed});
    for _ in 0..2 {
        for refused in [
            nobody.post("/auth/register?peer_id=carol", None),
            alice.post("/parties", host()),
            alice.post("/relays", relay()),
            bob.post(&format!("{path}/join"), Some(join.clone())),
            bob.delete(&format!("{path}/peers/bob")),
            alice.delete(&format!("{path}/peers/alice")),
        ] {
            assert_eq!(refused.detail(503), "The state could not be written");
            let seconds = refused.header("retry-after").and_then(|text| text.parse().ok());
            assert!(seconds.is_some_and(|seconds: u64| seconds > 0), "{:?}", refused.headers);
        }
        // Reads and signs of life need no disk.
        assert_eq!(timeless(alice.get(&path)), before);
        assert_eq!(alice.get("/relays").ok(), json!({"relays": []}));
        assert_eq!(nobody.get("/").ok()["parties"], 1);
        assert_eq!(nobody.get("/healthz").status, 200);
        assert_eq!(nobody.get("/readyz").detail(503), "The last commit of the state failed");
    }
    alice.post(&format!("{path}/peers/alice/heartbeat"), None).ok();

    limit_files(&server, None);
    let written = || {
        let response = nobody.post("/auth/register?peer_id=carol", None);
        (response.status == 200).then(|| response.json()["token"].take())
    };
    let token = eventually("a disk that takes more", written);
    assert_eq!(nobody.get("/readyz").status, 200);
    // What was told is on the disk, and what was refused is not.
    let server = server.kill().start();
    let mut carol = server.http();
    carol.token = token.as_str().map(str::to_owned);
    assert_eq!(timeless(carol.get(&path)), before);
    assert_eq!(carol.get("/relays").ok(), json!({"relays": []}));
}
