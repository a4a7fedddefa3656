//! Writes the description of the control server's HTTP interface, or with `--check` tells whether
//! it is the one that is committed.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> io::Result<ExitCode> {
    let check = env::args().skip(1).any(|argument| argument == "--check");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ipc-schema/schema/openapi.json");
    let text = lanragectl::programs::openapi();
    if fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout();
    if check {
        writeln!(out, "{}: is not what the code describes", path.display())?;
        writeln!(out, "run: cargo run --example openapi")?;
        return Ok(ExitCode::FAILURE);
    }
    fs::write(&path, text)?;
    writeln!(out, "{}: written", path.display())?;
    Ok(ExitCode::SUCCESS)
}
