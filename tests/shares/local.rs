//! Connections of one user to a daemon of its own.

use serde_json::{Value, json};

use super::programs::daemon;
use super::rows;
use super::table::{Attack, Honest, Row};
use crate::harness::{Client, Daemon, peer};

rows! {
    one_program_sends_long_lines: Row {
        limits: &["limits.frame_in"],
        attack: "a program sends lines that are too long, on one connection after the other",
        start: daemon,
        small: "limits.frame_in = 1024\n",
        at_default: false,
        attacker: |daemon, attack| attack.repeat(|| {
            let mut client = daemon.client();
            client.send_raw(&[b'x'; 4096]);
            client.line().is_some_and(|line| line["error"]["data"]["code"] == "frame_too_large")
        }),
        honest: play,
    };
    one_program_asks_for_long_replies: Row {
        limits: &["limits.frame_out"],
        attack: "a program asks for an export that is too long, without end",
        start: daemon,
        small: "limits.frame_out = 8192\n",
        at_default: false,
        attacker: |daemon, attack| {
            let mut client = daemon.client();
            (0..40).for_each(|number| drop(client.register(&format!("x{number}"), "x")));
            let mut export = || code(&mut client, "state.export", json!({"format": "lanrage"}));
            attack.repeat(|| export() == "frame_too_large");
        },
        honest: play,
    };
    one_program_pipelines_changes: Row {
        limits: &["limits.requests_in_flight"],
        attack: "a program sends changes without waiting for the answers",
        start: daemon,
        small: "limits.requests_in_flight = 4\n",
        at_default: false,
        attacker: |daemon, attack| {
            let mut client = daemon.client();
            let relay = json!({"relay_id": "x", "public_ip": "::1", "port": 1});
            attack.repeat(|| pipeline(&mut client, "relay.register", &relay, 200) > 0);
        },
        honest: play,
    };
    many_connections_discover: Row {
        limits: &["(discovery)", "limits.requests_in_flight"],
        attack: "a program reads the discovery file without end, on 16 connections",
        start: daemon,
        small: "limits.requests_in_flight = 4\n",
        at_default: true,
        attacker: |daemon, attack| {
            let mut clients: Vec<_> = (0..16).map(|_| daemon.client()).collect();
            attack.repeat(|| {
                let discover = |client| pipeline(client, "party.discover", &json!({}), 50);
                clients.iter_mut().map(discover).sum::<usize>() > 0
            });
        },
        honest: |daemon| {
            let mut client = daemon.client();
            client.register("lan", "ann");
            Box::new(move || is_done(&mut client, "party.discover", json!({})))
        },
    };
    one_program_subscribes_without_end: Row {
        limits: &["(subscriptions)"],
        attack: "a program subscribes without end, on one connection",
        start: daemon,
        small: "",
        at_default: true,
        attacker: |daemon, attack| {
            let mut client = daemon.client();
            let mut subscribe = || code(&mut client, "events.subscribe", json!({}));
            attack.repeat(|| subscribe() == "rate_limited");
        },
        honest: hear_of_changes,
    };
    one_program_reads_no_events: Row {
        limits: &["limits.queue_events"],
        attack: "a program reads no events, and changes much",
        start: daemon,
        small: "limits.queue_events = 16\nlimits.write_stall = '10m'\n",
        at_default: true,
        attacker: never_read_events,
        honest: hear_of_changes,
    };
    one_program_reads_no_bytes: Row {
        limits: &["limits.queue_bytes"],
        attack: "a program reads no events, and changes much",
        start: daemon,
        small: "limits.queue_bytes = 4096\nlimits.write_stall = '10m'\n",
        at_default: false,
        attacker: never_read_events,
        honest: hear_of_changes,
    };
    one_program_begins_lines: Row {
        limits: &["limits.partial_frame"],
        attack: "a program begins lines and does not end them",
        start: daemon,
        small: "limits.partial_frame = '500ms'\n",
        at_default: false,
        attacker: |daemon, attack| attack.repeat(|| {
            let mut begun: Vec<_> = (0..16).map(|_| daemon.client()).collect();
            begun.iter_mut().for_each(|client| client.send_raw(b"{"));
            let is_refused = |line: Value| line["error"]["data"]["code"] == "timeout";
            begun.iter_mut().all(|client| client.line().is_some_and(is_refused))
        }),
        honest: play,
    };
    one_user_opens_connections: Row {
        limits: &["limits.connections_per_uid"],
        attack: "a program opens connections without end; those that are open stay",
        start: daemon,
        small: "",
        at_default: true,
        attacker: |daemon, attack| {
            let mut open = Vec::new();
            attack.repeat(|| {
                let mut client = daemon.client();
                let is_refused = !is_done(&mut client, "ping", json!({}));
                open.extend((!is_refused).then_some(client));
                is_refused
            });
        },
        honest: play,
    };
}

