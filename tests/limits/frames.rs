//! The size of lines, in and out, and the time that they may take.

use std::io::Write;
use std::net::Shutdown;

use serde_json::{Value, json};

use crate::harness::{Client, Setup, assert_error, peer};

const FRAME_IN: usize = 256 * 1024;

/// A line of that many bytes, its end not counted, that asks for nothing but an answer.
fn line_of(length: usize) -> String {
    let (head, tail) = (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":""#, "\"}}");
    format!("{head}{}{tail}", "x".repeat(length - head.len() - tail.len()))
}

/// Asserts that the next line refuses the connection, which then ends.
fn assert_refused(client: &mut Client, code: &str) {
    let reply = client.line().expect("an error");
    assert_eq!((&reply["id"], &reply["jsonrpc"]), (&Value::Null, &json!("2.0")));
    assert_error(&reply["error"], code);
    client.assert_ended();
}

#[test]
fn line_over_the_limit_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for end in ["\n", "\r\n"] {
        client.send_raw(format!("{}{end}", line_of(FRAME_IN)).as_bytes());
        assert_eq!(client.line().expect("a reply")["result"], json!({}));
    }
    client.send_raw(format!("{}\n", line_of(FRAME_IN + 1)).as_bytes());
    assert_refused(&mut client, "frame_too_large");
}

#[test]
fn requests_before_a_line_over_the_limit_are_answered() {
    let daemon = Setup::new().config("[limits]\nframe_in = 1024").start();
    let mut client = daemon.client();
    assert_eq!(client.call("hello", json!({}))["limits"]["frame_in"], 1024);
    let id = client.send("ping", json!({}));
    client.send_raw(&[b'x'; 1025]);
    assert_eq!(client.reply(id)["result"], json!({}));
    // It is refused before it ends, and nothing after it is heard.
    client.send_raw(b"\n{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}\n");
    assert_refused(&mut client, "frame_too_large");
    assert_eq!(daemon.client().call("ping", json!({})), json!({}));
}

#[test]
fn refused_client_can_read_all_answers_and_the_reason() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    many_relays(&mut client);
    // More than the system holds for a client that does not read, and less than the daemon does.
    for id in 0..12 {
        let list = json!({"jsonrpc": "2.0", "id": id, "method": "relay.list"});
        client.send_raw(format!("{list}\n").as_bytes());
    }
    client.send_raw(&[b'x'; FRAME_IN + 1]);
    client.stream().shutdown(Shutdown::Write).expect("half-close");
    daemon.await_log("refused: the line is longer");
    for _ in 0..12 {
        assert!(client.text().expect("a reply").contains("\"result\":{\"relays\":[{"));
    }
    assert_refused(&mut client, "frame_too_large");
}

/// So many that a list of them takes some 60 KB.
fn many_relays(client: &mut Client) {
    for number in 0..240 {
        let region = "r".repeat(100);
        let relay = json!({
            "relay_id": format!("r{number}"), "public_ip": "::1", "port": 1, "region": region,
        });
        client.call("relay.register", relay);
    }
}

#[test]
fn line_that_does_not_end_in_time_is_refused() {
    let daemon = Setup::new().config("[limits]\npartial_frame = \"200ms\"").start();
    let (mut client, mut patient) = (daemon.client(), daemon.client());
    assert_eq!(client.call("ping", json!({})), json!({}));
    client.send_raw(b"{\"jsonrpc\":\"2.0\",");
    // Others are served meanwhile, and one who has begun no line may be silent.
    daemon.client().register("p", "ann");
    assert_refused(&mut client, "timeout");
    assert_eq!(patient.party("p")["host_id"], "ann");
}

#[test]
fn line_that_came_in_time_is_answered_to_a_late_reader() {
    let config = "[limits]\npartial_frame = \"100ms\"\nframe_out = 65536";
    let daemon = Setup::new().config(config).start();
    let mut client = daemon.client();
    many_relays(&mut client);
    let mut writer = client.stream().try_clone().expect("a second handle");
    let wanted: usize = 100;
    let writing = std::thread::spawn(move || {
        for id in 0..wanted {
            let line = json!({
                "jsonrpc": "2.0", "id": id, "method": "relay.list",
                "params": {"later": "x".repeat(8000)},
            });
            writer.write_all(format!("{line}\n").as_bytes()).expect("the daemon reads on");
        }
    });
    // The daemon stops reading, in the midst of a line, while its replies are not taken.
    // Time passes: twice somebody else's line is waited for in vain.
    for _ in 0..2 {
        let mut other = daemon.client();
        other.send_raw(b"{");
        assert_refused(&mut other, "timeout");
    }
    for _ in 0..wanted {
        let reply = client.line().expect("a reply");
        assert!(reply.get("error").is_none(), "{reply}");
    }
    writing.join().expect("all is written");
    client.assert_ended();
}

