//! Daemons and servers that are stopped, moved and watched.

use serde_json::json;

use crate::harness::{FAST_REMOTE, Setup};

#[test]
fn frozen_daemon_answers_once_thawed() {
    let daemon = Setup::new().config(FAST_REMOTE).start();
    let mut client = daemon.client();
    daemon.freeze();
    let id = client.send("ping", json!({}));
    client.stream().set_nonblocking(true).expect("don't wait");
    let silence = std::io::Read::read(&mut client.stream(), &mut [0]).expect_err("no answer");
    assert_eq!(silence.kind(), std::io::ErrorKind::WouldBlock);
    client.stream().set_nonblocking(false).expect("wait");
    daemon.thaw();
    assert!(client.reply(id).get("result").is_some());
    let (_, status) = daemon.stop();
    assert!(status.success());
}

#[test]
fn connection_state_is_read_from_the_daemon() {
    let daemon = Setup::new().start();
    let told = daemon.client().call("connection.get", json!({}));
    assert_eq!(daemon.await_state("local"), told);
}

#[test]
fn server_url_of_a_setup_is_passed_as_a_flag() {
    let setup = Setup::new().server_url("http://127.0.0.1:1");
    assert_eq!(setup.args, ["--server", "http://127.0.0.1:1"]);
}
