//! No limit is left out of the table of attacks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Stdio;

use super::{connections, handshakes, local, requests, sockets, tables, users};
use crate::harness::Setup;

/// The files with rows.
const FILES: [&[&[&str]]; 7] = [
    connections::LIMITS,
    handshakes::LIMITS,
    local::LIMITS,
    requests::LIMITS,
    sockets::LIMITS,
    tables::LIMITS,
    users::LIMITS,
];

/// Keys that no client can attack, each group with the reason.
const NOT_ATTACKED: &[(&str, &[&str])] = &[
    (
        "says how the server is reached, and bounds nothing",
        &["http.behind_proxy", "http.insecure", "http.allowed_origins", "http.public_names"],
    ),
    ("drops what is old: the bounds of signals hold meanwhile", &["limits.signal_ttl"]),
    (
        "ends a wait for the server's own disk or memory, which other limits bound",
        &["limits.request_timeout"],
    ),
    (
        "is the pace of the server's own frames: a client that does not read them meets ws.queue_*",
        &["ws.ping_interval", "ws.refresh", "ws.update_interval"],
    ),
];

/// The keys of `[limits]`, `[http]` and `[ws]` that a program shows.
fn keys(setup: Setup) -> BTreeSet<String> {
    let mut command = setup.arg("--check-config").command();
    let output = command.stdout(Stdio::piped()).output().expect("run the program");
    let shown = String::from_utf8(output.stdout).expect("UTF-8");
    let shown: toml::Table = shown.parse().expect("a configuration");
    let tables = ["limits", "http", "ws"].into_iter();
    let tables = tables.filter_map(|name| Some((name, shown.get(name)?.as_table()?)));
    tables.flat_map(|(name, table)| table.keys().map(move |key| format!("{name}.{key}"))).collect()
}

fn all_keys() -> BTreeSet<String> {
    let mut keys = keys(Setup::server());
    keys.extend(self::keys(Setup::new()));
    keys
}

/// The limits with a row; those without a key have brackets.
fn attacked() -> BTreeSet<String> {
    FILES.into_iter().flatten().copied().flatten().map(|limit| (*limit).to_owned()).collect()
}

fn not_attacked() -> BTreeSet<String> {
    NOT_ATTACKED.iter().flat_map(|(_, keys)| *keys).map(|key| (*key).to_owned()).collect()
}

#[test]
fn limits_have_an_attack_or_a_reason_for_none() {
    let (keys, attacked, not_attacked) = (all_keys(), attacked(), not_attacked());
    let missing: Vec<_> = keys.iter().filter(|key| !attacked.contains(*key)).collect();
    let missing: Vec<_> = missing.into_iter().filter(|key| !not_attacked.contains(*key)).collect();
    assert!(missing.is_empty(), "without a row and without a reason: {missing:?}");
    let both: Vec<_> = attacked.intersection(&not_attacked).collect();
    assert!(both.is_empty(), "with a row and with a reason for none: {both:?}");
    let named = attacked.iter().filter(|limit| !limit.starts_with('(')).chain(&not_attacked);
    let unknown: Vec<_> = named.filter(|key| !keys.contains(*key)).collect();
    assert!(unknown.is_empty(), "no such keys: {unknown:?}");
}

#[test]
fn configuration_document_names_each_attacked_limit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
    let document = fs::read_to_string(path).expect("the document");
    let section = document.split("\n## Limits\n").nth(1).expect("its limits");
    let section = section.split("\n## ").next().expect("their end");
    let is_named = |limit: &str| {
        let key = limit.split('.').next_back().unwrap_or(limit);
        section.contains(&format!("`{limit}`")) || section.contains(&format!("`{key}`"))
    };
    let attacked = attacked();
    let missing: Vec<_> =
        attacked.iter().filter(|limit| !limit.starts_with('(') && !is_named(limit)).collect();
    assert!(missing.is_empty(), "not among the limits of docs/configuration.md: {missing:?}");
}
