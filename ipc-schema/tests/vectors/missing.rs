//! Vectors without a file: requests of `valid/`, each without one of its required fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Expect, Sender, Vector, control, read_files, schemas};

/// The vectors that belong to a folder of invalid messages.
pub(super) fn vectors(folder: &str) -> Vec<Vector> {
    match folder {
        "invalid" => without_fields("valid", "/params", "/method", "id", &schemas::required()),
        "control/invalid" => {
            let required = control::required(Sender::Client);
            without_fields("control/valid", "", "/type", "req_id", &required)
        }
        _ => Vec::new(),
    }
}

/// Takes the required fields of each kind of message out of the valid ones, which have them at
/// `place`.
fn without_fields(
    folder: &str,
    place: &str,
    kind: &str,
    id: &str,
    required: &BTreeMap<String, Vec<String>>,
) -> Vec<Vector> {
    let mut vectors = Vec::new();
    for valid in read_files(folder).into_iter().filter(|vector| vector.encoded.is_none()) {
        let Some(line) = valid.line else { continue };
        let kind = line.pointer(kind).and_then(Value::as_str);
        for field in kind.and_then(|kind| required.get(kind)).into_iter().flatten() {
            let mut line = line.clone();
            let fields = line.pointer_mut(place).and_then(Value::as_object_mut);
            if fields.is_some_and(|fields| fields.remove(field).is_some()) {
                let id = line.get(id).cloned().unwrap_or(Value::Null);
                let expect =
                    Expect { id, code: "invalid_params".to_owned(), field: Some(field.clone()) };
                vectors.push(Vector {
                    name: format!("{} without {field}", valid.name),
                    about: format!("{field} is required."),
                    line: Some(line),
                    expect: Some(expect),
                    ..Vector::default()
                });
            }
        }
    }
    vectors
}
