use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::bounded::OFFERED;
use crate::model::{Address, PeerId};

fn object(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

fn peer() -> Value {
    json!({
        "peer_id": "alice", "name": "Alice", "public_key": "a2V5", "nat_type": "open",
        "public_ip": "203.0.113.5", "public_port": 51820, "local_ip": "192.168.1.5",
        "local_port": 51821, "last_seen": "2026-11-22T16:15:12.781461",
    })
}

fn read(value: Value) -> Result<PeerForm, Vec<Mistake>> {
    let fields = object(value);
    let mut reader = Reader::body(&fields);
    let read = read_peer(&mut reader);
    reader.finish(read)
}

/// Returns the mistakes of a peer with `value` in one field.
fn told(key: &str, value: Value) -> Value {
    let mut peer = peer();
    peer[key] = value.clone();
    let mistakes = read(peer).expect_err("a mistake");
    let [mistake] = &mistakes[..] else { panic!("{mistakes:?}") };
    let mut told = serde_json::to_value(mistake).expect("encodes");
    assert_eq!(told["loc"].take(), json!(["body", key]));
    assert_eq!(told["input"].take(), Mistake::echo(&value));
    let told = object(told).into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(told.collect())
}

#[test]
fn every_kind_of_mistake_has_pydantic_s_words() {
    let nat_types =
        "'open', 'full_cone', 'restricted_cone', 'port_restricted_cone', 'symmetric' or 'unknown'";
    let most = json!({"type": "less_than_equal", "ctx": {"le": 65535},
        "msg": "Input should be less than or equal to 65535"});
    let least = json!({"type": "greater_than_equal", "ctx": {"ge": 0},
        "msg": "Input should be greater than or equal to 0"});
    let int_type = json!({"type": "int_type", "msg": "Input should be a valid integer"});
    let int_parsing = json!({"type": "int_parsing",
        "msg": "Input should be a valid integer, unable to parse string as an integer"});
    let pattern = json!({"type": "string_pattern_mismatch",
        "msg": "String should match pattern '^[A-Za-z0-9_.:-]+$'",
        "ctx": {"pattern": "^[A-Za-z0-9_.:-]+$"}});
    let too_short = json!({"type": "string_too_short", "ctx": {"min_length": 1},
        "msg": "String should have at least 1 character"});
    let too_long = json!({"type": "string_too_long", "ctx": {"max_length": 128},
        "msg": "String should have at most 128 characters"});
    let string_type = json!({"type": "string_type", "msg": "Input should be a valid string"});
    let address = json!({"type": "ip_any_address",
        "msg": "value is not a valid IPv4 or IPv6 address"});
    let date = json!({"type": "datetime_from_date_parsing",
        "msg": "Input should be a valid datetime or date, it must be an ISO 8601 date and time",
        "ctx": {"error": "it must be an ISO 8601 date and time"}});
    let controls = json!({"type": "value_error",
        "msg": "Value error, must have no control characters",
        "ctx": {"error": "must have no control characters"}});
    let endpoint = "must be \"ip:port\", \"[ipv6]:port\" or \"unknown\"";
    for (key, value, expected) in [
        ("peer_id", json!(""), &too_short),
        ("peer_id", json!("x".repeat(10_000)), &too_long),
        ("peer_id", json!("a b"), &pattern),
        ("peer_id", json!("a\n"), &pattern),
        ("peer_id", json!(null), &string_type),
        ("name", json!(5), &string_type),
        ("name", json!("a\u{7}b"), &controls),
        ("public_key", json!("x".repeat(129)), &too_long),
        ("public_key", json!("\u{0}"), &controls),
        ("public_ip", json!("localhost"), &address),
        ("local_ip", json!(5), &address),
        ("public_port", json!(true), &int_type),
        ("public_port", json!(null), &int_type),
        ("public_port", json!([]), &int_type),
        ("public_port", json!(""), &int_parsing),
        ("public_port", json!("0x10"), &int_parsing),
        ("public_port", json!("5.5"), &int_parsing),
        ("public_port", json!("1__0"), &int_parsing),
        ("public_port", json!("٣"), &int_parsing),
        ("public_port", json!(-1), &least),
        ("public_port", json!("-1"), &least),
        ("public_port", json!(-1e300), &least),
        ("public_port", json!(65536), &most),
        ("public_port", json!(9_223_372_036_854_775_808_u64), &most),
        ("public_port", json!(1e30), &most),
        ("public_port", json!("9".repeat(5000)), &most),
        ("last_seen", json!("yesterday"), &date),
        ("last_seen", json!("2026-02-30T00:00:00"), &date),
        ("virtual_ip", json!(5), &string_type),
        ("public_endpoint", json!(5), &string_type),
        (
            "public_endpoint",
            json!("::1:5"),
            &json!({"type": "value_error", "msg": format!("Value error, {endpoint}"),
                "ctx": {"error": endpoint}}),
        ),
        (
            "nat_type",
            json!("Open"),
            &json!({"type": "enum", "msg": format!("Input should be {nat_types}"),
                "ctx": {"expected": nat_types}}),
        ),
        (
            "local_port",
            json!(1.5),
            &json!({"type": "int_from_float",
                "msg": "Input should be a valid integer, got a number with a fractional part"}),
        ),
        (
            "last_seen",
            json!(5),
            &json!({"type": "datetime_type", "msg": "Input should be a valid datetime"}),
        ),
    ] {
        assert_eq!(&told(key, value.clone()), expected, "{key}: {value:.80}");
    }
}

#[test]
fn whole_numbers_are_taken_in_every_dress() {
    for (value, number) in [
        (json!(2.0), 2),
        (json!(-0.0), 0),
        (json!("51820"), 51820),
        (json!(" +5 "), 5),
        (json!("-0"), 0),
        (json!("007"), 7),
        (json!("1_000.00"), 1000),
        (json!(65535), 65535),
    ] {
        let read: u16 = rules::integer(&value).expect("a number");
        assert_eq!(read, number, "{value}");
    }
    assert_eq!(rules::integer(&json!(u64::MAX)), Ok(u64::MAX));
    assert!(rules::integer::<u64>(&json!(1e20)).is_err());
}

#[test]
fn the_shape_that_lanrage_s_server_stores_is_taken() {
    let stored = |endpoint: &str| {
        json!({"peer_id": "alice", "public_key": "a2V5", "virtual_ip": "10.66.0.1",
            "public_endpoint": endpoint, "nat_type": "open",
            "last_seen": "2026-11-22T16:15:12.781485"})
    };
    for (endpoint, ip, port) in [
        ("203.0.113.5:51820", "203.0.113.5", 51820),
        ("[::1]:5", "::1", 5),
        ("unknown", "unknown", 0),
        ("unknown:7", "unknown", 7),
    ] {
        let PeerForm { info, last_seen } = read(stored(endpoint)).expect(endpoint);
        assert_eq!(
            (info.name.as_str(), info.local_ip, info.local_port),
            ("alice", Address::Unknown, 0)
        );
        assert_eq!((info.public_ip.to_string().as_str(), info.public_port), (ip, port));
        assert!(last_seen.is_some());
    }
    // An id that is too long for a name.
    let mut long = stored("unknown");
    long["peer_id"] = json!("x".repeat(128));
    assert_eq!(read(long).expect("good").info.name.as_str(), "x".repeat(100));
    // In the union of both formats, the fields of LANrage's client count.
    let mut union = peer();
    union["public_endpoint"] = json!("198.51.100.1:1");
    union["zzz"] = json!([{}]);
    assert_eq!(read(union), read(peer()));
    // The mistake of an endpoint is reported once.
    for bad in ["203.0.113.5", "203.0.113.5:70000", "example.org:1", ""] {
        let mistakes = read(stored(bad)).expect_err(bad);
        let keys: Vec<_> = mistakes.iter().map(|m| (m.kind, m.loc[1].to_string())).collect();
        assert_eq!(keys, [("value_error", "public_endpoint".to_owned())]);
    }
}

#[test]
fn what_a_peer_s_clock_shows_is_inferred() {
    let now = "2026-11-22T14:15:20Z".parse().expect("a time");
    let offset = |last_seen: Value| {
        let mut peer = peer();
        peer["last_seen"] = last_seen;
        read(peer).expect("good").offset(now).map(|offset| offset.minutes())
    };
    assert_eq!(offset(json!("2026-11-22T16:15:12.781461")), Some(120));
    assert_eq!(offset(json!("2026-11-22T09:15:12-05:00")), Some(-300));
    assert_eq!(offset(json!("2020-01-01T00:00:00")), None);
    assert_eq!(offset(json!(null)), None);
}

#[test]
fn a_form_is_written_as_lanrage_reads_it() {
    for last_seen in [
        "2026-11-22T16:15:12",
        "2026-11-22T16:15:12.500000",
        "2026-11-22T16:15:12.781461+05:30",
        "2026-11-22T16:15:12-02:00",
    ] {
        let mut peer = peer();
        peer["last_seen"] = json!(last_seen);
        let form = read(peer.clone()).expect("good");
        assert_eq!(serde_json::to_value(form).expect("encodes"), peer);
    }
    let mut without = peer();
    without.as_object_mut().expect("an object").remove("last_seen");
    let form = read(without.clone()).expect("good");
    assert_eq!(serde_json::to_value(form).expect("encodes"), without);
}

#[test]
fn a_query_s_missing_parameter_has_no_input() {
    let fields = Map::new();
    let mut reader = Reader::query(&fields);
    let peer_id = reader.required("peer_id", rules::id::<PeerId>);
    let mistakes = reader.finish(peer_id).expect_err("missing");
    let expected = json!([{"type": "missing", "loc": ["query", "peer_id"], "msg": "Field required", "input": null}]);
    assert_eq!(serde_json::to_value(mistakes).expect("encodes"), expected);
}

#[test]
fn no_more_mistakes_are_told_than_anybody_reads() {
    let entries: Map<_, _> = (0..100).map(|number| (number.to_string(), json!({}))).collect();
    let fields = object(json!({"have": entries, "names": vec![json!(5); 40]}));
    let mut reader = Reader::frame(&fields);
    let read = |reader: &mut Reader<'_>| reader.required("seq", rules::integer::<u64>);
    let have = reader.objects("have", |key| Ok(key.to_owned()), read);
    let names = reader.list("names", 40, rules::name);
    assert_eq!((&have, &names), (&None, &None));
    let mistakes = reader.finish(have.zip(names)).expect_err("mistakes");
    assert_eq!(mistakes.len(), MOST_MISTAKES);
    assert_eq!(mistakes[0].to_string(), "have.0.seq: Field required");
}

#[test]
fn an_echo_repeats_no_secret() {
    let body = json!({"name": 5, "Token": "s3cret", "peers": [{"claim": ["s3cret"], "a": 1.5}]});
    let shown = json!({"name": 5, "Token": "…", "peers": [{"claim": "…", "a": 1.5}]});
    assert_eq!(Mistake::echo(&body), shown);
    let long = json!({"token": "s3cret".repeat(1000), "x": "x".repeat(2000)});
    assert!(!Mistake::echo(&long).to_string().contains("s3cret"));
    let fields = object(json!({"token": "s3cret", "claim": "s3cret"}));
    let mut reader = Reader::body(&fields);
    let claim = reader.required("claim", rules::claim);
    let name = reader.required("name", rules::name);
    let mistakes = reader.finish(claim.zip(name)).expect_err("mistakes");
    assert_eq!(mistakes.len(), 2);
    assert!(!format!("{mistakes:?}").contains("s3cret"), "{mistakes:?}");
}

#[test]
fn an_echo_is_short() {
    let whole = json!("x".repeat(1022));
    assert_eq!(Mistake::echo(&whole), whole);
    let cut = Mistake::echo(&json!("é".repeat(1_000_000)));
    assert_eq!(cut, json!("é".repeat(256) + "…"));
    let cut = Mistake::echo(&json!({"a": "x".repeat(1100)}));
    assert_eq!(cut, json!(format!("{{\"a\":\"{}…", "x".repeat(250))));
}

#[test]
fn mistakes_cost_no_more_in_a_large_object_than_in_a_small_one() {
    let unknown: Map<_, _> =
        (0..5000).map(|number| (format!("unknown{number}"), json!(number))).collect();
    let before = OFFERED.get();
    let mut reader = Reader::body(&unknown);
    for number in 0..MOST_MISTAKES {
        let read = reader.required(&format!("field{number}"), rules::name);
        assert_eq!(read, None);
    }
    let mistakes = reader.finish(None::<()>).expect_err("mistakes");
    assert_eq!(mistakes.len(), MOST_MISTAKES);
    assert!(mistakes.iter().all(|mistake| mistake.input == mistakes[0].input));
    let offered = OFFERED.get() - before;
    assert!(offered <= 2 * 1024, "{offered} bytes were encoded");
}

/// Strategy for JSON values of bounded size.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,400}".prop_map(Value::from),
        "[-+0-9._ ]{0,40}".prop_map(Value::from),
        "[0-9TZ:+ -]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map("\\PC{0,20}", inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_does_harm(values in prop::collection::btree_map(
        prop::sample::select(vec!["peer_id", "name", "public_key", "nat_type", "public_ip",
            "public_port", "local_ip", "local_port", "last_seen", "public_endpoint", "virtual_ip"]),
        any_json(), 0..11,
    )) {
        let mut peer = peer();
        for (key, value) in values {
            peer[key] = value;
        }
        let mistakes = read(peer).err().unwrap_or_default();
        prop_assert!(mistakes.len() <= MOST_MISTAKES);
        for mistake in mistakes {
            prop_assert!(mistake.input.to_string().len() <= 4 * 1024, "{mistake:?}");
            prop_assert!(mistake.to_string().len() <= 1024);
        }
    }
}
