//! Every route of HTTP and every frame of a WebSocket, for every kind of caller. The lists come
//! from the program: a new route or frame fails here until it has its row.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::ws::{done, host};
use crate::harness::{Daemon, Http, Setup, Ws, announced, eventually};

const RELAY_KEY: &str = "the-key-of-the-relays";

/// Kinds of callers, by their credentials.
const CALLERS: [&str; 6] =
    ["nothing", "garbage", "an expired token", "another's", "own", "relay key"];

/// Statuses, in the order of [`CALLERS`].
const ANYONE: [u16; 6] = [200; 6];
const ANY_TOKEN: [u16; 6] = [401, 401, 401, 200, 200, 401];
const OWN_TOKEN: [u16; 6] = [401, 401, 401, 403, 200, 401];
/// Registration without a valid token works only for a free id; this one is alice's.
const REGISTRATION: [u16; 6] = [409, 409, 409, 409, 200, 409];
const RELAYS_ALONE: [u16; 6] = [401, 401, 401, 403, 403, 200];
const UPGRADE: [u16; 6] = [426; 6];

/// Routes and their statuses; destructive ones come last.
const ROUTES: &[(&str, &str, [u16; 6])] = &[
    ("get", "/", ANYONE),
    ("get", "/openapi.json", ANYONE),
    ("get", "/docs", ANYONE),
    ("get", "/healthz", ANYONE),
    ("get", "/readyz", ANYONE),
    ("get", "/metrics", ANYONE),
    ("get", "/ws", UPGRADE),
    ("post", "/auth/register", REGISTRATION),
    ("post", "/parties", OWN_TOKEN),
    ("get", "/parties/{party_id}", ANY_TOKEN),
    ("post", "/parties/{party_id}/join", OWN_TOKEN),
    ("get", "/parties/{party_id}/peers", ANY_TOKEN),
    ("get", "/parties/{party_id}/peers/{peer_id}", ANY_TOKEN),
    ("post", "/parties/{party_id}/peers/{peer_id}/heartbeat", OWN_TOKEN),
    ("post", "/relays", RELAYS_ALONE),
    ("get", "/relays", ANY_TOKEN),
    ("get", "/relays/{region}", ANY_TOKEN),
    ("delete", "/parties/{party_id}/peers/{peer_id}", OWN_TOKEN),
    ("delete", "/auth/tokens", ANY_TOKEN),
];

/// The routes that the server describes, which its unit tests hold to those that it has.
fn described(http: &mut Http) -> BTreeSet<(String, String)> {
    let document = http.get("/openapi.json").ok();
    let paths = document["paths"].as_object().expect("paths").clone();
    let methods = |(path, item): (String, Value)| -> Vec<(String, String)> {
        let item = item.as_object().expect("methods").clone();
        item.into_iter().map(|(method, _)| (method, path.clone())).collect()
    };
    paths.into_iter().flat_map(methods).collect()
}

fn body(path: &str, party: &str) -> Option<Value> {
    Some(match path {
        "/parties" => json!({"name": "LAN", "host_peer_info": announced("alice")}),
        "/parties/{party_id}/join" => json!({"party_id": party, "peer_info": announced("alice")}),
        "/relays" => json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 1}),
        _ => return None,
    })
}

#[test]
fn routes_answer_each_kind_of_caller_as_the_table_says() {
    let config =
        |ttl: &str| format!("[auth]\nrelay_key = \"{RELAY_KEY}\"\ntoken_ttl = \"{ttl}\"\n");
    let mut server = Setup::server().config(&config("1s")).start();
    let expired = Http::registered(server.address(), "eve").token;
    server.reload(&config("24h"));
    let [mut alice, bob] = ["alice", "bob"].map(|id| Http::registered(server.address(), id));
    eventually("the end of eve's token", || {
        let mut eve = server.http();
        eve.token = expired.clone();
        (eve.get("/relays").status == 401).then_some(())
    });
    let rows: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(rows, described(&mut alice), "a route without a row, or a row without a route");
    let party = alice.party("alice");
    let (garbage, relay_key) = (Some("A".repeat(43)), Some(RELAY_KEY.to_owned()));
    let shown = [None, garbage, expired, bob.token, alice.token.clone(), relay_key];
    for (method, template, statuses) in ROUTES {
        let path = template.replace("{party_id}", &party).replace("{peer_id}", "alice");
        let path =
            path.replace("{region}", "unknown").replace("/register", "/register?peer_id=alice");
        // Requests that only the owner may make come last.
        for ((caller, token), status) in CALLERS.iter().zip(&shown).zip(statuses) {
            let mut http = server.http();
            http.token = token.clone();
            let answer = http.request(&method.to_uppercase(), &path, body(template, &party));
            assert_eq!(answer.status, *status, "{method} {template}: {caller}: {}", answer.text());
            for secret in shown.iter().flatten().filter(|_| *template != "/auth/register") {
                assert!(!answer.text().contains(secret.as_str()), "{method} {template}");
            }
        }
    }
}

