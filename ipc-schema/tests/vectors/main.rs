//! The vectors: one message per file, for authors of clients and tests of a daemon.

mod completeness;
mod control;
mod invalid;
mod missing;
mod schemas;
mod valid;

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// A vector file, as `vectors/README.md` describes it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    #[serde(skip)]
    name: String,
    about: String,
    line: Option<Value>,
    text: Option<String>,
    encoded: Option<Value>,
    answers: Option<String>,
    from: Option<Sender>,
    #[serde(default)]
    newer: bool,
    expect: Option<Expect>,
}

/// Sender of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Sender {
    Client,
    Server,
}

/// Expected answer to an invalid message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    id: Value,
    code: String,
    field: Option<String>,
}

impl Vector {
    /// The line as it is sent, without its end.
    fn text(&self) -> String {
        match (&self.text, &self.line) {
            (Some(text), None) => text.clone(),
            (None, Some(line)) => line.to_string(),
            _ => panic!("{}: needs either line or text", self.name),
        }
    }
}

/// The vectors of a folder, and those that are made from others.
fn read(folder: &str) -> Vec<Vector> {
    let mut vectors = read_files(folder);
    vectors.extend(missing::vectors(folder));
    vectors
}

fn read_files(folder: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(folder);
    let entries = fs::read_dir(path).expect("a folder");
    let vectors = entries.map(|entry| {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a text");
        let vector = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        Vector { name, ..vector }
    });
    vectors.collect()
}

/// Lets a check have every vector of a folder, and shows all that fail at once.
fn check_all(folder: &str, check: impl Fn(&Vector) -> Result<(), String>) {
    let vectors = read(folder);
    assert!(!vectors.is_empty(), "there are none");
    let failures = vectors.iter().filter_map(|vector| {
        let why = check(vector).err()?;
        Some(format!("{} ({}): {why}", vector.name, vector.about))
    });
    let failures: Vec<_> = failures.collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
