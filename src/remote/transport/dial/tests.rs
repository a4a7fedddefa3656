use super::super::ws::tests::{answering, endpoint};
use super::*;

async fn lost(kind: TransportKind, answer: &str) -> String {
    let address = answering(&format!("HTTP/1.1 {answer}\r\n\r\n")).await;
    let endpoint = Endpoint { kind, ..endpoint("http", address) };
    open(&endpoint).await.expect_err("nobody listens any more").words
}

/// The servers here take one connection and no more, so that HTTP, if it comes to that, is lost.
#[actix::test]
async fn http_is_for_servers_without_a_websocket() {
    let no_websocket = "there is no WebSocket";
    for answer in ["403 Forbidden", "404 Not Found"] {
        assert!(lost(TransportKind::Ws, answer).await.starts_with(no_websocket));
        assert!(!lost(TransportKind::Auto, answer).await.starts_with(no_websocket));
    }
    for answer in ["500 Internal Server Error", "401 Unauthorized"] {
        assert!(
            lost(TransportKind::Auto, answer).await.contains(answer),
            "there may be a WebSocket later"
        );
    }
}
