//! Clients that ask for much at once and read nothing.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::harness::{Client, Http, Setup, eventually, memory, read_response};

const NO_RATES: &str = "[limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n";

const CLIENTS: usize = 48;
/// More than the system's own buffers hold the answers to.
const REQUESTS: usize = 150;

/// A connection whose other end soon finds no room.
fn narrow(source: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of this machine");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    // The buffer of the other end grows with it.
    socket.set_tcp_mss(536).expect("short segments");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

#[test]
fn pipelined_requests_wait_outside_until_their_clients_read() {
    let server = Setup::server().config(NO_RATES).start();
    let mut honest = Http::connect(server.address());
    // What is worked out once is worked out.
    assert_eq!(honest.get("/openapi.json").status, 200);
    let before = memory(server.pid(), "VmRSS");
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(REQUESTS);
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|_| narrow([127, 0, 0, 1].into(), server.address())).collect();
    for client in &mut clients {
        client.write_all(request.as_bytes()).expect("sent");
    }
    // Each worker serves them in turn: all of them wait once others were served several times.
    for _ in 0..50 {
        let mut late = Http::connect(server.address());
        assert_eq!(late.get("/").ok()["parties"], json!(0));
    }
    let growth = memory(server.pid(), "VmRSS").saturating_sub(before);
    assert!(growth < 160 * CLIENTS as u64, "{growth} KiB for {CLIENTS} clients");
}

/// Registers relays whose list has about 480 bytes each.
fn register_relays(client: &mut Client, count: usize) {
    let register = |number: usize| {
        let region = "漢".repeat(100);
        let id = format!("relay-{number:026}");
        json!({"relay_id": id, "public_ip": "203.0.113.1", "port": 1, "region": region})
    };
    for from in (0..count).step_by(32) {
        let ids: Vec<_> = (from..count.min(from + 32))
            .map(|number| client.send("relay.register", register(number)))
            .collect();
        for id in ids {
            assert_eq!(client.reply(id).get("error"), None);
        }
    }
}

#[test]
fn unread_lists_are_bounded_by_address() {
    const RELAYS: usize = 2000;
    const CLIENTS: usize = 80;
    let server = Setup::server().config(&format!("{NO_RATES}relays = {RELAYS}\n")).start();
    register_relays(&mut server.client(), RELAYS);
    let mut honest = Http::registered(server.address(), "honest");
    let listed = |http: &mut Http| http.get("/relays").ok()["relays"].as_array().map(Vec::len);
    assert_eq!(listed(&mut honest), Some(RELAYS));
    let foe = [127, 0, 0, 2].into();
    let token = Http::registered_from(foe, server.address(), "foe").token.expect("a token");
    let request =
        format!("GET /relays HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let before = memory(server.pid(), "VmRSS");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| narrow(foe, server.address())).collect();
    for client in &mut clients {
        client.write_all(request.as_bytes()).expect("sent");
    }
    let heads: Vec<_> = clients.iter_mut().map(status_line).collect();
    let growth = memory(server.pid(), "VmRSS").saturating_sub(before);
    assert!(growth < 56 * 1024, "{growth} KiB for {CLIENTS} clients");
    let is_refused = |head: &[u8; STATUS_LINE]| head.ends_with(b" 503");
    assert!(heads.iter().all(|head| is_refused(head) || head.ends_with(b" 200")), "{heads:?}");
    let refused = heads.iter().position(is_refused).expect("lists without room");
    let rest = (&heads[refused][..]).chain(&clients[refused]);
    let refused = read_response(&mut BufReader::new(rest)).expect("a response");
    assert_eq!((refused.status, refused.header("x-error-code")), (503, Some("rate_limited")));
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("http.reply_bytes"), "{}", refused.text());
    // Short replies pass.
    let mut foe = Http::connect_from(foe, server.address());
    foe.token = Some(token);
    assert_eq!(foe.get("/").ok()["relays"], json!(RELAYS));
    // Another address is served meanwhile.
    assert_eq!(listed(&mut honest), Some(RELAYS));
    drop(clients);
    eventually("room for the list", || (foe.get("/relays").status == 200).then_some(()));
    server.await_log("raise http.reply_bytes");
}

/// Length of `HTTP/1.1 200`.
const STATUS_LINE: usize = 12;

/// The beginning of a reply, of which no more is read.
fn status_line(stream: &mut TcpStream) -> [u8; STATUS_LINE] {
    let mut head = [0; STATUS_LINE];
    stream.read_exact(&mut head).expect("a status line");
    head
}
