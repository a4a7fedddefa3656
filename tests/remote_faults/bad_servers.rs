//! Other software where the control server should be, or nothing.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::trial::{HASTY, Trial};
use crate::harness::{
    BadServer, Behaviour, FAST_REMOTE, Port, Setup, Step, eventually, fast_remote,
    impatient_remote, peer, polite, welcome,
};

/// A daemon that can't get along with such a server works on alone, and says why.
#[track_caller]
fn falls_back(behaviour: Behaviour, config: &str, words: &[&str]) {
    let server = BadServer::start(behaviour);
    let mut trial = Trial::with(&server.url(), config);
    // On a slow machine an attempt may fail for another reason.
    trial.is_lost(words);
    trial.comes_to("fallback", &[]);
    trial.goes_on_alone();
    // It comes back by itself, however long the machine takes to shake hands.
    server.behave(Behaviour::polite());
    trial.daemon.reload(&fast_remote([("connect_timeout", "'20s'"), ("request_timeout", "'20s'")]));
    trial.comes_to("online", &[]);
    trial.answers_all();
    trial.end();
}

#[test]
fn server_that_hangs_up_leads_to_fallback() {
    falls_back(Behaviour::AcceptAndDrop, FAST_REMOTE, &["127.0.0.1:", "connection"]);
}

#[test]
fn server_that_is_silent_leads_to_fallback() {
    let server = BadServer::start(Behaviour::Silent);
    let trial = Trial::with(&server.url(), HASTY);
    trial.comes_to("fallback", &["took longer than 0.15 s", "firewall"]);
    trial.goes_on_alone();
    trial.end();
}

#[test]
fn server_of_another_protocol_leads_to_fallback() {
    for seed in 0..3 {
        falls_back(Behaviour::Garbage(seed), FAST_REMOTE, &["127.0.0.1:", "control server"]);
    }
}

#[test]
fn server_that_sends_interim_answers_without_end_is_given_up() {
    // Its reason comes from the bytes, long before the time is up.
    let config = fast_remote([("request_timeout", "'10m'"), ("connect_timeout", "'10m'")]);
    for status in ["100 Continue", "103 Early Hints"] {
        let server = BadServer::start(Behaviour::Interim(status));
        let mut trial = Trial::with(&server.url(), &format!("{config}transport = 'http'\n"));
        eventually("a request", || (!server.requests().is_empty()).then_some(()));
        trial.daemon.client().call("ping", json!({}));
        trial.is_lost(&["127.0.0.1:", "bytes without an answer"]);
        trial.goes_on_alone();
        trial.end();
        // The answer to a WebSocket's handshake is refused at once.
        let mut trial = Trial::with(&server.url(), &config);
        trial.is_lost(&["127.0.0.1:", "refused (10"]);
        trial.goes_on_alone();
        trial.end();
    }
}

#[test]
fn captive_portal_is_told() {
    falls_back(Behaviour::HtmlPage, FAST_REMOTE, &["web page", "captive portal"]);
}

#[test]
fn server_that_redirects_is_not_followed() {
    let elsewhere = BadServer::start(Behaviour::polite());
    let to = Behaviour::RedirectTo(elsewhere.url());
    falls_back(
        to,
        FAST_REMOTE,
        &["redirects to", &elsewhere.url(), "set that as the server's URL"],
    );
    // Whom a server names is no server that the user chose.
    assert_eq!(elsewhere.requests().len(), 0);
}

#[test]
fn server_that_refuses_everything_leads_to_fallback() {
    for (status, words) in [
        (403, ["refused", "403"]),
        (404, ["no control server", "404"]),
        (429, ["left alone", "429"]),
        (500, ["log", "500"]),
        (502, ["proxy", "502"]),
        (503, ["log", "503"]),
    ] {
        falls_back(Behaviour::Status(status, Vec::new()), FAST_REMOTE, &words);
    }
}

#[test]
fn server_that_wants_a_login_is_asked_again_on_retry() {
    let server = BadServer::start(Behaviour::Status(401, Vec::new()));
    let trial = Trial::of(&server.url());
    let connection = trial.comes_to("auth_failed", &["login", "401"]);
    assert_eq!(connection["retry_in_ms"], json!(null));
    trial.goes_on_alone();
    let asked = server.requests().len();
    server.behave(Behaviour::polite());
    trial.daemon.client().call("connection.retry", json!({}));
    trial.comes_to("online", &[]);
    assert_eq!(server.requests().len(), asked + 1);
    trial.end();
}

#[test]
fn retry_after_of_a_server_is_respected() {
    for status in [429, 503] {
        let header = ("Retry-After", "3000".to_owned());
        let server = BadServer::start(Behaviour::Status(status, vec![header]));
        let mut trial = Trial::of(&server.url());
        let lost = trial.is_lost(&[&status.to_string()]);
        assert!(lost["retry_in_ms"].as_u64().is_some_and(|ms| ms > 2_000_000), "{lost}");
        trial.goes_on_alone();
        assert_eq!(server.requests().len(), 1);
        // Who knows better may say so.
        server.behave(Behaviour::polite());
        trial.daemon.client().call("connection.retry", json!({}));
        trial.comes_to("online", &[]);
        trial.end();
    }
}

#[test]
fn host_name_without_an_address_is_told() {
    let trial = Trial::with("http://no-such-host.invalid:8667", HASTY);
    trial.comes_to("fallback", &["no-such-host.invalid", "URL"]);
    trial.goes_on_alone();
    trial.end();
}

#[test]
fn port_without_a_listener_is_told() {
    let port = Port::reserve();
    let trial = Trial::of(&format!("http://{}", port.address()));
    trial.comes_to("fallback", &["nothing listens at", &port.address().to_string()]);
    trial.goes_on_alone();
    trial.end();
}

