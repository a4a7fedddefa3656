//! A daemon's way to the server, without the daemon.

use std::fs;
use std::path::Path;
use std::time::Duration;

use lanrage_ipc::control::{ServerFrame, decode};
use lanragectl::remote::transport::{Carrier, Incoming, Outgoing, Target, Wire, dial, tls};
use nix::sys::signal::Signal;
use rcgen::generate_simple_self_signed;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::harness::{Setup, announced, write_secret};

/// How long anything may take that has to happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn target(url: &str, ca_file: Option<&Path>) -> Target {
    Target {
        url: url.parse().expect("a URL"),
        carrier: Carrier::Auto,
        tls: tls::client_config(ca_file).expect("certificates"),
        proxies: Default::default(),
        connect_timeout: PATIENCE,
        request_timeout: PATIENCE,
        poll: PATIENCE,
    }
}

async fn send(wire: &Wire, frame: Value) {
    let frame = decode(&frame.to_string()).expect("a frame");
    wire.outgoing.send(Outgoing::Frame(Box::new(frame))).await.expect("an open wire");
}

async fn next(wire: &mut Wire) -> Incoming {
    timeout(PATIENCE, wire.incoming.recv()).await.expect("something").expect("an open wire")
}

async fn frame(wire: &mut Wire) -> ServerFrame {
    match next(wire).await {
        Incoming::Frame(frame) => *frame,
        other => panic!("no frame but {other:?}"),
    }
}

/// Introduces a peer and has it register a party.
async fn host(wire: &mut Wire) {
    send(wire, json!({"type": "hello", "caps": ["lanragectl"], "peer_id": "alice"})).await;
    let ServerFrame::Welcome { token, .. } = frame(wire).await else { panic!("no welcome") };
    assert!(token.is_some());
    let peer = announced("alice");
    let register = json!({
        "type": "register_party", "party_id": "lan", "name": "LAN", "host_peer": peer, "req_id": 1,
    });
    send(wire, register).await;
    let mut came = [frame(wire).await, frame(wire).await];
    came.sort_by_key(|frame| matches!(frame, ServerFrame::Ack { .. }));
    let [ServerFrame::PartyUpdate { beside, .. }, ServerFrame::Ack { seq, .. }] = came else {
        panic!("{came:?}")
    };
    assert_eq!(beside.map(|beside| beside.seq), seq);
}

#[actix::test]
async fn a_wire_carries_frames_until_the_server_stops() {
    let server = Setup::server().start();
    let url = format!("http://{}", server.address());
    let mut wire = dial::open(&target(&url, None)).await.expect("a wire");
    assert_eq!(wire.carrier, Carrier::Ws);
    assert!(wire.clock_ahead.is_some(), "the server tells its time");
    host(&mut wire).await;
    wire.outgoing.send(Outgoing::Ping).await.expect("an open wire");
    assert!(matches!(next(&mut wire).await, Incoming::Alive));
    server.signal(Signal::SIGTERM);
    assert!(matches!(frame(&mut wire).await, ServerFrame::Goaway { .. }));
    let Incoming::Lost(loss) = next(&mut wire).await else { panic!("not lost") };
    assert!(loss.words.contains("closed the connection (1001: it goes away"), "{loss:?}");
    let (_, status) = server.wait();
    assert!(status.success());
}

#[actix::test]
async fn a_server_with_a_certificate_of_its_own_is_reached_by_naming_it() {
    let made = generate_simple_self_signed(["localhost".into()]).expect("a certificate");
    let config = "[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n";
    let setup = Setup::server().config(config);
    let certificate = setup.path("cert.pem");
    fs::write(&certificate, made.cert.pem()).expect("write the certificate");
    write_secret(&setup.path("key.pem"), &made.signing_key.serialize_pem());
    let server = setup.start();
    let port = server.address().port();
    let url = format!("https://localhost:{port}");
    let mut wire = dial::open(&target(&url, Some(&certificate))).await.expect("a wire");
    host(&mut wire).await;
    wire.outgoing.send(Outgoing::Close).await.expect("an open wire");
    assert!(matches!(next(&mut wire).await, Incoming::Lost(_)));

    let plain = format!("http://localhost:{port}");
    let loss = dial::open(&target(&plain, None)).await.expect_err("no HTTP there");
    assert!(loss.words.contains("its URL starts with https://"), "{loss:?}");
}
