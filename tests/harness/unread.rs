//! Clients that read slowly or nothing.

use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpStream};

use serde_json::json;
use socket2::{Domain, Socket, Type};

use super::Client;

/// A connection whose other end soon finds no room.
pub(crate) fn narrow(source: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(source, 0).into()).expect("an address of this machine");
    socket.set_recv_buffer_size(4 * 1024).expect("a small buffer");
    // The buffer of the other end grows with it.
    socket.set_tcp_mss(536).expect("short segments");
    socket.connect(&address.into()).expect("a connection");
    socket.into()
}

/// Registers relays whose list has about 480 bytes each.
pub(crate) fn register_relays(client: &mut Client, count: usize) {
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

/// Length of `HTTP/1.1 200`.
pub(crate) const STATUS_LINE: usize = 12;

/// The beginning of a reply, of which no more is read.
pub(crate) fn status_line(stream: &mut TcpStream) -> [u8; STATUS_LINE] {
    let mut head = [0; STATUS_LINE];
    stream.read_exact(&mut head).expect("a status line");
    head
}
