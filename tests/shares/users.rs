//! Other users' connections to the daemon of the system.

use std::collections::VecDeque;
use std::io::Write as _;
use std::thread;
use std::time::Duration;

use serde_json::json;

use super::local::{is_done, play_as};
use super::programs::{OPERATORS, daemon_of_the_system};
use super::rows;
use super::table::{Attack, Honest, Row};
use crate::harness::{Client, Daemon, OtherUser, peer};

/// Four users that may only ask how the daemon is.
const OBSERVERS: [u32; 4] = [60_001, 60_002, 60_003, 60_004];
const HONEST_OBSERVER: u32 = 60_005;
/// Between two looks at connections that the daemon is to close.
const PAUSE: Duration = Duration::from_millis(50);

rows! {
    one_observer_opens_connections: Row {
        limits: &["limits.observers_per_uid"],
        attack: "an observer opens connections without end",
        start: daemon_of_the_system,
        small: "",
        at_default: true,
        attacker: |daemon, attack| open_without_end(daemon, attack, &OBSERVERS[..1]),
        honest: |daemon| connect_anew(daemon, &[OPERATORS[0], HONEST_OBSERVER]),
    };
    four_observers_open_connections: Row {
        limits: &["limits.observers"],
        attack: "four observers open connections without end",
        start: daemon_of_the_system,
        small: "limits.observers = 8\n",
        at_default: false,
        attacker: |daemon, attack| open_without_end(daemon, attack, &OBSERVERS),
        honest: |daemon| connect_anew(daemon, &[OPERATORS[0], HONEST_OBSERVER]),
    };
    observers_stay_idle: Row {
        limits: &["limits.observer_idle"],
        attack: "observers connect, ask nothing, and come back",
        start: daemon_of_the_system,
        small: "limits.observer_idle = '500ms'\n",
        at_default: false,
        attacker: |daemon, attack| {
            let users = OBSERVERS.map(|uid| OtherUser::new(&daemon.setup.socket(), uid));
            attack.repeat(|| {
                let idle = users.iter().flat_map(|user| (0..8).map(|_| user.connect()));
                let mut idle: Vec<_> = idle.collect();
                let is_ended = |client: &mut Client| client.line().is_some();
                idle.iter_mut().all(is_ended)
            });
        },
        honest: |daemon| connect_anew(daemon, &[OPERATORS[0]]),
    };
    four_operators_open_connections: Row {
        limits: &["limits.connections"],
        attack: "four operators open connections without end; those that are open stay",
        start: daemon_of_the_system,
        small: "limits.connections = 16\n",
        at_default: true,
        attacker: |daemon, attack| open_without_end(daemon, attack, &OPERATORS[1..]),
        honest: |daemon| connect_anew(daemon, &[HONEST_OBSERVER]),
    };
    one_operator_opens_connections: Row {
        limits: &["limits.connections_per_uid"],
        attack: "an operator opens connections without end; those that are open stay",
        start: daemon_of_the_system,
        small: "limits.connections_per_uid = 4\n",
        at_default: true,
        attacker: |daemon, attack| open_without_end(daemon, attack, &OPERATORS[1..2]),
        honest: |daemon| connect_anew(daemon, &[OPERATORS[0], HONEST_OBSERVER]),
    };
    one_operator_registers_parties: Row {
        limits: &["limits.uid_share"],
        attack: "an operator registers parties without end",
        start: daemon_of_the_system,
        small: "limits.parties = 64\n",
        at_default: false,
        attacker: register_parties,
        honest: |daemon| play_as(OtherUser::new(&daemon.setup.socket(), OPERATORS[0]).connect()),
    };
    one_operator_reads_no_replies: Row {
        limits: &["limits.reply_bytes", "limits.write_stall"],
        attack: "an operator asks for long lists and reads nothing, on 20 connections",
        start: daemon_of_the_system,
        small: "limits.frame_out = 131072\nlimits.reply_bytes = 1048576\n\
            limits.write_stall = '1s'\n",
        at_default: true,
        attacker: never_read_lists,
        honest: list_parties,
    };
    four_observers_read_no_replies: Row {
        limits: &["limits.reply_bytes"],
        attack: "four observers ask for the document of the interface and read nothing",
        start: daemon_of_the_system,
        small: "limits.frame_out = 131072\nlimits.reply_bytes = 1048576\n\
            limits.write_stall = '1s'\n",
        at_default: true,
        attacker: |daemon, attack| {
            let users = OBSERVERS.map(|uid| OtherUser::new(&daemon.setup.socket(), uid));
            read_nothing(&users, 8, "rpc.discover", attack);
        },
        honest: list_parties,
    };
}

