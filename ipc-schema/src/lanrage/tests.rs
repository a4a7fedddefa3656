use jiff::civil::date;
use jiff::tz::{Offset, TimeZone};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::model::Party;
use crate::results::Rejected;

/// Zone 5.5 hours ahead of UTC, so that a mix-up of zones shows.
fn zone() -> TimeZone {
    TimeZone::fixed(Offset::from_seconds(19_800).expect("an offset"))
}

fn peer(id: &str) -> Value {
    json!({
        "peer_id": id, "name": "Ann", "public_key": "k", "nat_type": "full_cone",
        "public_ip": "203.0.113.7", "public_port": 0, "local_ip": "unknown", "local_port": 51820,
        "last_seen": "2026-11-22T17:18:35.123456",
    })
}

fn party(id: &str) -> Value {
    json!({
        "party_id": id, "name": "Friday", "host_id": "a", "created_at": "2026-11-22T17:18:35",
        "peers": {"a": peer("a"), "b": peer("b")},
    })
}

fn salvage(document: &Value) -> Salvage {
    Records::of_discovery(document.to_string().as_bytes()).salvage(&zone())
}

/// Returns the rejections of a one-record document that `spoil` has modified.
fn reason(spoil: impl Fn(&mut Value)) -> (usize, Vec<(Option<String>, String)>) {
    let mut party = party("p");
    spoil(&mut party);
    let salvage = salvage(&json!({"p": party, "q": self::party("q")}));
    assert_eq!(salvage.parties.last().expect("q").party_id.as_str(), "q");
    assert_eq!(salvage.damage, None);
    let told = |rejected: Rejected| {
        assert_eq!(rejected.party_id, "p");
        (rejected.peer_id, rejected.reason)
    };
    (salvage.parties.len(), salvage.rejected.into_iter().map(told).collect())
}

#[test]
fn a_good_document_comes_in_whole() {
    let state = json!({"parties": {"p": party("p")}, "my_peer_id": "a", "my_party_id": "p"});
    let salvage = Records::of_state(state.to_string().as_bytes()).salvage(&zone());
    assert_eq!((salvage.rejected.len(), &salvage.damage), (0, &None));
    let [party] = &salvage.parties[..] else { panic!("{salvage:?}") };
    assert_eq!(party.created_at.to_string(), "2026-11-22T11:48:35Z");
    let (info, last_seen) = &party.peers[1];
    assert_eq!((info.peer_id.as_str(), info.public_port), ("b", 0));
    assert_eq!(info.local_ip, crate::model::Address::Unknown);
    assert_eq!(last_seen.to_string(), "2026-11-22T11:48:35.123456Z");
    assert_eq!(serde_json::to_value(party.announce(&zone())).expect("JSON"), self::party("p"));
}

#[test]
fn a_bad_party_is_left_out_and_its_field_named() {
    let whole = |rule: &str| vec![(None, rule.to_owned())];
    for (field, value, rule) in [
        ("party_id", json!("x"), "party_id: is \"x\", but the record's key is \"p\""),
        ("name", json!(7), "name: invalid type: integer `7`, expected a string"),
        ("created_at", json!("yesterday"), "created_at: must be an ISO 8601 date and time"),
        ("created_at", json!("9999-12-31T23:59:59"), "created_at: is out of range"),
        ("host_id", json!("c"), "host_id: is not among the party's peers"),
        ("peers", json!([]), "peers: invalid type: sequence, expected an object of records by id"),
        ("peers", json!({}), "host_id: is not among the party's peers"),
    ] {
        let (good, told) = reason(|party| party[field] = value.clone());
        assert_eq!((good, told), (1, whole(rule)), "{field}");
    }
    let (good, told) = reason(|party| *party = json!(["p", "n", "a", "2026-11-22", {}]));
    assert_eq!((good, told), (1, whole("record: must be an object")));
    let (_, told) = reason(|party| drop(party.as_object_mut().map(|party| party.remove("name"))));
    assert_eq!(told, whole("name: is missing"));
    let (_, told) = reason(|party| party["peers"]["a"]["public_port"] = json!(65536));
    assert!(told[0].1.starts_with("host_id: of its peer, public_port: "), "{told:?}");
}

#[test]
fn a_bad_guest_is_left_out_and_the_party_comes_in() {
    for (field, value, rule) in [
        ("peer_id", json!("c"), "peer_id: is \"c\", but the record's key is \"b\""),
        ("public_port", json!(true), "public_port: invalid type: boolean `true`, expected u16"),
        ("public_ip", json!("nowhere"), "public_ip: must be an IP address or \"unknown\""),
        ("last_seen", json!(null), "last_seen: invalid type: null, expected a string"),
    ] {
        let (good, told) = reason(|party| party["peers"]["b"][field] = value.clone());
        assert_eq!((good, told), (2, vec![(Some("b".into()), rule.into())]), "{field}");
    }
}

