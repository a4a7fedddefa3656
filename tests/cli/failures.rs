//! Exit code, cause and fix of each failure.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::unistd::geteuid;
use serde_json::{Value, json};

use super::KEY;
use crate::harness::{Ctl, FAST_REMOTE, Http, Setup};

const NOBODY: u32 = 65534;

#[test]
fn refusal_has_its_exit_code_and_words() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    ctl.json("party register Quake --party-id q --peer-id ann --public-key k");
    for (line, code) in [
        ("party show other", "party_not_found"),
        ("watch --party other", "party_not_found"),
        ("peer show q bob", "peer_not_found"),
        ("peer update q bob --local-port 1", "peer_not_found"),
        ("party leave q bob", "not_a_member"),
        ("party register Quake --party-id q --peer-id bob --public-key k", "party_exists"),
        ("raw party.fly", "unknown_method"),
        ("raw party.get", "invalid_params"),
        ("raw ping 5", "invalid_params"),
    ] {
        assert_eq!(ctl.fails(line), (1, code.to_owned()), "{line}");
    }
}

#[test]
fn hints_name_the_command_that_helps() {
    let server = Setup::server().start();
    let url = format!("http://{}", server.address());
    let mut taken = Http::registered(server.address(), "ann");
    let daemon = Setup::new().config(FAST_REMOTE).server_url(&url).start();
    let ctl = daemon.ctl();
    ctl.json("wait --for online");
    taken.party("ann");
    ctl.json("party register Quake --party-id q --peer-id cid --public-key k");
    for (line, code, hint) in [
        ("party leave q bob", "not_a_member", "`lanragectl peer list PARTY` shows the members"),
        (
            "party register Quake --peer-id ann --public-key k",
            "server_rejected",
            "if the peer id is taken, choose another: --peer-id ID",
        ),
        (
            "party join q --peer-id ann --public-key k",
            "server_rejected",
            "if the peer id is taken, choose another: --peer-id ID",
        ),
    ] {
        assert_eq!(ctl.fails(line), (1, code.to_owned()), "{line}");
        let told = ctl.run(line).stderr;
        assert!(told.ends_with(&format!("\nhint: {hint}\n")), "{line}: {told}");
    }
}

#[test]
fn misuse_has_its_exit_code_and_words() {
    // There is no daemon: a bad command line is told first.
    let setup = Setup::new();
    let ctl = setup.ctl();
    for line in [
        "fly",
        "party",
        "status --nonsense",
        "status --timeout 5",
        "party show a/b",
        "party join q",
        "party join q --public-key k --public-port 65536",
        "party join q --public-key k --nat-type half",
        "party join q --public-key k --public-ip nowhere",
        "party join q --public-key k --keepalive never",
        "peer heartbeat q bob --peer-id bob",
        "signal send q --to bob {",
        "raw ping {",
        "watch --topic weather",
        "wait --for party",
        "relay register r --public-ip unknown --port 1",
        "wait --for weather",
        "connection set",
        "connection set http://h --local",
        "connection set lan.example.org",
        "connection set http://h/?a=b",
    ] {
        assert_eq!(ctl.fails(line), (2, "usage".to_owned()), "{line}");
    }
    let config = setup.path("ctl.toml");
    fs::write(&config, "soket = 'x'").expect("write the configuration");
    let line = format!("status --config {}", config.display());
    assert_eq!(ctl.fails(&line), (2, "invalid_config".to_owned()));
}

#[test]
fn daemon_not_started_is_told_from_one_that_crashed() {
    let setup = Setup::new();
    assert_eq!(setup.ctl().fails("status"), (3, "not_started".to_owned()));
    let setup = setup.start().kill();
    assert_eq!(setup.ctl().fails("status"), (3, "not_listening".to_owned()));
    let told = setup.ctl().run("status").stderr;
    assert!(told.contains("stopped or crashed") && told.contains("start it again"), "{told}");

    let file = setup.path("file");
    fs::write(&file, "").expect("write a file");
    assert_eq!(Ctl::at(&file).fails("status"), (3, "no_socket".to_owned()));
    assert_eq!(Ctl::at(&file.join("below")).fails("status").0, 3);
    assert_eq!(Ctl::at(&setup.path(&"x".repeat(200))).fails("status").0, 3);
}

