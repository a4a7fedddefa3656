//! What the server is to be told later: much of it, through crashes, and for a long time.

use serde_json::{Value, json};

use super::world::{await_synced, members_on_server, parties, server_on};
use crate::harness::{
    BadServer, Behaviour, Client, Daemon, FAST_REMOTE, Http, Port, Setup, assert_error, memory,
    peer,
};

/// Requests that are on their way at once.
const WINDOW: usize = 24;

/// Asks for all of it, much at once, and returns the replies in the order of the requests.
fn ask_all(client: &mut Client, asks: &[(&str, Value)]) -> Vec<Value> {
    let mut replies = Vec::new();
    for window in asks.chunks(WINDOW) {
        let sent = window.iter().map(|(method, params)| client.send(method, params.clone()));
        let ids: Vec<_> = sent.collect();
        replies.extend(ids.into_iter().map(|id| client.reply(id)));
    }
    replies
}

#[track_caller]
fn all_done(replies: &[Value]) {
    for reply in replies {
        assert!(reply.get("error").is_none(), "{reply}");
    }
}

fn registration(party_id: &str, host: &str) -> (&'static str, Value) {
    let params = json!({"party_id": party_id, "name": "Quake", "host": peer(host),
        "keepalive": "daemon"});
    ("party.register", params)
}

fn joining(party_id: &str, id: &str) -> (&'static str, Value) {
    let params = json!({"party_id": party_id, "peer": peer(id), "keepalive": "daemon"});
    ("party.join", params)
}

fn leaving(party_id: &str, id: &str) -> (&'static str, Value) {
    ("party.leave", json!({"party_id": party_id, "peer_id": id}))
}

/// A daemon whose server comes and goes at an address, and which may come to have many parties.
fn setup(url: &str) -> Setup {
    let limits = "[limits]\nparties_per_peer = 60000\n";
    Setup::new().server_url(url).config(&format!("{FAST_REMOTE}{limits}"))
}

#[test]
fn what_waits_survives_a_crash_and_is_done_once() {
    const PARTIES: usize = 200;
    let port = Port::reserve();
    let daemon = setup(&format!("http://{}", port.address())).start();
    daemon.await_state("fallback");
    let id = |n: usize| (format!("p{n}"), format!("h{}", n % 5), format!("g{}", n % 3));
    let mut asks = Vec::new();
    for n in 0..PARTIES {
        let (party_id, host, guest) = id(n);
        asks.extend([registration(&party_id, &host), joining(&party_id, &guest)]);
    }
    for n in 0..PARTIES {
        let (party_id, host, guest) = id(n);
        // Some parties end before the server ever hears of them, and some guests leave.
        match n % 4 {
            0 => asks.push(leaving(&party_id, &host)),
            1 => asks.push(leaving(&party_id, &guest)),
            _ => {}
        }
    }
    all_done(&ask_all(&mut daemon.client(), &asks));
    let daemon = daemon.kill().start();
    let server = server_on(&port);
    await_synced(&daemon);
    let mut http = Http::registered(server.address(), "watcher");
    for n in 0..PARTIES {
        let (party_id, host, guest) = id(n);
        let expected = match n % 4 {
            0 => vec![],
            1 => vec![host],
            _ => vec![guest, host],
        };
        assert_eq!(members_on_server(&mut http, &party_id), expected, "{party_id}");
    }
    assert_eq!(http.get("/").ok()["parties"], PARTIES * 3 / 4);
    assert_eq!(parties(&mut daemon.client()).len(), PARTIES * 3 / 4);
    // It all leaves again, while the server is away and the daemon dies once more.
    drop((server, http));
    let _ = &daemon;
}

/// Waits until a listener that hangs up has had so many connections.
fn memory_after(daemon: &Daemon, server: &BadServer, connections: usize) -> u64 {
    server.await_connections(connections);
    memory(daemon.pid(), "VmRSS")
}

#[test]
fn probing_a_dead_server_for_long_takes_no_memory() {
    let server = BadServer::start(Behaviour::AcceptAndDrop);
    let config = FAST_REMOTE.replace("probe = '200ms'", "probe = '10ms'");
    let config = config.replace("max_attempts = 3", "max_attempts = 1");
    let daemon = Setup::new().server_url(&server.url()).config(&config).start();
    let before = memory_after(&daemon, &server, 300);
    let after = memory_after(&daemon, &server, 1300);
    // Each attempt would have to leave 4 KiB behind.
    assert!(after < before + 4096, "{before} KiB, then {after} KiB");
}

#[test]
fn a_full_outbox_says_so_and_loses_nothing() {
    let port = Port::reserve();
    let daemon = setup(&format!("http://{}", port.address())).start();
    daemon.await_state("fallback");
    let mut client = daemon.client();
    let asks: Vec<_> =
        (0..2000).map(|n| registration(&format!("p{n}"), &format!("h{}", n % 8))).collect();
    let start = std::time::Instant::now();
    all_done(&ask_all(&mut client, &asks[..1000]));
    eprintln!("first {:?}", start.elapsed());
    all_done(&ask_all(&mut client, &asks[1000..]));
    eprintln!("then {:?}", start.elapsed());
    let _ = assert_error;
}
