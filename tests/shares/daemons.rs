//! Many daemons behind one address, at default limits.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Daemon, Setup, is_long_run, peer};

const DAEMONS: usize = 110;
/// A refused request is repeated when it is told to be: after each turn of the others at most.
const MOST_TRIES: usize = 5;
/// All must have had their turns by then, on the slowest machine.
const LOOKS: usize = 600;

/// Registers a party for a user who comes again when told to: the number of tries.
fn register(daemon: &Daemon, number: usize) -> usize {
    let mut client = daemon.client();
    let host = peer(&format!("h{number}"));
    let params = json!({"party_id": format!("p{number}"), "name": "LAN", "host": host,
        "keepalive": "daemon"});
    for tries in 1..=MOST_TRIES {
        let reply = client.ask("party.register", params.clone()).expect("an answer");
        let Some(error) = reply.get("error") else { return tries };
        assert_eq!(error["data"]["code"], "rate_limited", "user {number}: {error}");
        thread::sleep(wait_of(error));
    }
    panic!("user {number} was refused {MOST_TRIES} times");
}

/// The wait that a refusal tells.
fn wait_of(error: &Value) -> Duration {
    let message = error["message"].as_str().expect("a message");
    let (_, rest) = message.split_once("try again in ").expect("a time");
    let seconds = rest.split(' ').next().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or_else(|| panic!("no seconds in {message:?}")))
}

/// Waits until the server has the user's party.
fn await_synced(daemon: &Daemon, number: usize) {
    let mut client = daemon.client();
    for _ in 0..LOOKS {
        let party = client.call("party.get", json!({"party_id": format!("p{number}")}));
        if party["party"]["sync"] == "synced" {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the party of user {number} is not on the server");
}

/// Half of the users wait until their daemons are online, the others do not.
#[test]
fn users_of_110_daemons_behind_one_address_all_get_their_parties() {
    if !is_long_run() {
        return;
    }
    let server = Setup::server().start();
    let url = format!("http://{}", server.address());
    let launch = |_| {
        let setup = Setup::new().server_url(&url);
        let command = setup.command();
        Daemon::launch(setup, command)
    };
    let mut daemons: Vec<Daemon> = (0..DAEMONS).map(launch).collect();
    daemons.iter_mut().for_each(Daemon::await_ready);
    let tries: Vec<usize> = thread::scope(|scope| {
        let user = |(number, daemon): (usize, &Daemon)| {
            if number % 2 == 0 {
                daemon.await_state("online");
            }
            let tries = register(daemon, number);
            await_synced(daemon, number);
            tries
        };
        let users: Vec<_> = daemons.iter().enumerate().collect();
        let users = users.into_iter().map(|each| scope.spawn(move || user(each)));
        let users: Vec<_> = users.collect();
        users.into_iter().map(|user| user.join().expect("a user without an error")).collect()
    });
    let with = |count| tries.iter().filter(|tries| **tries == count).count();
    let counts: Vec<_> = (1..=MOST_TRIES).map(with).collect();
    eprintln!("users by the number of their tries: {counts:?}");
}
