use super::*;

const HELD: &str = "Too many requests";

/// Rate so low that no request refills while a test runs.
fn tight() -> HttpSettings {
    let limits = ServerLimits {
        requests_per_second: 1,
        requests_burst: 4,
        registrations_per_minute: 1,
        registrations_burst: 2,
        ..ServerLimits::default()
    };
    HttpSettings { limits, ..settings() }
}

/// Sends requests until one is refused; a refill only delays that.
async fn exhaust(server: &Server, path: &str, token: &str) -> Reply {
    for _ in 0..1000 {
        let reply = server.get(path, token).await;
        if reply.status == 429 {
            return reply;
        }
    }
    panic!("never refused");
}

#[actix::test]
async fn requests_above_the_rate_get_a_429() {
    let server = Server::with(tight());
    let (ann, ben) = (server.token("ann").await, server.token("ben").await);
    let third = server.call("POST", "/auth/register?peer_id=cid", "", None).await;
    third.refuses(429, HELD);
    let seconds: u64 = third.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");

    exhaust(&server, "/", "").await.refuses(429, HELD);
    // A valid token has its own bucket; an invalid one counts as none.
    exhaust(&server, "/", "garbage").await.refuses(429, HELD);
    server.get("/relays", &ann).await.expect(200);
    exhaust(&server, "/relays", &ann).await.refuses(429, HELD);
    server.get("/relays", &ben).await.expect(200);
    for _ in 0..20 {
        server.get("/healthz", "").await.expect(200);
        server.get("/readyz", "").await.expect(200);
    }
    // Changed rates start with full buckets.
    server.state.set(settings());
    server.get("/relays", &ann).await.expect(200);
}

#[actix::test]
async fn clients_behind_a_proxy_have_separate_buckets() {
    let local = "127.0.0.1/32".parse().unwrap();
    let http = Http { behind_proxy: vec![local], ..Http::default() };
    let server = Server::with(HttpSettings { http, ..tight() });
    let from = async |client: &str| {
        server.headed("GET /", &format!("Host: a\r\nX-Forwarded-For: {client}\r\n")).await
    };
    let mut replies = 0;
    while from("9.9.9.9, 203.0.113.5").await.status == 200 {
        replies += 1;
        assert!(replies < 1000);
    }
    from("203.0.113.6").await.expect(200);
}

#[actix::test]
async fn stopping_server_refuses_requests_and_healthz_stays_200() {
    let mut server = Server::start();
    let ann = server.token("ann").await;
    server.get("/readyz", "").await.expect(200);
    server.stop.send_replace(Some("test".to_owned()));
    for path in ["/", "/relays", "/nope"] {
        let reply = server.get(path, &ann).await;
        reply.refuses(503, "Server is stopping");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    server.get("/healthz", "").await.expect(200);
    server.get("/readyz", "").await.expect(503);
    server.engine.take().unwrap().stop().await;
    server.stop.send_replace(None);
    // The control plane takes no more calls.
    server.get("/relays", &ann).await.refuses(503, "Server is stopping");
    server.get("/readyz", "").await.expect(503);
}

#[actix::test]
async fn starting_server_answers_503_to_all_but_healthz_until_it_is_ready() {
    let server = Server::start();
    server.state.set_ready(false);
    server.get("/healthz", "").await.expect(200);
    server.get("/readyz", "").await.refuses(503, "Server is starting");
    for path in ["/", "/metrics", "/ws", "/nope"] {
        let reply = server.get(path, "").await;
        reply.refuses(503, "Server is starting");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    // A request waits for a start that is soon done.
    let (reply, ()) = tokio::join!(server.get("/", ""), async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.state.set_ready(true);
    });
    reply.expect(200);
    server.get("/readyz", "").await.expect(200);
}

#[actix::test]
async fn requests_are_counted_by_route() {
    let server = Server::start();
    let ann = server.token("ann").await;
    let id = server.party("ann", &ann).await;
    server.get(&format!("/parties/{id}/peers"), &ann).await.expect(200);
    server.get("/parties/nope/peers", &ann).await.expect(404);
    server.get("/nope", &ann).await.expect(404);
    let text = server.get("/metrics", "").await;
    let count = |series: &str| {
        let line = text.body.lines().find_map(|line| line.strip_prefix(series));
        line.unwrap_or_else(|| panic!("no {series} in {}", text.body)).trim().to_owned()
    };
    let peers = r#"lanrage_http_requests_total{method="GET",route="/parties/{party_id}/peers""#;
    assert_eq!(count(&format!(r#"{peers},status="200"}}"#)), "1");
    assert_eq!(count(&format!(r#"{peers},status="404"}}"#)), "1");
    let other = r#"lanrage_http_requests_total{method="GET",route="other",status="404"}"#;
    assert_eq!(count(other), "1");
    assert_eq!(count(r#"lanrage_rejections_total{reason="not_found"}"#), "2");
    assert_eq!(count("lanrage_parties "), "1");
    assert!(!text.body.contains(&id) && !text.body.contains(&ann));
}

#[actix::test]
async fn cors_headers_are_sent_to_allowed_origins_only() {
    const PREFLIGHT: &str = "Access-Control-Request-Method: POST\r\n";
    let server = Server::start();
    let ask = async |request: &str, origin: &str, more: &str| {
        server.headed(request, &format!("Host: a\r\nOrigin: {origin}\r\n{more}")).await
    };
    let good = "https://games.example";
    for request in ["OPTIONS /parties", "GET /"] {
        let reply = ask(request, good, PREFLIGHT).await;
        assert!(reply.status == 403 && !reply.head.contains("access-control"), "{reply:?}");
    }
    let http = Http { allowed_origins: vec![good.to_owned()], ..Http::default() };
    server.state.set(HttpSettings { http, ..settings() });
    let preflight = ask("OPTIONS /parties", good, PREFLIGHT).await;
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.header("access-control-allow-origin"), Some(good));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("delete, get, post"));
    assert_eq!(preflight.header("vary"), Some("origin"));
    assert!(!preflight.head.contains("credentials"), "{preflight:?}");
    // Refusals may be read, too.
    let refused = ask("GET /relays", good, "").await;
    assert_eq!(refused.header("access-control-allow-origin"), Some(good));
    assert_eq!(refused.status, 401);
    for origin in ["https://evil.example", "null", "http://games.example"] {
        let preflight = ask("OPTIONS /parties", origin, PREFLIGHT).await;
        assert_eq!(
            (preflight.status, preflight.header("access-control-allow-origin")),
            (403, None)
        );
    }
}
