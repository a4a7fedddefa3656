//! The command line client, as people and scripts see it.

mod connection;
mod doctor;
mod failures;
mod hidden;
mod pipes;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::harness::{Setup, peer};

/// A public key of 32 bytes.
const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

#[test]
fn help_and_usage_errors_match_their_snapshots() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("lanragectl", std::path::Path::new(env!("CARGO_BIN_EXE_lanragectl")));
    for variable in ["LANRAGE_CONFIG", "LANRAGE_SOCKET", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"] {
        cases.env(variable, "");
    }
    cases.env("HOME", "/nonexistent").env("COLUMNS", "80").case("tests/cli/*.trycmd");
}

#[test]
fn party_commands_run_a_party_from_start_to_end() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    assert_eq!(ctl.text("party list"), "no parties\n");
    let host = "party register Quake --party-id q --peer-id ann --public-key kA --name Ann";
    let registered = ctl.json(host);
    assert_eq!(registered["party"]["peers"]["ann"]["virtual_ip"], "10.66.0.1");
    assert_eq!(registered["party"]["peers"]["ann"]["connected"], true, "the daemon keeps it");
    let bob =
        format!("--peer-id bob --public-key {KEY} --nat-type full_cone --public-ip 203.0.113.7");
    let ports = "--public-port 51820 --local-ip fe80::1 --local-port 7";
    let joined = ctl.text(&format!("party join q {bob} {ports}"));
    assert!(joined.starts_with("party    q\nname     Quake\nhost     ann\ncreated  "), "{joined}");
    let row = "\nbob   bob   10.66.0.2   full_cone  203.0.113.7:51820  [fe80::1]:7  ";
    assert!(joined.contains(row), "{joined}");

    let listed = ctl.text("party list");
    let rows = "PARTY  NAME   HOST  PEERS  CREATED  ORIGIN\nq      Quake  ann   2      ";
    assert!(listed.starts_with(rows), "{listed}");
    assert!(ctl.text("party discover").contains("\nq      Quake  ann   2      "));
    let shown = ctl.json("party show q");
    assert_eq!(shown["party"]["seq"], 2);
    assert_eq!(ctl.json("peer list q")["peers"]["bob"]["public_key"], KEY);
    assert_eq!(ctl.text("peer heartbeat q bob"), "bob may be silent for 5m\n");

    assert_eq!(ctl.text("party leave q --peer-id bob"), "bob left q\n");
    assert_eq!(ctl.json("party leave q ann"), json!({"status": "party_deleted"}));
    assert_eq!(ctl.fails("party show q"), (1, "party_not_found".to_owned()));
}

#[test]
fn peer_option_defaults_to_the_own_peer() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    let registered = ctl.json("party register Quake --party-id q --public-key k");
    let own = registered["party"]["host_id"].as_str().expect("an id").to_owned();
    assert_eq!(registered["party"]["peers"][&own]["name"], own);
    ctl.json("party join q --peer-id bob --public-key k");
    ctl.json("peer heartbeat q");
    ctl.json("signal send q --to bob 1");
    assert_eq!(ctl.json("signal poll q bob")["signals"][0]["from_peer_id"], own);
    assert_eq!(ctl.json("signal poll q")["signals"], json!([]));
    assert_eq!(ctl.json("party leave q"), json!({"status": "party_deleted"}));
}

#[test]
fn ids_that_begin_with_a_hyphen_are_taken() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    ctl.json("party register Quake --party-id -abc --peer-id --ann --public-key k");
    ctl.json("party join -abc --peer-id -bob --public-key k");
    ctl.json("relay register -r1 --public-ip 203.0.113.1 --port 1");
    ctl.json("signal send -abc --from --ann --to -bob -1");
    for line in [
        "party show -abc",
        "peer list -abc",
        "peer show -abc --ann",
        "peer update -abc -bob --local-port 1",
        "peer heartbeat -abc --peer-id -bob",
        "signal poll -abc -bob",
        "wait --for party --party -abc",
        "party leave -abc -bob",
    ] {
        ctl.json(line);
    }
    // An option that is known stays one.
    assert_eq!(ctl.fails("party show --timeout 1s"), (2, "usage".to_owned()));
    assert_eq!(ctl.fails("watch --party -other"), (1, "party_not_found".to_owned()));
}

