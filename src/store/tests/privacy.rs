//! Nobody else may read the state, whatever the umask is: there are tokens in it.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use nix::libc;
use rusqlite::Connection;

use super::support::{
    Opened, commit, credential, database_in, names, noon, open_in, party_of, server, temp_dir,
};
use crate::core::Write;
use crate::store::{Layout, backup, rotate_backups};

/// Runs something in a thread that has a umask of its own.
fn with_umask<T: Send>(umask: libc::mode_t, work: impl FnOnce() -> T + Send) -> T {
    let with = || {
        // SAFETY: neither takes memory; after the first, the second binds this thread alone.
        let own = unsafe { libc::unshare(libc::CLONE_FS) } == 0;
        assert!(own, "{}", io::Error::last_os_error());
        unsafe { libc::umask(umask) };
        work()
    };
    thread::scope(|scope| scope.spawn(with).join().unwrap())
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// The mode of everything below a directory, by its name.
fn modes(dir: &Path) -> BTreeMap<String, u32> {
    let mut modes = BTreeMap::new();
    for name in names(dir) {
        let path = dir.join(&name);
        if path.is_dir() {
            modes.extend(self::modes(&path).into_iter().map(|(n, m)| (format!("{name}/{n}"), m)));
        }
        modes.insert(name, mode(&path));
    }
    modes
}

/// Makes a state in which every sort of file is there while it is open, also those of a damaged
/// one.
fn filled(dir: &Path, state: &Path) -> [Opened; 2] {
    fs::write(dir.join("other"), "").unwrap();
    let mut opened = open_in(state);
    commit(&mut opened.database, &party_of("party", 1, 1));
    let backups = state.join(Layout::DAEMON.backups);
    rotate_backups(&database_in(state), &backups, noon(), 2).unwrap().unwrap();
    Connection::open(database_in(state)).unwrap().execute_batch("DELETE FROM meta").unwrap();
    // It is still open, so that its log is there to be set aside with it.
    let mut again = open_in(state);
    assert!(again.recovery.is_some());
    commit(&mut again.database, &[Write::PutCredential(credential(server(1), "peer", 1))]);
    backup(&database_in(state), &dir.join("copy.db")).unwrap();
    [opened, again]
}

#[test]
fn state_is_private_under_any_umask() {
    for umask in [0, 0o022, 0o077, 0o177, 0o277, 0o777] {
        let dir = temp_dir();
        let state = dir.path().join("state");
        let open = with_umask(umask, || filled(dir.path(), &state));
        assert_eq!(mode(&dir.path().join("other")), 0o666 & !umask);
        assert_eq!(mode(&state), 0o700, "{umask:o}");
        assert_eq!(mode(&dir.path().join("copy.db")), 0o600, "{umask:o}");
        let modes = modes(&state);
        drop(open);
        let aside = "control.db.damaged-20261122T171835Z";
        let backup = "backups/control-20261122T171835Z.db";
        let log_aside = format!("{aside}-wal");
        for file in ["control.db", "control.db-wal", "control.db-shm", aside, &log_aside, backup] {
            assert!(modes.contains_key(file), "{file}: {modes:?}");
        }
        for (name, mode) in modes {
            let expected = if name == "backups" { 0o700 } else { 0o600 };
            assert_eq!(mode, expected, "{name}, {umask:o}");
        }
    }
}

#[test]
fn existing_directory_keeps_its_mode() {
    let dir = temp_dir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o750)).unwrap();
    drop(open_in(dir.path()));
    assert_eq!(mode(dir.path()), 0o750);
    assert_eq!(mode(&database_in(dir.path())), 0o600);
}
