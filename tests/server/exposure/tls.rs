//! The server over TLS.

use std::fs;
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::harness::{
    Certified, Daemon, Setup, TlsStream, certify, end_of, get_over_tls as get, shake_hands,
    write_certificate as write, write_secret,
};

const CONFIG: &str = "[http]\ntls_cert = 'cert.pem'\ntls_key = 'key.pem'\n";

fn start(made: &Certified) -> Daemon {
    let setup = Setup::server().config(CONFIG);
    write(&setup, made, made);
    setup.start()
}

#[test]
fn check_config_reads_the_certificate_and_its_key() {
    type Plant = fn(&Setup);
    let faults: [(Plant, &str); 6] = [
        (|_| (), "cert.pem"),
        (
            |setup| write(setup, &certify(), &certify()),
            "key.pem is not that of the first certificate in",
        ),
        (
            |setup| {
                write(setup, &certify(), &certify());
                fs::write(setup.path("cert.pem"), "no certificate").expect("write it");
            },
            "cert.pem holds no certificate",
        ),
        (
            |setup| {
                write(setup, &certify(), &certify());
                fs::remove_file(setup.path("key.pem")).expect("remove it");
            },
            "key.pem",
        ),
        (
            |setup| {
                write(setup, &certify(), &certify());
                write_secret(&setup.path("key.pem"), "no key");
            },
            "key.pem holds no private key",
        ),
        (
            |setup| {
                write(setup, &certify(), &certify());
                let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
                fs::set_permissions(setup.path("key.pem"), readable)
                    .expect("let everybody read it");
            },
            "key.pem may be read by everyone",
        ),
    ];
    for (plant, words) in faults {
        let setup = Setup::server().config(CONFIG);
        plant(&setup);
        let checked = end_of(setup.command().arg("--check-config"));
        let told = setup.log();
        assert_eq!(checked.code(), Some(2), "{words}: {told}");
        assert!(told.contains(words), "{words} is not in {told}");
        assert!(told.contains("http.tls_"), "the key is not in {told}");
        // A start says the same.
        let (started, log) = setup.fails();
        assert_eq!(started.code(), Some(1), "{log}");
        let message = told.lines().find(|line| line.contains(words)).expect("the line");
        let message = message.split_once(" ERROR ").expect("an error").1;
        assert!(log[told.len()..].contains(message), "{message} is not in {log}");
    }
    let mut setup = Setup::server().config(CONFIG);
    let made = certify();
    write(&setup, &made, &made);
    setup.args[1] = "0.0.0.0:0".to_owned();
    let checked = end_of(setup.command().arg("--check-config"));
    assert_eq!(checked.code(), Some(0), "{}", setup.log());
}

/// A connection of a client that trusts that certificate alone.
fn connect(address: SocketAddr, trusted: &Certified) -> std::io::Result<TlsStream> {
    shake_hands(TcpStream::connect(address)?, trusted.cert.der().clone())
}

/// A WebSocket that has had its welcome.
fn websocket(address: SocketAddr, trusted: &Certified) -> WebSocket<TlsStream> {
    let tls = connect(address, trusted).expect("a connection");
    let (mut ws, _) = tungstenite::client("wss://localhost/ws", tls).expect("a handshake");
    let hello = json!({"type": "hello", "version": "1", "client": "t", "caps": ["lanragectl"], "peer_id": "ann"});
    assert_eq!(ask(&mut ws, hello)["type"], "welcome");
    ws
}

fn ask(ws: &mut WebSocket<TlsStream>, frame: Value) -> Value {
    ws.send(Message::text(frame.to_string())).expect("the server takes it");
    let answer = ws.read().expect("an answer");
    serde_json::from_str(answer.to_text().expect("a text")).expect("JSON")
}

fn assert_alive(ws: &mut WebSocket<TlsStream>) {
    let answer = ask(ws, json!({"type": "list_relays", "req_id": "r"}));
    assert_eq!(answer["type"], "ack", "{answer}");
}