/// Keeps the newest of its connections, refused ones too.
fn open_without_end(daemon: &Daemon, attack: &Attack, uids: &[u32]) {
    let users: Vec<_> =
        uids.iter().map(|uid| OtherUser::new(&daemon.setup.socket(), *uid)).collect();
    let mut users = users.iter().cycle();
    let mut open = VecDeque::new();
    attack.repeat(|| {
        let mut client = users.next().expect("no end").connect();
        let is_refused = !is_done(&mut client, "ping", json!({}));
        if !is_refused {
            open.push_back(client);
        }
        is_refused || open.len() > 200 && open.pop_front().is_some()
    });
}

/// The administrator and other users; each connects each time.
fn connect_anew(daemon: &Daemon, uids: &[u32]) -> Honest {
    let socket = daemon.setup.socket();
    let users: Vec<_> = uids.iter().map(|uid| OtherUser::new(&socket, *uid)).collect();
    Box::new(move || {
        let mut admin = Client::connect(&socket);
        let others = users.iter().map(OtherUser::connect);
        is_done(&mut admin, "status.get", json!({}))
            && others.into_iter().all(|mut client| is_done(&mut client, "ping", json!({})))
    })
}

fn register_parties(daemon: &Daemon, attack: &Attack) {
    let mut client = OtherUser::new(&daemon.setup.socket(), OPERATORS[1]).connect();
    let mut number = 0;
    attack.repeat(|| {
        number += 1;
        let host = peer(&format!("x{}", number / 8));
        let params = json!({"party_id": format!("x{number}"), "name": "LAN", "host": host});
        !is_done(&mut client, "party.register", params)
    });
}

/// Asks on so many connections of each user as often as may be, reads nothing until the daemon has
/// closed them all, and begins anew.
fn read_nothing(users: &[OtherUser], connections: usize, method: &str, attack: &Attack) {
    let line = |id| json!({"jsonrpc": "2.0", "id": id, "method": method});
    let lines: String = (0..30).map(|id| format!("{}\n", line(id))).collect();
    attack.repeat(|| {
        let users = users.iter().cycle().take(connections * users.len());
        let mut open: Vec<_> = users.map(OtherUser::connect).collect();
        open.iter_mut().for_each(|client| client.send_raw(lines.as_bytes()));
        attack.reached();
        let writes = |client: &Client| client.stream().write_all(b" ").is_ok();
        while attack.goes_on() && open.iter().any(writes) {
            thread::sleep(PAUSE);
        }
        true
    });
}

fn never_read_lists(daemon: &Daemon, attack: &Attack) {
    let user = OtherUser::new(&daemon.setup.socket(), OPERATORS[1]);
    let mut client = user.connect();
    for number in 0..100 {
        let mut host = peer(&format!("x{number}"));
        host["name"] = json!("ü".repeat(100));
        host["public_key"] = json!("k".repeat(128));
        let party = json!({"party_id": format!("x{number}"), "name": "ü".repeat(100),
            "host": host});
        client.call("party.register", party);
    }
    read_nothing(&[user], 20, "party.list", attack);
}

/// The administrator and an operator.
fn list_parties(daemon: &Daemon) -> Honest {
    let mut admin = daemon.client();
    let mut operator = OtherUser::new(&daemon.setup.socket(), OPERATORS[0]).connect();
    Box::new(move || {
        is_done(&mut admin, "party.list", json!({}))
            && is_done(&mut operator, "party.list", json!({}))
    })
}
