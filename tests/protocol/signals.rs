//! Signals: kept letter for letter, for one member of one party.

use serde_json::{Value, json};

use crate::harness::{Client, Setup, keys};

fn send(client: &mut Client, party: &str, from: &str, to: &str, data: Value) {
    let params = json!({
        "party_id": party, "from_peer_id": from, "to_peer_id": to, "signal_data": data,
    });
    assert_eq!(client.call("signal.send", params), json!({"queued": true}));
}

fn poll(client: &mut Client, party: &str, peer: &str) -> Vec<Value> {
    let mut result = client.call("signal.poll", json!({"party_id": party, "peer_id": peer}));
    assert_eq!(keys(&result), ["signals"]);
    serde_json::from_value(result["signals"].take()).expect("signals")
}

fn data(signals: &[Value]) -> Vec<&Value> {
    signals.iter().map(|signal| &signal["signal_data"]).collect()
}

#[test]
fn signal_data_is_kept_letter_for_letter() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let payloads = [
        "null",
        "true",
        "0",
        "-0.0",
        "1.00",
        "1e999",
        "123456789012345678901234567890",
        r#""""#,
        r#""\u0061\/\n""#,
        r#""\ud800""#,
        r#""\ud83c\udfb2 🎲""#,
        "[]",
        "{}",
        r#"{"b": 1,  "a":[ 1,2 ],"a":null}"#,
        r#"{"sdp":"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\n","type":"offer"}"#,
        &format!("{}1{}", "[".repeat(60), "]".repeat(60)),
    ];
    for payload in payloads {
        let line = format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"signal.send\",\"params\":{{\
             \"party_id\":\"p\",\"from_peer_id\":\"ann\",\"to_peer_id\":\"ann\",\
             \"signal_data\":{payload}}}}}"
        );
        assert_eq!(client.exchange(&line)["result"], json!({"queued": true}), "{payload}");
        client.send("signal.poll", json!({"party_id": "p", "peer_id": "ann"}));
        let text = client.text().expect("a reply");
        assert!(text.contains(&format!("\"signal_data\":{payload},")), "{payload} in {text}");
    }
}

#[test]
fn signal_poll_takes_each_signal_in_order_and_once() {
    let daemon = Setup::new().start();
    let (mut ann, mut bob) = (daemon.client(), daemon.client());
    ann.register("p", "ann");
    bob.join("p", "bob");
    assert_eq!(poll(&mut bob, "p", "bob"), Vec::<Value>::new());
    for number in 0..5 {
        send(&mut ann, "p", "ann", "bob", json!(number));
    }
    send(&mut bob, "p", "bob", "bob", json!("to myself"));
    let signals = poll(&mut bob, "p", "bob");
    let expected = [json!(0), json!(1), json!(2), json!(3), json!(4), json!("to myself")];
    assert_eq!(data(&signals), expected.iter().collect::<Vec<_>>());
    for signal in &signals {
        let expected = ["from_peer_id", "party_id", "sent_at", "signal_data", "to_peer_id"];
        assert_eq!(keys(signal), expected);
        assert_eq!((&signal["party_id"], &signal["to_peer_id"]), (&json!("p"), &json!("bob")));
    }
    assert_eq!(
        (&signals[0]["from_peer_id"], &signals[5]["from_peer_id"]),
        (&json!("ann"), &json!("bob"))
    );
    assert_eq!(poll(&mut bob, "p", "bob"), Vec::<Value>::new());
    assert_eq!(poll(&mut ann, "p", "ann"), Vec::<Value>::new());
}

#[test]
fn signal_send_stays_within_its_party() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for party in ["p", "q"] {
        client.register(party, "ann");
        client.join(party, "bob");
    }
    client.join("q", "carl");
    send(&mut client, "p", "ann", "bob", json!("in p"));
    send(&mut client, "q", "ann", "bob", json!("in q"));
    send(&mut client, "q", "ann", "carl", json!("for carl"));
    assert_eq!(data(&poll(&mut client, "q", "bob")), [&json!("in q")]);
    assert_eq!(data(&poll(&mut client, "p", "bob")), [&json!("in p")]);
    assert_eq!(
        client.refused("signal.poll", json!({"party_id": "p", "peer_id": "carl"})),
        "not_a_member"
    );
    // What waits for a member goes with it.
    client.call("party.leave", json!({"party_id": "q", "peer_id": "carl"}));
    client.join("q", "carl");
    assert_eq!(poll(&mut client, "q", "carl"), Vec::<Value>::new());
    // An update of the member does not touch it.
    send(&mut client, "q", "ann", "carl", json!(1));
    client.join("q", "carl");
    let mut moved = crate::harness::peer("carl");
    moved["public_port"] = json!(9);
    client.call("peer.update", json!({"party_id": "q", "peer": moved}));
    assert_eq!(data(&poll(&mut client, "q", "carl")), [&json!(1)]);
}
