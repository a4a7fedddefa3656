//! Servers that break the protocol.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use lanrage_ipc::control::ServerFrame;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, ClientConnection, RootCertStore};
use serde_json::{Value, json};
use tungstenite::Message;

use crate::harness::{
    BadServer, Behaviour, Certificate, Http, Setup, Step, Ws, announced, keys, polite, welcome,
};

fn hello() -> Value {
    json!({"type": "hello", "version": "1", "client": "t", "caps": ["lanragectl"], "peer_id": "ann"})
}

fn scripted(steps: Vec<Step>) -> BadServer {
    BadServer::start(Behaviour::UpgradeThen(steps))
}

#[test]
fn bad_server_may_say_nothing() {
    let server = BadServer::start(Behaviour::AcceptAndDrop);
    let mut stream = TcpStream::connect(server.address()).expect("connect");
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
    server.await_connections(1);
    assert!(server.requests().is_empty());

    server.behave(Behaviour::Silent);
    let mut stream = TcpStream::connect(server.address()).expect("connect");
    stream.write_all(b"GET /a HTTP/1.1\r\nX-Y: z\r\n\r\n").expect("it reads");
    let requests = server.await_requests(1);
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("GET", "/a"));
    assert_eq!(requests[0].header("x-y"), Some("z"));
    stream.set_nonblocking(true).expect("don't wait");
    assert_eq!(stream.read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    // It lets go when it ends.
    stream.set_nonblocking(false).expect("wait");
    drop(server);
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
}

#[test]
fn bad_server_may_answer_all_clients_wrongly() {
    let garbage = |seed| {
        let server = BadServer::start(Behaviour::Garbage(seed));
        let mut stream = TcpStream::connect(server.address()).expect("connect");
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).expect("an end");
        bytes
    };
    assert_eq!((garbage(1), garbage(1).len()), (garbage(1), 4096));
    assert_ne!(garbage(1), garbage(2));

    let server = BadServer::start(Behaviour::HtmlPage);
    let mut http = Http::connect(server.address());
    let page = http.get("/ws");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html")));
    assert!(page.text().starts_with("<!DOCTYPE html>"));
    server.behave(Behaviour::RedirectTo("http://elsewhere.example/".to_owned()));
    let elsewhere = http.post("/parties", Some(json!({"a": 1})));
    assert_eq!(elsewhere.header("location"), Some("http://elsewhere.example/"));
    assert_eq!((elsewhere.status, server.requests()[1].json()), (302, json!({"a": 1})));
    for status in [401, 403, 404, 429, 500, 503] {
        server.behave(Behaviour::Status(status, vec![("Retry-After", "7".to_owned())]));
        let refused = http.get("/");
        assert_eq!((refused.status, refused.header("retry-after")), (status, Some("7")));
    }
    // All of it on one connection.
    server.await_connections(1);
    assert_eq!(server.await_requests(8).len(), 8);
    let upgrade = tungstenite::connect(format!("ws://{}/ws", server.address()));
    let Err(tungstenite::Error::Http(refused)) = upgrade else { panic!("it upgrades") };
    assert_eq!(refused.status(), 503);
}

#[test]
fn bad_server_runs_its_script_for_each_websocket() {
    let goaway = json!({"type": "goaway", "retry_after_ms": 50});
    let server = scripted(vec![
        Step::online(),
        Step::send(&goaway),
        Step::Expect,
        Step::SendBinary(vec![1, 2, 3]),
        Step::once(|frame| vec![frame.to_string(), "no JSON".to_owned()]),
        Step::Close(1013),
    ]);
    for round in 1..=2 {
        let mut ws = Ws::connect(server.address());
        ws.send(hello());
        assert_eq!(ws.frame(), Some(welcome(Some("ann"))));
        assert_eq!(ws.frame(), Some(goaway.clone()));
        ws.send(json!({"type": "one"}));
        assert_eq!(ws.message(), Some(Message::binary(vec![1, 2, 3])));
        ws.send(json!({"type": "two"}));
        assert_eq!(ws.frame(), Some(json!({"type": "two"})));
        assert_eq!(ws.message(), Some(Message::text("no JSON")));
        assert_eq!(ws.message(), None);
        assert_eq!(ws.closed.expect("a reason").code, 1013.into());
        let frames = server.await_frames(3 * round);
        assert_eq!(frames[3 * round - 1], json!({"type": "two"}));
    }
    assert_eq!(server.requests().len(), 2);
    // Who asks for no WebSocket finds nothing.
    assert_eq!(Http::connect(server.address()).get("/").status, 404);
}

