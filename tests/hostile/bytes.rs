//! Bytes that are no requests, and requests that go to the bounds of JSON.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::harness::{
    Client, Daemon, Random, Setup, assert_error, await_clients, cases, memory, peer,
};

/// Asserts that the daemon is alive, and works as before.
fn assert_well(daemon: &Daemon) {
    let mut client = daemon.client();
    client.register("well", "ann");
    client.join("well", "bob");
    let left = client.call("party.leave", json!({"party_id": "well", "peer_id": "ann"}));
    assert_eq!(left["status"], "party_deleted");
}

/// Asserts that a line is refused without an id, and that the connection goes on.
fn assert_parse_error(client: &mut Client, line: &[u8]) {
    client.send_raw(line);
    client.send_raw(b"\n");
    let shown = String::from_utf8_lossy(&line[..line.len().min(60)]).into_owned();
    let reply = client.line().unwrap_or_else(|| panic!("the end after {shown:?}"));
    assert_eq!(reply["id"], Value::Null, "{shown:?}");
    assert_error(&reply["error"], "parse_error");
}

#[test]
fn lines_that_are_not_utf8_or_json_are_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    for line in [
        b"\xff\xfe" as &[u8],
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\xffng\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":\"\xc3\x28\",\"method\":\"ping\"}",
        // A surrogate, an overlong NUL, a character beyond the last.
        b"\"\xed\xa0\x80\"",
        b"\"\xc0\x80\"",
        b"\"\xf4\x90\x80\x80\"",
        b"\0",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\0",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"pi\0ng\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"params\":{\"a\":\"\x01\"}}",
        // One byte order mark is skipped, a second is not.
        b"\xef\xbb\xbf\xef\xbb\xbf{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}",
        b"{'jsonrpc':'2.0'}",
        b"{\"jsonrpc\":\"2.0\",\"id\":01,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":+1,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1.,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":NaN,\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":\"\\x\",\"method\":\"ping\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} // a comment",
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}{}",
        b"GET / HTTP/1.1",
        b" ",
        b"\r \t",
        b"\xe2\x80\xa8",
    ] {
        assert_parse_error(&mut client, line);
    }
    assert_well(&daemon);
}

#[test]
fn json_of_a_hundred_thousand_levels_is_refused() {
    const DEPTH: usize = 100_000;
    let daemon = Setup::new().config("[limits]\nframe_in = 2_097_152").start();
    let mut client = daemon.client();
    client.register("p", "ann");
    let array = "[".repeat(DEPTH) + &"]".repeat(DEPTH);
    let object = "{\"a\":".repeat(DEPTH) + "1" + &"}".repeat(DEPTH);
    let request = |id: &str, params: &str| {
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"signal.send\",\"params\":{params}}}"
        )
    };
    let signal = |data: &str| {
        format!(
            "{{\"party_id\":\"p\",\"from_peer_id\":\"ann\",\"to_peer_id\":\"ann\",\"signal_data\":{data}}}"
        )
    };
    for deep in
        [&array, &object, &"[".repeat(DEPTH), &"{\"a\":".repeat(DEPTH), &"[{\"a\":".repeat(DEPTH)]
    {
        assert_parse_error(&mut client, deep.as_bytes());
        assert_parse_error(&mut client, request("1", deep).as_bytes());
        assert_parse_error(&mut client, request(deep, "{}").as_bytes());
        assert_parse_error(&mut client, request("1", &signal(deep)).as_bytes());
        let state = format!("{{\"mode\":\"merge\",\"state\":{deep}}}");
        assert_parse_error(&mut client, request("1", &state).as_bytes());
    }
    // Brackets in a text are no levels.
    let text = json!("[{".repeat(10_000)).to_string();
    assert_eq!(client.exchange(&request("1", &signal(&text)))["result"], json!({"queued": true}));
    assert_well(&daemon);
}

#[test]
fn duplicate_keys_and_endless_numbers_are_answered() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    client.register("p", "ann");
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}"#,
    ] {
        let reply = client.exchange(line);
        assert_error(&reply["error"], "invalid_request");
    }
    let digits = "9".repeat(100_000);
    let ping = format!("{{\"jsonrpc\":\"2.0\",\"id\":{digits},\"method\":\"ping\"}}\n");
    client.send_raw(ping.as_bytes());
    let expected = format!("{{\"jsonrpc\":\"2.0\",\"id\":{digits},\"result\":{{}}}}\n");
    assert_eq!(client.text(), Some(expected));
    for (method, field) in [("party.list", "limit"), ("relay.register", "port")] {
        let params = format!("{{\"relay_id\":\"r\",\"public_ip\":\"::1\",\"{field}\":{digits}}}");
        let line =
            format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{method}\",\"params\":{params}}}");
        assert_error(&client.exchange(&line)["error"], "invalid_params");
        let reply = client.exchange(&line.replace(&digits, "1e400"));
        assert_error(&reply["error"], "invalid_params");
    }
    // One that nobody reads may be as long as it likes.
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":{digits}}}}}"#);
    assert_eq!(client.exchange(&line)["result"], json!({}));
    assert_well(&daemon);
}