#[test]
fn what_lanragectl_does_not_know_is_passed_over() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = party("p").to_string();
    for (place, good) in [
        (r#"{"p":{"later":#,"#, true),
        (r#"{"deep":#,"p":{"#, true),
        (r#"{"p":{"name":#,"#, false),
        (r#"{"p":{"peers":#,"#, false),
    ] {
        let document = place.replace('#', &deep) + &text[1..] + "}";
        let salvage = Records::of_discovery(document.as_bytes()).salvage(&zone());
        assert_eq!((salvage.parties.len(), &salvage.damage), (usize::from(good), &None), "{place}");
    }
}

#[test]
fn of_records_with_the_same_key_the_last_one_counts() {
    let last = party("p").to_string().replace("Friday", "Monday");
    let twice = format!("{{\"p\":{},\"p\":{last}}}", party("p"));
    let salvage = Records::of_discovery(twice.as_bytes()).salvage(&zone());
    assert_eq!(salvage.parties[0].name.as_str(), "Monday");
    assert!(salvage.rejected[0].reason.contains("more than once"), "{:?}", salvage.rejected);
}

#[test]
fn a_document_cut_off_anywhere_yields_what_came_before() {
    let [p, q] = ["p", "q"].map(|id| format!("\"{id}\": {:#}", party(id)));
    let until_p = format!("{{\"parties\": {{{p}");
    let until_q = format!("{until_p}, {q}");
    let text = format!("{until_q}}}, \"my_peer_id\": null, \"my_party_id\": null}}");
    for end in 0..text.len() {
        let salvage = Records::of_state(&text.as_bytes()[..end]).salvage(&zone());
        let whole = [&until_p, &until_q].iter().filter(|until| until.len() <= end).count();
        assert_eq!((salvage.parties.len(), salvage.rejected), (whole, vec![]), "{end}");
        assert!(salvage.damage.expect("damage").starts_with("it is cut off: "), "{end}");
    }
}

#[test]
fn what_is_no_such_document_says_so() {
    for (document, damage) in [
        (&b""[..], "it is cut off: EOF while parsing a value"),
        (b"{}", "it is damaged: missing field `parties`"),
        (b"[]", "it is damaged: invalid type: sequence, expected an object with `parties`"),
        (b"{\"parties\":7}", "it is damaged: invalid type: integer `7`, expected an object of"),
        (b"{\"parties\":{}} x", "it is damaged: trailing characters"),
        (b"{\"parties\":{\"p\":\xff}}", "it is damaged: expected value"),
        (b"\0\0\0\0", "it is damaged: expected value"),
    ] {
        let records = Records::of_state(document);
        let damage_told = records.damage.expect("damage");
        assert!(damage_told.starts_with(damage), "{damage_told}");
    }
    let records = Records::of_discovery(b"{\"p\":{},\"q\":{\"name");
    assert_eq!(records.entries.len(), 1);
    assert!(records.damage.expect("damage").ends_with(", in the record \"q\""));
}

#[test]
fn a_time_is_local_or_has_an_offset() {
    for (text, instant) in [
        ("2026-11-22T17:18:35.5", "2026-11-22T11:48:35.5Z"),
        ("2026-11-22 17:18:35", "2026-11-22T11:48:35Z"),
        ("2026-11-22T17:18:35.123456+02:00", "2026-11-22T15:18:35.123456Z"),
        ("2026-11-22T17:18:35Z", "2026-11-22T17:18:35Z"),
    ] {
        let mut party = party("p");
        party["created_at"] = json!(text);
        assert_eq!(salvage(&json!({"p": party})).parties[0].created_at.to_string(), instant);
    }
}

#[test]
fn a_peer_is_checked_field_by_field() {
    let mut announced: AnnouncedPeer = serde_json::from_value(peer("a")).expect("a peer");
    let (info, last_seen) = announced.check(&zone()).expect("good");
    assert_eq!(AnnouncedPeer::new(&info, last_seen, &zone()), announced);
    announced.nat_type = "half".into();
    let invalid = announced.check(&zone()).expect_err("bad");
    assert_eq!(invalid.field, "nat_type");
}

#[test]
fn a_party_loses_what_lanrage_does_not_know_and_nothing_else() {
    let own: Party = serde_json::from_value(json!({
        "party_id": "p", "name": "Friday", "host_id": "a", "created_at": "2026-11-22T11:48:35Z",
        "origin": "local", "sync": "synced", "epoch": "e", "seq": 3, "peers": {"a": {
            "peer_id": "a", "name": "Ann", "public_key": "k", "nat_type": "full_cone",
            "public_ip": "203.0.113.7", "public_port": 0, "local_ip": "unknown",
            "local_port": 51820, "virtual_ip": "10.66.0.1", "connected": true,
            "last_seen": "2026-11-22T11:48:35.123456789Z",
        }},
    }))
    .expect("a party");
    let mut expected = party("p");
    drop(expected["peers"].as_object_mut().map(|peers| peers.remove("b")));
    let announced = AnnouncedParty::new(&own, &zone());
    assert_eq!(serde_json::to_value(announced).expect("JSON"), expected);
}

#[test]
fn times_have_six_digits_of_a_second_or_none() {
    #[derive(serde::Serialize)]
    struct Time(#[serde(serialize_with = "json::python_time")] NaiveTime);
    for (nanos, text) in [
        (0, "\"0987-01-02T03:04:05\""),
        (999, "\"0987-01-02T03:04:05\""),
        (120_000_999, "\"0987-01-02T03:04:05.120000\""),
    ] {
        let time = date(987, 1, 2).at(3, 4, 5, nanos);
        assert_eq!(serde_json::to_string(&Time(time)).expect("JSON"), text);
    }
}

#[test]
fn text_is_written_in_ascii() {
    let text = to_json(&json!({"é": "\u{1F600}\n/\"", "empty": {}})).expect("JSON");
    assert_eq!(text, "{\n  \"empty\": {},\n  \"\\u00e9\": \"\\ud83d\\ude00\\n/\\\"\"\n}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        Records::of_state(&bytes).salvage(&zone());
        Records::of_discovery(&bytes).salvage(&zone());
    }

    #[test]
    fn nor_does_a_document_with_some_bytes_changed(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = json!({"p": party("p"), "q": party("q")}).to_string().into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let salvage = Records::of_discovery(&bytes).salvage(&zone());
        for party in salvage.parties {
            let announced = party.announce(&zone());
            let peers = announced.peers.values().map(|peer| peer.check(&zone()));
            prop_assert_eq!(peers.collect::<Result<Vec<_>, _>>().expect("checked"), party.peers);
        }
    }
}
