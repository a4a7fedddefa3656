//! Authorization of every route, for every kind of caller.

use serde_json::{Value, json};

use super::announced_with;
use crate::harness::{Daemon, Http, Setup, announced, eventually};

/// Callers: without a token, with a token that never existed, with the owner's expired one, as
/// another member of the party, as a peer outside of it, and as the owner, the party's host.
const ASKERS: [&str; 6] = ["nobody", "garbage", "expired", "member", "outsider", "owner"];

/// Reasons for refusing the first three credentials.
const WHY: [&str; 3] =
    ["Missing authorization header", "Invalid or expired token", "Invalid or expired token"];

/// Allowed for every caller.
const ALL: [u16; 6] = [200; 6];
/// Allowed for every peer with a token.
const PEERS: [u16; 6] = [401, 401, 401, 200, 200, 200];
/// Allowed only for the peer that the request acts for.
const OWN: [u16; 6] = [401, 401, 401, 403, 403, 200];
/// Registration of an owned peer id: allowed only for its owner.
const TAKEN: [u16; 6] = [409, 409, 409, 409, 409, 200];

/// Routes, with the expected status for each caller. `{party}` is a party of the owner and the
/// member, new for each request; `{id}` is an unowned id.
fn table() -> Vec<(&'static str, Value, [u16; 6])> {
    let none = Value::Null;
    let owner = || announced("owner");
    let relay = |id: &str| json!({"relay_id": id, "public_ip": "198.51.100.7", "port": 1});
    vec![
        ("GET /", none.clone(), ALL),
        ("GET /openapi.json", none.clone(), ALL),
        ("GET /docs", none.clone(), ALL),
        ("GET /healthz", none.clone(), ALL),
        ("GET /readyz", none.clone(), ALL),
        ("GET /metrics", none.clone(), ALL),
        ("GET /ws", none.clone(), [426; 6]),
        ("GET /nope", none.clone(), [404; 6]),
        ("PUT /parties/{party}", none.clone(), [405; 6]),
        ("POST /auth/register?peer_id={id}", none.clone(), ALL),
        ("POST /auth/register?peer_id=owner", none.clone(), TAKEN),
        ("POST /parties", json!({"name": "LAN", "host_peer_info": owner()}), OWN),
        ("GET /parties/{party}", none.clone(), PEERS),
        ("POST /parties/{party}/join", json!({"party_id": "p", "peer_info": owner()}), OWN),
        ("GET /parties/{party}/peers", none.clone(), PEERS),
        ("GET /parties/{party}/peers/owner", none.clone(), PEERS),
        ("DELETE /parties/{party}/peers/owner", none.clone(), OWN),
        ("POST /parties/{party}/peers/owner/heartbeat", none.clone(), OWN),
        ("POST /relays", relay("{id}"), PEERS),
        ("POST /relays", relay("owners"), OWN),
        ("GET /relays", none.clone(), PEERS),
        ("GET /relays/eu", none, PEERS),
    ]
}

const ROOMY: &str = "[limits]\nparties_per_peer = 1000\nrequests_per_second = 1000000\n\
    requests_burst = 1000000\nregistrations_per_minute = 1000000\nregistrations_burst = 1000000\n";

fn with_token(server: &Daemon, token: &str) -> Http {
    let mut http = server.http();
    http.token = Some(token.to_owned());
    http
}

/// A server, and a client for each of [`ASKERS`].
fn cast() -> (Daemon, [Http; 6]) {
    // The one token that expires is given out under a configuration of its own.
    let setup = Setup::server().config(&format!("[auth]\ntoken_ttl = '1s'\n{ROOMY}"));
    let mut server = setup.start();
    let mut expired = Http::registered(server.address(), "owner");
    eventually("the end of the token", || (expired.get("/relays").status == 401).then_some(()));
    server.reload(ROOMY);
    let [member, outsider, owner] =
        ["member", "outsider", "owner"].map(|peer| Http::registered(server.address(), peer));
    let garbage = with_token(&server, "x".repeat(43).as_str());
    let nobody = server.http();
    (server, [nobody, garbage, expired, member, outsider, owner])
}

