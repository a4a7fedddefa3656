use super::super::ws::tests::{endpoint, responding};
use super::*;

async fn lost(kind: TransportKind, status: &str) -> String {
    let address = responding(&format!("HTTP/1.1 {status}\r\n\r\n")).await;
    let endpoint = Endpoint { kind, ..endpoint("http", address) };
    open(&endpoint).await.expect_err("nobody listens any more").words
}

/// The servers of this test accept one connection only, so that the fallback to HTTP fails.
#[actix::test]
async fn http_is_the_fallback_for_servers_without_a_websocket() {
    let no_websocket = "there is no WebSocket";
    for status in ["403 Forbidden", "404 Not Found"] {
        assert!(lost(TransportKind::Ws, status).await.starts_with(no_websocket));
        assert!(!lost(TransportKind::Auto, status).await.starts_with(no_websocket));
    }
    for status in ["500 Internal Server Error", "401 Unauthorized"] {
        assert!(
            lost(TransportKind::Auto, status).await.contains(status),
            "there may be a WebSocket later"
        );
    }
}
