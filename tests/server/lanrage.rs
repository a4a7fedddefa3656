//! LANrage's own clients, in Python: a whole life of a party, for each combination of host and
//! guest, with clocks of their own.

use crate::harness::Setup;
use crate::python::python;

/// The zones of host and guest; the server's own is another.
const ZONES: [[&str; 2]; 4] = [
    ["UTC", "Europe/Berlin"],
    ["Europe/Berlin", "America/St_Johns"],
    ["America/St_Johns", "Asia/Kathmandu"],
    ["Asia/Kathmandu", "UTC"],
];

fn lives(kind_of_host: &str, kind_of_guest: &str) {
    for [host, guest] in ZONES {
        let server = Setup::server().start();
        let (address, host) = (server.address().to_string(), format!("{kind_of_host}@{host}"));
        let guest = format!("{kind_of_guest}@{guest}");
        python("Asia/Kolkata", "lanrage_party.py", &[&address, &host, &guest]);
    }
}

#[test]
fn lanrage_clients_run_a_party_over_http() {
    lives("http", "http");
}

#[test]
fn lanrage_clients_run_a_party_over_websocket() {
    lives("ws", "ws");
}

#[test]
fn lanrage_http_host_runs_a_party_with_a_websocket_guest() {
    lives("http", "ws");
}

#[test]
fn lanrage_websocket_host_runs_a_party_with_an_http_guest() {
    lives("ws", "http");
}
