//! Clients that ask for much at once and read nothing.

use std::io::{BufReader, Read as _, Write as _};

use serde_json::json;

use crate::harness::{
    Http, STATUS_LINE, Setup, eventually, memory, narrow, read_response, register_relays,
    status_line,
};

const NO_RATES: &str = "[limits]\nrequests_per_second = 1000000\nrequests_burst = 1000000\n";

const CLIENTS: usize = 48;
/// More than the system's own buffers hold the answers to.
const REQUESTS: usize = 150;

#[test]
fn pipelined_requests_wait_outside_until_their_clients_read() {
    let server = Setup::server().config(NO_RATES).start();
    let mut honest = Http::connect(server.address());
    // What is worked out once is worked out.
    assert_eq!(honest.get("/openapi.json").status, 200);
    let before = memory(server.pid(), "VmRSS");
    let request = "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(REQUESTS);
    let mut clients: Vec<_> =
        (0..CLIENTS).map(|_| narrow([127, 0, 0, 1].into(), server.address())).collect();
    for client in &mut clients {
        client.write_all(request.as_bytes()).expect("sent");
    }
    // Each worker serves them in turn: all of them wait once others were served several times.
    for _ in 0..50 {
        let mut late = Http::connect(server.address());
        assert_eq!(late.get("/").ok()["parties"], json!(0));
    }
    let growth = memory(server.pid(), "VmRSS").saturating_sub(before);
    assert!(growth < 160 * CLIENTS as u64, "{growth} KiB for {CLIENTS} clients");
}

#[test]
fn unread_lists_are_bounded_by_address() {
    const RELAYS: usize = 2000;
    const CLIENTS: usize = 80;
    let server = Setup::server().config(&format!("{NO_RATES}relays = {RELAYS}\n")).start();
    register_relays(&mut server.client(), RELAYS);
    let mut honest = Http::registered(server.address(), "honest");
    let listed = |http: &mut Http| http.get("/relays").ok()["relays"].as_array().map(Vec::len);
    assert_eq!(listed(&mut honest), Some(RELAYS));
    let foe = [127, 0, 0, 2].into();
    let token = Http::registered_from(foe, server.address(), "foe").token.expect("a token");
    let request =
        format!("GET /relays HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let before = memory(server.pid(), "VmRSS");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| narrow(foe, server.address())).collect();
    for client in &mut clients {
        client.write_all(request.as_bytes()).expect("sent");
    }
    let heads: Vec<_> = clients.iter_mut().map(status_line).collect();
    let growth = memory(server.pid(), "VmRSS").saturating_sub(before);
    assert!(growth < 56 * 1024, "{growth} KiB for {CLIENTS} clients");
    let is_refused = |head: &[u8; STATUS_LINE]| head.ends_with(b" 503");
    assert!(heads.iter().all(|head| is_refused(head) || head.ends_with(b" 200")), "{heads:?}");
    let refused = heads.iter().position(is_refused).expect("lists without room");
    let rest = (&heads[refused][..]).chain(&clients[refused]);
    let refused = read_response(&mut BufReader::new(rest)).expect("a response");
    assert_eq!((refused.status, refused.header("x-error-code")), (503, Some("rate_limited")));
    assert!(refused.header("retry-after").is_some());
    assert!(refused.text().contains("http.reply_bytes"), "{}", refused.text());
    // Short replies pass.
    let mut foe = Http::connect_from(foe, server.address());
    foe.token = Some(token);
    assert_eq!(foe.get("/").ok()["relays"], json!(RELAYS));
    // Another address is served meanwhile.
    assert_eq!(listed(&mut honest), Some(RELAYS));
    drop(clients);
    eventually("room for the list", || (foe.get("/relays").status == 200).then_some(()));
    server.await_log("raise http.reply_bytes");
}
