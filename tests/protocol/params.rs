//! Rule of every field: a value that breaks it gets `invalid_params` with the field's name.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, peer};

/// Values that no text field takes.
fn no_texts() -> Vec<Value> {
    vec![json!(null), json!(1), json!(true), json!([]), json!({}), json!([["a"]])]
}

fn bad_ids() -> Vec<Value> {
    let mut bad = no_texts();
    let texts = ["", " ", "a b", "a/b", "é", "a\n", "a\0", "a\\", "\u{202e}a"];
    bad.extend(texts.map(|text| json!(text)));
    bad.push(json!("x".repeat(129)));
    bad
}

fn bad_texts(longest: usize) -> Vec<Value> {
    let mut bad = no_texts();
    bad.extend(["", "a\u{7}", "\0", "a\u{85}", "\u{7f}"].map(|text| json!(text)));
    bad.push(json!("é".repeat(longest + 1)));
    bad
}

fn bad_ports() -> Vec<Value> {
    let mut bad = vec![json!(-1), json!(65_536), json!(1.5), json!(1e3), json!("1")];
    bad.extend([json!(null), json!(true), json!([]), json!({}), json!(u64::MAX)]);
    bad
}

/// Each field of a peer with values that break its rule.
fn bad_of_peer() -> Vec<(&'static str, Vec<Value>)> {
    let mut nat_types = no_texts();
    nat_types.extend(["", "Open", "half", "OPEN"].map(|text| json!(text)));
    let mut addresses = no_texts();
    let texts =
        ["", "Unknown", "nowhere", "1.2.3", "1.2.3.4:5", "256.1.1.1", "::1%lo", "1.2.3.4/8"];
    addresses.extend(texts.map(|text| json!(text)));
    vec![
        ("peer_id", bad_ids()),
        ("name", bad_texts(100)),
        ("public_key", bad_texts(128)),
        ("nat_type", nat_types),
        ("public_ip", addresses.clone()),
        ("public_port", bad_ports()),
        ("local_ip", addresses),
        ("local_port", bad_ports()),
    ]
}

/// Asserts that each of `bad` in place of the field makes the request invalid, and none at all
/// does so where it is needed.
fn refuses(client: &mut Client, method: &str, good: &Value, field: &str, bad: &[Value]) {
    let pointer = format!("/{}", field.replace('.', "/"));
    for value in bad {
        let mut params = good.clone();
        *params.pointer_mut(&pointer).unwrap_or_else(|| panic!("{field} in {good}")) =
            value.clone();
        let named = client.invalid(method, params);
        // What is wrong within a value may be named more closely.
        let within = named.strip_prefix(field).is_some_and(|rest| rest.starts_with(['.', '[']));
        assert!(named == field || within, "{method}, {field}: {value} is blamed on {named}");
    }
}

fn needs(client: &mut Client, method: &str, good: &Value, field: &str) {
    let (parent, key) = field.rsplit_once('.').unwrap_or(("", field));
    let mut params = good.clone();
    let pointer = if parent.is_empty() { String::new() } else { format!("/{parent}") };
    let object = params.pointer_mut(&pointer).and_then(Value::as_object_mut);
    object.expect("an object").remove(key).expect("it is there");
    assert_eq!(client.invalid(method, params), field, "{method} without {field}");
}

#[test]
fn params_of_a_peer_are_checked_field_by_field() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    for (method, key, good) in [
        ("party.register", "host", json!({"name": "Quake", "host": peer("ann")})),
        ("party.join", "peer", json!({"party_id": "p", "peer": peer("ann")})),
        ("peer.update", "peer", json!({"party_id": "p", "peer": peer("ann")})),
    ] {
        for (field, bad) in bad_of_peer() {
            let field = format!("{key}.{field}");
            refuses(&mut client, method, &good, &field, &bad);
            needs(&mut client, method, &good, &field);
        }
        let no_objects = [json!(null), json!("ann"), json!(1), json!([]), json!(["ann"])];
        refuses(&mut client, method, &good, key, &no_objects);
        needs(&mut client, method, &good, key);
    }
    assert_eq!(client.party("p")["seq"], 1);
}

