//! Text that begins with a byte order mark, as editors on Windows write it, is read without it.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::{
    Daemon, FAST_REMOTE, Http, Setup, Ws, announced, eventually, exists, peer, write_secret,
};

const BOM: &str = "\u{feff}";

fn write(path: &Path, text: &str) {
    fs::write(path, format!("{BOM}{text}")).expect("write a file");
}

fn lanrage_party(id: &str) -> Value {
    let mut host = peer("ann");
    host["last_seen"] = json!("2026-01-02T03:04:05");
    json!({
        "party_id": id, "name": "Theirs", "host_id": "ann", "created_at": "2026-01-02T03:04:05",
        "peers": {"ann": host},
    })
}

fn state() -> String {
    json!({"parties": {"theirs": lanrage_party("theirs")}}).to_string()
}

/// A daemon's first start beside this `control_state.json`.
fn beside(state: &[u8]) -> Daemon {
    let setup = Setup::new();
    fs::create_dir(setup.state_dir()).expect("a directory");
    fs::write(setup.state_dir().join("control_state.json"), state).expect("write the state");
    setup.start()
}

#[test]
fn state_of_lanrage_with_a_byte_order_mark_is_imported() {
    let daemon = beside(format!("{BOM}{}", state()).as_bytes());
    assert_eq!(daemon.client().party("theirs")["host_id"], "ann");
    assert!(exists(&daemon.setup.state_dir().join("control_state.json.imported")));
}

#[test]
fn state_of_which_nothing_is_imported_keeps_its_name() {
    let utf16: Vec<u8> =
        BOM.encode_utf16().chain(state().encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let mut bad_host = lanrage_party("theirs");
    bad_host["host_id"] = json!("nobody");
    let bad_host = json!({"parties": {"theirs": bad_host}}).to_string();
    for bad in [utf16, bad_host.into_bytes(), b"[]".to_vec(), Vec::new()] {
        let daemon = beside(&bad);
        let file = daemon.setup.state_dir().join("control_state.json");
        assert_eq!(fs::read(&file).expect("the file is there"), bad);
        assert!(daemon.setup.log().contains("nothing was taken in from"), "{}", daemon.setup.log());
        // Once mended, it comes in.
        fs::write(&file, state()).expect("mend the file");
        let daemon = daemon.kill().start();
        assert_eq!(daemon.client().party("theirs")["host_id"], "ann");
    }
    // One without parties is taken in as well as can be.
    let daemon = beside(br#"{"parties": {}}"#);
    assert!(exists(&daemon.setup.state_dir().join("control_state.json.imported")));
}

#[test]
fn discovery_file_with_a_byte_order_mark_is_not_damaged() {
    let setup = Setup::new();
    let file = setup.path("discovery.json");
    write(&file, &json!({"theirs": lanrage_party("theirs")}).to_string());
    let daemon = setup.arg("--discovery-file").arg(file.to_str().expect("UTF-8")).start();
    let mut client = daemon.client();
    let found = client.call("party.discover", json!({}));
    assert_eq!(found["parties"][0]["party_id"], "theirs", "{found}");
    client.register("ours", "bob");
    eventually("both", || {
        let text = fs::read_to_string(&file).expect("the file");
        (text.contains("ours") && text.contains("theirs")).then_some(())
    });
    assert!(!daemon.setup.log().contains("is damaged"), "{}", daemon.setup.log());
}

#[test]
fn lines_and_files_may_begin_with_a_byte_order_mark() {
    let setup = Setup::new().config(&format!("{BOM}[limits]\nparties_per_peer = 7\n"));
    let daemon = setup.start();
    let mut client = daemon.client();
    let line = format!("{BOM}{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"hello\"}}");
    let hello = client.exchange(&line);
    assert_eq!(hello["result"]["limits"]["parties_per_peer"], 7, "{hello}");
    assert!(client.exchange(&line).get("result").is_some(), "on a later line, too");

    let ctl = daemon.ctl();
    let file = daemon.setup.path("state.json");
    write(&file, &state());
    assert_eq!(ctl.json(&format!("state import {}", file.display()))["parties"], 1);
    let again = ctl.fed("state import - --mode replace", &format!("{BOM}{}", state()));
    assert_eq!(again.code, Some(0), "{again:?}");
    let called = ctl.fed("raw party.get -", &format!("{BOM}{{\"party_id\":\"theirs\"}}"));
    assert_eq!(called.code, Some(0), "{called:?}");
}

#[test]
fn bodies_and_frames_may_begin_with_a_byte_order_mark() {
    let server = Setup::server().start();
    let mut alice = Http::registered(server.address(), "alice");
    let body = json!({"name": "LAN", "host_peer_info": announced("alice")});
    let bearer = format!("Bearer {}", alice.token.clone().expect("a token"));
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let body = format!("{BOM}{body}");
    alice.send("POST", "/parties", &headers, Some(body.as_bytes())).ok();

    let mut ws = Ws::connect(server.address());
    let hello = json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "bob", "req_id": "1"});
    ws.send_text(&format!("{BOM}{hello}"));
    ws.await_type("welcome");
}

#[test]
fn certificates_and_keys_may_begin_with_a_byte_order_mark() {
    let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let tls =
        "[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n[auth]\nrelay_key_file = 'relay'\n";
    let setup = Setup::server().config(tls);
    write(&setup.path("cert.pem"), &made.cert.pem());
    let key = format!("{BOM}{}", made.signing_key.serialize_pem());
    write_secret(&setup.path("key.pem"), &key);
    write(&setup.path("relay"), "a-key-of-relays-long-enough\n");
    let server = setup.start();
    let config = format!("{FAST_REMOTE}ca_file = 'ca.pem'\n");
    let here = Setup::new().config(&config);
    write(&here.path("ca.pem"), &made.cert.pem());
    let url = format!("https://localhost:{}", server.address().port());
    let daemon = here.server_url(&url).start();
    daemon.ctl().json("wait --for online");
}
