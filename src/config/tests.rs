//! Tests of the client's configuration, and of the rules that all programs share for their file.

use super::*;
use std::fs;
use std::path::Path;

fn args(config: Option<&Path>) -> CliArgs {
    CliArgs { config: config.map(Path::to_path_buf), ..CliArgs::default() }
}

fn refused(args: &CliArgs, env: &Environment) -> String {
    load_cli(args, env).unwrap_err().to_string()
}

#[test]
fn client_takes_flag_then_variable_then_file_then_default() {
    let directory = tempfile::tempdir().unwrap();
    let below = |name: &str| directory.path().join(name);
    let file = below("ctl.toml");
    fs::write(&file, "socket = 'of-file'").unwrap();
    let variable = below("of-env");
    let env = Environment::of(&[("LANRAGE_SOCKET", variable.to_str().unwrap())]);
    let nothing = Environment::of(&[]);

    let flag = CliArgs { socket: Some(below("of-flag")), ..args(Some(&file)) };
    assert_eq!(load_cli(&flag, &env).unwrap().socket, below("of-flag"));
    let bare = args(Some(&file));
    assert_eq!(load_cli(&bare, &env).unwrap().socket, variable);
    let of_file = load_cli(&bare, &nothing).unwrap();
    assert_eq!(of_file.socket, below("of-file"));
    assert_eq!(of_file.config_file, Some(file));
    let default = load_cli(&args(None), &nothing).unwrap();
    assert_eq!(default.socket, paths::socket(false, &nothing));
    assert_eq!(default.config_file, None);
}

#[test]
fn client_and_daemon_agree_on_the_socket() {
    for system in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_str().unwrap();
        let env = Environment::of(&[
            ("HOME", path),
            ("LOCALAPPDATA", path),
            ("XDG_RUNTIME_DIR", path),
            ("USERNAME", "ann"),
        ]);
        // A unique name keeps the machine's files in /etc out of the test.
        let config = directory.path().join("empty.toml");
        fs::write(&config, "").unwrap();
        let client = CliArgs { system, ..args(Some(&config)) };
        let daemon = DaemonArgs { system, config: Some(config), ..DaemonArgs::default() };
        assert_eq!(load_cli(&client, &env).unwrap().socket, load(&daemon, &env).unwrap().socket);
    }
}

#[test]
fn client_reads_the_daemons_file_for_the_socket_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("d.toml");
    fs::write(&file, "socket = 's'\n[cleanup]\ninterval = 'never'").unwrap();
    let env = Environment::of(&[("LANRAGE_CONFIG", file.to_str().unwrap())]);
    let config = load_cli(&args(None), &env).unwrap();
    assert_eq!(config.socket, directory.path().join("s"));

    fs::write(&file, "sockets = 's'").unwrap();
    assert_eq!(
        refused(&args(None), &env),
        format!("{}:1: sockets: unknown key; did you mean `socket`?", file.display())
    );
}

#[test]
fn one_file_serves_all_programs() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("all.toml");
    let of_daemon = "discovery_file = 'f'\nserver = 'http://h'\nremote.poll = '9s'\n";
    let of_server = "listen = '[::1]:1'\nhttp.insecure = true\nauth.token_ttl = '1s'\nws.sockets = 1\n\
        [limits]\nrequests_per_second = 1\nrequests_burst = 1\nregistrations_per_minute = 1\n\
        registrations_burst = 1\ntokens = 1\nreceipts = 1\naddress_share = 1\n";
    fs::write(&file, format!("socket = 's'\n{of_daemon}{of_server}")).unwrap();
    let home = directory.path().to_str().unwrap();
    let env = Environment::of(&[("HOME", home), ("LOCALAPPDATA", home)]);
    let daemon = DaemonArgs { config: Some(file.clone()), ..DaemonArgs::default() };
    let server = ServerArgs { config: Some(file.clone()), ..ServerArgs::default() };
    assert_eq!(load(&daemon, &env).unwrap().remote.poll.as_secs(), 9);
    assert_eq!(load_server(&server, &env).unwrap().limits.receipts, 1);
    assert_eq!(load_cli(&args(Some(&file)), &env).unwrap().socket, directory.path().join("s"));

    fs::write(&file, format!("{of_daemon}{of_server}[unknown]")).unwrap();
    let known = "known here are socket, limits, state_dir, discovery_file, server, cleanup, store, \
                 addresses, access, remote";
    let line = of_daemon.lines().chain(of_server.lines()).count() + 1;
    let expected = format!("{}:{line}: unknown: unknown key; {known}", file.display());
    assert_eq!(refused(&args(Some(&file)), &env), expected);
}

