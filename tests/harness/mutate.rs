//! Random changes of valid input.

use serde_json::{Value, json};

use super::Random;

/// Another value, of any type.
fn anything(random: &mut Random) -> Value {
    match random.below(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(0),
        4 => json!(65_536),
        5 => json!(u64::MAX),
        6 => json!(i64::MIN),
        7 => json!(0.5),
        8 => json!(1e300),
        9 => json!(""),
        10 => json!("p"),
        11 => json!("\u{0}\u{7f}\u{202e}🎲"),
        12 => json!("x".repeat(random.below(3000))),
        13 => json!([]),
        14 => json!({}),
        _ => json!([{"a": [[1, {"b": null}]]}, "p", 1]),
    }
}

/// Every place in a value, as pointers to it.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), found));
        }
        Value::Array(array) => array
            .iter()
            .enumerate()
            .for_each(|(index, value)| places(value, &format!("{at}/{index}"), found)),
        _ => {}
    }
}

/// Replaces, drops, renames or moves something somewhere.
pub(crate) fn change(request: &mut Value, random: &mut Random) {
    let mut found = Vec::new();
    places(request, "", &mut found);
    let at = random.of(&found).clone();
    let (parent, key) = at.rsplit_once('/').unwrap_or_default();
    let (parent, key) = (parent.to_owned(), key.to_owned());
    let kind = random.below(8);
    match request.pointer_mut(&parent) {
        Some(Value::Object(object)) if kind == 0 => {
            object.remove(&key);
        }
        Some(Value::Object(object)) if kind == 1 => {
            if let Some(value) = object.remove(&key) {
                object.insert(format!("{key}{}", random.below(3)), value);
            }
        }
        Some(Value::Object(object)) if kind == 2 => {
            let value = anything(random);
            object.insert("more".to_owned(), value);
        }
        Some(Value::Array(array)) if kind == 0 => array.clear(),
        _ if kind == 3 => {
            let from = random.of(&found).as_str();
            let other = request.pointer(from).cloned().unwrap_or_default();
            if let Some(place) = request.pointer_mut(&at) {
                *place = other;
            }
        }
        _ => {
            if let Some(place) = request.pointer_mut(&at) {
                *place = anything(random);
            }
        }
    }
}

/// Changes some bytes; some are always left.
pub(crate) fn garble(bytes: &mut Vec<u8>, random: &mut Random) {
    const BYTES: &[u8] = b"\"\\{}[]:,0-9.eE+tfn \0\x7f\x80\xff\xc3u";
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 => bytes[at] = *random.of(BYTES),
            1 => bytes.insert(at, *random.of(BYTES)),
            2 => bytes.truncate(at.max(1)),
            3 => bytes[at] ^= 1 << random.below(8),
            4 => {
                let end = (at + random.below(20)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                bytes.remove(at);
            }
        }
        if bytes.is_empty() {
            bytes.push(b'x');
        }
    }
}
