//! JSON-RPC itself: ids, notifications, batches, pipelining, versions.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Client, Setup, assert_error, keys, peer};

#[test]
fn id_comes_back_letter_for_letter() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for id in [
        "1",
        "0",
        "-0",
        "-7",
        "1.50",
        "1E2",
        "1e400",
        "18446744073709551616",
        "123456789012345678901234567890.000000000000000000001",
        r#""""#,
        r#""a""#,
        r#""\u0061\/\"""#,
        r#""\ud800""#,
        r#""é 🎲""#,
    ] {
        client.send_raw(
            format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"ping\"}}\n").as_bytes(),
        );
        let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n");
        assert_eq!(client.text(), Some(expected));
    }
}

#[test]
fn id_of_another_type_is_refused_and_the_connection_stays() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for id in ["null", "true", "false", "[]", "[1]", "{}", r#"{"a":1}"#] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let reply = client.exchange(&line);
        assert_eq!(reply["id"], Value::Null, "{line}");
        assert_error(&reply["error"], "invalid_request");
    }
    assert_eq!(client.call("ping", json!({})), json!({}));
}

#[test]
fn line_that_is_no_request_is_refused_with_its_id_if_readable() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for (line, code) in [
        ("nonsense", "parse_error"),
        ("{", "parse_error"),
        ("{} {}", "parse_error"),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping",}"#, "parse_error"),
        ("\"text\"", "invalid_request"),
        ("7", "invalid_request"),
        ("null", "invalid_request"),
        ("{}", "invalid_request"),
        (r#"{"jsonrpc":"2.0"}"#, "invalid_request"),
        (r#"{"method":"ping"}"#, "invalid_request"),
        // No batches, neither empty nor of one.
        ("[]", "invalid_request"),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, "invalid_request"),
        (r#"["2.0",1,"ping",{}]"#, "invalid_request"),
    ] {
        let reply = client.exchange(line);
        assert_eq!(keys(&reply), ["error", "id", "jsonrpc"]);
        assert_eq!(reply["id"], Value::Null, "{line}");
        assert_error(&reply["error"], code);
    }
    for line in [
        r#"{"id":7,"method":"ping"}"#,
        r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#,
        r#"{"jsonrpc":2.0,"id":7,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":7}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":null}"#,
        r#"{"jsonrpc":"2.0","id":7,"method":["ping"]}"#,
    ] {
        let reply = client.exchange(line);
        assert_eq!(reply["id"], 7, "{line}");
        assert_error(&reply["error"], "invalid_request");
    }
    assert_eq!(client.call("ping", json!({})), json!({}));
}

#[test]
fn notification_is_done_and_gets_no_reply() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let params = json!({"party_id": "p", "name": "Quake", "host": peer("ann")});
    for line in [
        json!({"jsonrpc": "2.0", "method": "party.register", "params": params}),
        json!({"jsonrpc": "2.0", "method": "party.register", "params": params}),
        json!({"jsonrpc": "2.0", "method": "party.fly"}),
        json!({"jsonrpc": "2.0", "method": "party.get", "params": {}}),
        json!({"jsonrpc": "2.0", "method": "ping"}),
    ] {
        client.send_raw(format!("{line}\n").as_bytes());
    }
    let id = client.send("party.get", json!({"party_id": "p"}));
    let first = client.line().expect("a reply");
    assert_eq!((&first["id"], &first["result"]["party"]["host_id"]), (&json!(id), &json!("ann")));
    client.assert_ended();
}

#[test]
fn pipelined_requests_are_all_answered() {
    let daemon = Setup::new().config("[limits]\nrequests_in_flight = 1000").start();
    let mut client = daemon.client();
    let mut lines = String::new();
    let mut asked = BTreeSet::new();
    for number in 0..100 {
        let relay = json!({"relay_id": format!("r{number}"), "public_ip": "::1", "port": number});
        for (method, params) in [("relay.register", relay), ("ping", json!({}))] {
            let id = format!("{method} {number}");
            let line = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
            lines.push_str(&format!("{line}\n"));
            asked.insert(id);
        }
    }
    client.send_raw(lines.as_bytes());
    for _ in 0..200 {
        let reply = client.line().expect("a reply");
        let id = reply["id"].as_str().expect("an id").to_owned();
        if let Some(number) = id.strip_prefix("relay.register ") {
            assert_eq!(reply["result"]["relay"]["relay_id"], format!("r{number}"));
        } else {
            assert_eq!(reply["result"], json!({}));
        }
        assert!(asked.remove(&id), "{id} was asked once");
    }
    assert!(asked.is_empty());
    client.assert_ended();
}

