//! The log names the caller and the action, and never a secret.

use serde_json::json;

use crate::harness::{Http, Setup, Ws, announced};

#[test]
fn log_has_a_line_for_each_request_with_its_caller() {
    let server = Setup::server().start();
    let mut ann = Http::registered(server.address(), "ann");
    let party = ann.party("ann");
    ann.get(&format!("/parties/{party}/peers")).ok();
    server.http().get("/relays").detail(401);
    server.http().get("/no/such%0d%0aroute").detail(404);
    let log = server.setup.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).collect::<Vec<_>>();
    for (request, who) in [
        ("POST /auth/register 200", "peer -, party -".to_owned()),
        ("POST /parties 200", "peer ann, party -".to_owned()),
        ("GET /parties/{party_id}/peers 200", format!("peer ann, party {party}")),
        ("GET /relays 401", "peer -, party -".to_owned()),
        ("GET other 404", "peer -, party -".to_owned()),
    ] {
        let found = lines(request);
        assert_eq!(found.len(), 1, "{request}: {found:?}");
        assert!(found[0].ends_with(&who), "{}", found[0]);
    }
    let (setup, _) = server.stop();
    let log = setup.log();
    for line in log.lines() {
        assert!(line.starts_with("20") && line.is_ascii(), "{line}");
    }
}

#[test]
fn log_has_no_secret_of_any_request() {
    const KEY: &str = "a-relay-key-that-nobody-may-read";
    let config = format!("[auth]\nrelay_key = '{KEY}'\n");
    let mut server = Setup::server().config(&config).start();
    let mut secrets = vec![KEY.to_owned()];
    let mut ann = Http::registered(server.address(), "ann");
    secrets.push(ann.token.clone().expect("a token"));
    let party = ann.party("ann");
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.9", "port": 4000});
    ann.post("/relays", Some(relay.clone())).detail(403);
    let mut of_relay = server.http();
    of_relay.token = Some(KEY.to_owned());
    of_relay.post("/relays", Some(relay)).ok();
    let (mut bob, welcome) = Ws::hello(server.address(), "bob", None);
    let token = welcome["token"].as_str().expect("a token").to_owned();
    bob.ask(json!({"type": "join_party", "party_id": party, "peer": announced("bob")}));
    drop(bob);
    Ws::hello(server.address(), "bob", Some(&token)).0.settled();
    // Where none belongs: of others, misspelt, in a path, a query, a body, a frame.
    // Claim secrets, good and bad ones, in both places.
    const CLAIM: &str = "a-claim-secret-that-nobody-may-read";
    secrets.push(CLAIM.to_owned());
    let bad = format!("{CLAIM}/of another form");
    for claim in [CLAIM, bad.as_str()] {
        server.http().send("POST", "/auth/register?peer_id=dan", &[("Claim", claim)], None);
        let mut fay = server.ws();
        fay.send(json!({"type": "hello", "caps": ["x"], "peer_id": "fay", "claim": claim}));
        let answer = fay.frame().expect("an answer");
        assert!(!answer.to_string().contains(CLAIM), "{answer}");
    }
    let token = ann.token.clone().expect("a token");
    let body = json!({"token": token, "claim": CLAIM, "name": 5});
    let refused = ann.post("/parties", Some(body)).detail(422);
    assert!(!refused.to_string().contains(&token), "{refused}");
    assert!(!refused.to_string().contains(CLAIM), "{refused}");
    for path in [format!("/?token={token}"), format!("/relays/{token}"), format!("/{token}")] {
        ann.get(&path);
    }
    ann.post(&format!("/auth/register?peer_id=eve&token={token}"), None);
    let headers = [
        ("Authorization", format!("Basic {token}")),
        ("authorization", format!("Bearer {token}x")),
    ];
    for (name, value) in &headers {
        server.http().send("GET", "/relays", &[(name, value)], None).detail(401);
    }
    ann.post("/parties", Some(json!({"name": token.repeat(3), "host_peer_info": {"peer_id": 1}})))
        .detail(422);
    let mut eve = server.ws();
    eve.send(json!({"type": "hello", "version": "1", "client": "t", "caps": ["lanragectl"], "peer_id": "bob", "token": secrets[1]}));
    eve.await_type("error");
    eve.send_text(&format!("{{\"type\":\"hello\",\"token\":\"{token}"));
    eve.await_type("error");
    secrets.push(token);
    secrets.push(welcome["token"].as_str().expect("a token").to_owned());
    server.reload(&config);
    let (setup, _) = server.stop();
    let log = setup.log();
    assert!(log.contains("peer ann"), "nothing was logged");
    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "it holds a secret");
    }
    // Nor does the configuration show its key, nor the database a token.
    let mut command = setup.command();
    command.arg("--check-config");
    assert!(crate::harness::end_of(&mut command).success());
    assert!(!setup.log().contains(KEY), "{}", setup.log());
    for file in std::fs::read_dir(setup.state_dir()).expect("the state").flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a secret", file.path().display());
        }
    }
}
