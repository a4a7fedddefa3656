use serde_json::Value;

use super::*;
use crate::Event;
use crate::error::ErrorCode;
use crate::method::{COMMON_ERRORS, METHODS};

fn openrpc() -> Value {
    serde_json::from_str(OPENRPC).expect("JSON")
}

#[cfg(feature = "schema")]
#[test]
fn the_committed_descriptions_are_those_of_the_code() {
    for (name, text) in generate().expect("encodes") {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let committed = std::fs::read_to_string(path).expect("is there");
        assert!(
            committed == text,
            "{name} is out of date: cargo run -p lanrage-ipc --features schema --example schemas"
        );
    }
}

#[test]
fn every_method_is_described_in_the_table_s_order() {
    let document = openrpc();
    let described = document["methods"].as_array().expect("methods");
    assert_eq!(described.len(), METHODS.len());
    for (method, described) in METHODS.iter().zip(described) {
        assert_eq!(described["name"], method.name);
        assert_eq!(described["summary"], method.summary);
        let role = serde_json::to_value(method.role).expect("encodes");
        assert_eq!(described["x-role"], role, "{}", method.name);
        let errors = described["errors"].as_array().expect("errors");
        for code in method.errors.iter().chain(COMMON_ERRORS) {
            let at = format!("#/components/errors/{}", code.as_str());
            let times = errors.iter().filter(|error| error["$ref"] == at).count();
            assert_eq!(times, 1, "{}: {at}", method.name);
        }
    }
}

#[test]
fn every_error_is_described_with_its_number() {
    let document = openrpc();
    let described = document["components"]["errors"].as_object().expect("errors");
    assert_eq!(described.len(), ErrorCode::ALL.len());
    for code in ErrorCode::ALL {
        let error = &described[code.as_str()];
        assert_eq!(error["code"], code.number());
        assert_eq!(error["data"]["code"], code.as_str());
        assert!(error["message"].is_string(), "{error}");
    }
}

#[test]
fn every_notification_and_kind_of_event_is_described() {
    let document = openrpc();
    let named = |document: &Value| document["name"].as_str().expect("a name").to_owned();
    let notifications = document["x-notifications"].as_array().expect("notifications");
    let names: Vec<_> = notifications.iter().map(named).collect();
    assert_eq!(names, ["event", "event.reset", "goaway"]);
    let events = document["components"]["schemas"]["EventParams"]["oneOf"].as_array();
    let kind = |event: &Value| event["properties"]["kind"]["const"].as_str().map(str::to_owned);
    let kinds: Option<Vec<_>> = events.expect("kinds").iter().map(kind).collect();
    assert_eq!(kinds.expect("a kind each"), Event::KINDS);
}

#[test]
fn every_reference_resolves() {
    for text in [OPENRPC, CONTROL_WS, LANRAGE_STATE] {
        let document: Value = serde_json::from_str(text).expect("JSON");
        assert!(resolve(&document, &document) > 1);
    }
}

/// Resolves the references in `part`, and returns their number.
fn resolve(part: &Value, document: &Value) -> usize {
    let within: usize = match part {
        Value::Array(items) => items.iter().map(|item| resolve(item, document)).sum(),
        Value::Object(fields) => fields.values().map(|field| resolve(field, document)).sum(),
        _ => 0,
    };
    let Some(target) = part.get("$ref").and_then(Value::as_str) else { return within };
    let pointer = target.strip_prefix('#').expect("a reference within the document");
    assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
    within + 1
}