const OK: &str = "ok";
const DENIED: &str = "permission_denied";
const NO_MEMBER: &str = "not_a_member";

/// A kind of frame, and its answers to a connection that speaks for nobody, one that speaks for
/// another peer, the peer's own, and one after which the peer came on another.
const FRAMES: &[(&str, [&str; 4])] = &[
    ("hello", [DENIED, DENIED, OK, DENIED]),
    ("auth", [DENIED, DENIED, OK, DENIED]),
    ("register_party", [DENIED, DENIED, OK, DENIED]),
    ("join_party", [DENIED, DENIED, OK, DENIED]),
    ("update_peer", [DENIED, DENIED, OK, DENIED]),
    ("heartbeat", [DENIED, DENIED, OK, DENIED]),
    ("signal", [DENIED, DENIED, OK, DENIED]),
    ("sync", [NO_MEMBER, NO_MEMBER, OK, NO_MEMBER]),
    ("list_relays", [OK, OK, OK, OK]),
    ("leave_party", [DENIED, DENIED, OK, DENIED]),
];

/// The kinds of frames that the committed schema has, which is made from the frames' types.
fn kinds() -> BTreeSet<String> {
    let schema = "ipc-schema/schema/control-ws.schema.json";
    let schema = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(schema));
    let schema: Value = serde_json::from_str(&schema.expect("a schema")).expect("JSON");
    let frames = schema["definitions"]["Inbound"]["oneOf"].as_array().expect("frames");
    let kinds = frames.iter().flat_map(|frame| {
        let kind = &frame["properties"]["type"];
        let all = kind["enum"].as_array().cloned().unwrap_or_else(|| vec![kind["const"].clone()]);
        all.into_iter().map(|kind| kind.as_str().expect("a name").to_owned())
    });
    kinds.collect()
}

/// Returns a frame as alice would send it.
fn frame(kind: &str, party: &str) -> Value {
    let mut frame = json!({
        "type": kind, "party_id": party, "peer_id": "alice", "peer": announced("alice"),
        "name": "LAN", "host_peer": announced("alice"), "from_peer_id": "alice",
        "to_peer_id": "alice", "signal_data": 1, "caps": ["x"],
    });
    if kind == "register_party" {
        frame["party_id"] = json!(format!("of-{party}"));
    }
    frame
}

fn unidentified(server: &Daemon) -> Ws {
    let mut ws = Ws::connect(server.address());
    ws.send(json!({"type": "hello", "caps": ["x"]}));
    ws.await_type("welcome");
    ws
}

#[test]
fn frames_answer_each_kind_of_caller_as_the_table_says() {
    let rows: BTreeSet<_> = FRAMES.iter().map(|(kind, _)| (*kind).to_owned()).collect();
    assert_eq!(rows, kinds(), "a kind of frame without a row, or a row without a kind");
    let server = Setup::server().start();
    let (mut late, token) = host(&server, "lan", "alice");
    // It goes on speaking for another.
    late.send(json!({"type": "hello", "caps": ["x"], "peer_id": "dora"}));
    late.await_type("welcome");
    let (bob, _) = host(&server, "other", "bob");
    let mut own = Ws::connect(server.address());
    own.send(json!({"type": "hello", "caps": ["takeover"], "peer_id": "alice", "token": token}));
    own.await_type("welcome");
    late.await_type("error");
    let mut callers = [unidentified(&server), bob, own, late];
    for (kind, answers) in FRAMES {
        // The own connection may end something: the others come before it.
        for caller in [0, 1, 3, 2] {
            let answer = callers[caller].ask(frame(kind, "lan"));
            let code = answer["code"].as_str().unwrap_or(OK);
            assert_eq!(code, answers[caller], "{kind}: caller {caller}: {answer}");
            assert!(!answer.to_string().contains(&token), "{kind}");
        }
    }
    done(&callers[1].ask(json!({"type": "list_relays"})));
}