#[test]
fn socket_without_permission_has_its_exit_code_and_words() {
    let daemon = Setup::new().start();
    let place = tempfile::tempdir().expect("a temporary directory");
    let is_root = geteuid().is_root();
    // The superuser may do anything: somebody else has to try, who can't reach what is built here.
    let program = place.path().join("lanragectl");
    // Not by this process: what it writes, the children of other tests hold open for a moment, and
    // what is open for writing can't be run.
    let built = env!("CARGO_BIN_EXE_lanragectl");
    let copied = Command::new("cp").arg(built).arg(&program).status().expect("run cp");
    assert!(copied.success(), "{copied}");
    fs::set_permissions(place.path(), Permissions::from_mode(0o755)).expect("let others in");
    let directory = daemon.setup.dir.path();
    if !is_root {
        fs::set_permissions(directory, Permissions::from_mode(0o600)).expect("keep oneself out");
    }
    let ctl = daemon.ctl().copy(program);
    for line in ["status", "wait --for ready"] {
        let mut command = ctl.command(line);
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let told = command.output().expect("run lanragectl");
        let words = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(4), "{words}");
        assert!(words.contains("you may not connect") && words.contains("--system"), "{words}");
    }
    fs::set_permissions(directory, Permissions::from_mode(0o700)).expect("come back in");
}

#[test]
fn daemon_without_an_answer_is_a_timeout() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    let timeout = (5, "timeout".to_owned());
    assert_eq!(ctl.fails("wait --for party --party q --timeout 20ms"), timeout);
    daemon.halt();
    assert_eq!(ctl.fails("status --timeout 20ms"), timeout);
    assert_eq!(ctl.fails("wait --for ready --timeout 20ms"), timeout);
    drop(daemon);
    assert_eq!(Setup::new().ctl().fails("wait --for ready --timeout 20ms"), timeout);
}

#[test]
fn daemon_of_another_protocol_is_refused() {
    let refusal = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"protocol 1 is asked for, 2 is spoken","data":{"code":"unsupported_protocol","retryable":false,"hint":"update lanragectl"}}}"#;
    for (answer, code) in [
        (refusal, "unsupported_protocol"),
        ("HTTP/1.1 400 Bad Request", "protocol_mismatch"),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, "protocol_mismatch"),
    ] {
        let place = tempfile::tempdir().expect("a temporary directory");
        let socket = place.path().join("socket");
        // Two commands, each for people, then for programs.
        let server = script(&socket, 4, vec![answer.to_owned()]);
        for line in ["status", "wait --for ready"] {
            assert_eq!(Ctl::at(&socket).fails(line), (6, code.to_owned()), "{line}: {answer}");
        }
        server.join().expect("the server is well");
    }
}

/// Daemon that answers the requests of so many connections by the script.
fn script(socket: &Path, connections: usize, answers: Vec<String>) -> thread::JoinHandle<()> {
    let listener = UnixListener::bind(socket).expect("bind");
    thread::spawn(move || {
        for stream in listener.incoming().take(connections) {
            let mut stream = BufReader::new(stream.expect("a connection"));
            for answer in &answers {
                stream.read_line(&mut String::new()).expect("a request");
                writeln!(stream.get_mut(), "{answer}").expect("answer");
            }
        }
    })
}

