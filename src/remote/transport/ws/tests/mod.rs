//! Client against scripted sockets.

mod answers;
mod endings;
mod frames;
mod opening;
mod pressure;
mod secure;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::control::{ClientFrame, Inbound};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::{WebSocketStream, accept_async};

use super::*;
use crate::core::upstream;
use crate::remote::transport::{Incoming, Outgoing, tls};

/// Upper bound of the wait for an expected event.
const PATIENCE: Duration = Duration::from_secs(20);

/// Server's end of a connection.
type Socket = WebSocketStream<TcpStream>;

/// Starts a server that runs `behave` on its first connection, and accepts no more.
async fn serve<F, D>(behave: F) -> SocketAddr
where
    F: FnOnce(TcpStream) -> D + 'static,
    D: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    actix::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        behave(stream).await;
    });
    address
}

/// Starts a server that responds to a request with these bytes, and closes.
pub(in crate::remote::transport) async fn responding(response: &str) -> SocketAddr {
    let response = response.to_owned();
    serve(async move |mut stream| {
        use tokio::io::AsyncWriteExt as _;
        head(&mut stream).await;
        stream.write_all(response.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await
}

/// Reads the head of a request.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(in crate::remote::transport) fn endpoint(
    scheme: &str,
    address: impl std::fmt::Display,
) -> Endpoint {
    Endpoint {
        url: format!("{scheme}://{address}").parse().unwrap(),
        kind: TransportKind::Ws,
        tls: no_authorities(),
        proxies: Arc::default(),
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        poll: PATIENCE,
    }
}

/// Returns a configuration without trusted authorities, which reads no files of the system.
fn no_authorities() -> Arc<rustls::ClientConfig> {
    tls::config(Default::default(), None).unwrap()
}

/// Opens a WebSocket, which must fail. Returns the error.
async fn open_error(endpoint: &Endpoint) -> WsOpenError {
    timeout(2 * PATIENCE, open(endpoint)).await.expect("an end").expect_err("a failure")
}

/// Opens a WebSocket, which must fail with a loss. Returns the loss.
async fn lost(endpoint: &Endpoint) -> Loss {
    match open_error(endpoint).await {
        WsOpenError::Lost(loss) => loss,
        other => panic!("{other:?}"),
    }
}

/// Returns both ends of an open WebSocket.
async fn pair() -> (Transport, Socket) {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let address = serve(async move |stream| {
        sender.send(accept_async(stream).await.unwrap()).unwrap();
    })
    .await;
    let transport = open(&endpoint("http", address)).await.expect("a transport");
    (transport, receiver.await.unwrap())
}

/// Returns the next incoming message, including signs of life.
async fn next(transport: &mut Transport) -> Incoming {
    timeout(PATIENCE, transport.incoming.recv())
        .await
        .expect("something")
        .expect("an open transport")
}

/// Returns the next message.
async fn message(transport: &mut Transport) -> upstream::Message {
    match next(transport).await {
        Incoming::Message(message) => message,
        other => panic!("no message: {other:?}"),
    }
}

async fn is_garbage(transport: &mut Transport) -> bool {
    matches!(message(transport).await, upstream::Message::Garbage(_))
}

/// Returns the next message, which must be the loss of the transport, and the last.
async fn loss(transport: &mut Transport) -> Loss {
    let upstream::Message::Lost(loss) = message(transport).await else { panic!("not lost") };
    assert!(transport.incoming.recv().await.is_none());
    assert!(transport.outgoing.is_closed());
    loss
}

fn heartbeat(peer: &str) -> Outgoing {
    let frame = ClientFrame::Heartbeat {
        party_id: "party".parse().unwrap(),
        peer_id: peer.parse().unwrap(),
    };
    Outgoing::Frame(Box::new(Inbound { frame, req_id: None }))
}
