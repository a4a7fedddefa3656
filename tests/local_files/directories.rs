//! Directories that a start puts files into.

use std::fs;
use std::os::unix::fs::{chown, lchown, symlink};

use super::{STRANGER, set_mode};
use crate::harness::{Setup, exists, has_root};

/// Expects a start to be refused by the name of the state directory, and to put nothing there.
fn is_refused(setup: &Setup, words: &str) {
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    let told = format!("{} {words}", setup.state.display());
    assert!(log.contains(&told) && log.contains("--state-dir"), "{told:?} is not in:\n{log}");
    assert_eq!(fs::read_dir(&setup.state).map_or(0, Iterator::count), 0, "{log}");
    assert!(!exists(&setup.socket()), "it listened");
}

#[test]
fn state_directory_that_others_may_write_to_is_refused() {
    for program in [Setup::new as fn() -> Setup, Setup::server] {
        for mode in [0o777, 0o1777, 0o770, 0o702] {
            let setup = program();
            fs::create_dir(setup.state_dir()).expect("make the directory");
            set_mode(&setup.state, mode);
            let words = format!(
                "may be written by others than its owner (uid {}, mode {mode:04o})",
                nix::unistd::geteuid()
            );
            is_refused(&setup, &words);
        }
        let setup = program();
        fs::create_dir(setup.state_dir()).expect("make the directory");
        set_mode(&setup.state, 0o755);
        setup.start();
    }
}

#[test]
fn state_directory_of_another_user_is_refused() {
    if !has_root("to have another user's directory") {
        return;
    }
    for program in [Setup::new as fn() -> Setup, Setup::server] {
        let setup = program();
        fs::create_dir(setup.state_dir()).expect("make the directory");
        set_mode(&setup.state, 0o700);
        chown(&setup.state, Some(STRANGER), None).expect("give it away");
        is_refused(&setup, "belongs to uid 12345 (mode 0700)");
    }
    let setup = Setup::new();
    fs::create_dir(setup.path("elsewhere")).expect("make the directory");
    symlink("elsewhere", &setup.state).expect("make a link");
    lchown(&setup.state, Some(STRANGER), None).expect("give it away");
    is_refused(&setup, "is a symbolic link of uid 12345");
}

#[test]
fn own_link_may_lead_to_the_state() {
    let setup = Setup::new();
    fs::create_dir(setup.path("elsewhere")).expect("make the directory");
    set_mode(&setup.path("elsewhere"), 0o700);
    symlink("elsewhere", &setup.state).expect("make a link");
    let (setup, _) = setup.start().stop();
    assert!(exists(&setup.path("elsewhere/control.db")));
    setup.start();
}