#[test]
fn peer_update_changes_the_given_fields_only() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k --nat-type open --local-port 7");
    let updated = ctl.json("peer update q ann --name Annie --public-ip 203.0.113.7");
    let shown = ctl.json("peer show q ann");
    assert_eq!(updated["peer"]["virtual_ip"], shown["peer"]["virtual_ip"]);
    for (field, value) in [
        ("name", json!("Annie")),
        ("public_key", json!("k")),
        ("nat_type", json!("open")),
        ("public_ip", json!("203.0.113.7")),
        ("public_port", json!(0)),
        ("local_port", json!(7)),
    ] {
        assert_eq!(shown["peer"][field], value, "{field}");
    }
    ctl.json("peer update q --peer-id ann --public-key other --local-port 0");
    let shown = ctl.text("peer show q ann");
    assert!(
        shown.contains("public key  other\n") && shown.contains("name        Annie\n"),
        "{shown}"
    );
}

#[test]
fn signal_send_takes_json_from_an_argument_or_standard_input() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k");
    let sent = ctl.text(r#"signal send q --from ann --to ann {"a":[1.0,"ü"]}"#);
    assert_eq!(sent, "the signal waits for ann\n");
    assert_eq!(ctl.json("signal send q --from ann --to ann -5"), json!({"queued": true}));
    assert_eq!(ctl.fed("signal send q --from ann --to ann -", "\n\"x\"\n").code, Some(0));
    let polled = ctl.text("signal poll q ann");
    let data: Vec<_> =
        polled.lines().map(|line| line.rsplit("  ").next().unwrap_or(line)).collect();
    assert_eq!(data, ["DATA", r#"{"a":[1.0,"ü"]}"#, "-5", "\"x\""], "{polled}");
    assert_eq!(ctl.text("signal poll q ann"), "no signals\n");
    let refused = ctl.fed("signal send q --from ann --to ann -", "x");
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
}

#[test]
fn text_of_others_is_escaped_in_each_command() {
    let daemon = Setup::new().start();
    let (ctl, mut client) = (daemon.ctl(), daemon.client());
    let mut watch = ctl.command("watch").spawn().expect("run lanragectl");
    let mut lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    while lines.next().expect("a line").expect("a line") != "no parties" {}
    let name = "ab\u{202e}c\u{200b}\u{2028}d";
    let mut host = peer("ann");
    host["name"] = json!(name);
    client.call("party.register", json!({"name": name, "party_id": "q", "host": host}));
    client.call(
        "relay.register",
        json!({"relay_id": "r", "public_ip": "::1", "port": 1, "region": name}),
    );
    let data =
        json!({"party_id": "q", "from_peer_id": "ann", "to_peer_id": "ann", "signal_data": name});
    client.call("signal.send", data);
    let shown = "ab\\u{202e}c\\u{200b}\\u{2028}d";
    for line in [
        "party show q",
        "party list",
        "party discover",
        "peer list q",
        "peer show q ann",
        "relay list",
        "signal poll q ann",
    ] {
        let text = ctl.text(line);
        assert!(text.contains(shown) && !text.contains(name), "{line}: {text}");
    }
    let told = lines.find_map(|line| line.ok().filter(|line| line.contains("party.registered")));
    assert!(told.is_some_and(|line| line.contains(shown)));
    watch.kill().expect("end it");
    watch.wait().expect("see it end");
    let refused = ctl.run(&format!("raw {name}")).stderr;
    assert!(!refused.contains('\u{202e}'), "{refused}");
    // For programs it stays what it is.
    assert_eq!(ctl.json("party show q")["party"]["name"], name);
}

#[test]
fn public_key_of_another_form_is_taken_with_a_warning() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    for (line, warns) in [
        (format!("party register Quake --party-id q --peer-id ann --public-key {KEY}"), false),
        ("party register Quake --party-id r --peer-id ann --public-key k".to_owned(), true),
        ("party join q --peer-id bob --public-key c2hvcnQ=".to_owned(), true),
        (format!("peer update q bob --public-key {KEY}"), false),
        ("peer update q bob --public-key k".to_owned(), true),
        ("peer update q bob --local-port 1".to_owned(), false),
    ] {
        let ran = ctl.run(&line);
        let warning = "warning: the public key is not 32 bytes in base64";
        assert_eq!(
            (ran.code, ran.stderr.starts_with(warning)),
            (Some(0), warns),
            "{line}: {ran:?}"
        );
        assert_eq!(ran.stderr.is_empty(), !warns, "{ran:?}");
        assert!(!ctl.run(&format!("{line} --json")).stderr.contains("warning"));
    }
}

#[test]
fn relay_register_and_list_show_the_relay() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    assert_eq!(ctl.text("relay list"), "no relays\n");
    let relay = ctl.json("relay register r1 --public-ip 203.0.113.1 --port 51820 --region eu");
    assert_eq!(relay["relay"]["capacity"], 100);
    ctl.text("relay register r2 --public-ip ::1 --port 1 --capacity 5");
    assert_eq!(ctl.json("relay list --region eu")["relays"], json!([relay["relay"]]));
    let listed = ctl.text("relay list");
    assert!(listed.contains("r2     unknown  [::1]:1            5         "), "{listed}");
}

