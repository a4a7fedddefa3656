//! Writes the generated descriptions of the protocol, or with `--check` tells whether they are
//! those that are committed.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use lanrage_ipc::schema;

fn main() -> io::Result<ExitCode> {
    let check = env::args().skip(1).any(|argument| argument == "--check");
    let (mut stale, mut out) = (false, io::stdout());
    for (name, text) in schema::generate()? {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        if fs::read_to_string(&path).is_ok_and(|committed| committed == text) {
            continue;
        }
        stale = true;
        if !check {
            fs::write(&path, text)?;
        }
        let did = if check { "is not what the code describes" } else { "written" };
        writeln!(out, "{}: {did}", path.display())?;
    }
    if check && stale {
        writeln!(out, "run: cargo run -p lanrage-ipc --features schema --example schemas")?;
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
