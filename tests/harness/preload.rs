//! Libraries of a few lines of C that the programs under test are started with.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::Mutex;

use super::skip;

/// The library to preload that `tests/harness/NAME.c` describes, compiled once per run. `None`
/// where no C compiler is installed: the test is skipped then, and fails with `CI` set.
pub(super) fn library(name: &'static str) -> Option<PathBuf> {
    static COMPILED: Mutex<Option<HashMap<&str, Option<PathBuf>>>> = Mutex::new(None);
    let mut compiled = COMPILED.lock().expect("a compiler that does not panic");
    let known = compiled.get_or_insert_default();
    let library = known.entry(name).or_insert_with(|| compile(name)).clone();
    drop(compiled);
    if library.is_none() {
        skip(&format!("{name} needs a C compiler (cc)"));
    }
    library
}

fn compile(name: &str) -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = format!("{}/tests/harness/{name}.c", env!("CARGO_MANIFEST_DIR"));
    // Runs may overlap: none loads a half-written library of another.
    let fresh = dir.join(format!("{name}.{}", process::id()));
    let library = dir.join(format!("{name}.so"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&fresh).arg(source).arg("-ldl");
    let Ok(status) = compiler.status() else {
        assert!(std::env::var_os("CI").is_none(), "{name} needs a C compiler (cc)");
        return None;
    };
    assert!(status.success(), "cc: {status}");
    fs::rename(&fresh, &library).expect("install the library");
    Some(library)
}
