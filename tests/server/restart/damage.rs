//! A state that was damaged while nobody looked, and one of an older version.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use serde_json::{Value, json};

use super::{register, status};
use crate::harness::{Http, Setup, Ws, announced, eventually};

fn database(setup: &Setup) -> PathBuf {
    setup.state_dir().join("server.db")
}

/// The newest of the regular copies that holds as many members as that.
fn copy_of(setup: &Setup, members: i64) -> Option<PathBuf> {
    let copies = fs::read_dir(setup.state_dir().join("server-backups")).ok()?.flatten();
    let mut copies: Vec<PathBuf> = copies.map(|entry| entry.path()).collect();
    copies.retain(|path| path.extension().is_some_and(|extension| extension == "db"));
    let newest = copies.into_iter().max()?;
    let copy = Connection::open(&newest).ok()?;
    let count = copy.query_row("SELECT count(*) FROM members", [], |row| row.get::<_, i64>(0));
    (count.ok()? == members).then_some(newest)
}

#[test]
fn damaged_state_is_restored_under_another_epoch() {
    let garble = |path: &Path| {
        let mut bytes = fs::read(path).expect("the database");
        bytes[4096..8192].fill(0xa5);
        fs::write(path, bytes).expect("damaged");
    };
    let empty = |path: &Path| fs::write(path, b"").expect("emptied");
    let remove = |path: &Path| fs::remove_file(path).expect("removed");
    let damages: [&dyn Fn(&Path); 3] = [&garble, &empty, &remove];
    for damage in damages {
        let server = Setup::server().config("[store]\nbackup_interval = '2ms'\n").start();
        let mut alice = Http::registered(server.address(), "alice");
        let (mut bob, welcome) = Ws::hello(server.address(), "bob", None);
        register(&mut bob, "lan", "bob");
        alice.join("lan", "alice").ok();
        let before = alice.get("/parties/lan").ok();
        eventually("a copy of all", || copy_of(&server.setup, 2));
        drop(bob);
        let (mut setup, _) = server.stop();
        // Of its last moments, perhaps.
        let newest = copy_of(&setup, 2).expect("a copy of all");
        setup.config.clear();
        damage(&database(&setup));

        let server = setup.start();
        let recovery = status(&server)["store"]["recovery"].take();
        assert!(recovery["reason"].is_string() && recovery["at"].is_string(), "{recovery}");
        assert_eq!(recovery["restored_from"], json!(newest));
        let log = server.setup.log();
        assert!(log.contains("ERROR") && log.contains("was restored from"), "{log}");
        // Who was there is there, with the token and the address of before.
        let mut http = server.http();
        http.token = alice.token;
        let after = http.get("/parties/lan").ok();
        assert_eq!(after["virtual_ips"], before["virtual_ips"]);
        assert_ne!(after["epoch"], before["epoch"]);

        let old = json!({"epoch": before["epoch"], "seq": before["seq"]});
        let mut bob = Ws::connect(server.address());
        bob.send(json!({
            "type": "hello", "caps": ["lanragectl"], "peer_id": "bob",
            "token": welcome["token"], "have": {"lan": old, "gone": old},
        }));
        assert_eq!(bob.await_type("welcome")["epoch"], after["epoch"]);
        assert_eq!(bob.await_type("party_removed")["party_id"], "gone");
        let is_whole = |update: &Value| {
            assert_eq!(update["epoch"], after["epoch"], "{update}");
            assert_eq!(update["virtual_ips"], before["virtual_ips"], "{update}");
        };
        is_whole(&bob.await_type("party_update"));
        let ack = bob.ask(json!({"type": "sync", "party_id": "lan", "have": old}));
        assert_eq!(ack["type"], "ack", "{ack}");
        is_whole(&bob.await_type("party_update"));

        // It is whole again, and tells of it no more.
        let server = server.kill().start();
        assert_eq!(status(&server)["store"]["recovery"], Value::Null);
        let mut alice = server.http();
        alice.token = http.token;
        assert_eq!(alice.get("/parties/lan").ok()["epoch"], after["epoch"]);
    }
}

#[test]
fn state_of_the_first_version_is_migrated() {
    let setup = Setup::server();
    fs::create_dir(setup.state_dir()).expect("a directory");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/store/v1.sql");
    let connection = Connection::open(database(&setup)).expect("a database");
    connection.execute_batch(&fs::read_to_string(fixture).expect("the fixture")).expect("written");
    connection.close().expect("closed");
    let mut server = setup.start();
    let mut token = None;
    for _ in 0..2 {
        assert_eq!(status(&server)["store"]["recovery"], Value::Null);
        let mut alice = server.http();
        alice.token = token;
        if alice.token.is_none() {
            alice = Http::registered(server.address(), "alice");
        }
        let party = alice.get("/parties/fixture").ok();
        assert_eq!(party["party"]["name"], "Fête 🎮 7");
        assert_eq!(party["epoch"], "fixture-epoch");
        assert_eq!(party["virtual_ips"]["host"], "10.66.0.1");
        assert_eq!(party["virtual_ips"]["guest"], "10.66.0.2");
        assert_eq!(alice.get("/relays").ok()["relays"][0]["relay_id"], "relay");
        // Its members are users' of that machine.
        let mut stranger = server.http();
        assert_eq!(stranger.post("/auth/register?peer_id=guest", None).status, 409);
        let body = json!({"party_id": "fixture", "peer_info": announced("alice")});
        let joined = alice.post("/parties/fixture/join", Some(body)).ok();
        assert_eq!(joined["virtual_ips"]["alice"], "10.66.0.3");
        assert!(joined["seq"].as_u64() >= Some(8), "{joined}");
        // What came since is kept beside it.
        token = alice.token;
        server = server.kill().start();
    }
}
