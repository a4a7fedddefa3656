use tokio::net::TcpListener;

use super::*;

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[actix::test]
async fn the_next_address_is_tried_when_one_fails() {
    let (dropped, closed) = listener().await;
    drop(dropped);
    let (_listener, open) = listener().await;
    let stream = connect(vec![closed, closed, open]).await.unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open);
}

/// Returns an address that does not respond while the other two values live: a listener with a full
/// accept queue.
#[cfg(target_os = "linux")]
async fn silent() -> (socket2::Socket, Vec<TcpStream>, SocketAddr) {
    use socket2::{Domain, Socket, Type};

    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) = tokio::time::timeout(HEAD_START, TcpStream::connect(address)).await {
        queue.push(stream.unwrap());
    }
    (listener, queue, address)
}

#[cfg(target_os = "linux")]
#[actix::test]
async fn the_next_address_is_tried_while_one_is_silent() {
    let (_full, _queue, silent) = silent().await;
    let (_listener, open) = listener().await;
    let connecting =
        tokio::time::timeout(Duration::from_secs(20), connect(vec![silent, silent, open]));
    let stream = connecting.await.expect("a connection").unwrap();
    assert_eq!(stream.peer_addr().unwrap(), open);
}

#[actix::test]
async fn most_specific_failure_is_returned() {
    let (dropped, closed) = listener().await;
    drop(dropped);
    // A link-local address without a scope has no route on any system.
    let unreachable = "[fe80::1]:9".parse().unwrap();
    for addresses in [vec![closed], vec![unreachable, closed], vec![closed, unreachable]] {
        let error = connect(addresses).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
    assert_eq!(connect(Vec::new()).await.unwrap_err().kind(), io::ErrorKind::AddrNotAvailable);
}

#[actix::test]
async fn connection_has_keepalive_and_user_timeout() {
    let (_listener, open) = listener().await;
    let stream = connect(vec![open]).await.unwrap();
    let socket = SockRef::from(&stream);
    assert!(socket.tcp_nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    #[cfg(target_os = "linux")]
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
}

#[actix::test]
async fn an_address_needs_no_resolution() {
    for (host, address) in [("127.0.0.1", "127.0.0.1:5"), ("::1", "[::1]:5")] {
        assert_eq!(resolve(host, 5).await.unwrap(), [address.parse().unwrap()]);
    }
}
