//! Frontends in another language, and files as LANrage and its users have them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::harness::{Daemon, Setup, eventually, exists, json_file, peer};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name)
}

/// Runs a script of the fixtures in a time zone; the script checks its results itself.
pub(crate) fn python(zone: &str, script: &str, arguments: &[&str]) {
    let mut command = Command::new("python3");
    command.args(["-E", "-s", "-B"]).arg(fixture(script)).args(arguments);
    let output = command.env("TZ", zone).stdin(Stdio::null()).output();
    let output = output.expect("python3, which these tests need");
    let [told, failed] = [&output.stdout, &output.stderr].map(|out| String::from_utf8_lossy(out));
    assert!(output.status.success(), "{script} failed:\n{told}{failed}");
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A daemon in a time zone, so that no mix-up of clocks goes unseen.
fn start(setup: Setup, zone: &str) -> Daemon {
    let mut command = setup.command();
    command.env("TZ", zone);
    let mut daemon = Daemon::launch(setup, command);
    daemon.await_ready();
    daemon
}

const ZONE: &str = "Asia/Kolkata";

/// First start of a daemon beside LANrage's files: this state, and the fixture's announcements.
fn beside_lanrage(state: &[u8]) -> Daemon {
    let setup = Setup::new();
    fs::create_dir(setup.state_dir()).expect("a directory");
    fs::write(setup.state_dir().join("control_state.json"), state).expect("the state");
    fs::copy(fixture("discovery.json"), setup.state_dir().join("discovery.json")).expect("a copy");
    start(setup, ZONE)
}

/// The whole life, after which the daemon still holds just these parties of LANrage's.
fn lives(daemon: Daemon, state: &[u8], parties: &[&str]) {
    let dir = daemon.setup.state_dir();
    assert!(!exists(&dir.join("control_state.json")));
    assert_eq!(fs::read(dir.join("control_state.json.imported")).expect("the file"), state);
    let (socket, whole) = (daemon.setup.socket(), fixture("control_state.json"));
    let announced = fixture("discovery.json");
    let mut arguments = vec![text(&socket), text(&whole), text(&announced)];
    arguments.extend(parties);
    python(ZONE, "life.py", &arguments);

    let daemon = start(daemon.kill(), ZONE);
    let list = daemon.client().call("party.list", json!({}));
    let ids = list["parties"].as_array().expect("parties").iter().map(|p| &p["party_id"]);
    let mut parties = parties.to_vec();
    parties.sort_unstable();
    assert!(ids.eq(&parties), "{list}");
}

#[test]
fn python_frontend_runs_on_the_state_of_lanrage() {
    let state = fs::read(fixture("control_state.json")).expect("the fixture");
    let daemon = beside_lanrage(&state);
    let log = daemon.setup.log();
    let told = log.lines().find(|line| line.contains("party bad0bad0bad0"));
    let told = told.unwrap_or_else(|| panic!("the bad one is not named:\n{log}"));
    assert!(told.contains("ERROR") && told.contains("public_"), "{told}");
    lives(daemon, &state, &["a1b2c3d4e5f6", "0f1e2d3c4b5a"]);
}

#[test]
fn import_takes_the_records_before_a_cut() {
    let mut state = fs::read(fixture("control_state.json")).expect("the fixture");
    let text = String::from_utf8(state.clone()).expect("UTF-8");
    state.truncate(text.find("peer_carol").expect("the last party"));
    let daemon = beside_lanrage(&state);
    let log = daemon.setup.log();
    assert!(log.contains("it is cut off") && log.contains("0f1e2d3c4b5a"), "{log}");
    lives(daemon, &state, &["a1b2c3d4e5f6"]);
}

#[test]
fn lanrage_reads_the_exported_files() {
    // One that is in the database of zones, one that no database knows.
    for zone in ["America/St_Johns", "XYZ+7:15"] {
        let daemon = start(Setup::new(), zone);
        let mut client = daemon.client();
        for id in ["p", "q"] {
            let mut host = peer("ann");
            host["name"] = json!("Zoë 🎲");
            let party = json!({"name": "Früh", "party_id": id, "host": host});
            client.call("party.register", party);
            client.call("party.join", json!({"party_id": id, "peer": peer("bob")}));
        }
        let discovery = daemon.setup.state_dir().join("discovery.json");
        eventually("both parties in the file", || {
            let announced = exists(&discovery).then(|| json_file(&discovery))?;
            announced["q"]["peers"].get("bob").map(drop)
        });
        let export = client.call("state.export", json!({"format": "lanrage"}));
        let state = daemon.setup.path("export.json");
        fs::write(&state, export["state"].to_string()).expect("the export");
        python(zone, "lanrage_files.py", &[text(&discovery), text(&state), "p", "q"]);
    }
}