#[test]
fn port_that_accepts_no_connection_is_given_up() {
    // The system completes connections, and nobody ever takes one up.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let trial = Trial::with(&url, HASTY);
    trial.comes_to("fallback", &["took longer than"]);
    trial.goes_on_alone();
    trial.end();
}

#[test]
fn server_that_never_answers_a_hello_is_given_up() {
    falls_back(Behaviour::UpgradeThen(vec![Step::ignore()]), HASTY, &["no answer"]);
}

#[test]
fn server_that_hangs_after_the_handshake_is_given_up() {
    falls_back(Behaviour::UpgradeThen(vec![Step::Hang]), HASTY, &["no answer"]);
}

#[test]
fn welcome_of_another_form_is_refused() {
    let mut wrong = welcome(None);
    wrong["heartbeat_ms"] = json!("often");
    let answer = move |_: &serde_json::Value| vec![wrong.to_string(); 8];
    let behaviour = Behaviour::UpgradeThen(vec![Step::answer(answer)]);
    falls_back(behaviour, FAST_REMOTE, &["not understood", "often"]);
}

#[test]
fn error_instead_of_a_welcome_is_told() {
    let mut wrong = welcome(None);
    wrong["heartbeat_ms"] = json!("often");
    let complaint = |message: &str| json!({"type": "error", "message": message});
    let long = complaint(&"x".repeat(5000));
    for (frame, words) in [
        (wrong, "what it sent is not understood"),
        (complaint("closed on Mondays"), "it complains: closed on Mondays"),
        (long, &*format!("it complains: {}…", "x".repeat(200))),
        (json!({"type": "goaway", "retry_after_ms": 0}), "it is going away"),
    ] {
        for script in [
            vec![Step::send(&frame), Step::ignore()],
            // One that closes is not waited for.
            vec![Step::Expect, Step::send(&frame), Step::Close(1000)],
        ] {
            falls_back(Behaviour::UpgradeThen(script), HASTY, &[words]);
        }
    }
}

/// Refuses every request, permanently, and for no reason of a peer's.
fn close_on_mondays(frame: &serde_json::Value) -> Vec<String> {
    let refusal = json!({"type": "error", "message": "closed on Mondays",
        "code": "server_rejected", "req_id": frame["req_id"]});
    vec![refusal.to_string()]
}

#[test]
fn server_that_refuses_the_hello_is_told() {
    let behaviour = Behaviour::UpgradeThen(vec![Step::answer(close_on_mondays)]);
    falls_back(behaviour, FAST_REMOTE, &["refuses", "closed on Mondays"]);
}

#[test]
fn server_that_hangs_after_its_welcome_is_given_up() {
    let script = vec![Step::online(), Step::Hang];
    let server = BadServer::start(Behaviour::UpgradeThen(script));
    let mut trial = Trial::with(&server.url(), HASTY);
    trial.comes_to("online", &[]);
    trial.answers_all();
    trial.is_lost(&["no answer to a request"]);
    trial.end();
}

#[test]
fn server_that_refuses_all_requests_keeps_the_daemon_usable() {
    let polite = polite();
    let refuse = move |frame: &serde_json::Value| match frame["type"].as_str() {
        Some("hello") => polite(frame),
        _ => vec![
            json!({"type": "error", "message": "no", "code": "server_rejected",
                "req_id": frame["req_id"]})
            .to_string(),
        ],
    };
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer(refuse)]));
    let trial = Trial::of(&server.url());
    trial.comes_to("online", &[]);
    let mut client = trial.daemon.client();
    let params = json!({"party_id": "p", "name": "Quake", "host": crate::harness::peer("h")});
    crate::harness::assert_error(&client.error("party.register", params), "server_rejected");
    trial.answers_all();
    trial.comes_to("online", &[]);
    trial.end();
}

#[test]
fn close_reason_of_a_server_is_told() {
    for (code, words) in [(1008, "policy"), (1009, "too large"), (1011, "internal error")] {
        let script = vec![Step::online(), Step::Close(code)];
        let server = BadServer::start(Behaviour::UpgradeThen(script));
        let mut trial = Trial::of(&server.url());
        trial.is_lost(&[&code.to_string(), words, "as told"]);
        trial.end();
    }
}

#[test]
fn leave_with_a_lost_answer_succeeds_after_the_server_reported_its_effect() {
    let polite = polite();
    let answer = move |frame: &Value| {
        let answers = polite(frame);
        if frame["type"] != "leave_party" {
            return answers;
        }
        let ack: Value = serde_json::from_str(answers.last().expect("an ack")).expect("JSON");
        let is_host = frame["peer_id"] == "ann";
        let kind = if is_host { "party_removed" } else { "peer_left" };
        let effect = json!({"type": kind, "party_id": frame["party_id"], "reason": "removed",
            "peer_id": frame["peer_id"], "epoch": ack["epoch"], "seq": ack["seq"]});
        vec![effect.to_string()]
    };
    let server = BadServer::start(Behaviour::UpgradeThen(vec![Step::answer(answer)]));
    let daemon = Setup::new().server_url(&server.url()).config(&impatient_remote()).start();
    daemon.await_state("online");
    let mut client = daemon.client();
    client.register("p", "ann");
    client.call("party.join", json!({"party_id": "p", "peer": peer("bob")}));
    for (peer_id, status) in [("bob", "left"), ("ann", "party_deleted")] {
        let left = client.call("party.leave", json!({"party_id": "p", "peer_id": peer_id}));
        assert_eq!(left["status"], status, "{left}");
    }
}
