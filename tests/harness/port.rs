//! A port that stays the same while nobody listens on it.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

/// A port of this machine that the system gives to nobody else. Who wants to listen on it sets
/// `SO_REUSEADDR`; while nobody does, connects are refused, and none can meet itself there.
pub(crate) struct Port {
    /// Bound, never listening.
    socket: Socket,
}

impl Port {
    pub(crate) fn reserve() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("share the port");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).expect("a port");
        Self { socket }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let address = self.socket.local_addr().expect("an address");
        address.as_socket().expect("an address of the Internet")
    }
}
