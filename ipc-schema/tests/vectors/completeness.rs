//! Nothing of the protocol is without a vector.

use std::collections::{BTreeMap, BTreeSet};

use lanrage_ipc::Event;
use lanrage_ipc::error::ErrorCode;
use lanrage_ipc::method::METHODS;
use serde_json::json;

use super::{Vector, check_all, read, schemas};

/// Fails naming the things for which no vector of the folder stands.
pub(super) fn assert_all<'a>(
    folder: &str,
    wanted: impl IntoIterator<Item = &'a str>,
    has: impl Fn(&Vector) -> Option<String>,
) {
    let found: BTreeSet<String> = read(folder).iter().filter_map(has).collect();
    let missing: Vec<_> = wanted.into_iter().filter(|name| !found.contains(*name)).collect();
    assert!(missing.is_empty(), "vectors/{folder} has none for {missing:?}");
}

pub(super) fn text_at(vector: &Vector, pointer: &str) -> Option<String> {
    vector.line.as_ref()?.pointer(pointer)?.as_str().map(str::to_owned)
}

#[test]
fn methods_have_a_request_and_a_reply() {
    let methods = || METHODS.iter().map(|method| method.name);
    assert_all("valid", methods(), |vector| text_at(vector, "/method"));
    assert_all("valid", methods(), |vector| vector.answers.clone());
}

#[test]
fn notifications_and_events_have_a_vector_of_each_kind() {
    assert_all("valid", Event::KINDS, |vector| text_at(vector, "/params/kind"));
    let document = schemas::openrpc();
    let notifications = document["x-notifications"].as_array().expect("notifications").iter();
    let names = notifications.map(|one| one["name"].as_str().expect("a name"));
    assert_all("valid", names, |vector| text_at(vector, "/method"));
}

#[test]
fn connection_states_have_a_vector_each() {
    let document = schemas::openrpc();
    let states = document["components"]["schemas"]["ConnectionState"]["oneOf"].as_array();
    let states = states.expect("states").iter();
    let names: Vec<_> = states.map(|state| state["const"].as_str().expect("a word")).collect();
    assert!(names.contains(&"online") && !names.contains(&"unknown"), "{names:?}");
    assert_all("valid", names, |vector| text_at(vector, "/result/state"));
}

#[test]
fn newer_vectors_do_not_fit_the_committed_schemas() {
    let schemas = schemas::Schemas::committed();
    check_all("valid", |vector| match (&vector.line, vector.newer) {
        (Some(line), true) if vector.encoded.is_some() => {
            let fits = schemas.check(line, vector.answers.as_deref());
            if fits.is_ok() { Err("fits the schema".to_owned()) } else { Ok(()) }
        }
        _ => Ok(()),
    });
}

#[test]
fn errors_have_a_vector_for_each_code() {
    let codes = ErrorCode::ALL.iter().map(|code| code.as_str());
    assert_all("valid", codes, |vector| text_at(vector, "/error/data/code"));
}

/// Each kind of message with each of its required fields.
pub(super) fn pairs(required: BTreeMap<String, Vec<String>>) -> BTreeSet<String> {
    let of_kind = |(kind, fields): (String, Vec<String>)| -> Vec<String> {
        fields.iter().map(|field| json!([kind, field]).to_string()).collect()
    };
    required.into_iter().flat_map(of_kind).collect()
}

#[test]
fn required_params_are_each_left_out() {
    let required = pairs(schemas::required());
    assert_all("invalid", required.iter().map(String::as_str), |vector| {
        let (line, field) = (vector.line.as_ref()?, vector.expect.as_ref()?.field.as_ref()?);
        let is_missing = line["params"].get(field).is_none();
        is_missing.then(|| json!([line["method"], field]).to_string())
    });
}
