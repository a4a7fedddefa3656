//! A state directory that is in use twice: two daemons with one identity.

use std::fs;
use std::path::Path;

use super::{join, register, server, url};
use crate::harness::{Daemon, Setup, fast_remote};

/// A daemon that waits for long before it displaces another one.
fn start(setup: Setup, server: &Daemon) -> Daemon {
    let config = fast_remote([("probe", "'10m'")]);
    let daemon = setup.server_url(&url(server)).config(&config).start();
    daemon.await_state("online");
    daemon
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            true => copy(&path, &target),
            false => drop(fs::copy(&path, &target).expect("copy a file")),
        }
    }
}

#[test]
fn displaced_daemon_says_so_and_waits() {
    let server = server();
    let here = start(Setup::new(), &server);
    register(&here, "lan", "ann", "synced");
    let setup = here.kill();
    let clone = Setup::new();
    copy(&setup.state_dir(), &clone.state_dir());
    let here = setup.start();
    here.await_state("online");
    join(&here, "lan", "ann", "synced");
    let clone = start(clone, &server);
    let connection = here.await_state("fallback");
    let error = connection["last_error"].as_str().expect("a reason");
    assert!(error.contains("identity took over"), "{connection}");
    here.await_log("WARN");
    assert!(connection["retry_in_ms"].as_u64().is_some_and(|wait| wait > 60_000), "{connection}");
    clone.await_state("online");
    join(&clone, "lan", "ann", "synced");
}
