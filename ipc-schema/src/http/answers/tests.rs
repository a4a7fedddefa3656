use std::net::Ipv4Addr;

use serde_json::json;

use super::*;

fn party(last_seen: &str) -> Value {
    let peer = json!({"peer_id": "ann", "name": "Ann", "public_key": "a2V5",
        "nat_type": "open", "public_ip": "unknown", "public_port": 0,
        "local_ip": "unknown", "local_port": 0, "last_seen": last_seen});
    json!({"party_id": "p", "name": "n", "host_id": "ann",
        "created_at": "2026-11-22T10:00:00", "peers": {"ann": peer}})
}

fn read_party(body: Value) -> Result<PartyAnswer, BadAnswer> {
    PartyAnswer::from_json(body.to_string().as_bytes())
}

#[test]
fn party_reply_is_decoded_with_and_without_extensions() {
    let bare = read_party(json!({"party": party("2026-11-22T10:00:00")})).unwrap();
    assert_eq!((bare.change.clone(), bare.virtual_ips.len()), (None, 0));
    assert_eq!(bare.party.peers[0].0.peer_id.as_str(), "ann");
    let full = json!({"party": party("2026-11-22T12:00:00+02:00"), "epoch": "e", "seq": 7,
        "virtual_ips": {"ann": "10.66.0.1"}});
    let full = read_party(full).unwrap();
    assert_eq!(full.change, Some(("e".parse().unwrap(), 7)));
    assert_eq!(full.virtual_ips["ann"], Ipv4Addr::new(10, 66, 0, 1));
    // The same time in another format.
    assert_eq!(full.party, bare.party);
}

#[test]
fn a_bad_guest_is_left_out_and_a_bad_party_refused() {
    let mut body = json!({"party": party("2026-11-22T10:00:00")});
    body["party"]["peers"]["ben"] = json!({"peer_id": "ben"});
    let read = read_party(body.clone()).unwrap();
    assert_eq!((read.party.peers.len(), read.rejected.len()), (1, 1));
    body["party"]["peers"]["ann"]["public_port"] = json!(70000);
    let words = read_party(body).unwrap_err().to_string();
    assert!(words.contains("party: host_id") && words.contains("public_port"), "{words}");
    let words = read_party(json!({"party": {}})).unwrap_err().to_string();
    assert!(words.contains("party_id"), "{words}");
}

#[test]
fn an_id_that_urls_lose_is_refused() {
    let known = json!({"party": party("2026-11-22T10:00:00")});
    let mut body = known.clone();
    body["party"]["party_id"] = json!("..");
    let words = read_party(body).unwrap_err().to_string();
    assert!(words.contains("party_id: must not be . or .."), "{words}");
    let mut body = known.clone();
    let mut host = body["party"]["peers"]["ann"].take();
    host["peer_id"] = json!(".");
    body["party"]["host_id"] = json!(".");
    body["party"]["peers"] = json!({".": host});
    let words = read_party(body).unwrap_err().to_string();
    assert!(words.contains("peer_id: must not be . or .."), "{words}");
    let mut body = known;
    let mut guest = body["party"]["peers"]["ann"].clone();
    guest["peer_id"] = json!("..");
    body["party"]["peers"][".."] = guest;
    let read = read_party(body).unwrap();
    assert_eq!((read.party.peers.len(), read.rejected.len()), (1, 1));
}

#[test]
fn an_answer_has_one_party_id() {
    let mut body = json!({"party_id": "p", "party": party("2026-11-22T10:00:00")});
    assert!(read_party(body.clone()).is_ok());
    body["party_id"] = json!("other");
    let bad = read_party(body).unwrap_err();
    assert_eq!(bad.to_string(), "party_id: is other, and that of the party is p");
    assert!(!bad.is_foreign());
}

#[test]
fn answers_of_other_programs_are_told_from_bad_ones() {
    for (body, is_foreign) in [
        ("<html>", true),
        ("", true),
        ("5", true),
        (r#"{"status":"maintenance"}"#, true),
        (r#"{"party":{}}"#, false),
        (r#"{"party":5}"#, false),
    ] {
        let bad = PartyAnswer::from_json(body.as_bytes()).unwrap_err();
        assert_eq!(bad.is_foreign(), is_foreign, "{body}");
    }
    let bad = TokenAnswer::from_json(br#"{"token":"a b"}"#).unwrap_err();
    assert!(!bad.is_foreign());
}

#[test]
fn a_token_is_fit_for_a_header_and_its_time_in_utc() {
    let read = |body: Value| TokenAnswer::from_json(body.to_string().as_bytes());
    let at = "2026-11-22T12:00:00Z".parse().ok();
    for time in ["2026-11-22T12:00:00", "2026-11-22 14:00:00+02:00"] {
        let answer = read(json!({"token": "abc", "expires_at": time})).unwrap();
        assert_eq!(answer.expires_at, at, "{time}");
    }
    assert_eq!(read(json!({"token": "abc"})).unwrap().expires_at, None);
    let long = "t".repeat(Secret::LONGEST_TOKEN + 1);
    for token in ["", "a b", "a\r\nx: y", "é", &long] {
        let words = read(json!({"token": token})).unwrap_err().to_string();
        assert!(words.starts_with("token: "), "{words}");
    }
    assert!(read(json!({"token": "abc", "expires_at": "soon"})).is_err());
}

#[test]
fn relays_that_break_a_rule_are_counted() {
    let relay = json!({"relay_id": "r", "public_ip": "203.0.113.5", "port": 5, "region": "eu",
        "capacity": 9, "registered_at": "2026-11-22T12:00:00"});
    let mut bad = relay.clone();
    bad["port"] = json!(-1);
    let body = json!({"relays": [relay, bad]}).to_string();
    let answer = RelaysAnswer::from_json(body.as_bytes()).unwrap();
    assert_eq!((answer.relays.len(), answer.rejected), (1, 1));
    assert_eq!(answer.relays[0].registered_at.to_string(), "2026-11-22T12:00:00Z");
}

#[test]
fn a_refusal_is_told_by_its_first_mistake() {
    for (body, words) in [
        (r#"{"detail":"No"}"#, Some("No")),
        (r#"{"detail":[{"loc":["body","peers",3],"msg":"Bad"},{}]}"#, Some("body.peers.3: Bad")),
        (r#"{"detail":[{"msg":"Bad"}]}"#, Some("Bad")),
        (r#"{"detail":"a\u001b[31mb"}"#, Some("a[31mb")),
        (r#"{"detail":[]}"#, None),
        (r#"{"detail":5}"#, None),
        ("<html>", None),
    ] {
        assert_eq!(detail(body.as_bytes()).as_deref(), words, "{body}");
    }
    let long = json!({"detail": "x".repeat(10_000)}).to_string();
    assert_eq!(detail(long.as_bytes()).unwrap().len(), LONGEST_DETAIL);
}
