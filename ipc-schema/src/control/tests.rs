use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::ErrorCode;
use crate::model::{Party, SignalData};
use crate::unicode::is_visible;

fn bad(text: &str) -> BadFrame {
    decode(text).expect_err(text)
}

#[test]
fn what_a_signal_says_is_kept_letter_for_letter() {
    for data in [
        r#"{"b" : 1.50, "a":1e400,"a":"\ud800 é"}"#,
        "null",
        "\"\\u0041\"",
        "123456789012345678901234567890",
        "[[],\n{}]",
    ] {
        let text = format!(
            r#"{{"type":"signal","party_id":"p","from_peer_id":"a","to_peer_id":"b","signal_data":{data}}}"#
        );
        let Inbound { frame, .. } = decode(&text).expect(data);
        let ClientFrame::Signal { signal_data, .. } = &frame else { panic!("{frame:?}") };
        assert_eq!(signal_data.as_json(), data);
        let encoded = serde_json::to_string(&frame).expect("encodes");
        assert_eq!(encoded, text);
        // The payload also survives decoding letter for letter.
        let Ok(Some(ServerFrame::Signal { signal_data: got, .. })) = ServerFrame::decode(&encoded)
        else {
            panic!("{encoded}")
        };
        assert_eq!(got.as_json(), data);
    }
}

#[test]
fn a_signal_with_two_loads_carries_the_last() {
    let text = r#"{"type":"signal","party_id":"p","from_peer_id":"a","to_peer_id":"b",
        "signal_data":1,"signal_data":2}"#;
    let ClientFrame::Signal { signal_data, .. } = decode(text).expect("a signal").frame else {
        panic!("no signal")
    };
    assert_eq!(signal_data.as_json(), "2");
}

