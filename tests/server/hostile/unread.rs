//! Clients that ask for much at once and read nothing.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use crate::harness::{Http, Setup, memory};

const CLIENTS: usize = 48;
/// More than the system's own buffers hold the answers to.
const REQUESTS: usize = 150;

/// A connection whose other end soon finds no room.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

#[test]
fn pipelined_requests_wait_outside_until_their_clients_read() {
    let no_limits = "[limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n";
    let server = Setup::server().config(no_limits).start();
    let mut honest = Http::connect(server.address());
    // What is worked out once is worked out.
    assert_eq!(honest.get("/openapi.json").status, 200);
    let before = memory(server.pid(), "VmRSS");
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(REQUESTS);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| narrow(server.address())).collect();
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
