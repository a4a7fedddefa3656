use super::*;

const LIMIT: usize = 1024;
const TOO_LARGE: &str = "Request body too large: at most 1024 bytes";

/// Returns a server that takes short bodies, and a peer's token.
async fn short() -> (Server, String) {
    let http = Http { body_bytes: LIMIT, ..Http::default() };
    let server = Server::with(HttpSettings { http, ..settings() });
    let token = server.token("ann").await;
    (server, token)
}

fn head(token: &str, more: &str) -> String {
    format!("POST /parties HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{more}\r\n")
}

#[actix::test]
async fn body_over_the_limit_is_refused_with_a_length_and_in_chunks() {
    let (server, token) = short().await;
    // Refused by the announced length: no body is sent.
    let announced = server.raw(&head(&token, "Content-Length: 1025\r\n")).await;
    announced.refuses(413, TOO_LARGE);
    assert_eq!(announced.header("connection"), Some("close"));
    let chunk = "x".repeat(LIMIT + 1);
    let chunked = format!("{}401\r\n{chunk}\r\n", head(&token, "Transfer-Encoding: chunked\r\n"));
    server.raw(&chunked).await.refuses(413, TOO_LARGE);
    // The longest allowed body, which is not JSON.
    let body = "x".repeat(LIMIT);
    let lines = format!("Connection: close\r\nContent-Length: {LIMIT}\r\n");
    let longest = server.raw(&format!("{}{body}", head(&token, &lines))).await;
    assert_eq!(longest.expect(422)["detail"][0]["type"], "json_invalid");
    assert!(longest.body.len() < LIMIT, "{longest:?}");
}

#[actix::test]
async fn stalled_body_gets_a_408() {
    let http = Http { request_timeout: Duration::from_millis(50), ..Http::default() };
    let server = Server::with(HttpSettings { http, ..settings() });
    let token = server.token("ann").await;
    let stalled = server.raw(&format!("{}{{", head(&token, "Content-Length: 9\r\n"))).await;
    stalled.refuses(408, "The request body took too long");
    assert_eq!(stalled.header("connection"), Some("close"));
}

#[actix::test]
async fn body_without_a_content_type_is_json() {
    let (server, token) = short().await;
    let kind = async |media_type: &str, body: &str| {
        let length = body.len();
        let lines = format!("Connection: close\r\n{media_type}Content-Length: {length}\r\n");
        let reply = server.raw(&format!("{}{body}", head(&token, &lines))).await.expect(422);
        reply["detail"][0]["type"].as_str().unwrap().to_owned()
    };
    for media_type in [
        "",
        "Content-Type: application/json\r\n",
        "Content-Type: Application/JSON; charset=utf-8\r\n",
        "Content-Type: application/problem+json\r\n",
    ] {
        assert_eq!(kind(media_type, "{}").await, "missing", "{media_type}");
    }
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "text/json", "x"] {
        let media_type = format!("Content-Type: {media_type}\r\n");
        assert_eq!(kind(&media_type, "{}").await, "model_attributes_type", "{media_type}");
        assert_eq!(kind(&media_type, "").await, "missing", "{media_type}");
    }
    assert_eq!(kind("", "[]").await, "model_attributes_type");
    assert_eq!(kind("", "").await, "missing");
    assert_eq!(kind("", r#"{"name":"\ud800"}"#).await, "json_invalid");
}

#[actix::test]
async fn unread_body_is_not_parsed_as_a_request() {
    let (server, token) = short().await;
    let id = server.party("ann", &token).await;
    let beat = |last: &str| {
        let path = format!("/parties/{id}/peers/ann/heartbeat");
        let auth = format!("Authorization: Bearer {token}\r\n");
        format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\n{auth}{last}Content-Length: 8\r\n\r\n{{\"x\": 1}}"
        )
    };
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let requests = beat("") + &beat("Connection: close\r\n");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert_eq!(text.matches("HTTP/1.1").count(), text.matches(r#"{"status":"ok"}"#).count());
}
