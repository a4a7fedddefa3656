use std::io;

use super::*;
use crate::error::ErrorCode;
use crate::method::PartyGet;
use crate::params::PartyParams;

#[test]
fn what_keeps_a_connection_from_coming_about_is_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = Client::connect(dir.path().join("no.sock")).expect_err("must fail");
    assert!(matches!(error, ClientError::NotStarted(_)), "{error}");
    assert!(error.to_string().contains("no.sock: start lanragectl-d"), "{error}");
    #[cfg(unix)]
    {
        let path = dir.path().join("left.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("listens"));
        let error = Client::connect(&path).expect_err("must fail");
        assert!(matches!(error, ClientError::NotListening(_)), "{error}");
        let error = Client::connect(dir.path().join("x".repeat(200))).expect_err("must fail");
        assert!(matches!(error, ClientError::Io { .. }), "{error}");
    }
    for (error, kind) in [
        (io::ErrorKind::PermissionDenied, ErrorKind::NotAllowed),
        (io::ErrorKind::TimedOut, ErrorKind::TimedOut),
        (io::ErrorKind::Other, ErrorKind::Failed),
    ] {
        let error = ClientError::of_connecting("x".as_ref(), LONG, error.into());
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn refusals_keep_their_code_and_show_their_hint() {
    let error = |code: ErrorCode| {
        let error = RpcError::new(code, "no");
        let error = serde_json::to_string(&error).expect("encodes");
        ping(move |mut peer| {
            peer.read();
            peer.refuse("1", &error);
        })
    };
    let denied = error(ErrorCode::PermissionDenied);
    assert_eq!(denied.kind(), ErrorKind::NotAllowed);
    assert_eq!(denied.to_string(), "no (act as the user who owns it, or as an admin)");
    assert_eq!(error(ErrorCode::Timeout).kind(), ErrorKind::TimedOut);
    assert_eq!(error(ErrorCode::UnsupportedProtocol).kind(), ErrorKind::Protocol);
    let full = error(ErrorCode::PartyFull);
    assert!(matches!(&full, ClientError::Rpc(error) if error.data.code == ErrorCode::PartyFull));
    assert_eq!(full.kind(), ErrorKind::Failed);

    let newer = r#"{"code":-32099,"message":"too odd","data":{"code":"too_odd"}}"#;
    let newer = ping(move |mut peer| {
        peer.read();
        peer.refuse("1", newer);
    });
    assert!(matches!(newer, ClientError::NewerRpc { number: -32099, .. }), "{newer}");
}

#[test]
fn a_daemon_that_goes_away_says_why_if_it_can() {
    let gone = ping(|mut peer| {
        peer.read();
        peer.write_part(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
    });
    assert_eq!(gone.kind(), ErrorKind::Gone, "a line without its end is no message: {gone}");
    let gone = ping(|mut peer| drop(peer.read()));
    assert_eq!(gone.kind(), ErrorKind::Gone);
    assert!(gone.to_string().contains("waiting for the reply to ping"), "{gone}");

    // The daemon closes in the middle of the request, which resets the connection.
    let daemon = Daemon::start(|mut peer| peer.read_part());
    let large = format!("\"{}\"", "x".repeat(100_000));
    let reset = connect(&daemon).call_raw("ping", &large).expect_err("must fail");
    assert_eq!(reset.kind(), ErrorKind::Gone, "{reset}");
    daemon.finish();

    // The daemon closed before the request was sent; its error can still be read.
    let complaint = serde_json::to_string(&RpcError::new(ErrorCode::RateLimited, "too many"));
    let complaint = complaint.expect("encodes");
    let daemon = Daemon::start(move |mut peer| peer.refuse("null", &complaint));
    let mut client = connect(&daemon);
    daemon.finish();
    let error = client.call::<Ping>(&Empty {}).expect_err("must fail");
    assert!(matches!(&error, ClientError::Rpc(error) if error.message == "too many"), "{error}");
    assert_eq!(client.call::<Ping>(&Empty {}).expect_err("over").kind(), ErrorKind::Gone);
    assert_eq!(client.call::<Ping>(&Empty {}).expect_err("over").kind(), ErrorKind::Gone);
}

#[test]
fn a_late_reply_is_passed_over() {
    let mut patience = AT_ONCE;
    loop {
        let daemon = Daemon::start(|mut peer| {
            if !peer.read().contains("bye") && !peer.read().is_empty() {
                peer.answer(1, r#"{"late":true}"#);
                peer.answer(2, r#"{"late":false}"#);
            }
        });
        let mut client = connect(&daemon);
        client.set_timeout(patience);
        let error = client.call::<Ping>(&Empty {}).expect_err("must time out");
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        if error.to_string().contains("sending") {
            // A busy machine may not even send the request within the timeout.
            patience *= 2;
            continue;
        }
        client.set_timeout(LONG);
        assert_eq!(client.call_raw("ping", "{}").expect("a reply").get(), r#"{"late":false}"#);
        return daemon.finish();
    }
}

#[test]
fn a_request_sent_in_part_ends_the_connection() {
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let daemon = Daemon::start(move |_unread| _ = is_over.recv());
    let mut client = connect(&daemon);
    client.set_timeout(Duration::from_millis(20));
    let large = format!("\"{}\"", "x".repeat(8 * 1024 * 1024));
    let error = client.call_raw("ping", &large).expect_err("must time out");
    assert!(error.to_string().starts_with("timed out after 20ms sending ping"), "{error}");
    client.set_timeout(LONG);
    assert_eq!(client.call::<Ping>(&Empty {}).expect_err("over").kind(), ErrorKind::Gone);
    drop(over);
    daemon.finish();
}

#[test]
fn what_is_not_this_protocol_is_said_so() {
    for line in [
        "HTTP/1.1 400 Bad Request",
        "{}",
        r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":[]}"#,
    ] {
        let daemon = Daemon::start(move |mut peer| {
            peer.read();
            peer.write(line);
        });
        let params = PartyParams { party_id: "p".parse().expect("an id") };
        let error = connect(&daemon).call::<PartyGet>(&params).expect_err("must fail");
        assert_eq!(error.kind(), ErrorKind::Protocol, "{line}: {error}");
        daemon.finish();
    }
    let daemon = Daemon::start(|mut peer| {
        peer.read();
        peer.event(1);
        assert!(!peer.read().contains(r#""id":2"#), "the connection is of no use any more");
    });
    let options = Options { max_line: 20, timeout: LONG, ..Options::default() };
    let mut client = Client::connect_with(&daemon.path, &options).expect("connects");
    let error = client.call::<Ping>(&Empty {}).expect_err("must fail");
    assert!(error.to_string().contains("longer than 20 bytes"), "{error}");
    assert_eq!(client.call::<Ping>(&Empty {}).expect_err("over").kind(), ErrorKind::Gone);
    drop(client);
    daemon.finish();

    let refused = Client::call_raw(&mut connect(&Daemon::start(|_| {})), "ping", "{");
    let Err(ClientError::Rpc(refused)) = refused else { panic!("must be refused: {refused:?}") };
    assert_eq!(refused.data.field.as_deref(), Some("params"));
}
