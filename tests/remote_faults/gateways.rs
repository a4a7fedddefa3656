//! A reverse proxy between the daemon and its server, which speaks HTTP/1.0 with the server and
//! answers some requests by itself.

use serde_json::{Value, json};

use crate::harness::{
    BadServer, Behaviour, Client, Daemon, Request, Setup, eventually, fast_remote, peer,
};

type Answer = (u16, &'static str, &'static str);

const PAGE: &str = "<!DOCTYPE html><title>Oops</title>";

fn server() -> Daemon {
    Setup::server().config("[limits]\nregistrations_per_minute = 100000\n").start()
}

fn over_http(url: &str) -> Daemon {
    let config = fast_remote([("max_attempts", "1")]);
    let config = format!("{config}transport = 'http'\npoll = '1s'\n");
    let daemon = Setup::new().server_url(url).config(&config).start();
    daemon.await_state("online");
    daemon
}

fn registration(party_id: &str, host: &str) -> Value {
    json!({"party_id": party_id, "name": "Quake", "host": peer(host), "keepalive": "daemon"})
}

fn parties(client: &mut Client) -> Vec<Value> {
    let mut parties = client.call("party.list", json!({}));
    parties["parties"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

/// The `Idempotency-Key` of each request that registers a party.
fn registrations(requests: &[Request]) -> Vec<String> {
    let made = requests.iter().filter(|request| request.path == "/parties");
    made.map(|request| request.header("idempotency-key").unwrap_or_default().to_owned()).collect()
}

/// A mutation that a gateway answers is deferred under its idempotency key, the connection counts
/// as lost at once, and no party ends, for any answer of the gateway.
#[track_caller]
fn defers(answers: &'static [Answer]) {
    let server = server();
    let gateway = BadServer::start(Behaviour::gateway(server.address(), |_| None));
    let daemon = over_http(&gateway.url());
    let mut client = daemon.client();
    for (number, &answer) in answers.iter().enumerate() {
        let before = gateway.requests().len();
        // Only registrations fail: the daemon returns, and tells the same request again.
        let rule = move |request: &Request| {
            (request.method == "POST" && request.path == "/parties").then_some(answer)
        };
        gateway.behave(Behaviour::gateway(server.address(), rule));
        let asked = registration(&format!("p{number}"), &format!("h{number}"));
        let party = &client.call("party.register", asked)["party"];
        assert_eq!(party["sync"], "pending", "{answer:?}: {party}");
        let keys = || registrations(&gateway.requests()[before..]);
        eventually("the request again", || (keys().len() >= 2).then_some(()));
        gateway.behave(Behaviour::gateway(server.address(), move |_| Some(answer)));
        let connection = daemon.await_state("fallback");
        assert!(connection["last_error"].is_string(), "{answer:?}: {connection}");
        gateway.behave(Behaviour::gateway(server.address(), |_| None));
        daemon.await_state("online");
        let mut is_synced = || parties(&mut client).iter().all(|party| party["sync"] == "synced");
        eventually("all synced", || is_synced().then_some(()));
        let keys = keys();
        assert!(keys.iter().all(|key| *key == keys[0] && !key.is_empty()), "{answer:?}: {keys:?}");
        for daemon in [&daemon, &server] {
            assert_eq!(parties(&mut daemon.client()).len(), number + 1, "{answer:?}");
        }
    }
}

#[test]
fn errors_of_a_gateway_are_lost_connections() {
    defers(&[
        (502, "text/html", PAGE),
        (504, "text/html", PAGE),
        (521, "text/plain", "error code: 521"),
        (503, "application/json", r#"{"message":"no healthy upstream"}"#),
        (429, "text/html", PAGE),
    ]);
}

#[test]
fn answers_in_place_of_the_server_are_lost_connections() {
    defers(&[
        (200, "text/html", PAGE),
        (200, "application/json", r#"{"status":"maintenance"}"#),
        (302, "text/html", PAGE),
    ]);
}

#[test]
fn refusals_of_another_program_are_lost_connections() {
    defers(&[
        (401, "text/html", PAGE),
        (403, "application/json", r#"{"error":"forbidden"}"#),
        (404, "text/html", PAGE),
        (410, "text/html", PAGE),
    ]);
}

#[test]
fn registrations_pass_a_gateway_that_speaks_http_1_0() {
    let server = server();
    let gateway = BadServer::start(Behaviour::gateway(server.address(), |_| None));
    let daemon = over_http(&gateway.url());
    let party = &daemon.client().call("party.register", registration("p", "ann"))["party"];
    assert_eq!(party["sync"], "synced", "{party}");
    let bodiless =
        |request: &&Request| request.method == "POST" && request.path.starts_with("/auth/");
    let requests = gateway.requests();
    let lengths: Vec<_> =
        requests.iter().filter(bodiless).map(|request| request.header("content-length")).collect();
    assert!(
        !lengths.is_empty() && lengths.iter().all(|length| *length == Some("0")),
        "{lengths:?}"
    );
}

#[test]
fn members_are_told_where_parties_cannot_be_read() {
    let server = server();
    let rule = |request: &Request| {
        let rest = request.path.strip_prefix("/parties/")?;
        (request.method == "GET" && !rest.contains('/')).then_some((
            500,
            "text/plain; charset=utf-8",
            "Internal Server Error",
        ))
    };
    let gateway = BadServer::start(Behaviour::gateway(server.address(), rule));
    let (here, there) = (over_http(&gateway.url()), over_http(&gateway.url()));
    let party = here.client().call("party.register", registration("p", "ann"))["party"].take();
    let id = party["party_id"].as_str().expect("an id");
    let entry = json!({"party_id": id, "peer": peer("bob"), "keepalive": "daemon"});
    there.client().call("party.join", entry);
    let mut client = here.client();
    let has_bob = |party: &Value| party["peers"]["bob"].is_object();
    let found = || parties(&mut client).into_iter().find(has_bob);
    let party = eventually("the member", found);
    assert_eq!(party["host_id"], "ann", "{party}");
    let connection = here.client().call("connection.get", json!({}));
    assert_eq!(connection["state"], "online");
    let told = connection["last_error"].as_str().unwrap_or_default();
    assert!(told.contains("500") && told.contains("peers"), "{connection}");
}
