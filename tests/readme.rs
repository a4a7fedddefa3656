//! README.md, followed by a new user: its blocks are run from the top, in order.

mod blocks;
mod sandbox;

use blocks::{Block, blocks};
use sandbox::{Sandbox, is_installed};

use crate::harness::skip;

/// Blocks of which each line starts a program in a terminal of its own, by their first lines, and
/// what such a program prints once it can be used.
const TERMINALS: &[(&str, &str)] = &[
    ("cargo run", "serving "),
    ("cargo run --bin lanragectl-server", "serving "),
    ("target/debug/lanragectl-d --server http://127.0.0.1:8667 --socket", "serving "),
    ("lanragectl watch", "connection "),
];

/// Blocks that are not run, by their first lines, each with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo test --workspace", "it would run this test again"),
    ("lan.example.org {", "it is the configuration of Caddy"),
    ("location / {", "it is the configuration of nginx"),
];

/// Programs that the blocks use and a machine may lack.
const TOOLS: &[&str] = &["curl", "python3", "socat"];

/// A module of Python that they use, and that a machine may lack or have in an older version.
const MODULE: &str = "websockets.sync.client";

fn run(sandbox: &mut Sandbox, block: &Block) {
    let starts = |(first, _): &&(&str, &str)| block.text.starts_with(first);
    // The longest one: some begin like others.
    let named = |table: &'static [(&str, &'static str)]| {
        table.iter().filter(starts).max_by_key(|(first, _)| first.len()).map(|(_, told)| *told)
    };
    if named(NOT_RUN).is_some() {
        return;
    }
    let needs = |tool: &&&str| block.text.contains(**tool) || block.language == **tool;
    if let Some(tool) = TOOLS.iter().filter(needs).find(|tool| !is_installed(tool)) {
        return skip(&format!("line {} of README.md needs {tool}", block.line));
    }
    match (block.language.as_str(), named(TERMINALS)) {
        ("sh", Some(told)) => block.text.lines().for_each(|line| sandbox.open_terminal(line, told)),
        ("sh", None) => drop(sandbox.shell(&block.text, block.line)),
        ("console", _) => sandbox.console(block),
        ("python", _) if block.text.contains(MODULE) && !sandbox.has_module(MODULE) => {
            skip(&format!("line {} of README.md needs the module {MODULE}", block.line));
        }
        ("python", _) => sandbox.python(block),
        ("toml", _) => sandbox.check_configuration(block),
        (language, _) => panic!(
            "line {}: blocks of {language:?} can't be run: name it in NOT_RUN, with the reason",
            block.line
        ),
    }
}

#[test]
fn readme_blocks_run_in_order() {
    let blocks = blocks();
    for (first, _) in TERMINALS.iter().chain(NOT_RUN) {
        let is_there = blocks.iter().any(|block| block.text.starts_with(first));
        assert!(is_there, "no block of README.md begins with {first:?}");
    }
    let mut sandbox = Sandbox::new();
    for block in &blocks {
        run(&mut sandbox, block);
    }
    sandbox.stop();
}