#[test]
fn bad_server_may_not_answer_on_an_open_websocket() {
    let server = scripted(vec![Step::online(), Step::ignore()]);
    let mut ws = Ws::connect(server.address());
    ws.send(hello());
    ws.await_type("welcome");
    ws.send(json!({"type": "list_relays", "req_id": "r"}));
    ws.write(Message::Ping(b"x".as_slice().into()));
    // The pong comes, and nothing before it.
    assert_eq!(ws.message(), Some(Message::Pong(b"x".as_slice().into())));
    server.await_frames(2);

    let server = scripted(vec![Step::online(), Step::Hang]);
    let mut ws = Ws::connect(server.address());
    ws.send(hello());
    ws.await_type("welcome");
    ws.send(json!({"type": "list_relays", "req_id": "r"}));
    ws.stream().set_nonblocking(true).expect("don't wait");
    assert_eq!(ws.stream().read(&mut [0]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    assert_eq!(server.frames(), [hello()]);
}

#[test]
fn bad_server_may_send_far_too_much() {
    let junk = json!({"type": "junk"});
    let mut script = vec![Step::online()];
    script.extend(std::iter::repeat_n(Step::send(&junk), 10_000));
    script.push(Step::SendText("x".repeat(5 << 20)));
    let server = scripted(script);
    let mut ws = Ws::connect(server.address());
    ws.send(hello());
    ws.await_type("welcome");
    for _ in 0..10_000 {
        assert_eq!(ws.frame().expect("junk"), junk);
    }
    assert_eq!(ws.message().map(|message| message.len()), Some(5 << 20));
}

/// The polite one speaks as the real one: the same frames in the same order, with the same fields.
#[test]
fn polite_server_speaks_like_the_real_one() {
    fn shape(value: &Value) -> Value {
        let inner = |value: &Value| if value.is_object() { shape(value) } else { json!("…") };
        keys(value).into_iter().map(|key| (key.to_owned(), inner(&value[key]))).collect()
    }
    let real = Setup::server().start();
    let polite_one = BadServer::start(Behaviour::polite());
    let peer = announced("ann");
    let member = json!({"party_id": "p", "peer_id": "ann"});
    let mut requests = vec![
        hello(),
        json!({"type": "register_party", "party_id": "p", "name": "n", "host_peer": peer}),
        json!({"type": "list_relays"}),
        json!({"type": "sync", "party_id": "p"}),
        json!({"type": "join_party", "party_id": "p", "peer": announced("bob")}),
        json!({"type": "update_peer", "party_id": "p", "peer": announced("bob")}),
        json!({"type": "later"}),
    ];
    for kind in ["heartbeat", "leave_party"] {
        let mut frame = member.clone();
        frame["type"] = json!(kind);
        requests.push(frame);
    }
    let told = |address| {
        let mut ws = Ws::connect(address);
        let mut told = Vec::new();
        for (number, request) in requests.iter().enumerate() {
            let mut request = request.clone();
            request["req_id"] = json!(number);
            ws.send(request);
            let mut frames = Vec::new();
            loop {
                let frame = ws.frame().expect("an answer");
                let text = frame.to_string();
                let known = ServerFrame::decode(&text).expect("a good frame");
                assert!(known.is_some(), "{text}");
                frames.push((frame["type"].clone(), shape(&frame)));
                if frame["req_id"] == number {
                    break;
                }
            }
            frames.sort_by_key(|(kind, _)| kind.to_string());
            told.push(frames);
        }
        told
    };
    for (request, (real, polite)) in
        requests.iter().zip(told(real.address()).into_iter().zip(told(polite_one.address())))
    {
        assert_eq!(real, polite, "{request}");
    }
    let nobody = json!({"type": "heartbeat", "party_id": "q", "peer_id": "ann"});
    assert!(polite()(&nobody)[0].contains("party_not_found"));
}

/// Result of a handshake with a client that trusts that server's certificate file.
fn shake_hands(server: &BadServer) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(server.ca()).expect("a certificate");
    roots.add(ca).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "127.0.0.1".try_into().expect("an address");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(server.address()).expect("connect");
    match client.complete_io(&mut stream) {
        Ok(_) => {
            let mut tls = rustls::StreamOwned::new(client, stream);
            tls.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("it reads");
            let mut answer = [0; 12];
            tls.read_exact(&mut answer).expect("an answer");
            assert_eq!(answer, *b"HTTP/1.1 503");
            Ok(())
        }
        Err(error) => Err(error.downcast::<rustls::Error>().expect("an error of TLS")),
    }
}

#[test]
fn bad_server_may_have_a_bad_certificate() {
    let start = |certificate| BadServer::tls(certificate, Behaviour::Status(503, Vec::new()));
    let good = start(Certificate::Good);
    assert!(good.url().starts_with("https://127.0.0.1:"));
    shake_hands(&good).expect("a good server");
    assert_eq!(good.requests().len(), 1);
    let refused = |certificate| {
        let server = start(certificate);
        let error = shake_hands(&server).expect_err("a bad server");
        server.await_failed_handshakes(1);
        assert!(server.requests().is_empty());
        let rustls::Error::InvalidCertificate(error) = error else { panic!("{error}") };
        error
    };
    assert!(matches!(refused(Certificate::Expired), CertificateError::ExpiredContext { .. }));
    assert!(matches!(
        refused(Certificate::WrongName),
        CertificateError::NotValidForNameContext { .. }
    ));
    assert_eq!(refused(Certificate::UnknownIssuer), CertificateError::UnknownIssuer);
}