#[test]
fn tls_carries_http_and_websocket() {
    let made = certify();
    let server = start(&made);
    let mut tls = connect(server.address(), &made).expect("a connection");
    assert_eq!(get(&mut tls, "/").ok()["status"], "ok");
    assert_eq!(get(&mut tls, "/relays/").header("location"), Some("https://localhost/relays"));
    assert_alive(&mut websocket(server.address(), &made));
    assert!(server.setup.log().contains("serving https://"));
    // Who trusts another gets no further; nor does who speaks no TLS.
    assert!(connect(server.address(), &certify()).is_err());
    let mut plain = server.http();
    plain.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let mut rest = Vec::new();
    std::io::Read::read_to_end(plain.stream(), &mut rest).ok();
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    assert_eq!(get(&mut tls, "/healthz").status, 200);
    let log = server.setup.log();
    assert!(!log.contains(" ERROR "), "{log}");
    assert_eq!(server.stop().1.code(), Some(0));
}

#[test]
fn tls_reload_swaps_the_certificate_for_new_connections() {
    let (old, new) = (certify(), certify());
    let mut server = start(&old);
    let (mut tls, mut ws) =
        (connect(server.address(), &old).expect("a connection"), websocket(server.address(), &old));
    write(&server.setup, &new, &new);
    server.reload(CONFIG);
    get(&mut connect(server.address(), &new).expect("the new one"), "/healthz").ok();
    assert!(connect(server.address(), &old).is_err(), "the old one is still shown");
    get(&mut tls, "/healthz").ok();
    assert_alive(&mut ws);
}

#[test]
fn tls_reload_of_a_bad_certificate_changes_nothing() {
    let (old, new) = (certify(), certify());
    let mut server = start(&old);
    let mut ws = websocket(server.address(), &old);
    let mut told = 0;
    let mut stays = |server: &mut Daemon, words: &str| {
        server.reload(CONFIG);
        let log = server.setup.log();
        told += 1;
        assert_eq!(log.matches("the certificate stays as it was").count(), told, "{log}");
        assert!(log.contains(words), "{words:?} is not in {log}");
        get(&mut connect(server.address(), &old).expect("the old one"), "/healthz").ok();
    };
    // The key of another.
    write(&server.setup, &new, &old);
    stays(&mut server, "is not that of the first certificate");
    write(&server.setup, &old, &new);
    stays(&mut server, "is not that of the first certificate");
    fs::write(server.setup.path("cert.pem"), "nothing").expect("write");
    stays(&mut server, "holds no certificate");
    fs::remove_file(server.setup.path("cert.pem")).expect("remove");
    stays(&mut server, "can't read the certificate file");
    assert_alive(&mut ws);
    write(&server.setup, &new, &new);
    server.reload(CONFIG);
    get(&mut connect(server.address(), &new).expect("the new one"), "/healthz").ok();
}

#[test]
fn tls_start_without_a_good_certificate_fails() {
    let (one, other) = (certify(), certify());
    let setup = Setup::server().config(CONFIG);
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("cert.pem"), "{log}");
    write(&setup, &one, &other);
    let (status, log) = setup.fails();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("key.pem") && log.contains("made together"), "{log}");
    // No key is ever shown.
    let key = one.signing_key.serialize_pem();
    assert!(!log.contains(key.lines().nth(1).expect("a key")), "{log}");
}

#[test]
fn tls_client_without_a_handshake_is_disconnected() {
    let made = certify();
    let server = start(&made);
    let mut silent = server.http();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(silent.stream(), &mut rest).expect("the server hangs up");
    assert_eq!(rest, b"");
    get(&mut connect(server.address(), &made).expect("a connection"), "/healthz").ok();
}

#[test]
fn tls_handshake_has_a_deadline() {
    let made = certify();
    let setup = Setup::server().config(&format!("{CONFIG}handshake_timeout = '100ms'\n"));
    write(&setup, &made, &made);
    let server = setup.start();
    // The beginning of a ClientHello, and no more.
    let mut begun = server.http();
    begun.send_raw(&[22, 3, 1, 1, 0]);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(begun.stream(), &mut rest).expect("the server hangs up");
    get(&mut connect(server.address(), &made).expect("a connection"), "/healthz").ok();
}