#[test]
fn routes_accept_only_the_callers_of_the_table() {
    let (_server, mut cast) = cast();
    let relay = json!({"relay_id": "owners", "public_ip": "198.51.100.7", "port": 1});
    cast[5].post("/relays", Some(relay)).ok();
    let mut fresh = 0;
    for (request, body, expected) in table() {
        for (index, asker) in ASKERS.into_iter().enumerate() {
            fresh += 1;
            let id = format!("fresh-{fresh}");
            let fill =
                |text: &str, party: &str| text.replace("{party}", party).replace("{id}", &id);
            let mut party = String::new();
            if request.contains("{party}") {
                party = cast[5].party("owner");
                cast[3].join(&party, "member").ok();
            }
            let filled = fill(request, &party);
            let (method, path) = filled.split_once(' ').expect("a method and a path");
            let body: Value = serde_json::from_str(&fill(&body.to_string(), &party)).expect("JSON");
            let body = (!body.is_null()).then_some(body);
            let response = cast[index].request(method, path, body);
            let told = response.text();
            assert_eq!(response.status, expected[index], "{request} by {asker}: {told}");
            if matches!(response.status, 401 | 403 | 404 | 405 | 409 | 426) {
                let detail = response.json()["detail"].take();
                assert!(detail.is_string(), "{request} by {asker}: {told}");
                let is_why = detail == WHY[index.min(2)];
                assert_eq!(is_why, response.status == 401, "{request} by {asker}: {told}");
            }
        }
    }
}

/// A refused request changes nothing.
#[test]
fn requests_that_are_refused_change_nothing() {
    let (_server, mut cast) = cast();
    let party = cast[5].party("owner");
    cast[3].join(&party, "member").ok();
    let before = cast[5].get(&format!("/parties/{party}")).ok();
    let changed = announced_with("owner", json!({"name": "Mallory", "public_key": "bWFsbG9yeQ=="}));
    for client in &mut cast[..5] {
        let join = json!({"party_id": party, "peer_info": changed});
        assert!(client.post(&format!("/parties/{party}/join"), Some(join)).status >= 401);
        assert!(client.delete(&format!("/parties/{party}/peers/owner")).status >= 401);
        let beat = format!("/parties/{party}/peers/owner/heartbeat");
        assert!(client.post(&beat, None).status >= 401);
        assert_eq!(client.post("/auth/register?peer_id=owner", None).status, 409);
    }
    // Not even the time of its last sign of life is another.
    assert_eq!(cast[5].get(&format!("/parties/{party}")).ok(), before);
}

#[test]
fn post_relays_needs_the_relay_key_where_configured() {
    let key = "a-relay-key-of-some-length-0123456789";
    let server = Setup::server().config(&format!("[auth]\nrelay_key = '{key}'\n")).start();
    let mut alice = Http::registered(server.address(), "alice");
    let mut keeper = with_token(&server, key);
    let relay = json!({"relay_id": "r", "public_ip": "198.51.100.7", "port": 1});
    let register = |client: &mut Http| client.post("/relays", Some(relay.clone()));
    assert_eq!(register(&mut server.http()).detail(401), "Missing authorization header");
    let mut almost = with_token(&server, &key[1..]);
    assert_eq!(register(&mut almost).detail(401), "Invalid or expired token");
    let needed = "Registering a relay needs the relay key";
    assert_eq!(register(&mut alice).detail(403), needed);
    let registered = json!({"status": "registered", "relay_id": "r"});
    assert_eq!(register(&mut keeper).ok(), registered);
    // It is the key of relays, and of nothing else.
    assert_eq!(keeper.get("/relays").status, 401);
    assert_eq!(alice.get("/relays").ok()["relays"][0]["relay_id"], "r");
}