#[test]
fn params_of_all_other_methods_are_checked() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let member = json!({"party_id": "p", "peer_id": "ann"});
    let signal =
        json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "ann", "signal_data": 1});
    let relay = json!({
        "relay_id": "r", "public_ip": "::1", "port": 1, "region": "eu", "capacity": 1,
    });
    let register = json!({
        "name": "Quake", "host": peer("ann"), "party_id": "q", "keepalive": "manual",
    });
    let join = json!({"party_id": "p", "peer": peer("ann"), "keepalive": "manual"});
    let party = json!({"party_id": "p"});
    let keepalives = [json!("Manual"), json!("never"), json!(1), json!(true)];
    let mut ips = no_texts();
    ips.extend(["", "unknown", "localhost", "1.2.3"].map(|text| json!(text)));
    let no_nulls = |values: Vec<Value>| values.into_iter().filter(|value| !value.is_null());
    let optional_ids: Vec<_> = no_nulls(bad_ids()).collect();
    let regions: Vec<_> = no_nulls(bad_texts(100)).collect();
    let capacities = [json!(-1), json!(1.5), json!("1"), json!(u64::from(u32::MAX) + 1)];

    let ids = bad_ids();
    for (method, good, field, bad) in [
        ("party.register", &register, "name", bad_texts(100)),
        ("party.register", &register, "party_id", optional_ids.clone()),
        ("party.register", &register, "keepalive", keepalives.to_vec()),
        ("party.join", &join, "party_id", ids.clone()),
        ("party.join", &join, "keepalive", keepalives.to_vec()),
        ("party.leave", &member, "party_id", ids.clone()),
        ("party.leave", &member, "peer_id", ids.clone()),
        ("party.get", &party, "party_id", ids.clone()),
        ("peer.list", &party, "party_id", ids.clone()),
        ("peer.discover", &member, "peer_id", ids.clone()),
        ("peer.heartbeat", &member, "peer_id", ids.clone()),
        ("signal.poll", &member, "peer_id", ids.clone()),
        ("signal.send", &signal, "party_id", ids.clone()),
        ("signal.send", &signal, "from_peer_id", ids.clone()),
        ("signal.send", &signal, "to_peer_id", ids.clone()),
        ("relay.register", &relay, "relay_id", ids),
        ("relay.register", &relay, "public_ip", ips),
        ("relay.register", &relay, "port", bad_ports()),
        ("relay.register", &relay, "region", regions.clone()),
        ("relay.register", &relay, "capacity", capacities.to_vec()),
        ("relay.list", &json!({"region": "eu"}), "region", regions),
        ("events.subscribe", &party, "party_id", optional_ids),
    ] {
        refuses(&mut client, method, good, field, &bad);
    }
    for (method, good, fields) in [
        ("party.register", &register, vec!["name", "host"]),
        ("party.join", &join, vec!["party_id", "peer"]),
        ("party.leave", &member, vec!["party_id", "peer_id"]),
        ("party.get", &party, vec!["party_id"]),
        ("peer.list", &party, vec!["party_id"]),
        ("peer.discover", &member, vec!["party_id", "peer_id"]),
        ("peer.heartbeat", &member, vec!["party_id", "peer_id"]),
        ("signal.poll", &member, vec!["party_id", "peer_id"]),
        ("signal.send", &signal, vec!["party_id", "from_peer_id", "to_peer_id", "signal_data"]),
        ("relay.register", &relay, vec!["relay_id", "public_ip", "port"]),
    ] {
        for field in fields {
            needs(&mut client, method, good, field);
        }
    }
    assert_eq!(client.call("relay.list", json!({})), json!({"relays": []}));
}

