//! Memory of an entry of each table, measured: the figures that `--check-config` reckons with.

use serde_json::{Value, json};

use super::programs::OPEN;
use super::visitor::{Visitor, socket};
use crate::harness::{Daemon, Setup, announced, memory, peer};

/// Entries of each table that are measured together.
const ENTRIES: usize = 20_000;
/// Entries of a table that is filled one request after the other.
const FEW: usize = 4_000;

/// Bytes that the server's memory grows by for each of so many entries.
fn measure(server: &Daemon, what: &str, entries: usize, fill: impl FnOnce()) {
    let before = memory(server.pid(), "VmRSS");
    fill();
    let after = memory(server.pid(), "VmRSS");
    let bytes = after.saturating_sub(before) * 1024 / entries as u64;
    eprintln!("{what}: {bytes} bytes an entry");
}

fn id(kind: &str, number: usize) -> String {
    format!("{kind}-{number:027}")
}

#[test]
#[ignore = "measures, and judges nothing"]
fn measure_the_memory_of_an_entry() {
    let config = format!(
        "{OPEN}limits.parties = 100000\nlimits.receipts = 100000\nlimits.relays = 65536\n\
        limits.address_share = 1\nlimits.requests_in_flight = 64\ncleanup.interval = '1h'\n"
    );
    let server = Setup::server().config(&config).start();
    let mut admin = server.client();
    eprintln!("idle: {} KiB", memory(server.pid(), "VmRSS"));
    let mut call = |method: &str, requests: &mut dyn Iterator<Item = Value>| {
        let mut open = std::collections::VecDeque::new();
        for params in requests {
            open.push_back(admin.send(method, params));
            if open.len() == 32 {
                admin.reply(open.pop_front().expect("one"));
            }
        }
        for request in open {
            admin.reply(request);
        }
    };
    // What requests and commits need for a moment is there from now on.
    call("party.register", &mut (0..FEW).map(|n| {
        json!({"party_id": id("early", n), "name": "x".repeat(32), "host": peer(&id("early", n))})
    }));
    call(
        "party.leave",
        &mut (0..FEW).map(|n| json!({"party_id": id("early", n), "peer_id": id("early", n)})),
    );
    measure(&server, "party with its host", ENTRIES, || {
        call("party.register", &mut (0..ENTRIES).map(|n| {
            json!({"party_id": id("party", n), "name": "x".repeat(32), "host": peer(&id("host", n)),
                "keepalive": "daemon"})
        }));
    });
    measure(&server, "member", ENTRIES, || {
        call("party.join", &mut (0..ENTRIES).map(|n| {
            json!({"party_id": id("party", n), "peer": peer(&id("guest", n)), "keepalive": "daemon"})
        }));
    });
    measure(&server, "relay", ENTRIES, || {
        call("relay.register", &mut (0..ENTRIES).map(|n| {
            json!({"relay_id": id("relay", n), "public_ip": "203.0.113.1", "port": 1, "region": "eu"})
        }));
    });
    measure(&server, "token", FEW, || {
        let mut visitor = Visitor::new(server.address(), "192.0.2.1");
        for n in 0..FEW {
            visitor.forget();
            visitor.move_to(&format!("2001:db8:{:x}:{:x}::1", n / 8, n));
            visitor.register(&id("token", n)).ok();
        }
    });
    let mut ws = socket(server.address(), "192.0.2.1", "ann");
    ws.ask(json!({"type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": announced("ann")}));
    measure(&server, "receipt", FEW, || {
        for n in 0..FEW {
            let mut ann = announced("ann");
            ann["public_port"] = json!(n % 60_000);
            ws.ask(json!({"type": "update_peer", "req_id": id("request", n), "party_id": "lan", "peer": ann}));
        }
    });
    let mut sockets = Vec::new();
    measure(&server, "WebSocket", 400, || {
        for n in 0..400 {
            sockets.push(socket(server.address(), "192.0.2.1", &id("socket", n)));
        }
    });
    let mut idle = Vec::new();
    measure(&server, "HTTP connection", 400, || {
        for _ in 0..400 {
            let mut visitor = Visitor::new(server.address(), "192.0.2.1");
            visitor.request("GET", "/health", None);
            idle.push(visitor);
        }
    });
    let mut clients = Vec::new();
    measure(&server, "connection of the socket", 60, || {
        for _ in 0..60 {
            let mut client = server.client();
            client.call("status.get", json!({}));
            clients.push(client);
        }
    });
}
