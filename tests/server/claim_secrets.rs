//! Claims whose answer was lost: the claim secret repeats them, and nothing else does.

use serde_json::{Value, json};

use crate::harness::{Daemon, Http, Response, Setup, Ws, eventually};

const CLAIM: &str = "4dAg7-claim_of~22.and-more";
const TAKEN: &str = "Peer id is already registered";
const NO_LIMITS: &str = "[limits]\nregistrations_per_minute = 1000000\n\
    registrations_burst = 1000000\n";

/// A registration over HTTP that shows a claim secret.
fn register(http: &mut Http, peer_id: &str, claim: &str) -> Response {
    let bearer = http.token.as_ref().map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Claim", claim)];
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    http.send("POST", &format!("/auth/register?peer_id={peer_id}"), &headers, None)
}

/// The answer to a hello of another client, with these fields.
fn hello(server: &Daemon, address: &str, fields: Value) -> Value {
    let mut frame = json!({"type": "hello", "version": "1", "client": "t", "caps": ["x"]});
    frame.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    let mut ws = Ws::connect_for(server.address(), Some(address));
    ws.send(frame);
    ws.await_frame("an answer", |frame| ["welcome", "error"].iter().any(|t| frame["type"] == *t))
}

fn behind_a_proxy(more: &str) -> Setup {
    Setup::server().config(&format!("{NO_LIMITS}{more}[http]\nbehind_proxy = ['127.0.0.1']\n"))
}

/// The status of a request that shows a token.
fn shown(server: &Daemon, token: &Value) -> u16 {
    let mut http = server.http();
    http.token = token.as_str().map(str::to_owned);
    http.get("/relays").status
}

#[test]
fn req_id_from_another_address_claims_nothing() {
    let server = behind_a_proxy("").start();
    let guessed = "request-00000000000001";
    let own = json!({"peer_id": "ann", "req_id": guessed, "claim": CLAIM});
    assert_eq!(hello(&server, "192.0.2.1", own)["type"], "welcome");
    for fields in [
        json!({"peer_id": "ann", "req_id": guessed}),
        json!({"peer_id": "ann", "req_id": CLAIM}),
        json!({"peer_id": "ann", "claim": guessed, "req_id": guessed}),
    ] {
        for address in ["192.0.2.1", "198.51.100.7"] {
            let answer = hello(&server, address, fields.clone());
            assert_eq!(answer["code"], "permission_denied", "{fields} {answer}");
        }
    }
    // Nor does it over HTTP, whatever was claimed under it.
    let keyed = |peer_id: &str, key: &str| {
        let path = format!("/auth/register?peer_id={peer_id}");
        server.http().send("POST", &path, &[("Idempotency-Key", key)], None)
    };
    assert_eq!(keyed("ann", guessed).detail(409), TAKEN);
    assert_eq!(keyed("ann", CLAIM).detail(409), TAKEN);
    keyed("ben", guessed).ok();
    assert_eq!(keyed("ben", guessed).detail(409), TAKEN);
    let ben = json!({"peer_id": "ben", "req_id": guessed});
    assert_eq!(hello(&server, "192.0.2.1", ben)["code"], "permission_denied");
}

#[test]
fn claim_with_a_lost_answer_is_repeated_on_both_transports() {
    let mut server = Setup::server().config(NO_LIMITS).start();
    let claim = |server: &Daemon, transport: &str, peer_id: &str, claim: &str| -> Value {
        match transport {
            "ws" => {
                hello(server, "192.0.2.1", json!({"peer_id": peer_id, "claim": claim}))["token"]
                    .take()
            }
            _ => register(&mut server.http(), peer_id, claim).ok()["token"].take(),
        }
    };
    let mut tokens: Vec<Value> = Vec::new();
    for transport in ["ws", "http", "ws", "http"] {
        let token = claim(&server, transport, "ann", CLAIM);
        assert!(token.is_string() && !tokens.contains(&token), "a token is told once");
        tokens.push(token);
        // The first answer may not have been lost after all.
        assert!(tokens.iter().all(|token| shown(&server, token) == 200));
        server = server.kill().start();
    }
    let other = CLAIM.replace('4', "5");
    assert_eq!(claim(&server, "ws", "ann", &other), Value::Null);
    assert_eq!(register(&mut server.http(), "ann", &other).detail(409), TAKEN);
    // The secret is good for this id alone.
    claim(&server, "http", "ben", &other);
    assert_eq!(register(&mut server.http(), "ben", CLAIM).detail(409), TAKEN);
}

#[test]
fn claim_secret_ends_with_its_token() {
    let server = Setup::server().config("[auth]\ntoken_ttl = \"1s\"\n").start();
    let first = register(&mut server.http(), "ann", CLAIM).ok()["token"].take();
    eventually("its end", || (shown(&server, &first) == 401).then_some(()));
    // The id is anybody's again, and its next owner's.
    let other = CLAIM.replace('4', "5");
    let next = register(&mut server.http(), "ann", &other).ok()["token"].take();
    let repeated = register(&mut server.http(), "ann", CLAIM);
    assert!(repeated.status == 409 || shown(&server, &next) == 401, "{}", repeated.text());
}

#[test]
fn claim_secret_of_another_form_is_refused_with_its_rule() {
    let server = Setup::server().config(NO_LIMITS).start();
    for (claim, rule) in [
        ("s3cret-of-21-letters.", "at least 22 characters"),
        (&*"s3cret".repeat(22), "at most 128 characters"),
        ("s3cret/with/slashes/in/it", "match pattern"),
        ("s3cret with spaces in it all", "match pattern"),
    ] {
        let answer = hello(&server, "192.0.2.1", json!({"peer_id": "ann", "claim": claim}));
        let message = answer["message"].as_str().expect("words");
        assert_eq!(answer["type"], "error", "{answer}");
        assert!(message.starts_with("claim: ") && message.contains(rule), "{message}");
        let refused = register(&mut server.http(), "ann", claim);
        let detail = refused.detail(422);
        assert_eq!(detail[0]["loc"], json!(["header", "claim"]), "{detail}");
        assert!(detail[0]["msg"].as_str().expect("words").contains(rule), "{detail}");
        for said in [answer.to_string(), detail.to_string()] {
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
    let twice = [("Claim", CLAIM), ("Claim", CLAIM)];
    let refused = server.http().send("POST", "/auth/register?peer_id=ann", &twice, None);
    assert_eq!(refused.status, 422);
    // A claim in a URL is none, and nothing was done.
    let path = format!("/auth/register?peer_id=ann&claim={CLAIM}");
    server.http().post(&path, None).ok();
    assert_eq!(register(&mut server.http(), "ann", CLAIM).detail(409), TAKEN);
}

/// A bad token would mean that the claim is made without its proof.
#[test]
fn claim_secret_beside_a_lost_token_is_refused() {
    let server = Setup::server().start();
    let mut http = server.http();
    http.token = Some("of-another-day".to_owned());
    assert_eq!(register(&mut http, "ann", CLAIM).detail(401), "Invalid or expired token");
    http.token = None;
    register(&mut http, "ann", CLAIM).ok();
}

#[test]
fn get_root_says_that_claims_are_known() {
    let server = Setup::server().start();
    let service = server.http().get("/").ok();
    assert_eq!((&service["claim"], &service["idempotency_key"]), (&json!(true), &json!(true)));
    let document = server.http().get("/openapi.json").ok();
    let route = &document["paths"]["/auth/register"]["post"]["parameters"];
    assert!(route.to_string().contains("\"Claim\""), "{route}");
}
