//! Graceful stop of the server.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{Http, Setup, Ws, announced, read_response};

/// A server that is told to stop has ended by then.
const END: Duration = Duration::from_secs(10);

#[test]
fn stop_waits_for_neither_websockets_nor_requests() {
    let server = Setup::server().start();
    let mut sockets: Vec<_> = (0..40)
        .map(|number| Ws::hello(server.address(), &format!("peer-{number}"), None).0)
        .collect();
    // Some read nothing, and some are LANrage's.
    let mut silent: Vec<_> = (0..5).map(|_| Ws::plain(server.address())).collect();
    let mut plain: Vec<_> = (0..5).map(|_| Ws::plain(server.address())).collect();
    let ann = Http::registered(server.address(), "ann").token.expect("a token");
    let body = json!({"name": "LAN", "host_peer_info": announced("ann")}).to_string();
    // Their heads are there: they are under way.
    let under_way: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).expect("connect to the server");
            stream.set_read_timeout(Some(END)).expect("set a time-out");
            let head = format!(
                "POST /parties HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ann}\r\nContent-Length: {}\r\n\
                 Expect: 100-continue\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).expect("the server takes it");
            let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
            // It waits for the body.
            assert_eq!(read_response(&mut reader).expect("an answer").status, 100);
            (stream, reader)
        })
        .collect();
    let told = Instant::now();
    server.signal(Signal::SIGTERM);
    for ws in &mut sockets {
        let words = ws.last_words();
        assert_eq!(words.last().expect("a goodbye")["type"], "goaway");
        assert_eq!(ws.closed.take().map(|close| close.code.into()), Some(1001));
    }
    for ws in &mut plain {
        assert_eq!(ws.last_words(), [] as [serde_json::Value; 0]);
        assert_eq!(ws.closed.take().map(|close| close.code.into()), Some(1001));
    }
    for (mut stream, mut reader) in under_way {
        stream.write_all(body.as_bytes()).expect("the server takes it");
        let answer = read_response(&mut reader).expect("an answer");
        answer.ok();
    }
    let (setup, status) = server.wait();
    assert!(told.elapsed() < END, "it took {:?}", told.elapsed());
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    silent.iter_mut().for_each(|ws| drop(ws.stream().shutdown(Shutdown::Both)));
    // What was answered was done.
    let server = setup.start();
    assert_eq!(server.http().get("/").ok()["parties"], 20);
}

#[test]
fn stop_answers_new_requests_with_a_503() {
    let server = Setup::server().start();
    let mut http = Http::registered(server.address(), "ann");
    // It stays for as long as one that reads nothing may.
    let _silent = Ws::plain(server.address());
    let (mut told, _) = Ws::hello(server.address(), "bob", None);
    server.signal(Signal::SIGTERM);
    assert_eq!(told.last_words().last().expect("a goodbye")["type"], "goaway");
    // A connection that is idle may be closed instead.
    http.send_raw(
        format!(
            "GET /relays HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            http.token.clone().expect("a token")
        )
        .as_bytes(),
    );
    if let Some(refused) = http.response() {
        assert_eq!(refused.detail(503), json!("Server is stopping"));
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
        assert_eq!(refused.header("connection"), Some("close"));
    }
    let (_, status) = server.wait();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn stop_cuts_off_clients_that_stay_connected() {
    let server =
        Setup::server().config("[http]\nrequest_timeout = '1h'\nkeep_alive = '1h'\n").start();
    let mut half = server.http();
    half.send_raw(b"POST /parties HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12345");
    let mut idle = server.http();
    idle.get("/healthz").ok();
    let told = Instant::now();
    let (_, status) = server.stop();
    assert!(told.elapsed() < END, "it took {:?}", told.elapsed());
    assert_eq!(status.code(), Some(0));
}