#[test]
fn answer_over_the_frame_limit_is_refused_with_a_hint() {
    const FRAME: usize = 3072;
    let daemon = Setup::new().config(&format!("[limits]\nframe_out = {FRAME}")).start();
    let mut client = daemon.client();
    for number in 0..20 {
        client.register(&format!("p{number}"), "ann");
    }
    let error = client.error("events.subscribe", json!({}));
    assert_error(&error, "frame_too_large");
    let hint = error["data"]["hint"].as_str().expect("a hint");
    assert!(["party_id", "snapshot:false", "party.list"].iter().all(|way| hint.contains(way)));
    let error = client.error("state.export", json!({"format": "lanrage"}));
    assert_error(&error, "frame_too_large");
    let hint = error["data"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("state.backup"), "{hint}");

    // What was refused has not begun: the next one is alone.
    let bare = client.call("events.subscribe", json!({"snapshot": false}));
    let narrow = client.call("events.subscribe", json!({"party_id": "p3", "topics": ["relay"]}));
    client.call("party.leave", json!({"party_id": "p9", "peer_id": "ann"}));
    client.call("relay.register", json!({"relay_id": "r", "public_ip": "::1", "port": 1}));
    let told: Vec<_> = (0..4)
        .map(|_| {
            let event = client.notification()["params"].take();
            (event["subscription"].clone(), event["seq"].clone(), event["kind"].clone())
        })
        .collect();
    let of = |subscribed: &Value, seq: u64, kind: &str| {
        (subscribed["subscription"].clone(), json!(seq), json!(kind))
    };
    let mut expected = vec![
        of(&bare, 1, "peer.left"),
        of(&bare, 2, "party.removed"),
        of(&bare, 3, "relay.updated"),
        of(&narrow, 1, "relay.updated"),
    ];
    let order = |event: &(Value, Value, Value)| format!("{event:?}");
    let mut told = told;
    told.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(told, expected);
}

#[test]
fn signal_poll_over_the_frame_limit_loses_no_signal() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let count = 40;
    for number in 0..count {
        let data = format!("{number} {}", "x".repeat(60_000));
        let params = json!({
            "party_id": "p", "from_peer_id": "ann", "to_peer_id": "ann", "signal_data": data,
        });
        client.call("signal.send", params);
    }
    let mut numbers = Vec::new();
    loop {
        let mut result = client.call("signal.poll", json!({"party_id": "p", "peer_id": "ann"}));
        let signals: Vec<Value> = serde_json::from_value(result["signals"].take()).expect("some");
        if signals.is_empty() || numbers.len() > count as usize {
            break;
        }
        numbers.extend(signals.iter().map(|signal| {
            let data = signal["signal_data"].as_str().expect("text");
            let (number, _) = data.split_once(' ').expect("a number");
            number.parse::<u32>().expect("a number")
        }));
    }
    assert_eq!(numbers, (0..count).collect::<Vec<_>>());
}

#[test]
fn signal_send_over_64_kib_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let mut params = json!({"party_id": "p", "from_peer_id": "ann", "to_peer_id": "ann"});
    // The quotes count.
    params["signal_data"] = json!("x".repeat(65_536 - 2));
    client.call("signal.send", params.clone());
    params["signal_data"] = json!("x".repeat(65_536 - 1));
    assert_eq!(client.invalid("signal.send", params), "signal_data");
    let signals = client.call("signal.poll", json!({"party_id": "p", "peer_id": "ann"}));
    assert_eq!(signals["signals"].as_array().map(Vec::len), Some(1));
    let data = signals["signals"][0]["signal_data"].as_str();
    assert_eq!(data.map(str::len), Some(65_534));
}

#[test]
fn answer_over_the_frame_limit_leaves_its_change_done() {
    let daemon = Setup::new().config("[limits]\nframe_out = 1024").start();
    let mut client = daemon.client();
    client.register("p", "ann");
    client.join("p", "bob");
    let error = client.error("party.join", json!({"party_id": "p", "peer": peer("carl")}));
    assert_error(&error, "frame_too_large");
    assert_eq!(client.call("status.get", json!({}))["peers"], 3);
}
