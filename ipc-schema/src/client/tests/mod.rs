mod daemon;
mod failures;

use daemon::{Daemon, Peer};

use super::*;
use crate::View;
use crate::method::{Ping, StateImport};
use crate::params::{Empty, ImportMode, StateImportParams};

const AT_ONCE: Duration = Duration::from_millis(1);
/// Timeout longer than any test.
const LONG: Duration = Duration::from_secs(60);

fn connect(daemon: &Daemon) -> Client {
    let options = Options { timeout: LONG, connect_timeout: LONG, ..Options::default() };
    Client::connect_with(&daemon.path, &options).expect("connects")
}

/// Returns the error of a request that `script` answers.
fn ping(script: impl FnOnce(Peer) + Send + 'static) -> ClientError {
    let daemon = Daemon::start(script);
    let error = connect(&daemon).call::<Ping>(&Empty {}).expect_err("must fail");
    daemon.finish();
    error
}

fn seq_of(message: Option<ServerMessage>) -> u64 {
    let Some(ServerMessage::Event(event)) = message else { panic!("no event: {message:?}") };
    event.seq
}

#[test]
fn a_reply_is_found_among_events_and_other_replies() {
    let daemon = Daemon::start(|mut peer| {
        assert_eq!(peer.read(), r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#);
        peer.event(1);
        peer.answer(99, "{}");
        peer.event(2);
        peer.answer(1, "{}");
        assert_eq!(
            peer.read(),
            r#"{"jsonrpc":"2.0","id":2,"method":"party.sing","params":{"a":[1]}}"#
        );
        peer.answer(2, r#"{"later":1.50}"#);
        peer.event(3);
    });
    let mut client = connect(&daemon);
    client.call::<Ping>(&Empty {}).expect("a reply");
    let result = client.call_raw("party.sing", "{\n  \"a\": [1]\n}").expect("a reply");
    assert_eq!(result.get(), r#"{"later":1.50}"#);
    for seq in 1..=3 {
        assert_eq!(seq_of(client.next_message(LONG).expect("an event")), seq);
    }
    daemon.finish();
    assert_eq!(client.next_message(LONG).map_err(|error| error.kind()), Err(ErrorKind::Gone));
}

#[test]
fn an_indented_document_is_sent_as_one_line() {
    let daemon = Daemon::start(|mut peer| {
        assert!(peer.read().ends_with(r#""params":{"state":{"parties":{}},"mode":"merge"}}"#));
        peer.answer(1, r#"{"parties":0,"peers":0,"skipped":0,"removed":0,"rejected":[]}"#);
    });
    let state = serde_json::from_str("{\n  \"parties\": {}\n}").expect("a document");
    let params = StateImportParams { state, mode: ImportMode::Merge };
    connect(&daemon).call::<StateImport>(&params).expect("a reply");
    daemon.finish();
}

#[test]
fn hello_refuses_a_version_that_was_not_offered() {
    let daemon = Daemon::start(|mut peer| {
        for (id, protocol) in [(1, 1), (2, 2)] {
            let request = peer.read();
            assert!(request.ends_with(r#""params":{"protocol":{"min":1,"max":1},"features":[]}}"#));
            peer.answer(id, &hello(protocol));
        }
    });
    let mut client = connect(&daemon);
    let agreed = client.hello(&HelloParams::default()).expect("a reply");
    assert_eq!((agreed.protocol, agreed.limits.frame_in), (1, 262_144));
    let error = client.hello(&HelloParams::default()).expect_err("must refuse");
    assert_eq!(error.kind(), ErrorKind::Protocol);
    daemon.finish();
}

fn hello(protocol: u32) -> String {
    let limits = [
        "frame_out",
        "signal_bytes",
        "signals_per_peer",
        "signal_ttl_ms",
        "requests_in_flight",
        "connections",
        "connections_per_uid",
        "queue_events",
        "queue_bytes",
        "partial_frame_ms",
        "request_timeout_ms",
        "parties_per_peer",
        "peers_per_party",
    ];
    let limits: String = limits.iter().map(|limit| format!(r#","{limit}":1"#)).collect();
    let server = r#"{"name":"d","version":"0"}"#;
    format!(
        r#"{{"protocol":{protocol},"server":{server},"epoch":"e","role":"operator","features":[],"limits":{{"frame_in":262144{limits}}}}}"#
    )
}

#[test]
fn a_full_queue_drops_the_oldest_and_the_view_sees_the_gap() {
    let daemon = Daemon::start(|mut peer| {
        assert!(peer.read().contains(r#""method":"events.subscribe","params":{"snapshot":true}"#));
        peer.answer(1, r#"{"subscription":"s1","seq":0,"snapshot":{"parties":[]}}"#);
        peer.read();
        for seq in 1..=9 {
            peer.event(seq);
        }
        peer.notify("goaway", r#"{"reason":"stopping","reconnect_after_ms":5}"#);
        peer.answer(2, "{}");
    });
    let options = Options { timeout: LONG, max_queue: 300, ..Options::default() };
    let mut client = Client::connect_with(&daemon.path, &options).expect("connects");
    let mut view = View::new(client.subscribe(&SubscribeParams::default()).expect("a reply"));
    client.call::<Ping>(&Empty {}).expect("a reply");
    daemon.finish();
    let oldest = client.next_message(LONG).expect("a message").expect("one");
    let gap = view.take(&oldest).expect_err("must be a gap");
    assert_eq!((gap.expected, gap.found), (1, seq_of(Some(oldest))));
    for seq in gap.found + 1..=9 {
        assert_eq!(seq_of(client.next_message(LONG).expect("an event")), seq);
    }
    let last = client.next_message(LONG).expect("a message");
    assert!(matches!(last, Some(ServerMessage::Goaway(away)) if away.reconnect_after_ms == 5));
}

#[test]
fn messages_are_waited_for_no_longer_than_asked() {
    let daemon = Daemon::start(|mut peer| {
        peer.read();
        peer.notify("party.sung", "{}");
        peer.answer(1, "{}");
        peer.read();
        peer.refuse("null", r#"{"code":-32007,"message":"large"}"#);
        peer.notify("event", r#"{"subscription":"s1","seq":1,"kind":"relay.removed","data":{}}"#);
        peer.notify("event.reset", r#"{"subscription":"s1","seq":2,"snapshot":{}}"#);
    });
    let mut client = connect(&daemon);
    for timeout in [Duration::ZERO, AT_ONCE] {
        assert_eq!(client.next_message(timeout).expect("no fault"), None);
    }
    client.call::<Ping>(&Empty {}).expect("a reply");
    let message = client.next_message(Duration::ZERO).expect("a message");
    assert!(
        matches!(message, Some(ServerMessage::Unknown(unknown)) if unknown.method == "party.sung")
    );
    client.call::<Ping>(&Empty {}).expect_err("must fail");
    let error = client.next_message(Duration::MAX).expect_err("misshapen");
    assert_eq!(error.kind(), ErrorKind::Protocol, "{error}");
    let message = client.next_message(Duration::MAX).expect("a message");
    assert!(matches!(message, Some(ServerMessage::Reset(reset)) if reset.seq == 2));
    daemon.finish();
    assert_eq!(client.next_message(Duration::MAX).expect_err("over").kind(), ErrorKind::Gone);
}

#[test]
fn a_dropped_client_hangs_up() {
    let daemon = Daemon::start(|mut peer| {
        peer.read();
        peer.answer(1, "{}");
        if cfg!(windows) {
            assert!(peer.read().contains("ping"));
            peer.answer(2, "{}");
        }
        assert_eq!(peer.read(), "");
    });
    let mut client = connect(&daemon);
    client.call::<Ping>(&Empty {}).expect("a reply");
    drop(client);
    daemon.finish();
}
