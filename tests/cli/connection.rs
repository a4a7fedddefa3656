//! The link to the control server by commands.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};

use serde_json::{Value, json};

use crate::harness::{Daemon, Setup};

/// A daemon that follows a server, and does not wait long for it.
fn following(server: &str) -> Daemon {
    let config = format!(
        "server = '{server}'\n[remote]\nbackoff_initial = '5ms'\nbackoff_max = '20ms'\n\
         probe = '20ms'\nmax_attempts = 2\n"
    );
    Setup::new().config(&config).start()
}

/// An address at which nothing listens.
fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    listener.local_addr().expect("an address")
}

#[test]
fn wait_online_in_local_mode_fails() {
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    let shown = ctl.text("connection");
    assert!(shown.starts_with("state  local: the daemon needs no control server\nsince  "));
    assert_eq!(ctl.text("connection show").lines().count(), 2);
    assert_eq!(ctl.fails("wait --for online"), (1, "local_mode".to_owned()));
}

#[test]
fn wait_online_in_vain_says_why() {
    let server = format!("http://{}", nowhere());
    let daemon = following(&server);
    let ctl = daemon.ctl();
    // Time is over once the first attempt has failed, or there would be nothing to tell, and not
    // before a busy daemon has answered.
    daemon.await_log("nothing listens");
    let ran = ctl.run("wait --for online --timeout 2s");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{}", ran.stderr);
    for words in ["waited 2s in vain", &server, "nothing listens at", "lanragectl doctor"] {
        assert!(ran.stderr.contains(words), "{words:?} is not in: {}", ran.stderr);
    }
    assert_eq!(ctl.fails("wait --for online --timeout 1ms"), (5, "timeout".to_owned()));

    let shown = ctl.text("connection show");
    assert!(shown.contains(&format!("\nserver        {server}\n")), "{shown}");
    assert!(shown.contains("\nlast error    nothing listens at "), "{shown}");
    let retried = ctl.json("connection retry");
    assert_eq!(retried["server_url"], json!(server));
    let status = ctl.json("status");
    assert_eq!(
        (&status["mode"], &status["connection"]["server_url"]),
        (&json!("remote"), &json!(server))
    );
    assert!(ctl.text("status").contains("\nmode        remote\nconnection  "));
}

#[test]
fn connection_online_is_shown_waited_for_and_examined() {
    let server = Setup::server().start();
    let url = format!("http://{}", server.address());
    let daemon = following(&url);
    let ctl = daemon.ctl();
    let online = ctl.json("wait --for online");
    assert_eq!((&online["state"], &online["server_url"]), (&json!("online"), &json!(url)));
    assert_eq!(ctl.text("wait --for online"), "");
    let shown = ctl.text("connection");
    assert!(shown.starts_with(&format!("state   online: the server answers\nserver  {url}\n")));

    ctl.json("party register Quake --party-id q --peer-id ann --public-key k");
    let listed = ctl.text("party list");
    assert!(listed.trim_end().ends_with("remote"), "{listed}");
    assert!(ctl.text("party show q").contains("\norigin   remote\n"));

    let examined = ctl.json("doctor");
    assert_eq!((&examined["ok"], &examined["server_url"]), (&json!(true), &json!(url)));
    assert_eq!(examined["steps"][0]["detail"], format!("online at {url}"));
}

#[test]
fn connection_set_changes_the_server_of_a_running_daemon() {
    let server = Setup::server().start();
    let url = format!("http://{}", server.address());
    let daemon = Setup::new().start();
    let ctl = daemon.ctl();
    let mut watch = ctl.command("watch --topic connection").spawn().expect("run lanragectl");
    let mut lines = BufReader::new(watch.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().expect("a line").expect("a line");
    assert_eq!(next(), "connection local: the daemon needs no control server");
    let set = ctl.json(&format!("connection set {url}/"));
    assert_eq!(set["server_url"], json!(url));
    ctl.text("wait --for online");
    while !next().ends_with(&format!("connection.changed  online at {url}")) {}
    for local in ["--local", "local"] {
        let told = ctl.text(&format!("connection set {local}"));
        assert!(told.starts_with("state  local: "), "{told}");
    }
    while !next().ends_with("connection.changed  local: the daemon needs no control server") {}
    watch.kill().expect("end it");
    watch.wait().expect("see it end");

    // What the command line lets pass, the daemon refuses all the same.
    let raw = r#"raw connection.set {"server_url":"http://ann:hunter2@h"}"#;
    assert_eq!(ctl.fails(raw), (1, "invalid_params".to_owned()));
    assert!(!ctl.run(raw).stderr.contains("hunter2"));
    let state: Value = ctl.json("connection");
    assert_eq!(state["state"], "local");
}
