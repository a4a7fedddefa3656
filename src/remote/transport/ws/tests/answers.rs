//! Responses that do not upgrade the connection.

use std::io;

use super::*;

async fn open_fails(response: &str) -> (SocketAddr, WsOpenError) {
    let address = responding(response).await;
    (address, open_error(&endpoint("http", address)).await)
}

#[actix::test]
async fn response_of_another_program_is_a_loss_with_a_reason() {
    for (response, words) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html>Log in</html>",
            "a captive portal, or not the address of a control server",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{}", "not as a control server"),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n", "can't serve now (500"),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "can't reach the control server behind it"),
        ("HTTP/1.1 511 Network Authentication Required\r\n\r\n", "open a web page"),
        ("HTTP/1.1 418 I'm a teapot\r\n\r\n", "refused (418"),
        ("SSH-2.0-OpenSSH_9.6\r\n", "does not answer in HTTP"),
        ("\u{15}\u{3}\u{3}\0\u{2}\u{2}F", "its URL starts with https://"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "a proxy on the way may not let it pass"),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n",
            "a proxy on the way may not let it pass",
        ),
    ] {
        let (address, failed) = open_fails(response).await;
        let WsOpenError::Lost(loss) = failed else { panic!("{response}: {failed:?}") };
        assert!(loss.words.contains(words), "{response}: {loss:?}");
        assert!(loss.words.contains(&address.to_string()) || response.contains("511"), "{loss:?}");
        assert!(!loss.is_final && loss.retry_after.is_none(), "{loss:?}");
    }
}

#[actix::test]
async fn endless_head_is_a_loss() {
    let many = "X: y\r\n".repeat(20_000);
    let (_, failed) = open_fails(&format!("HTTP/1.1 200 OK\r\n{many}")).await;
    let WsOpenError::Lost(loss) = failed else { panic!("{failed:?}") };
    assert!(loss.words.contains("does not answer in HTTP"), "{loss:?}");
}

#[actix::test]
async fn redirects_are_not_followed() {
    let elsewhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let goal = elsewhere.local_addr().unwrap();
    let (_, failed) = open_fails(&format!(
        "HTTP/1.1 302 Found\r\nLocation: http://user:secret@{goal}/secret?token=secret\r\n\r\n"
    ))
    .await;
    let WsOpenError::Lost(loss) = failed else { panic!("{failed:?}") };
    let words = format!(
        "the server redirects to http://{goal}: if you trust it, set that as the server's URL"
    );
    assert_eq!(loss.words, words);
    let error = elsewhere.accept().expect_err("no connection");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
}

#[actix::test]
async fn demand_for_a_login_is_a_final_loss() {
    for (response, words) in [
        (
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"LAN\"\r\n\r\n",
            "asks for a login (401 Unauthorized: Basic realm=\"LAN\")",
        ),
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "a proxy on the way"),
    ] {
        let (_, failed) = open_fails(response).await;
        let WsOpenError::Lost(loss) = failed else { panic!("{failed:?}") };
        assert!(loss.words.starts_with("the server does not let this daemon in"), "{loss:?}");
        assert!(loss.words.contains(words), "{loss:?}");
        assert!(loss.is_final);
    }
}

#[actix::test]
async fn statuses_without_a_websocket_are_distinguished() {
    for status in ["400 Bad Request", "403 Forbidden", "404 Not Found", "405 Method Not Allowed"]
        .into_iter()
        .chain(["426 Upgrade Required", "501 Not Implemented"])
    {
        let (address, failed) = open_fails(&format!("HTTP/1.1 {status}\r\n\r\n")).await;
        let WsOpenError::NoWebSocket(loss) = failed else { panic!("{failed:?}") };
        let words =
            format!("there is no WebSocket of a control server at ws://{address}/ws ({status})");
        assert!(loss.words.starts_with(&words), "{loss:?}");
        assert!(!loss.is_final);
    }
    let (_, failed) = open_fails("HTTP/1.0 404 Not Found\r\n\r\n").await;
    assert!(matches!(failed, WsOpenError::NoWebSocket(_)), "{failed:?}");
}

#[actix::test]
async fn retry_after_is_reported() {
    for (response, rest) in [
        ("429 Too Many Requests\r\nRetry-After: 7", 7),
        ("503 Service Unavailable\r\nRetry-After: 120", 120),
        (
            "503 Service Unavailable\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: Sun, 06 Nov 1994 08:50:07 GMT",
            30,
        ),
    ] {
        let (_, failed) = open_fails(&format!("HTTP/1.1 {response}\r\n\r\n")).await;
        let WsOpenError::Lost(loss) = failed else { panic!("{failed:?}") };
        assert_eq!(loss.retry_after, Some(Duration::from_secs(rest)), "{loss:?}");
    }
}
