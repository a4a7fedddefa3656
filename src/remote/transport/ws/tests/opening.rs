//! The request for the upgrade, and failures before its response.

use futures_util::StreamExt as _;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use super::*;

#[actix::test]
async fn the_request_is_for_the_servers_websocket() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let address = serve(async move |mut stream| {
        sender.send(head(&mut stream).await).unwrap();
    })
    .await;
    lost(&endpoint("http", format!("{address}/base"))).await;
    let head = receiver.await.unwrap();
    assert!(head.starts_with("GET /base/ws HTTP/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("Host: {address}\r\n")), "{head}");
    assert!(head.contains("user-agent: lanragectl/"), "{head}");
}

#[actix::test]
async fn clock_lead_follows_the_date_header() {
    let server_time = "2100-01-01T00:00:00Z".parse().unwrap();
    let address = serve(async |stream| {
        #[expect(clippy::result_large_err, reason = "the library wants it so")]
        let dated = |_: &Request, mut response: Response| {
            let date = HeaderValue::from_static("Fri, 01 Jan 2100 00:00:00 GMT");
            response.headers_mut().insert("date", date);
            Ok(response)
        };
        let mut socket = accept_hdr_async(stream, dated).await.unwrap();
        socket.next().await;
    })
    .await;
    let before = Timestamp::now();
    let transport = open(&endpoint("http", address)).await.unwrap();
    let ahead_by = transport.clock_ahead.unwrap();
    let range = [before, Timestamp::now()].map(|own| clock_lead(server_time, [own, own]));
    assert!((range[1]..=range[0]).contains(&ahead_by), "{ahead_by}");
    assert_eq!(transport.kind, TransportKind::Ws);
    assert_eq!(pair().await.0.clock_ahead, None, "a response without a date");
}

#[actix::test]
async fn refused_connection_is_a_loss() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let loss = lost(&endpoint("http", address)).await;
    assert!(loss.words.starts_with(&format!("nothing listens at {address}")), "{loss:?}");
    assert!(!loss.is_final);
}

#[actix::test]
async fn unresolved_name_is_a_loss() {
    // A label of more than 63 characters is invalid, so that no resolver is queried.
    let url = crate::server_url::ServerUrl::kept(&format!("http://{}", "a".repeat(64))).unwrap();
    let loss = lost(&Endpoint { url, ..endpoint("http", "h") }).await;
    assert!(loss.words.starts_with("the address of aaaa"), "{loss:?}");
    assert!(loss.words.contains("check the server's URL"), "{loss:?}");
}

#[actix::test]
async fn end_before_the_response_is_a_loss() {
    let after_the_request = serve(async |mut stream| drop(head(&mut stream).await)).await;
    let loss = lost(&endpoint("http", after_the_request)).await;
    assert!(loss.words.contains("closed the connection without an answer"), "{loss:?}");
    let at_once = serve(async |stream| drop(stream)).await;
    let loss = lost(&endpoint("http", at_once)).await;
    let cut = ["closed the connection without an answer", "was cut"];
    assert!(cut.iter().any(|words| loss.words.contains(words)), "{loss:?}");
    let half = responding("HTTP/1.1 101 Switching Proto").await;
    let loss = lost(&endpoint("http", half)).await;
    assert!(loss.words.contains("closed the connection without an answer"), "{loss:?}");
}

#[actix::test]
async fn connect_timeout_bounds_each_step() {
    for (scheme, words) in [("http", "the answer of"), ("https", "the TLS handshake with")] {
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let address = serve(async move |stream| {
            receiver.await.unwrap_err();
            drop(stream);
        })
        .await;
        let mut endpoint = endpoint(scheme, address);
        endpoint.connect_timeout = Duration::from_millis(500);
        let loss = lost(&endpoint).await;
        let words = format!("{words} {address} took longer than 0.5 s: ");
        assert!(loss.words.starts_with(&words), "{loss:?}");
        drop(sender);
    }
}

#[actix::test]
async fn largest_connect_timeout_does_not_overflow() {
    let mut endpoint = endpoint("http", serve(async |stream| drop(stream)).await);
    endpoint.connect_timeout = Duration::MAX;
    lost(&endpoint).await;
}
