//! The documents, followed by a new user: their blocks are run from the top, in order, and their
//! links lead somewhere.

mod blocks;
mod links;
mod sandbox;

use blocks::{Block, blocks};
use sandbox::{Follower, Sandbox, is_installed};

use crate::harness::skip;

/// The documents that a new user follows, in this order.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "ipc-schema/README.md",
    "docs/configuration.md",
    "docs/protocol.md",
    "docs/remote-mode.md",
    "docs/troubleshooting.md",
];

/// Blocks of which each line starts a program in a terminal of its own, by their first lines, with
/// the program's output once it can be used.
const TERMINALS: &[(&str, &str)] = &[
    ("cargo run", "serving "),
    ("cargo run --bin lanragectl-server", "serving "),
    ("target/debug/lanragectl-d --server http://127.0.0.1:8667 --socket", "serving "),
    ("target/debug/lanragectl watch", "connection "),
];

/// Blocks in Python that follow changes, and never end, by their first lines.
const FOLLOWERS: &[(&str, Follower)] = &[(
    "import json, os, socket\n",
    Follower {
        now: "now: [{",
        change: "lanragectl party join quake --peer-id eve --public-key eves",
        then: "then: peer.joined ",
    },
)];

/// Blocks that are not run, by their first lines, each with the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("[Interface]", "it is a form for the reader to fill in"),
    ("cargo test --workspace", "it would run this test again"),
    ("use std::time::Duration;\n", "the tests of the crate's documentation compile it"),
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
        return skip(&format!("{} needs {tool}", block.place));
    }
    let told = named(TERMINALS);
    let block = &sandbox.ported(block);
    match (block.language.as_str(), told) {
        ("sh", Some(told)) => block.text.lines().for_each(|line| sandbox.open_terminal(line, told)),
        ("sh", None) => drop(sandbox.shell(&block.text, &block.place)),
        ("console", _) => sandbox.console(block),
        ("python", _) if block.text.contains(MODULE) && !sandbox.has_module(MODULE) => {
            skip(&format!("{} needs the module {MODULE}", block.place));
        }
        ("python", _) => match FOLLOWERS.iter().find(|(first, _)| block.text.starts_with(first)) {
            Some((_, follower)) => sandbox.follow(block, follower),
            None => sandbox.python(block),
        },
        ("toml", _) => sandbox.check_configuration(block),
        (language, _) => panic!(
            "{}: blocks of {language:?} can't be run: name it in NOT_RUN, with the reason",
            block.place
        ),
    }
}

#[test]
fn blocks_of_documents_run_in_order() {
    let blocks: Vec<_> = DOCUMENTS.iter().flat_map(|document| blocks(document)).collect();
    let followers = FOLLOWERS.iter().map(|(first, _)| first);
    for first in TERMINALS.iter().chain(NOT_RUN).map(|(first, _)| first).chain(followers) {
        let is_there = blocks.iter().any(|block| block.text.starts_with(first));
        assert!(is_there, "no block begins with {first:?}");
    }
    let mut sandbox = Sandbox::new();
    for block in &blocks {
        run(&mut sandbox, block);
    }
    sandbox.stop();
}
