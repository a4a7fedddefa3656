//! Many connections: silent ones, half-open ones, and more than there may be.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use crate::harness::{Daemon, Setup, Ws, eventually, skip};

use super::{Target, responses};

/// Of the files of a server those that are sockets: others come and go with its backups.
fn open_sockets(server: &Daemon) -> usize {
    let files = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its files");
    let links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
    links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
}

/// True where this user may see a server's open files, else a line is printed: the servers keep
/// them from other programs of their user.
fn sees_files(server: &Daemon) -> bool {
    let sees = fs::read_dir(format!("/proc/{}/fd", server.pid())).is_ok();
    if !sees {
        skip("it takes root to see a server's open files");
    }
    sees
}

/// Connections that begin a request and go on no further, each at another place.
fn half_open(target: &Target, count: usize) -> Vec<TcpStream> {
    let request = b"POST /parties HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n";
    let streams = (0..count).map(|number| {
        let mut stream = target.connect();
        stream.write_all(&request[..number % request.len()]).expect("the server takes it");
        stream
    });
    streams.collect()
}

#[test]
fn half_open_connections_delay_no_other_client() {
    let target = Target::start("[http]\nrequest_timeout = '1h'\nkeep_alive = '1h'\n");
    if !sees_files(&target.server) {
        return;
    }
    let sockets = open_sockets(&target.server);
    let half_open = half_open(&target, 1000);
    eventually("a thousand connections", || (open_sockets(&target.server) >= 1000).then_some(()));
    target.assert_unharmed();
    drop(half_open);
    eventually("their end", || (open_sockets(&target.server) <= sockets).then_some(()));
}

#[test]
fn websocket_takes_one_descriptor() {
    let server = Setup::server().start();
    if !sees_files(&server) {
        return;
    }
    let files = |round: &str, count: usize| {
        let open = |number| Ws::hello(server.address(), &format!("{round}-{number}"), None);
        let open: Vec<_> = (0..count).map(open).collect();
        let files = fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("its files").count();
        drop(open);
        eventually("their end", || (open_sockets(&server) < 10).then_some(()));
        files
    };
    // The first ones open what the server keeps.
    files("first", 5);
    assert_eq!(files("many", 25) - files("few", 5), 20);
}

#[test]
fn half_open_connections_are_closed_in_time() {
    let target = Target::start("[http]\nrequest_timeout = '3s'\nkeep_alive = '50ms'\n");
    for stream in half_open(&target, 1000) {
        let statuses: Vec<_> = responses(stream).iter().map(|r| r.status).collect();
        assert!(matches!(statuses[..], [] | [408]), "{statuses:?}");
    }
    target.assert_unharmed();
}

#[test]
fn connections_that_are_idle_are_closed_in_time() {
    let target = Target::start("[http]\nkeep_alive = '50ms'\n");
    let mut stream = target.connect();
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("the server takes it");
    assert_eq!(responses(stream).len(), 1, "the server closes by itself");
    target.assert_unharmed();
}

#[test]
fn connections_over_the_limit_are_closed() {
    let config = "[http]\nconnections = 16\nrequest_timeout = '1h'\nkeep_alive = '1h'\n";
    let server = Setup::server().config(config).start();
    if !sees_files(&server) {
        return;
    }
    // Each worker has opened its own sockets once it serves.
    (0..16).for_each(|_| drop(server.http().get("/healthz").ok()));
    let sockets = open_sockets(&server);
    let crowd: Vec<_> = (0..200).map(|_| TcpStream::connect(server.address())).collect();
    server.http().get("/healthz").ok();
    eventually("as many as may be", || (open_sockets(&server) <= sockets + 16).then_some(()));
    drop(crowd);
}

#[test]
fn connections_without_a_request_only_delay_others() {
    let config = "[http]\nconnections = 16\nrequest_timeout = '1s'\nkeep_alive = '50ms'\n";
    let server = Setup::server().config(config).start();
    let _crowd: Vec<_> = (0..32).map(|_| TcpStream::connect(server.address())).collect();
    server.http().get("/healthz").ok();
}

#[test]
fn websockets_without_a_hello_are_closed() {
    let target = Target::start("[ws]\nfirst_frame = '1h'\n");
    let _silent: Vec<_> = (0..100).map(|_| Ws::connect(target.address)).collect();
    target.assert_unharmed();

    let target = Target::start("[ws]\nfirst_frame = '1s'\n");
    let silent: Vec<_> = (0..100).map(|_| Ws::connect(target.address)).collect();
    for mut ws in silent {
        assert_eq!(ws.last_words(), [] as [serde_json::Value; 0]);
        assert_eq!(ws.closed.map(|close| close.code.into()), Some(1008));
    }
    target.assert_unharmed();
}

/// The status of a handshake and, where it is refused, when to come again.
fn handshake(server: &Daemon) -> (u16, Option<String>, Option<tungstenite::WebSocket<TcpStream>>) {
    let stream = TcpStream::connect(server.address()).expect("connect to the server");
    match tungstenite::client(format!("ws://{}/ws", server.address()), stream) {
        Ok((socket, response)) => (response.status().as_u16(), None, Some(socket)),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            let after = response.headers().get("retry-after");
            let after = after.map(|value| value.to_str().expect("text").to_owned());
            (response.status().as_u16(), after, None)
        }
        Err(error) => panic!("no handshake: {error}"),
    }
}

#[test]
fn websockets_have_a_bound_in_all_and_for_each_address() {
    for (config, status) in [("[ws]\nsockets = 3\n", 503), ("[ws]\nsockets_per_address = 3\n", 429)]
    {
        let server = Setup::server().config(config).start();
        let mut open: Vec<_> = (0..3).map(|_| handshake(&server).2.expect("room")).collect();
        for _ in 0..3 {
            let (refused, after, _) = handshake(&server);
            assert_eq!(refused, status);
            assert!(after.is_some_and(|after| after.parse::<u32>().is_ok()), "no Retry-After");
        }
        // HTTP goes on, and where one went there is room for another.
        server.http().get("/").ok();
        open.pop();
        eventually("room for another", || handshake(&server).2);
    }
}

#[test]
fn websockets_in_sequence_leave_nothing_behind() {
    let target =
        Target::start("[limits]\nrequests_per_second = 100_000\nrequests_burst = 100_000\n");
    if !sees_files(&target.server) {
        return;
    }
    let sockets = open_sockets(&target.server);
    for number in 0..1000 {
        let mut ws = Ws::plain(target.address);
        if number % 2 == 0 {
            ws.write(tungstenite::Message::Close(None));
        }
    }
    eventually("no more open sockets than before", || {
        (open_sockets(&target.server) <= sockets).then_some(())
    });
    // A socket is closed a moment before its connection is forgotten.
    eventually("no connection that is counted", || {
        let metrics = target.server.metrics();
        metrics.text().contains("\nlanrage_websocket_connections 0\n").then_some(())
    });
    target.assert_unharmed();
}