#[test]
fn lone_surrogate_is_refused() {
    let daemon = Setup::new().start();
    let mut client = daemon.client();
    let mut host = peer("ann");
    host["name"] = json!("LONE");
    let params = json!({"party_id": "p", "name": "LONE", "host": host});
    let line = json!({"jsonrpc": "2.0", "id": 1, "method": "party.register", "params": params});
    for lone in [r"\ud800", r"\udc00", r"\udc00\ud800", r"\ud800\ud800", r"\ud800x", r"\ud800\n"] {
        let reply = client.exchange(&line.to_string().replace("LONE", lone));
        assert_error(&reply["error"], "invalid_params");
        let method = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"{lone}\"}}");
        assert_error(&client.exchange(&method)["error"], "invalid_request");
        let key = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"{lone}\":1}}");
        assert!(client.exchange(&key).get("error").is_some());
    }
    client.refused("party.get", json!({"party_id": "p"}));
    let reply = client.exchange(&line.to_string().replace("LONE", r"\ud83c\udfb2"));
    assert_eq!(reply["result"]["party"]["name"], "🎲");
}

#[test]
fn half_a_line_before_the_end_changes_nothing() {
    let daemon = Setup::new().start();
    let mut watcher = daemon.client();
    watcher.call("ping", json!({}));
    let line = json!({
        "jsonrpc": "2.0", "id": 1, "method": "party.register",
        "params": {"party_id": "never", "name": "Quake", "host": peer("ann")},
    });
    let line = line.to_string();
    for end in (1..=line.len()).step_by(9) {
        let mut client = daemon.client();
        client.send_raw(&line.as_bytes()[..end]);
    }
    await_clients(&mut watcher, 1);
    assert_eq!(watcher.refused("party.get", json!({"party_id": "never"})), "party_not_found");
    assert_well(&daemon);
}

/// A million bytes that are never JSON: some are lines, some are not UTF-8.
fn garbage(random: &mut Random) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..125_000).flat_map(|_| random.next().to_le_bytes()).collect();
    for byte in &mut bytes {
        // No line begins with white space alone, which would be no line.
        *byte = if byte.is_ascii_whitespace() && *byte != b'\n' { b'x' } else { *byte };
    }
    bytes
}

#[test]
fn garbage_of_any_length_takes_bounded_memory() {
    let daemon = Setup::new().start();
    daemon.client().register("p", "ann");
    let before = memory(daemon.pid(), "VmHWM");
    let mut random = Random(7);
    let million = garbage(&mut random);
    // 200 megabytes in a long run.
    let times = cases(2, 4);
    std::thread::scope(|scope| {
        for kind in 0..4 {
            let (daemon, million) = (&daemon, &million);
            scope.spawn(move || match kind {
                // Lines of all lengths, each of them refused and read.
                0 => pour(daemon, million, 5 * times),
                // Long lines of nothing but text.
                1 => pour(daemon, &long_lines(), 20 * times),
                // Never a line's end: refused, again and again.
                2 => (0..15 * times).for_each(|_| overflow(daemon, &[b'['; 1_000_000])),
                // Never a line's end, and never UTF-8.
                _ => (0..10 * times).for_each(|_| overflow(daemon, &[0xff; 1_000_000])),
            });
        }
    });
    let (grown, now) = (memory(daemon.pid(), "VmHWM") - before, memory(daemon.pid(), "VmRSS"));
    assert!(grown < 64 * 1024, "{grown} KiB more at the peak, {now} KiB now");
    assert_well(&daemon);
}

fn long_lines() -> Vec<u8> {
    let mut line = vec![b'x'; 200_000];
    line[199_999] = b'\n';
    line.repeat(5)
}

/// Sends the same bytes so many times, and reads an error for each line in them.
fn pour(daemon: &Daemon, bytes: &[u8], times: usize) {
    let lines =
        bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && *line != b"\r");
    // The last one goes on into the next round.
    let lines = lines.count();
    let mut client = daemon.client();
    let mut writer = client.stream().try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..times {
                writer.write_all(bytes).expect("the daemon takes it");
                writer.write_all(b"\n").expect("the daemon takes it");
            }
            writer.shutdown(std::net::Shutdown::Write).expect("half-close");
        });
        let mut count = 0;
        while let Some(line) = client.text() {
            assert!(line.contains("\"id\":null,\"error\":"), "{line}");
            count += 1;
        }
        assert_eq!(count, times * lines);
    });
}

/// Sends a line that is too long, however much of it the daemon takes, and reads its refusal.
fn overflow(daemon: &Daemon, bytes: &[u8]) {
    let mut client = daemon.client();
    let mut stream = client.stream().try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        // The end may come before all is written.
        scope.spawn(move || {
            stream.write_all(bytes).ok();
            stream.shutdown(std::net::Shutdown::Write).ok();
        });
        let reply = client.line().expect("a refusal");
        assert_error(&reply["error"], "frame_too_large");
        let mut rest = Vec::new();
        client.stream().read_to_end(&mut rest).ok();
        assert_eq!(rest, b"");
    });
}