pub(super) fn is_done(client: &mut Client, method: &str, params: Value) -> bool {
    client.ask(method, params).is_some_and(|reply| reply.get("result").is_some())
}

/// The code of the error, or nothing.
fn code(client: &mut Client, method: &str, params: Value) -> String {
    let id = client.send(method, params);
    let reply = client.reply(id);
    reply["error"]["data"]["code"].as_str().unwrap_or_default().to_owned()
}

/// Sends requests in one go; the number that was refused.
fn pipeline(client: &mut Client, method: &str, params: &Value, count: usize) -> usize {
    let line = |id| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let lines: String = (0..count).map(|id| format!("{}\n", line(id))).collect();
    client.send_raw(lines.as_bytes());
    let replies = (0..count).map(|_| client.line().expect("a reply"));
    replies.filter(|reply| reply["error"]["data"]["code"] == "too_many_in_flight").count()
}

/// Registers a party and ends it.
pub(super) fn play(daemon: &Daemon) -> Honest {
    play_as(daemon.client())
}

pub(super) fn play_as(mut client: Client) -> Honest {
    Box::new(move || {
        let lan = json!({"party_id": "lan", "name": "LAN", "host": peer("ann")});
        let leave = json!({"party_id": "lan", "peer_id": "ann"});
        is_done(&mut client, "party.register", lan) && is_done(&mut client, "party.leave", leave)
    })
}

/// Changes a party of its own, and hears of it.
fn hear_of_changes(daemon: &Daemon) -> Honest {
    let (mut client, mut watcher) = (daemon.client(), daemon.client());
    client.register("lan", "ann");
    watcher.call("events.subscribe", json!({"party_id": "lan"}));
    let mut port = 0;
    Box::new(move || {
        port += 1;
        let mut ann = peer("ann");
        ann["public_port"] = json!(port);
        is_done(&mut client, "peer.update", json!({"party_id": "lan", "peer": ann}))
            && watcher.event().0 == "peer.updated"
    })
}

/// Changes more than a connection holds for one that does not read, which then reads on.
fn never_read_events(daemon: &Daemon, attack: &Attack) {
    const IN_FLIGHT: usize = 32;
    let mut client = daemon.client();
    client.register("x", "x");
    let mut changed = peer("x");
    changed["name"] = json!("🎲".repeat(100));
    changed["public_key"] = json!("é".repeat(128));
    let mut changes = 0;
    attack.repeat(|| {
        let mut slow = daemon.client();
        slow.call("events.subscribe", json!({}));
        for _ in 0..16 {
            let asked = [(); IN_FLIGHT].map(|()| {
                changed["public_port"] = json!(changes % 65_536);
                changes += 1;
                client.send("peer.update", json!({"party_id": "x", "peer": changed}))
            });
            asked.into_iter().for_each(|id| drop(client.reply(id)));
        }
        while slow.notification()["method"] != "event.reset" {}
        true
    });
}