#[test]
fn watch_outlives_a_reset_and_newer_events() {
    let place = tempfile::tempdir().expect("a temporary directory");
    let socket = place.path().join("socket");
    let daemon = Setup::new().start();
    let hello = daemon.ctl().json("raw hello");
    let subscribed = json!({"subscription": "s1", "seq": 0, "snapshot": {"relays": []}});
    let newer = json!({"subscription": "s1", "seq": 1, "kind": "party.renamed", "data": {"a": 1}});
    let reset = json!({"subscription": "s1", "seq": 2, "snapshot": {"parties": []}});
    let notify = |method, params| json!({"jsonrpc": "2.0", "method": method, "params": params});
    let told = [
        json!({"jsonrpc": "2.0", "id": 2, "result": subscribed}),
        notify("event", &newer),
        notify("event.reset", &reset),
    ];
    let hello = json!({"jsonrpc": "2.0", "id": 1, "result": hello}).to_string();
    let server = script(&socket, 2, vec![hello, told.map(|line| line.to_string()).join("\n")]);

    let ran = Ctl::at(&socket).run("watch --json");
    let lines: Vec<Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).expect("a document")).collect();
    assert_eq!(lines, [subscribed, newer, reset]);
    // It ends because the daemon went away, without a word.
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    assert!(ran.stderr.contains(r#""code":"gone""#), "{}", ran.stderr);

    let ran = Ctl::at(&socket).run("watch");
    for words in ["party.renamed", "changes came too fast; this is how it is now:\n\nno parties\n"]
    {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    server.join().expect("the server is well");
}

#[test]
fn closed_standard_output_is_no_failure() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    for line in ["party list", "status --json", "watch", "completions bash", "--help"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = ctl.command(line).stdout(writer).output().expect("run lanragectl");
        assert_eq!((ran.status.code(), ran.stderr), (Some(0), vec![]), "{line}");
    }
    #[cfg(target_os = "linux")]
    {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("open /dev/full");
        let ran = ctl.command("status").stdout(full).output().expect("run lanragectl");
        let told = String::from_utf8_lossy(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{told}");
        assert!(told.contains("standard output: No space left"), "{told}");
    }
}

#[test]
fn socket_of_another_user_is_not_taken_for_the_daemon() {
    let setup = Setup::new();
    let temporary = setup.path("tmp");
    let socket = temporary.join(format!("lanrage-{}/control.sock", geteuid()));
    fs::create_dir(&temporary).expect("a directory");
    let directory = socket.parent().expect("a directory").to_owned();
    let daemon = Setup { socket, ..setup }.start();
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lanragectl"));
        command.arg("status").env_clear().env("HOME", "/nonexistent").env("TMPDIR", &temporary);
        let output = command.output().expect("run lanragectl");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    assert_eq!(status(), (Some(0), String::new()));

    let open = |mode| fs::set_permissions(&directory, Permissions::from_mode(mode)).expect("set");
    open(0o777);
    let (code, told) = status();
    assert_eq!(code, Some(3));
    assert!(told.contains("is not yours alone"), "{told}");
    open(0o700);

    let elsewhere = temporary.join("elsewhere");
    fs::rename(&directory, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &directory).expect("a link");
    assert_eq!(status().0, Some(3));
    drop(daemon);
}

#[test]
fn socket_path_that_is_too_long_is_told() {
    let setup = Setup::new();
    let ctl = Ctl::at(&setup.dir.path().join("s".repeat(108)));
    let ran = ctl.run("status");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("bytes, and may have 107"), "{ran:?}");
    ctl.fails("wait --for ready --timeout 1h");
}

#[test]
fn socket_of_a_server_is_told_as_one() {
    let server = Setup::server().start();
    let ctl = server.ctl();
    let status = ctl.text("status");
    assert!(status.contains("\nmode     control server\nparties  0\n"), "{status}");
    assert!(!status.contains("local") && !status.contains("needs no"), "{status}");
    assert!(ctl.text("connection").contains("a control server, which follows no other"));
    assert_eq!(ctl.json("status")["mode"], "local");
    for line in ["connection set http://127.0.0.1:1", "connection set local", "connection retry"] {
        let ran = ctl.run(line);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("this program is a control server itself"), "{ran:?}");
        assert!(ran.stderr.contains("connect to the daemon's socket"), "{ran:?}");
    }
    assert_eq!(ctl.fails("wait --for online"), (1, "control_server".to_owned()));
    let mut watch = ctl.command("watch").spawn().expect("run lanragectl");
    let mut stdout = BufReader::new(watch.stdout.take().expect("its output"));
    let lines = [(); 4].map(|()| {
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        line
    });
    assert_eq!(lines.concat(), "\nno relays\n\nno parties\n");
    drop(stdout);
    watch.wait().expect("its end");
}

#[test]
fn default_peer_id_of_another_machine_is_explained() {
    let server = Setup::server().start();
    let url = format!("http://{}", server.address());
    let machines = [(); 2].map(|()| Setup::new().server_url(&url).config(FAST_REMOTE).start());
    let register = format!("party register Quake --public-key {KEY}");
    machines[0].await_state("online");
    machines[0].ctl().text(&register);
    machines[1].await_state("online");
    let ran = machines[1].ctl().run(&register);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("login and host name"), "{ran:?}");
    assert!(ran.stderr.contains("--peer-id ID"), "{ran:?}");
    machines[1].ctl().text(&format!("{register} --peer-id other"));
}
