//! Whose peers they are: tokens that are kept, renewed, and never shown.

use std::os::unix::fs::PermissionsExt;

use super::world::{World, await_members, join, refused_join, register, rename};
use crate::harness::FAST_REMOTE;

#[test]
fn a_token_is_renewed_before_it_expires() {
    let mut world = World::with(FAST_REMOTE, "[auth]\ntoken_ttl = '6s'\n");
    register(&mut world.a.client(), "p", "ann");
    join(&mut world.b.client(), "p", "bob");
    for daemon in [&world.a, &world.b] {
        daemon.await_log("is renewed");
    }
    rename(&mut world.b.client(), "p", "bob", "Robert");
    // The new one is kept: it is good for the next connection, too.
    world.b = world.b.kill().start();
    world.b.await_state("online");
    join(&mut world.b.client(), "p", "bob");
    await_members(&world.a, "p", &["ann", "bob"]);
}

#[test]
fn an_id_stays_its_daemons_whoever_is_killed() {
    let mut world = World::new();
    register(&mut world.a.client(), "p", "ann");
    world.a = world.a.kill().start();
    let server = world.server.take().expect("a server").kill();
    world.server = Some(server.start());
    world.await_online();
    assert_eq!(refused_join(&mut world.b.client(), "p", "ann"), "server_rejected");
    join(&mut world.a.client(), "p", "ann");
}

#[test]
fn tokens_are_for_nobody_to_see() {
    let world = World::new();
    register(&mut world.a.client(), "p", "ann");
    let state = world.a.setup.state_dir();
    let mut databases = 0;
    for entry in std::fs::read_dir(&state).expect("the state") {
        let entry = entry.expect("an entry");
        if entry.file_name().to_string_lossy().starts_with("control.db") {
            databases += 1;
            let mode = entry.metadata().expect("its mode").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
        }
    }
    assert!(databases >= 2, "the database and its log");
    let log = world.a.setup.log();
    let server = world.server.as_ref().expect("a server").setup.log();
    assert!(log.contains("DEBUG") && server.contains("DEBUG"));
    // A token is 43 characters of base64, which nothing else in a log is.
    let tokens = |log: &str| {
        let words = log.split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)));
        words.filter(|word| word.len() == 43).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((tokens(&log), tokens(&server)), (vec![], vec![]));
}