#[test]
fn json_option_prints_the_result_of_the_daemon() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k --keepalive manual");
    for (command, raw) in [
        ("party show q", r#"raw party.get {"party_id":"q"}"#),
        ("party list", "raw party.list"),
        ("party discover", "raw party.discover"),
        ("peer list q", r#"raw peer.list {"party_id":"q"}"#),
        ("peer show q ann", r#"raw peer.discover {"party_id":"q","peer_id":"ann"}"#),
        ("connection", "raw connection.get"),
        ("connection show", "raw connection.get"),
        ("state export", r#"raw state.export {"format":"lanrage"}"#),
        ("wait --for ready", "raw ping"),
        ("wait --for party --party q", r#"raw party.get {"party_id":"q"}"#),
    ] {
        assert_eq!(ctl.text(&format!("{command} --json")), ctl.text(raw), "{command}");
    }
    assert_eq!(ctl.fed("raw peer.list -", r#"{"party_id":"q"}"#).code, Some(0));
    let status = ctl.json("status");
    assert_eq!((&status["parties"], &status["mode"]), (&json!(1), &json!("local")));
    assert!(ctl.text("status").contains(
        "\nmode        local\nconnection  local: the daemon needs no control server\n\
         parties     1\npeers       1\n"
    ));
    assert!(
        ctl.json("completions bash")["script"]
            .as_str()
            .is_some_and(|text| text.contains("heartbeat"))
    );
}

#[test]
fn state_export_and_import_carry_the_state() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    // More than a page of `party.list`.
    let parties: serde_json::Map<_, _> = (0..501).map(|i| (format!("p{i:03}"), party(i))).collect();
    let file = daemon.setup.path("control_state.json");
    let state = json!({"parties": parties, "my_peer_id": null, "my_party_id": null});
    std::fs::write(&file, state.to_string()).expect("write the state");
    let imported = ctl.json(&format!("state import {}", file.display()));
    assert_eq!(imported["parties"], 501, "{imported}");

    let listed = ctl.json("party list");
    assert_eq!(listed.as_object().map(serde_json::Map::len), Some(1));
    let listed = listed["parties"].as_array().expect("parties").clone();
    assert_eq!((listed.len(), &listed[500]["party_id"]), (501, &json!("p500")));
    assert_eq!(ctl.text("party list").lines().count(), 502);

    let copy = daemon.setup.path("copy.json");
    let told = ctl.text(&format!("state export {}", copy.display()));
    assert_eq!(told, format!("file     {}\nparties  501\n", copy.display()));
    let copy = std::fs::read_to_string(copy).expect("read the copy");
    assert_eq!(copy, ctl.text("state export"));
    let exported: Value = serde_json::from_str(&copy).expect("a document");
    assert_eq!(exported["parties"]["p007"]["peers"], state["parties"]["p007"]["peers"]);

    let again = ctl.fed("state import - --mode replace", &copy);
    assert_eq!(again.stdout, "parties  501\npeers    501\nskipped  0\nremoved  501\n", "{again:?}");
}

fn party(number: usize) -> Value {
    let peer = json!({
        "peer_id": format!("h{number}"), "name": "H", "public_key": "k", "nat_type": "open",
        "public_ip": "unknown", "public_port": 0, "local_ip": "unknown", "local_port": 0,
        "last_seen": "2026-01-02T03:04:05",
    });
    json!({
        "party_id": format!("p{number:03}"), "name": "P", "host_id": format!("h{number}"),
        "created_at": "2026-01-02T03:04:05", "peers": {format!("h{number}"): peer},
    })
}

#[test]
fn watch_starts_with_the_state_and_ends_with_the_daemon() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k");
    let mut command = ctl.command("watch --topic party,peer --topic signal --party q --json");
    let mut watch = command.stderr(Stdio::piped()).spawn().expect("run lanragectl");
    let mut lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut next = || -> Option<Value> {
        let line = lines.next()?.expect("a line");
        Some(serde_json::from_str(&line).expect("a document"))
    };
    let first = next().expect("a snapshot");
    assert_eq!(first["snapshot"]["parties"][0]["party_id"], "q");
    assert!(first["snapshot"].get("relays").is_none(), "{first}");

    ctl.json("relay register r1 --public-ip 203.0.113.1 --port 1");
    ctl.json("party register Other --peer-id cid --public-key k");
    ctl.json("party join q --peer-id bob --public-key k");
    ctl.json("signal send q --from ann --to bob {}");
    for (seq, kind) in [(1, "peer.joined"), (2, "signal.received")] {
        let event = next().expect("an event");
        assert_eq!((&event["seq"], &event["kind"]), (&json!(seq), &json!(kind)));
        assert_eq!(event["data"]["party_id"], "q");
    }
    daemon.signal(Signal::SIGTERM);
    assert_eq!(next(), None);
    let ended = watch.wait_with_output().expect("see it end");
    let error: Value = serde_json::from_slice(&ended.stderr).expect("a document");
    assert_eq!((ended.status.code(), &error["error"]["data"]["code"]), (Some(3), &json!("goaway")));
}

#[test]
fn watch_tells_events_in_words() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    let mut watch = ctl.command("watch").spawn().expect("run lanragectl");
    let mut lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().expect("a line").expect("a line");
    while next() != "no parties" {}
    assert_eq!(next(), "");
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k");
    ctl.json("party join q --peer-id bob --public-key k");
    ctl.json("party leave q bob");
    for words in [
        "party.registered    q \"Quake\", host ann",
        "peer.joined         q: bob \"bob\", 10.66.0.2",
        "peer.left           q: bob: left",
    ] {
        let line = next();
        assert_eq!(line.split_once("  ").map(|(_, rest)| rest), Some(words), "{line}");
    }
    watch.kill().expect("end it");
    watch.wait().expect("see it end");
}

#[test]
fn wait_party_ends_when_the_party_comes() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    let wait = ctl.command("wait --for party --party q").spawn().expect("run lanragectl");
    ctl.json("party register Other --party-id other --peer-id ann --public-key k");
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k");
    let ended = wait.wait_with_output().expect("see it end");
    assert_eq!((ended.status.code(), ended.stdout, ended.stderr), (Some(0), vec![], vec![]));
}

#[test]
fn wait_begins_before_the_daemon_does() {
    let setup = Setup::new();
    let wait = setup.ctl().command("wait --for party --party q").spawn().expect("run lanragectl");
    let daemon = setup.start();
    daemon.ctl().json("party register Quake --party-id q --peer-id ann --public-key k");
    assert_eq!(wait.wait_with_output().expect("see it end").status.code(), Some(0));
}
