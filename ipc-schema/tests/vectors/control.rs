//! The vectors of the control server's WebSocket frames.

use std::collections::BTreeMap;

use jsonschema::Validator;
use lanrage_ipc::control::{ServerFrame, decode};
use lanrage_ipc::schema::CONTROL_WS;
use serde_json::{Value, json};

use super::completeness::{assert_all, pairs, text_at};
use super::schemas::validate;
use super::{Sender, Vector, check_all};

fn committed() -> Value {
    serde_json::from_str(CONTROL_WS).expect("JSON")
}

fn definition(sender: Sender) -> &'static str {
    match sender {
        Sender::Client => "Inbound",
        Sender::Server => "ServerFrame",
    }
}

fn validator(sender: Sender) -> Validator {
    let mut schema = committed();
    schema["anyOf"] = json!([{"$ref": format!("#/definitions/{}", definition(sender))}]);
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft7);
    options.should_validate_formats(true).build(&schema).expect("a schema")
}

#[test]
fn valid_frames_decode_and_encode_to_the_same() {
    check_all("control/valid", |vector| {
        let text = vector.text();
        let encoded = match vector.from.ok_or("has no from")? {
            Sender::Client => serde_json::to_string(&decode(&text).map_err(|bad| bad.to_string())?),
            Sender::Server => {
                match ServerFrame::decode(&text).map_err(|error| error.to_string())? {
                    Some(frame) if !vector.newer => serde_json::to_string(&frame),
                    None if vector.newer => return Ok(()),
                    other => return Err(format!("newer is {}, but it is {other:?}", vector.newer)),
                }
            }
        };
        let encoded = encoded.and_then(|encoded| serde_json::from_str(&encoded));
        let encoded: Value = encoded.map_err(|error| error.to_string())?;
        let expected = vector.encoded.as_ref().or(vector.line.as_ref());
        if Some(&encoded) == expected { Ok(()) } else { Err(format!("became {encoded}")) }
    });
}

#[test]
fn valid_frames_fit_the_committed_schema() {
    let (client, server) = (validator(Sender::Client), validator(Sender::Server));
    check_all("control/valid", |vector| {
        let line = vector.line.as_ref().ok_or("has no line")?;
        match vector.from.ok_or("has no from")? {
            _ if vector.newer => Ok(()),
            Sender::Client => validate(&client, line),
            Sender::Server => validate(&server, line),
        }
    });
}

#[test]
fn invalid_frames_are_refused_for_the_stated_reason() {
    check_all("control/invalid", |vector| {
        let expect = vector.expect.as_ref().ok_or("has no expect")?;
        let bad = match decode(&vector.text()) {
            Err(bad) => bad,
            Ok(frame) => return Err(format!("was taken: {frame:?}")),
        };
        let (got, wanted) = (json!([bad.req_id, bad.code]), json!([expect.id, expect.code]));
        let field = expect.field.as_ref().map(|field| format!("{field}: "));
        let names_it = field.is_none_or(|field| bad.message.starts_with(&field));
        if got == wanted && names_it { Ok(()) } else { Err(format!("got {got}: {bad}")) }
    });
}

#[test]
fn invalid_params_do_not_fit_the_committed_schema_either() {
    let client = validator(Sender::Client);
    check_all("control/invalid", |vector| match (&vector.line, &vector.expect) {
        (Some(line), Some(expect)) if expect.code == "invalid_params" => {
            match validate(&client, line) {
                Ok(()) => Err("fits".to_owned()),
                Err(_) => Ok(()),
            }
        }
        _ => Ok(()),
    });
}

/// The kinds of frame that the committed schema describes, each with its variant.
fn kinds(sender: Sender) -> Vec<(String, Value)> {
    let variants = &committed()["definitions"][definition(sender)]["oneOf"];
    let variants = variants.as_array().expect("variants").iter();
    let named = variants.flat_map(|variant| {
        let kind = &variant["properties"]["type"];
        let names = kind["enum"].as_array().cloned().unwrap_or_else(|| vec![kind["const"].clone()]);
        let name = |name: Value| (name.as_str().expect("a name").to_owned(), variant.clone());
        names.into_iter().map(name).collect::<Vec<_>>()
    });
    named.collect()
}

/// Required fields of each kind of frame, beside its `type`.
pub(super) fn required(sender: Sender) -> BTreeMap<String, Vec<String>> {
    let fields = |variant: &Value| {
        let required = variant["required"].as_array().expect("required").iter();
        let required = required.filter(|field| *field != "type");
        required.map(|field| field.as_str().expect("a name").to_owned()).collect()
    };
    kinds(sender).into_iter().map(|(name, variant)| (name, fields(&variant))).collect()
}

#[test]
fn frames_have_a_vector_of_each_kind() {
    for sender in [Sender::Client, Sender::Server] {
        let kinds = kinds(sender);
        assert_all("control/valid", kinds.iter().map(|(name, _)| name.as_str()), |vector| {
            text_at(vector, "/type").filter(|_| vector.from == Some(sender))
        });
    }
    let described: Vec<_> = kinds(Sender::Server).into_iter().map(|(name, _)| name).collect();
    assert_eq!(described, ServerFrame::TYPES);
}

#[test]
fn required_fields_of_frames_are_each_left_out() {
    let wanted = pairs(required(Sender::Client));
    let missed = |vector: &Vector| {
        let (line, field) = (vector.line.as_ref()?, vector.expect.as_ref()?.field.as_ref()?);
        line.get(field).is_none().then(|| json!([line["type"], field]).to_string())
    };
    assert_all("control/invalid", wanted.iter().map(String::as_str), missed);
}
