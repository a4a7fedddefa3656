use super::*;

#[actix::test]
async fn unknown_paths_and_methods_are_refused_in_json() {
    let server = Server::start();
    for path in ["/nope", "//", "/parties//peers", "/parties/a%2Fb", "/relays/a%2fb", "/nope/"] {
        server.get(path, "").await.refuses(404, "Not Found");
    }
    for (method, path, allow) in [
        ("POST", "/", "get"),
        ("GET", "/parties", "post"),
        ("OPTIONS", "/parties", "post"),
        ("PUT", "/parties/x", "get"),
        ("GET", "/auth/register?peer_id=a", "post"),
        ("PATCH", "/relays", "get, post"),
        ("POST", "/parties/x/peers/y", "get, delete"),
    ] {
        let reply = server.call(method, path, "", None).await;
        reply.refuses(405, "Method Not Allowed");
        assert_eq!(reply.header("allow"), Some(allow), "{method} {path}");
    }
    let head = server.call("HEAD", "/", "", None).await;
    assert_eq!((head.status, head.header("allow"), &*head.body), (200, None, ""));
}

#[actix::test]
async fn trailing_slash_is_redirected_with_a_307() {
    let server = Server::start();
    let reply = server.call("POST", "/auth/register/?peer_id=abc&x=%20", "", None).await;
    assert_eq!((reply.status, &*reply.body), (307, ""));
    let location = "http://games.example/auth/register?peer_id=abc&x=%20";
    assert_eq!(reply.header("location"), Some(location));
    for (headers, location) in [
        ("Host: 127.0.0.1:8667\r\n", "http://127.0.0.1:8667/relays"),
        ("Host: [::1]:8667\r\n", "http://[::1]:8667/relays"),
        ("Host: evil/..\r\n", "/relays"),
        // No peer is a trusted proxy here.
        ("Host: a\r\nX-Forwarded-Proto: https\r\n", "http://a/relays"),
    ] {
        let reply = server.headed("GET /relays/", headers).await;
        assert_eq!((reply.status, reply.header("location")), (307, Some(location)));
    }
    let local = "127.0.0.1/32".parse().unwrap();
    let http = Http { behind_proxy: vec![local], ..Http::default() };
    server.state.set(HttpSettings { http, ..settings() });
    let headers = "Host: a\r\nX-Forwarded-Proto: https\r\n";
    let reply = server.headed("GET /docs/", headers).await;
    assert_eq!(reply.header("location"), Some("https://a/docs"));
}

#[actix::test]
async fn root_describes_the_service() {
    let server = Server::start();
    let root = server.get("/", "").await;
    assert_eq!(root.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(root.header("cache-control"), Some("no-store"));
    let root = root.expect(200);
    assert_eq!(root["service"], "LANrage Control Plane");
    assert_eq!((&root["version"], &root["status"]), (&json!("1.0.0"), &json!("ok")));
    assert_eq!((&root["parties"], &root["relays"]), (&json!(0), &json!(0)));

    let docs = server.get("/docs", "").await;
    assert_eq!(docs.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(docs.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let description = server.get("/openapi.json", "").await.expect(200);
    assert_eq!(description["openapi"], "3.1.0");
}

#[test]
fn committed_openapi_document_matches_the_code() {
    let committed = include_str!("../../../ipc-schema/schema/openapi.json");
    let told = "run: cargo run --example openapi";
    assert!(committed == crate::http::openapi::document(), "{told}");
}

#[test]
fn openapi_document_has_every_route_and_a_body_for_every_refusal() {
    let document: Value = serde_json::from_str(&crate::http::openapi::document()).unwrap();
    let operations = document["paths"].as_object().unwrap().iter();
    let operations: Vec<_> = operations
        .flat_map(|(path, methods)| methods.as_object().unwrap().iter().map(move |m| (path, m)))
        .collect();
    let table = include_str!("../routes/mod.rs");
    let described = |line: &str| {
        let (path, methods) = line.trim().strip_prefix('"')?.split_once("\" { ")?;
        Some(
            methods.matches(" => ").count()
                == operations.iter().filter(|(p, _)| *p == path).count(),
        )
    };
    let routes: Vec<bool> = table.lines().filter_map(described).collect();
    assert!(routes.len() > 10 && routes.iter().all(|described| *described), "{routes:?}");
    for (path, (method, operation)) in operations {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let described = response["description"].as_str().is_some_and(|text| !text.is_empty());
            let schema = &response["content"]["application/json"]["schema"]["$ref"];
            let is_error = status.as_str() >= "400";
            let error = "#/components/schemas/ErrorReply";
            assert!(described && (!is_error || schema == error), "{method} {path} {status}");
        }
    }
}
