//! The discovery file, shared with other daemons and with LANrage, stays correct in every case.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::harness::{
    Client, Daemon, Setup, SlowDisk, announced, eventually, exists, json_file, peer,
};

/// A daemon that announces its parties in a file.
fn announcing(file: &Path) -> Daemon {
    let mut setup = Setup::new();
    setup.args = vec!["--discovery-file".into(), file.display().to_string()];
    setup.start()
}

fn register(client: &mut Client, party_id: &str, peer_id: &str) {
    let host = json!({"name": "Quake", "party_id": party_id, "host": peer(peer_id)});
    client.call("party.register", host);
}

fn leave(client: &mut Client, party_id: &str, peer_id: &str) {
    client.call("party.leave", json!({"party_id": party_id, "peer_id": peer_id}));
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

/// Waits until a file announces just these.
fn await_ids(file: &Path, ids: &[&str]) {
    eventually(&format!("just {ids:?} in the file"), || {
        let document: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        (keys(&document) == ids).then_some(())
    });
}

/// The parties of a file, as they are but for when their members were seen.
fn parties(mut document: Value) -> Map<String, Value> {
    for party in document.as_object_mut().expect("an object").values_mut() {
        assert_eq!(keys(party), ["created_at", "host_id", "name", "party_id", "peers"]);
        for peer in party["peers"].as_object_mut().expect("peers").values_mut() {
            let exact = [
                "last_seen",
                "local_ip",
                "local_port",
                "name",
                "nat_type",
                "peer_id",
                "public_ip",
                "public_key",
                "public_port",
            ];
            assert_eq!(keys(peer), exact);
            let seen = peer["last_seen"].take();
            let seen = seen.as_str().expect("a time");
            assert!(seen.parse::<jiff::civil::DateTime>().is_ok(), "{seen}");
            assert!(seen.parse::<jiff::Timestamp>().is_err(), "{seen} has an offset");
        }
    }
    match document {
        Value::Object(parties) => parties,
        _ => unreachable!("it is an object"),
    }
}

/// Parties of a daemon, in LANrage's form.
fn held(daemon: &Daemon) -> Map<String, Value> {
    let mut export = daemon.client().call("state.export", json!({"format": "lanrage"}));
    parties(export["state"]["parties"].take())
}

/// Registers, joins and leaves, and leaves some of each behind.
fn live(daemon: &Daemon, name: &str) {
    let mut client = daemon.client();
    for round in 0..15 {
        let party_id = format!("{name}-{round}");
        let [host, guest] = ["host", "guest"].map(|role| format!("{name}-{role}"));
        register(&mut client, &party_id, &host);
        client.call("party.join", json!({"party_id": party_id, "peer": peer(&guest)}));
        match round % 3 {
            0 => leave(&mut client, &party_id, &host),
            1 => leave(&mut client, &party_id, &guest),
            _ => {}
        }
    }
}

#[test]
fn discovery_file_of_two_busy_daemons_holds_their_parties_exactly() {
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    let daemons = [announcing(&file), announcing(&file)];
    std::thread::scope(|scope| {
        for (number, daemon) in daemons.iter().enumerate() {
            for thread in 0..3 {
                scope.spawn(move || live(daemon, &format!("d{number}-t{thread}")));
            }
        }
    });
    let mut expected = held(&daemons[0]);
    expected.append(&mut held(&daemons[1]));
    assert_eq!(expected.len(), 2 * 3 * 10);
    eventually("the file as it should be", || {
        (parties(json_file(&file)) == expected).then_some(())
    });
    for daemon in &daemons {
        let mut found = daemon.client().call("party.discover", json!({}));
        let found = found["parties"].as_array_mut().expect("parties");
        for party in found.iter_mut() {
            assert_eq!(party.as_object_mut().and_then(|p| p.remove("source")), Some("file".into()));
        }
        let by_id = found.iter().map(|p| (p["party_id"].as_str().unwrap().to_owned(), p.clone()));
        assert_eq!(parties(Value::Object(by_id.collect())), expected);
    }
    let beside: Vec<_> = fs::read_dir(shared.path()).expect("a directory").flatten().collect();
    assert_eq!(beside.len(), 2, "more than the file and its lock: {beside:?}");

    // What one takes back goes, and nothing else.
    let [first, second] = daemons;
    let mut client = first.client();
    for (party_id, party) in held(&first) {
        leave(&mut client, &party_id, party["host_id"].as_str().expect("a host"));
    }
    let rest = held(&second);
    eventually("the parties of the other", || (parties(json_file(&file)) == rest).then_some(()));
}

#[test]
fn discovery_entries_of_a_killed_daemon_go_at_its_next_start() {
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    let (first, second) = (announcing(&file), announcing(&file));
    let mut client = first.client();
    register(&mut client, "stale", "ann");
    register(&mut client, "kept", "ann");
    register(&mut second.client(), "other", "bob");
    await_ids(&file, &["kept", "other", "stale"]);
    let lock = File::open(shared.path().join("discovery.json.lock")).expect("the lock");
    lock.lock().expect("hold the lock");
    leave(&mut client, "stale", "ann");
    let setup = first.kill();
    lock.unlock().expect("let go of the lock");
    assert_eq!(keys(&json_file(&file)), ["kept", "other", "stale"]);

    let _first = setup.start();
    await_ids(&file, &["kept", "other"]);
}

/// Adds an entry as LANrage does: without the lock, into the file that is there.
fn lanrage_adds(file: &Path, party_id: &str) {
    let mut entries = json_file(file);
    entries[party_id] = json!({"party_id": party_id, "host_id": "zoe"});
    fs::write(file, entries.to_string()).expect("write the file");
}

#[test]
fn discovery_entries_written_during_an_update_stay() {
    let Some(disk) = SlowDisk::new() else { return };
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    fs::write(&file, "{}").expect("write the file");
    let setup = Setup::new().arg("--discovery-file").arg(&file.display().to_string());
    let daemon = setup.slow_disk(&disk).start();
    let mut client = daemon.client();
    disk.set_delay(Duration::from_millis(100));
    let mut expected = Vec::new();
    for round in 0..3 {
        let (lanrages, own) = (format!("lan-{round}"), format!("own-{round}"));
        register(&mut client, &own, "ann");
        // It has read the file, and waits for the disk before it puts its own in the place.
        let temporary = shared.path().join("discovery.json.tmp");
        eventually("an update under way", || exists(&temporary).then_some(()));
        lanrage_adds(&file, &lanrages);
        expected.extend([lanrages, own]);
    }
    disk.set_delay(Duration::ZERO);
    expected.sort();
    await_ids(&file, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

/// An entry as LANrage writes it, and as it never would.
const ENTRY: &str = r#"{
    "party_id": "lan-1",
    "name": "Zo\u00eb's \ud83c\udfb2",
    "host_id": "zoe",
    "created_at": "2026-02-03T04:05:06",
    "peers": {
      "zoe": {
        "peer_id": "zoe", "name": "Zo\u00eb", "public_key": "k", "nat_type": "symmetric",
        "public_ip": "198.51.100.4", "public_port": 5e3, "local_ip": "unknown",
        "local_port": 51820, "last_seen": "2026-02-03T04:05:07.000089"
      }
    }
  }"#;

#[test]
fn discovery_entries_of_others_stay_letter_for_letter() {
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    let entry = ENTRY.replace("5e3", "5000");
    fs::write(&file, format!("{{\n  \"lan-1\": {entry},\n  \"odd\": {ENTRY}\n}}"))
        .expect("written");
    let daemon = announcing(&file);
    let mut client = daemon.client();
    register(&mut client, "p", "ann");
    let found = client.call("party.discover", json!({}));
    let ids: Vec<_> = found["parties"].as_array().expect("parties").iter().collect();
    let ids: Vec<_> = ids.iter().map(|party| party["party_id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["lan-1", "p"]);
    assert_eq!(found["parties"][0]["name"], "Zoë's 🎲");
    assert_eq!(found["parties"][0]["source"], "file");
    daemon.await_log("\"odd\" is passed over");

    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.contains(&entry) && text.contains(ENTRY), "{text}");
    leave(&mut client, "p", "ann");
    client.call("party.discover", json!({}));
    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.contains(&entry) && text.contains(ENTRY), "{text}");
    assert_eq!(keys(&json_file(&file)), ["lan-1", "odd"]);
}

fn set_aside(file: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(file.parent()?).ok()?.flatten();
    entries
        .map(|entry| entry.path())
        .find(|path| path.to_str().is_some_and(|path| path.contains("discovery.json.damaged-")))
}

#[test]
fn discovery_file_that_is_damaged_is_set_aside_and_its_rest_stays() {
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    let damaged = format!("{{\n  \"lan-1\": {ENTRY},\n  \"lan-2\": {{\"party_id\": \"la");
    fs::write(&file, &damaged).expect("written");
    let daemon = announcing(&file);
    let mut client = daemon.client();
    register(&mut client, "p", "ann");
    await_ids(&file, &["lan-1", "p"]);
    let kept = set_aside(&file).expect("the damaged file");
    assert_eq!(fs::read_to_string(&kept).expect("text"), damaged);
    daemon.await_log("is damaged");

    // Once more while it runs.
    fs::remove_file(kept).expect("removed");
    fs::write(&file, "\0garbage").expect("written");
    register(&mut client, "q", "ann");
    await_ids(&file, &["p", "q"]);
    let kept = set_aside(&file).expect("the damaged file");
    assert_eq!(fs::read(kept).expect("bytes"), b"\0garbage");
}

#[test]
fn party_discover_shows_own_parties_beside_any_others() {
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    let foreign = |number: usize| {
        let id = format!("a{number:03}");
        let party = json!({"party_id": id, "name": "Theirs", "host_id": "h",
            "created_at": "2026-01-02T03:04:05", "peers": {"h": announced("h")}});
        (id, party)
    };
    let document: Map<_, _> = (0..300).map(foreign).collect();
    fs::write(&file, Value::Object(document).to_string()).expect("written");
    let mut setup = Setup::new().config("[limits]\nframe_out = 4096\n");
    setup.args = vec!["--discovery-file".into(), file.display().to_string()];
    let daemon = setup.start();
    let mut client = daemon.client();
    register(&mut client, "mine", "ann");
    for _ in 0..3 {
        let parties = client.call("party.discover", json!({}))["parties"].take();
        let parties = parties.as_array().expect("a list").clone();
        assert!((2..300).contains(&parties.len()), "{} parties", parties.len());
        assert!(parties.is_sorted_by_key(|party| party["party_id"].to_string()));
        assert!(parties.iter().any(|party| party["party_id"] == "mine"));
    }
    let log = daemon.stop().0.log();
    let warns = |line: &&str| line.contains("WARN") && line.contains("leaves out");
    assert_eq!(log.lines().filter(warns).count(), 1, "{log}");
}

#[test]
fn party_discover_shows_own_parties_beside_a_forged_entry() {
    let shared = tempfile::tempdir().expect("a directory");
    let file = shared.path().join("discovery.json");
    let mut setup = Setup::new().config("[limits]\nframe_out = 8192\n");
    setup.args = vec!["--discovery-file".into(), file.display().to_string()];
    let daemon = setup.start();
    let mut client = daemon.client();
    register(&mut client, "mine", "ann");
    register(&mut client, "second", "ann");
    await_ids(&file, &["mine", "second"]);
    let mut expected = client.call("party.discover", json!({}))["parties"].take();
    let mut document = json_file(&file);
    for number in 0..200 {
        let id = format!("x{number}");
        document["mine"]["peers"][&id] = announced(&id);
    }
    let forged = shared.path().join("forged.json");
    fs::write(&forged, document.to_string()).expect("written");
    fs::rename(&forged, &file).expect("in place");
    let mut parties = client.call("party.discover", json!({}))["parties"].take();
    // An update may come between.
    for party in [&mut expected, &mut parties].into_iter().flat_map(|all| all.as_array_mut()) {
        party.iter_mut().for_each(|party| party["peers"]["ann"]["last_seen"] = Value::Null);
    }
    assert_eq!(parties, expected);
}

#[test]
fn discovery_file_that_can_not_be_written_stops_no_change() {
    let shared = tempfile::tempdir().expect("a directory");
    let directory = shared.path().join("discovery.json");
    fs::create_dir(&directory).expect("an obstacle");
    let files = [directory.as_path(), Path::new("/proc/sys/kernel/discovery.json")];
    for file in files {
        let daemon = announcing(file);
        let mut client = daemon.client();
        register(&mut client, "p", "ann");
        daemon.await_log("parties can't be announced");
        if file == directory {
            let answer = client.refused("party.discover", json!({}));
            assert_eq!(answer, "store_unavailable");
            fs::remove_dir(&directory).expect("out of the way");
            daemon.await_log("is written again");
            assert_eq!(keys(&json_file(file)), ["p"]);
        }
        leave(&mut client, "p", "ann");
        register(&mut client, "q", "ann");
        assert_eq!(client.call("status.get", json!({}))["parties"], 1);
        let (setup, status) = daemon.stop();
        assert_eq!(status.code(), Some(0), "{}", setup.log());
    }
    assert!(exists(&directory), "the last state is announced");
}