#[test]
fn an_id_is_echoed_as_it_was_sent() {
    let digits = "9".repeat(128);
    for (json, key) in [
        ("5", "5"),
        ("\"5\"", "5"),
        ("-0", "-0"),
        (digits.as_str(), digits.as_str()),
        ("-9007199254740993", "-9007199254740993"),
        ("\"é ü\"", "é ü"),
    ] {
        let text = format!(r#"{{"type":"list_relays","req_id":{json}}}"#);
        let inbound = decode(&text).expect(json);
        assert_eq!(inbound.req_id.as_ref().map(ReqId::key), Some(key));
        assert_eq!(serde_json::to_string(&inbound).expect("encodes"), text);
        let ack =
            format!(r#"{{"type":"ack","req_id":{json},"epoch":"e","seq":null,"result":{{}}}}"#);
        let frame = ServerFrame::decode(&ack).expect("decodes").expect("is known");
        assert_eq!(serde_json::to_string(&frame).expect("encodes"), ack);
    }
    for json in ["", "-", "1.0", "1e3", "true", "{}", "\"\"", "\"\\n\"", "\"\\ud800\""] {
        assert!(ReqId::from_json(json).is_err(), "{json}");
    }
}

#[test]
fn a_refused_frame_names_all_its_mistakes_and_its_id() {
    let refused = bad(r#"{"type":"join_party","party_id":"a/b","peer":[],"req_id":"x"}"#);
    assert_eq!(refused.code, ErrorCode::InvalidParams);
    assert_eq!(refused.req_id.as_ref().map(ReqId::key), Some("x"));
    assert_eq!(
        refused.message,
        "party_id: String should match pattern '^[A-Za-z0-9_.:-]+$'; peer: Input should be a valid dictionary"
    );
}

#[test]
fn a_message_is_bounded_whatever_is_refused() {
    let long = "x".repeat(60_000);
    for text in [
        format!(r#"{{"type":"{long}"}}"#),
        format!(r#"{{"type":"hello","have":{{"{long}":{{}}}}}}"#),
        format!(r#"{{"type":"hello","{long}":1e999}}"#),
        format!(r#"{{"type":"hello","token":"{long}"}}"#),
        format!(r#""{long}""#),
        format!(r#"{{"type":"hello","caps":[{}0]}}"#, "0,".repeat(31)),
        r#"{"type":"register_party","host_peer":{}}"#.to_owned(),
    ] {
        let message = bad(&text).message;
        assert!(message.chars().count() <= 513, "{message}");
    }
}

#[test]
fn depth_costs_no_stack() {
    for text in [
        "[".repeat(100_000),
        format!(r#"{{"type":"signal","signal_data":{}"#, "[".repeat(100_000)),
        format!(r#"{{"type":"hello","x":{}1{}}}"#, "{\"a\":".repeat(64), "}".repeat(64)),
    ] {
        assert_eq!(bad(&text).code, ErrorCode::ParseError);
    }
    let server = format!(r#"{{"type":"goaway","retry_after_ms":1,"x":{}}}"#, "[".repeat(100_000));
    assert!(ServerFrame::decode(&server).is_err());
}

#[test]
fn a_token_is_shown_on_the_wire_only() {
    let text = r#"{"type":"auth","token":"s3cret"}"#;
    let inbound = decode(text).expect("a frame");
    let ClientFrame::Hello { token: Some(token), .. } = &inbound.frame else {
        panic!("{inbound:?}")
    };
    assert_eq!(token.expose(), "s3cret");
    assert!(!format!("{inbound:?}").contains("s3cret"), "{inbound:?}");
    let refused = bad(r#"{"type":"auth","token":["s3cret"],"have":5}"#);
    assert!(!format!("{refused:?}").contains("s3cret"), "{refused:?}");
    let secret = |text: &str| Secret::from(text.to_owned());
    assert_eq!(secret("abc"), secret("abc"));
    for other in ["abd", "ab", "abcd", ""] {
        assert_ne!(secret("abc"), secret(other));
    }
}

#[test]
fn a_claim_of_another_form_is_refused_by_the_name_of_the_field_and_its_rule() {
    for (claim, rule) in [
        (json!("a".repeat(21)), "at least 22 characters"),
        (json!("a".repeat(129)), "at most 128 characters"),
        (json!("a-claim-with a-space-in-it"), "should match pattern"),
        (json!("a-claim-with-a-slash/in-it"), "should match pattern"),
        (json!("ein-schlüssel-mit-umlaut-darin"), "should match pattern"),
        (json!(1_234_567_890), "should be a valid string"),
    ] {
        let refused = bad(&json!({"type": "hello", "claim": claim}).to_string());
        assert_eq!(refused.code, ErrorCode::InvalidParams);
        assert!(refused.message.starts_with("claim: "), "{refused}");
        assert!(refused.message.contains(rule), "{refused}");
        assert!(!refused.message.contains("schl") && !refused.message.contains("with"));
    }
    for claim in ["a".repeat(22), "A-._~9".repeat(21)] {
        let text = json!({"type": "auth", "claim": claim}).to_string();
        let ClientFrame::Hello { claim: Some(read), .. } = decode(&text).expect("a frame").frame
        else {
            panic!("no claim")
        };
        assert!(read.is_claim() && read.expose() == claim);
    }
}

#[test]
fn how_far_a_copy_goes_needs_its_epoch() {
    for (have, expected) in [("7", None), ("null", None), (r#"{"epoch":"e","seq":"7"}"#, Some(7))] {
        let frame = decode(&format!(r#"{{"type":"sync","party_id":"p","have":{have}}}"#));
        let ClientFrame::Sync { have: got, .. } = frame.expect(have).frame else {
            panic!("{have}")
        };
        assert_eq!(got.map(|have| have.seq), expected);
    }
}

#[test]
fn party_extensions_are_the_fields_that_lanrage_does_not_know() {
    let peer = |id: &str, ip: &str| {
        json!({"peer_id": id, "name": id, "public_key": "k", "nat_type": "open",
            "public_ip": "unknown", "public_port": 0, "local_ip": "unknown", "local_port": 0,
            "virtual_ip": ip, "last_seen": "2026-01-02T03:04:05Z", "connected": id == "a"})
    };
    let party: Party = serde_json::from_value(json!({
        "party_id": "p", "name": "n", "host_id": "a", "created_at": "2026-01-02T03:04:05Z",
        "peers": {"a": peer("a", "10.66.0.1"), "b": peer("b", "10.66.0.2")},
        "origin": "local", "sync": "synced", "epoch": "e", "seq": 3,
    }))
    .expect("a party");
    let expected = json!({"epoch": "e", "seq": 3,
        "virtual_ips": {"a": "10.66.0.1", "b": "10.66.0.2"}, "connected": {"a": true, "b": false}});
    assert_eq!(serde_json::to_value(PartyExtensions::of(&party)).expect("encodes"), expected);
    let none = PartyExtensions::new(party.epoch.clone(), 4, []);
    assert_eq!(serde_json::to_value(none).expect("encodes"), json!({"epoch": "e", "seq": 4}));
}

#[test]
fn what_is_no_frame_of_its_type_is_an_error_and_not_unknown() {
    assert_eq!(ServerFrame::decode(r#"{"type":"later"}"#).expect("a frame"), None);
    for text in ["", "{}", "[]", r#"{"type":5}"#, r#"{"type":"ack"}"#, r#"{"type":"peer_left"}"#] {
        assert!(ServerFrame::decode(text).is_err(), "{text}");
    }
}

fn text(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>().prop_filter("printable", |c| !c.is_control()), 1..most)
        .prop_map(String::from_iter)
}

proptest! {
    #[test]
    fn frames_come_back_as_they_went(
        party_id in "[A-Za-z0-9_.:-]{1,128}",
        peer_id in "[A-Za-z0-9_:-][A-Za-z0-9_.:-]{0,127}",
        name in text(100).prop_filter("visible", |name| name.chars().any(is_visible)),
        seq in any::<u64>(),
        token in prop::option::of(text(100)),
        claim in prop::option::of("[A-Za-z0-9._~-]{22,128}"),
    ) {
        let party_id: crate::model::PartyId = party_id.parse().expect("an id");
        let peer_id: crate::model::PeerId = peer_id.parse().expect("an id");
        let name: crate::model::Name = name.parse().expect("a name");
        let bookmark = Bookmark { epoch: "e".parse().expect("an epoch"), seq };
        let data: SignalData = serde_json::from_str("[1.0]").expect("JSON");
        for frame in [
            ClientFrame::Hello {
                version: Some(name.clone()),
                client: None,
                peer_id: Some(peer_id.clone()),
                token: token.map(Secret::from),
                claim: claim.map(Secret::from),
                caps: vec![name.clone()],
                have: BTreeMap::from([(party_id.clone(), bookmark.clone())]),
            },
            ClientFrame::LeaveParty { party_id: party_id.clone(), peer_id: peer_id.clone() },
            ClientFrame::Sync { party_id: party_id.clone(), have: Some(bookmark) },
            ClientFrame::ListRelays { region: Some(name.clone()) },
            ClientFrame::Signal {
                party_id: party_id.clone(),
                from_peer_id: peer_id.clone(),
                to_peer_id: peer_id.clone(),
                signal_data: data,
            },
        ] {
            let req_id = Some(ReqId::Text(name.as_str().into()));
            let inbound = Inbound { frame, req_id };
            let text = serde_json::to_string(&inbound).expect("encodes");
            prop_assert_eq!(decode(&text).expect("decodes"), inbound);
        }
    }

    #[test]
    fn no_text_does_harm(text in "\\PC{0,200}|[{}\\[\\]\":,a-z0-9\\\\]{0,200}") {
        let _ = decode(&text);
        let _ = ServerFrame::decode(&text);
    }

    #[test]
    fn no_field_does_harm(
        kind in prop::sample::select(vec!["hello", "register_party", "join_party", "leave_party",
            "update_peer", "heartbeat", "signal", "sync", "list_relays"]),
        fields in prop::collection::btree_map(
            prop::sample::select(vec!["version", "client", "peer_id", "token", "caps", "have",
                "party_id", "name", "host_peer", "peer", "from_peer_id", "to_peer_id",
                "signal_data", "region", "req_id"]),
            prop::sample::select(vec![json!(null), json!(1e300), json!([1, "a"]), json!({}),
                json!("a"), json!({"a": {"epoch": 5, "seq": -1}}), json!("\u{0}"), json!(true)]),
            0..15,
        ),
    ) {
        let mut frame: Value = json!({"type": kind});
        for (key, value) in fields {
            frame[key] = value;
        }
        if let Err(bad) = decode(&frame.to_string()) {
            prop_assert!(matches!(bad.code, ErrorCode::InvalidParams | ErrorCode::InvalidRequest));
            prop_assert!(bad.message.contains(": "));
        }
    }
}

#[test]
fn ack_keeps_its_result_as_text() {
    let text =
        r#"{"type":"ack","req_id":"1","epoch":"e","seq":null,"result":{"x":[{"":0},{"":0}]}}"#;
    let Ok(Some(ServerFrame::Ack { result, .. })) = ServerFrame::decode(text) else {
        panic!("not an ack: {text}")
    };
    assert_eq!(result.as_json(), r#"{"x":[{"":0},{"":0}]}"#);
    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Known {
        x: Vec<serde::de::IgnoredAny>,
    }
    assert_eq!(result.read::<Known>().expect("a list").x.len(), 2);
}

#[test]
fn error_of_an_unknown_code_is_an_error_without_one() {
    for (code, expected) in [
        (r#""party_full""#, Some(ErrorCode::PartyFull)),
        (r#""party_locked""#, None),
        ("null", None),
        ("7", None),
    ] {
        let text = format!(r#"{{"type":"error","message":"no","code":{code},"req_id":"1"}}"#);
        let Ok(Some(ServerFrame::Error { code, req_id, .. })) = ServerFrame::decode(&text) else {
            panic!("not an error: {text}")
        };
        assert_eq!((code, req_id.is_some()), (expected, true), "{text}");
    }
}

#[test]
fn party_extensions_are_decoded_apart_from_unknown_fields() {
    let left = r#""type":"peer_left","party_id":"p","peer_id":"a","later":[1]"#;
    for (fields, seq) in
        [("", None), (r#","epoch":"e""#, None), (r#","epoch":"e","seq":3"#, Some(3))]
    {
        let text = format!("{{{left}{fields}}}");
        let Ok(Some(ServerFrame::PeerLeft { extensions, .. })) = ServerFrame::decode(&text) else {
            panic!("not a peer_left: {text}")
        };
        assert_eq!(extensions.map(|extensions| extensions.seq), seq, "{text}");
    }
}
