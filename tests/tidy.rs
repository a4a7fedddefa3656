//! The invariants of ARCHITECTURE.md that the source itself can show.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file below a folder of the repository, with its text less its comments.
fn sources(folder: &str) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut files) = (vec![root.join(folder)], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry"))
        {
            let path = entry.path();
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(extension) if extension == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    assert!(!files.is_empty(), "{folder} holds no source");
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        let name = path.strip_prefix(root).expect("below the root").display().to_string();
        (name, code.collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// The code before its unit tests.
fn without_tests(code: &str) -> &str {
    ["#[cfg(test)]\nmod tests {", "#[cfg(all(test, unix))]\nmod tests {"]
        .iter()
        .filter_map(|start| code.find(start))
        .min()
        .map_or(code, |end| &code[..end])
}

/// Nothing below `folder` names any of `words`, but for files whose path has one of `except`.
fn never(folder: &str, words: &[&str], except: &[&str]) {
    let mut found = Vec::new();
    for (file, code) in sources(folder) {
        if except.iter().any(|part| file.contains(part)) {
            continue;
        }
        let named = words.iter().filter(|word| without_tests(&code).contains(**word));
        found.extend(named.map(|word| format!("{file} names {word}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_core_is_pure() {
    let impure =
        ["actix", "tokio", "rusqlite", "std::fs", "std::net::Tcp", "std::thread", "::now()"];
    never("src/core", &impure, &["tests"]);
}

#[test]
fn only_the_store_knows_sql() {
    never("src", &["rusqlite"], &["src/store/"]);
}

#[test]
fn only_frontends_know_the_envelope() {
    let wire = ["lanrage_ipc::envelope", "lanrage_ipc::codec", "RpcError"];
    never("src", &wire, &["src/ipc/", "src/cli/", "src/events/shared_event.rs"]);
}

#[test]
fn core_and_control_plane_name_no_message_of_the_local_socket() {
    let messages = ["lanrage_ipc::params", "lanrage_ipc::results"];
    never("src/core", &messages, &[]);
    never("src/control_plane", &messages, &[]);
}

#[test]
fn only_composition_roots_start_actors() {
    let started = [".start()", "SyncArbiter::start", "Addr<"];
    // In the configuration it is spans that start somewhere.
    never("src", &started, &["src/engine", "src/store/", "src/config/", "/tests"]);
}

#[test]
fn only_network_frontends_know_the_web_framework() {
    never("src", &["actix_web", "HttpRequest"], &["src/http/", "src/ws/", "src/server/"]);
    never("src/http", &["crate::ws"], &["/tests"]);
    // So that another library can take its place.
    never("src", &["actix_web_actors"], &["src/ws/session.rs"]);
}

#[test]
fn only_the_transports_know_what_carries_frames_to_a_server() {
    let (transport, doctor) = ("src/remote/transport/", "src/cli/doctor");
    let diagnostics = "src/remote/diagnostics/";
    never("src", &["tokio_tungstenite", "reqwest", "hyper"], &[transport, diagnostics, doctor]);
    // The server takes part in handshakes by the same library.
    never("src", &["tokio_rustls"], &[transport, doctor, "src/http/serve.rs"]);
    // So that another library can take its place.
    never("src", &["backoff::"], &["src/core/upstream/link/"]);
}

#[test]
fn no_message_passes_a_mailbox_bound() {
    never("src", &["do_send"], &[]);
}

#[test]
fn files_are_opened_in_one_place() {
    let opening = [
        "File::open",
        "File::create",
        "File::options",
        "OpenOptions::new",
        "fs::read(",
        "fs::read_to_string",
        "fs::write",
        "fs::copy",
    ];
    never("src", &opening, &["src/os/files.rs", "/tests", "fixtures.rs"]);
    // A pipe of Windows is opened like a file.
    never("ipc-schema/src", &opening, &["client/windows.rs", "/tests"]);
}

#[test]
fn no_file_is_left_unfinished() {
    never("src", &["todo!(", "unimplemented!(", "dbg!("], &[]);
    never("ipc-schema/src", &["todo!(", "unimplemented!(", "dbg!("], &[]);
}