#[test]
fn params_of_subscriptions_lists_and_state_are_checked() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for (method, params, field) in [
        ("events.subscribe", json!({"topics": ["party", "weather"]}), "topics[1]"),
        ("events.subscribe", json!({"topics": "party"}), "topics"),
        ("events.subscribe", json!({"snapshot": "yes"}), "snapshot"),
        ("events.unsubscribe", json!({}), "subscription"),
        ("events.unsubscribe", json!({"subscription": 1}), "subscription"),
        ("events.unsubscribe", json!({"subscription": "s1"}), "subscription"),
        ("events.unsubscribe", json!({"subscription": ""}), "subscription"),
        ("party.list", json!({"limit": 0}), "limit"),
        ("party.list", json!({"limit": 501}), "limit"),
        ("party.list", json!({"limit": -1}), "limit"),
        ("party.list", json!({"limit": "5"}), "limit"),
        ("party.list", json!({"cursor": "a b"}), "cursor"),
        ("party.list", json!({"cursor": ""}), "cursor"),
        ("party.list", json!({"cursor": 1}), "cursor"),
        ("hello", json!({"client": {"name": "a"}}), "client.version"),
        ("hello", json!({"client": "a"}), "client"),
        ("hello", json!({"features": "a"}), "features"),
        ("hello", json!({"features": [1]}), "features[0]"),
        ("hello", json!({"protocol": 1}), "protocol"),
        ("state.export", json!({}), "format"),
        ("state.export", json!({"format": "xml"}), "format"),
        ("state.import", json!({"mode": "merge"}), "state"),
        ("state.import", json!({"state": {"parties": {}}}), "mode"),
        ("state.import", json!({"state": {"parties": {}}, "mode": "both"}), "mode"),
        ("state.import", json!({"state": {}, "mode": "merge"}), "state"),
        ("state.import", json!({"state": [], "mode": "merge"}), "state"),
        ("state.import", json!({"state": "{}", "mode": "merge"}), "state"),
        ("state.import", json!({"state": {"parties": []}, "mode": "replace"}), "state"),
        ("state.backup", json!({}), "path"),
        ("state.backup", json!({"path": 1}), "path"),
    ] {
        assert_eq!(client.invalid(method, params.clone()), field, "{method} {params}");
    }
    for raw in [
        r#"{"party_id":"a","party_id":"b"}"#,
        r#"{"party_id":"\ud800"}"#,
        r#"{"party_id":"\udc00\ud800"}"#,
        r#"{"party_id":1e999}"#,
    ] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"party.get","params":{raw}}}"#);
        let reply = client.exchange(&line);
        assert_eq!(reply["error"]["data"]["code"], "invalid_params", "{raw}");
    }
}

#[test]
fn params_at_their_length_limits_are_taken() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let id = "Az0_.:-x".repeat(16);
    let mut host = peer(&id);
    host["name"] = json!("🎲".repeat(100));
    host["public_key"] = json!("é".repeat(128));
    host["public_port"] = json!(65535);
    host["local_port"] = json!(0);
    let params = json!({"party_id": id, "name": "é".repeat(100), "host": host});
    let party = client.call("party.register", params)["party"].take();
    assert_eq!(party["peers"][&id]["name"], host["name"]);
    assert_eq!(client.party(&id)["name"], "é".repeat(100));
    for nat in ["open", "full_cone", "restricted_cone", "port_restricted_cone", "symmetric"] {
        host["nat_type"] = json!(nat);
        host["public_ip"] = json!("unknown");
        let params = json!({"party_id": id, "peer": host});
        assert_eq!(client.call("peer.update", params)["peer"]["nat_type"], nat);
    }
}

#[test]
fn params_that_break_a_rule_are_named_whatever_their_length() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    // In the words of an error each of these characters would take seven.
    for long in ["\u{7f}".repeat(250_000), "x".repeat(250_000)] {
        let params = json!({"relay_id": "r", "public_ip": "::1", "port": long});
        let error = client.error("relay.register", params);
        assert_eq!(
            (&error["data"]["code"], &error["data"]["field"]),
            (&json!("invalid_params"), &json!("port"))
        );
        assert!(error["message"].as_str().is_some_and(|text| text.len() < 2000));
    }
}