#[test]
fn flag_names_the_file_before_the_variable() {
    let directory = tempfile::tempdir().unwrap();
    let (flag, variable) = (directory.path().join("f"), directory.path().join("v"));
    let env = Environment::of(&[("LANRAGE_CONFIG", variable.to_str().unwrap())]);
    let file = |flag| load_cli(&args(flag), &env).unwrap().config_file;
    // A missing file counts as empty, whatever names it.
    assert_eq!(file(Some(&flag)), None);
    fs::write(&variable, "").unwrap();
    assert_eq!(file(Some(&flag)), None);
    assert_eq!(file(None), Some(variable.clone()));
    fs::write(&flag, "").unwrap();
    assert_eq!(file(Some(&flag)), Some(flag.clone()));
    let empty = Environment::of(&[("LANRAGE_CONFIG", "")]);
    assert_eq!(load_cli(&args(None), &empty).unwrap().config_file, None);
}

#[cfg(unix)]
#[test]
fn file_at_the_default_path_may_be_missing_but_not_malformed() {
    let directory = tempfile::tempdir().unwrap();
    let env = Environment::of(&[("XDG_CONFIG_HOME", directory.path().to_str().unwrap())]);
    assert_eq!(load_cli(&args(None), &env).unwrap().config_file, None);
    let file = directory.path().join("lanrage/lanragectl.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    fs::write(&file, "socket = 's'").unwrap();
    assert_eq!(load_cli(&args(None), &env).unwrap().config_file.as_ref(), Some(&file));
    fs::write(&file, "socket").unwrap();
    assert_eq!(
        refused(&args(None), &env),
        format!("{}:1:7: key with no value, expected `=`", file.display())
    );
    // A file in place of a directory: nothing can be below it.
    let env = Environment::of(&[("XDG_CONFIG_HOME", "/dev/null")]);
    assert_eq!(load_cli(&args(None), &env).unwrap().config_file, None);
}

#[test]
fn file_has_to_be_a_file() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(
        refused(&args(Some(directory.path())), &Environment::of(&[])),
        format!("{}: is a directory, not a configuration file", directory.path().display())
    );
}

#[test]
fn file_has_to_be_utf8() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    fs::write(&file, b"# good\n# \xc3\xa9 \xff\n").unwrap();
    assert_eq!(
        refused(&args(Some(&file)), &Environment::of(&[])),
        format!("{}:2:5: byte 0xff is not UTF-8: save the file as UTF-8", file.display())
    );
}

#[test]
fn file_has_at_most_a_mebibyte() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("c.toml");
    fs::write(&file, vec![b'\n'; 1024 * 1024]).unwrap();
    assert!(load_cli(&args(Some(&file)), &Environment::of(&[])).is_ok());
    fs::write(&file, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
    let refusal = "is larger than 1048576 bytes, the most a configuration file may have";
    assert_eq!(
        refused(&args(Some(&file)), &Environment::of(&[])),
        format!("{}: {refusal}", file.display())
    );
}

#[cfg(unix)]
#[test]
fn device_is_no_file() {
    assert_eq!(
        refused(&args(Some(Path::new("/dev/zero"))), &Environment::of(&[])),
        "the configuration file can't be used: /dev/zero is a device, and must be a regular file: \
         move it away or name another"
    );
}