#[test]
fn request_in_pieces_with_any_line_end_is_taken() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for byte in b" {\"jsonrpc\" : \"2.0\",\t\"id\":\"a\", \"method\":\"ping\"} \r\n\n\r\n\n" {
        client.send_raw(&[*byte]);
    }
    assert_eq!(client.line().expect("a reply")["id"], "a");
    client.assert_ended();
}

#[test]
fn half_closed_connection_gets_its_answers() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let ids: Vec<_> = (0..20)
        .map(|number| {
            let relay = json!({"relay_id": format!("r{number}"), "public_ip": "::1", "port": 1});
            client.send("relay.register", relay)
        })
        .collect();
    client.stream().shutdown(std::net::Shutdown::Write).expect("half-close");
    for id in ids {
        assert!(client.reply(id).get("result").is_some());
    }
    assert_eq!(client.line(), None);
}

#[test]
fn last_line_without_its_end_is_answered() {
    // Longer than the test's patience: once all is answered, the connection ends at once.
    let daemon = Setup::new().config("[limits]\nrequest_timeout = \"60s\"").start();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let register = json!({
        "jsonrpc": "2.0", "id": 2, "method": "party.register",
        "params": {"name": "Quake", "party_id": "p", "host": peer("ann"), "keepalive": "manual"},
    });
    for (sent, ids) in [
        (ping.to_owned(), vec![json!(1)]),
        (format!("{ping}\r"), vec![json!(1)]),
        (format!("{ping}\n{register}"), vec![json!(1), json!(2)]),
        // What is cut off is told, and not done.
        (format!("{ping}\n{{\"jsonrpc\":\"2.0\",\"id\":3"), vec![json!(1), json!(null)]),
        (format!("{ping}\n"), vec![json!(1)]),
    ] {
        let mut client = daemon.client();
        client.send_raw(sent.as_bytes());
        client.stream().shutdown(std::net::Shutdown::Write).expect("half-close");
        let mut answered: Vec<_> =
            std::iter::from_fn(|| client.line()).map(|mut line| line["id"].take()).collect();
        answered.sort_by_key(Value::to_string);
        assert_eq!(answered, ids, "{sent}");
    }
    assert_eq!(daemon.client().party("p")["host_id"], "ann");
    // The limit of a frame is the same without its end.
    let limited = Setup::new().config("[limits]\nframe_in = 65536").start();
    let mut client = limited.client();
    client.send_raw(&[b' '; 65_537]);
    client.stream().shutdown(std::net::Shutdown::Write).expect("half-close");
    assert_error(&client.line().expect("a refusal")["error"], "frame_too_large");
    assert_eq!(client.line(), None);
}

#[test]
fn params_with_unknown_fields_are_taken() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let mut host = peer("ann");
    host["later"] = json!({"deep": [1]});
    let params = json!({"name": "Quake", "host": host, "party_id": "p", "later": null});
    client.call("party.register", params);
    for (method, params) in [
        ("ping", json!({"later": 1})),
        ("party.get", json!({"party_id": "p", "later": 1})),
        ("relay.list", json!({"later": []})),
        ("hello", json!({"later": 1, "client": {"name": "a", "version": "1", "later": 1}})),
        ("events.subscribe", json!({"later": "x"})),
    ] {
        client.call(method, params);
    }
}

#[test]
fn params_other_than_an_object_are_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    assert_eq!(client.exchange(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#)["result"], json!({}));
    for params in [json!([]), json!([{}]), json!(null), json!(1), json!("{}"), json!(true)] {
        for method in ["ping", "party.get", "hello"] {
            assert_eq!(client.invalid(method, params.clone()), "params");
        }
    }
}

#[test]
fn hello_agrees_on_the_protocol_or_names_it() {
    let daemon = Setup::new().start();
    let hello = |client: &mut Client, min: i64, max: i64| {
        let id = client.send("hello", json!({"protocol": {"min": min, "max": max}}));
        client.reply(id)
    };
    let mut client = daemon.client();
    for (min, max) in [(1, 1), (0, 1), (1, 9), (0, u32::MAX.into())] {
        assert_eq!(hello(&mut client, min, max)["result"]["protocol"], 1);
    }
    for (min, max) in [(2, 3), (0, 0), (3, 1)] {
        assert_error(&hello(&mut client, min, max)["error"], "unsupported_protocol");
    }
    assert_eq!(client.invalid("hello", json!({"protocol": {"min": 1}})), "protocol.max");
    assert_eq!(client.invalid("hello", json!({"protocol": {"min": -1, "max": 1}})), "protocol.min");
    // It is optional, and may come late.
    client.register("p", "ann");
    assert_eq!(client.call("hello", json!({}))["protocol"], 1);
}
