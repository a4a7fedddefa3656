//! Characters that show nothing, or show text as something else, reach no terminal.

use std::process::Command;

use lanrage_ipc::unicode::is_hidden;
use serde_json::{Value, json};

use crate::harness::{BadServer, Behaviour, Ctl, Setup, Step, polite};

/// A bidi override, a zero-width space, a line separator, a private-use character, a byte order
/// mark, and a tag beyond the first 65,536.
const HIDDEN: &str = "x\u{202e}\u{200b}\u{2028}\u{e000}\u{feff}\u{e0041}y";

/// Asserts that a text has no hidden characters, and shows them escaped.
#[track_caller]
fn assert_shown(text: &str, escape: &str) {
    let bad: Vec<_> = text.chars().filter(|c| is_hidden(*c) && *c != '\n').collect();
    assert!(bad.is_empty(), "{bad:?} in {text:?}");
    assert!(text.contains(escape), "{escape} is not in {text}");
}

#[track_caller]
fn assert_shown_by(ctl: &Ctl, line: &str) {
    let ran = ctl.run(line);
    assert_shown(&ran.stdout, "\\u{202e}\\u{200b}\\u{2028}\\u{e000}\\u{feff}\\u{e0041}");
    let ran = ctl.run(&format!("{line} --json"));
    assert_shown(&ran.stdout, "\\u202e\\u200b\\u2028\\ue000\\ufeff\\udb40\\udc41");
    let document: Value = serde_json::from_str(&ran.stdout).expect("one document");
    assert!(document.to_string().contains(HIDDEN), "{document}");
}

fn hidden_peer() -> Value {
    let mut peer = crate::harness::peer("ann");
    peer["name"] = json!(HIDDEN);
    peer
}

#[test]
fn names_and_regions_of_others_drive_no_terminal() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let party = json!({"party_id": "p", "name": HIDDEN, "host": hidden_peer()});
    client.call("party.register", party);
    let relay = json!({"relay_id": "r", "public_ip": "192.0.2.1", "port": 1, "region": HIDDEN});
    client.call("relay.register", relay);
    let signal =
        json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "ann", "signal_data": HIDDEN});
    let ctl = daemon.ctl();
    for line in [
        "party show p",
        "party list",
        "party discover",
        "peer list p",
        "peer show p ann",
        "relay list",
    ] {
        assert_shown_by(&ctl, line);
    }
    client.call("signal.send", signal.clone());
    let polled = ctl.run("signal poll p --peer-id ann");
    assert_shown(&polled.stdout, "\\u");
    let raw = ctl.run("raw party.list");
    assert_shown(&raw.stdout, "\\u202e");
    assert_shown(&ctl.run("state export").stdout, "\\u202e");

    for (line, escape) in [("watch", "\\u{202e}"), ("watch --json", "\\u202e")] {
        let mut command = ctl.command(line);
        let mut child = command.spawn().expect("run lanragectl");
        let out = child.stdout.take().expect("its output");
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(out));
        // The snapshot, and then a change.
        let told = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("\\u")));
        assert_shown(&told.expect("a line").expect("text"), escape);
        let change = json!({"party_id": "p", "peer": hidden_peer()});
        client.call("peer.update", change);
        child.kill().expect("end it");
        child.wait().expect("see it end");
    }
}

#[test]
fn refusal_of_a_server_drives_no_terminal_and_no_log() {
    let polite = polite();
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer(move |frame| {
        if frame["type"] != "join_party" {
            return polite(frame);
        }
        let refusal = json!({
            "type": "error", "req_id": frame["req_id"], "code": "server_rejected",
            "message": HIDDEN, "hint": HIDDEN,
        });
        vec![refusal.to_string()]
    })]));
    let daemon = Setup::new().server_url(&server.url()).start();
    daemon.await_state("online");
    let ctl = daemon.ctl();
    let ran = ctl.run("party join far --peer-id bob --public-key k");
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert_shown(&ran.stderr, "x??????y");
    let ran = ctl.run("party join far --peer-id bob --public-key k --json");
    assert_shown(&ran.stderr, "x??????y");
    let log = daemon.setup.log();
    assert!(!log.chars().any(|c| is_hidden(c) && c != '\n'), "{log}");
}

#[test]
fn doctor_shows_what_a_server_calls_itself() {
    let server = super::doctor::impostors::answering(|_| {
        let body = json!({"service": format!("Control Plane {HIDDEN}"), "version": HIDDEN});
        super::doctor::impostors::response("200 OK", "", &body.to_string())
    });
    let ctl = Setup::new().ctl();
    // It is replaced where it comes in, for all clients.
    assert_shown(&ctl.run(&format!("doctor http://{server}")).stdout, "x??????y");
    assert_shown(&ctl.run(&format!("doctor http://{server} --json")).stdout, "x??????y");
}

#[test]
fn usage_errors_escape_the_arguments_that_they_repeat() {
    let ctl = Setup::new().ctl();
    for line in [format!("party show p{HIDDEN}"), format!("--{HIDDEN}"), format!("party {HIDDEN}")]
    {
        let ran = ctl.run(&line);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert_shown(&ran.stderr, "\\u{202e}");
        let ran = ctl.run(&format!("{line} --json"));
        assert_shown(&ran.stderr, "\\u202e");
    }
}

#[test]
fn log_of_an_import_and_checked_configuration_show_what_they_repeat() {
    let setup = Setup::new();
    std::fs::create_dir(setup.state_dir()).expect("make the state directory");
    let state = json!({"parties": {HIDDEN: {"party_id": HIDDEN}}, "relays": {}});
    let file = setup.state_dir().join("control_state.json");
    std::fs::write(file, state.to_string()).expect("write the state");
    let daemon = setup.start();
    assert_shown(&daemon.setup.log(), "\\u{202e}");

    for program in [env!("CARGO_BIN_EXE_lanragectl-d"), env!("CARGO_BIN_EXE_lanragectl-server")] {
        let config = daemon.setup.path("hidden.toml");
        std::fs::write(&config, format!("[access]\ngroup = \"{HIDDEN}\"\n")).expect("write it");
        let output = Command::new(program)
            .args(["--check-config", "--config"])
            .arg(&config)
            .env_clear()
            .env("HOME", daemon.setup.dir.path())
            .output()
            .expect("run the program");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        assert_shown(&text, "\\u202e");
        let table: toml::Table = text.parse().expect("TOML");
        assert_eq!(table["access"]["group"].as_str(), Some(HIDDEN));
    }
}
