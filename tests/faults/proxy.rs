//! The network that fails when it is told to.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Chaos, Direction, Fault, Http, PATIENCE, Port, Proxy, Setup, Ws};

use Direction::{ToClient, ToServer};

/// A proxy, and both ends of a connection through it: the client's first.
struct Pair {
    proxy: Proxy,
    target: TcpListener,
}

impl Pair {
    fn new() -> Self {
        let target = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self { proxy: Proxy::to(target.local_addr().expect("an address")), target }
    }

    fn client(&self) -> TcpStream {
        patient(TcpStream::connect(self.proxy.address()).expect("connect to the proxy"))
    }

    fn server(&self) -> TcpStream {
        patient(self.target.accept().expect("the proxy connects").0)
    }

    fn ends(&self) -> (TcpStream, TcpStream) {
        let client = self.client();
        (client, self.server())
    }
}

fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("set a time-out");
    stream.set_nodelay(true).expect("set no delay");
    stream
}

fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).expect("send");
}

#[track_caller]
fn expect(stream: &mut TcpStream, text: &str) {
    let mut came = vec![0; text.len()];
    stream.read_exact(&mut came).expect("as many bytes");
    assert_eq!(String::from_utf8_lossy(&came), text);
}

#[track_caller]
fn expect_reset(stream: &mut TcpStream) {
    let error = stream.read(&mut [0]).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[track_caller]
fn expect_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0]).expect("the end"), 0);
}

/// That there is nothing to read, now.
#[track_caller]
fn expect_silence(stream: &TcpStream) {
    stream.set_nonblocking(true).expect("don't wait");
    let error = (&*stream).read(&mut [0]).expect_err("nothing");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).expect("wait");
}

#[test]
fn proxy_passes_requests_to_the_real_server() {
    let server = Setup::server().start();
    let proxy = Proxy::to(server.address());
    assert_eq!(proxy.url(), format!("http://{}", proxy.address()));
    let mut http = Http::registered(proxy.address(), "ann");
    let party = http.party("ann");
    let (mut ws, _) = Ws::hello(proxy.address(), "ann", http.token.as_deref());
    assert_eq!(ws.await_type("party_update")["party"]["party_id"], json!(party));
    assert_eq!((proxy.connections(), proxy.open()), (2, 2));
    assert!(proxy.bytes(ToServer) > 200 && proxy.bytes(ToClient) > 200);
    assert_eq!(ws.close(), [] as [serde_json::Value; 0]);
    proxy.await_open(1);
    // A frozen link delivers what was sent meanwhile, and once.
    let (mut ws, _) = Ws::hello(proxy.address(), "bob", None);
    proxy.freeze();
    let sent = proxy.bytes(ToServer);
    for number in 0..100 {
        ws.send(json!({"type": "list_relays", "req_id": number}));
    }
    assert_eq!(proxy.bytes(ToServer), sent);
    proxy.thaw();
    for number in 0..100 {
        assert_eq!(ws.await_type("ack")["req_id"], number);
    }
    proxy.cut();
    assert_eq!((ws.frame(), proxy.open()), (None, 0));
    assert_eq!(Http::connect(proxy.address()).get("/").ok()["parties"], 1);
}

#[test]
fn proxy_cut_resets_both_sides() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    // This one doesn't reach the server.
    pair.proxy.freeze();
    let mut unanswered = pair.client();
    pair.proxy.cut();
    assert_eq!((pair.proxy.connections(), pair.proxy.open()), (2, 0));
    for stream in [&mut client, &mut server, &mut unanswered] {
        expect_reset(stream);
    }
    pair.proxy.thaw();
    let (mut client, mut server) = pair.ends();
    send(&mut client, "ping");
    expect(&mut server, "ping");
}

#[test]
fn proxy_admits_clients_again_on_the_same_port() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    for _ in 0..3 {
        pair.proxy.refuse();
        let error = TcpStream::connect(pair.proxy.address()).expect_err("a refusal");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        // Who was there stays.
        send(&mut client, "ping");
        expect(&mut server, "ping");
        pair.proxy.accept();
        let (mut client, mut server) = pair.ends();
        send(&mut server, "pong");
        expect(&mut client, "pong");
    }
    pair.proxy.accept_and_drop();
    expect_end(&mut pair.client());
    pair.proxy.accept();
    let (mut client, mut server) = pair.ends();
    send(&mut client, "ping");
    expect(&mut server, "ping");
    assert_eq!(pair.proxy.connections(), 6);
}

#[test]
fn proxy_freeze_keeps_all_bytes() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    let (mut brief, mut its_server) = pair.ends();
    send(&mut brief, "x");
    expect(&mut its_server, "x");
    pair.proxy.freeze();
    let carried = pair.proxy.bytes(ToServer);
    let mut late = pair.client();
    send(&mut late, "late");
    brief.shutdown(Shutdown::Write).expect("an end");
    send(&mut client, "one");
    send(&mut server, "two");
    client.shutdown(Shutdown::Write).expect("an end");
    // The proxy's thread has been round since.
    for _ in 0..3 {
        assert_eq!(pair.proxy.connections(), 3);
    }
    assert_eq!((pair.proxy.bytes(ToServer), pair.proxy.bytes(ToClient)), (carried, 0));
    expect_silence(&server);
    expect_silence(&its_server);
    expect_silence(&client);
    pair.proxy.thaw();
    expect(&mut server, "one");
    expect_end(&mut server);
    expect(&mut client, "two");
    expect_end(&mut its_server);
    expect(&mut pair.server(), "late");
}

#[test]
fn proxy_passes_on_ends_and_resets() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    client.shutdown(Shutdown::Write).expect("an end");
    expect_end(&mut server);
    send(&mut server, "still here");
    drop(server);
    expect(&mut client, "still here");
    expect_end(&mut client);
    pair.proxy.await_open(0);
    let (client, mut server) = pair.ends();
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("set linger");
    drop(client);
    expect_reset(&mut server);
}

#[test]
fn proxy_half_close_ends_a_single_direction() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    pair.proxy.half_close(ToServer);
    expect_end(&mut server);
    send(&mut client, "into the void");
    send(&mut server, "still here");
    expect(&mut client, "still here");
    // The next one is whole.
    let (mut client, mut server) = pair.ends();
    send(&mut client, "ping");
    expect(&mut server, "ping");
    pair.proxy.half_close(ToClient);
    expect_end(&mut client);
}

#[test]
fn proxy_black_hole_swallows_bytes() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    send(&mut server, "before");
    expect(&mut client, "before");
    pair.proxy.black_hole(ToClient);
    send(&mut server, "within");
    pair.proxy.await_bytes(ToClient, "beforewithin".len());
    send(&mut client, "the other way");
    expect(&mut server, "the other way");
    pair.proxy.heal();
    // What comes after a gap is no part of the stream, and neither is its end.
    send(&mut server, "after");
    server.shutdown(Shutdown::Write).expect("an end");
    pair.proxy.await_bytes(ToClient, "beforewithinafter".len());
    expect_silence(&client);
    let (mut client, mut server) = pair.ends();
    send(&mut server, "fresh");
    expect(&mut client, "fresh");
}

#[test]
fn proxy_delay_holds_each_chunk() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    let delay = Duration::from_millis(30);
    pair.proxy.delay(delay);
    let began = Instant::now();
    send(&mut client, "ping");
    expect(&mut server, "ping");
    send(&mut server, "pong");
    expect(&mut client, "pong");
    assert!(began.elapsed() >= 2 * delay);
    // Whoever is kept is cut no later.
    pair.proxy.delay(PATIENCE * 2);
    send(&mut client, "never");
    pair.proxy.cut();
    expect_reset(&mut server);
}

#[test]
fn proxy_delay_of_a_direction_leaves_the_other_alone() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    pair.proxy.delay_one_way(ToClient, PATIENCE * 2);
    send(&mut server, "late");
    for text in ["first", "second"] {
        send(&mut client, text);
        expect(&mut server, text);
    }
    expect_silence(&client);
}

#[test]
fn proxy_cuts_a_link_after_a_number_of_bytes() {
    let pair = Pair::new();
    let text: String = (0..40_000).map(|number| char::from(b'a' + (number % 26) as u8)).collect();
    for bytes in [0, 1, 7, 16_384, 16_385, 39_999] {
        for direction in [ToServer, ToClient] {
            pair.proxy.cut_after(direction, bytes);
            let (client, server) = pair.ends();
            let (mut from, mut to) = match direction {
                ToServer => (client, server),
                ToClient => (server, client),
            };
            // It may break meanwhile.
            from.write_all(text.as_bytes()).ok();
            expect(&mut to, &text[..bytes]);
            expect_reset(&mut to);
            pair.proxy.await_open(0);
        }
    }
    // Only the next one does.
    let (mut client, mut server) = pair.ends();
    let sent = text.clone();
    let sender = std::thread::spawn(move || send(&mut client, &sent));
    expect(&mut server, &text);
    sender.join().expect("all is sent");
}

#[test]
fn proxy_leads_new_connections_to_another_server() {
    let (pair, other) = (Pair::new(), TcpListener::bind("127.0.0.1:0").expect("a port"));
    let (mut client, mut server) = pair.ends();
    let before = Instant::now();
    pair.proxy.retarget(other.local_addr().expect("an address"));
    let mut late = pair.client();
    let mut elsewhere = patient(other.accept().expect("the proxy connects").0);
    send(&mut late, "late");
    expect(&mut elsewhere, "late");
    send(&mut client, "early");
    expect(&mut server, "early");
    let accepted = pair.proxy.accepted();
    assert!(accepted[0] <= before && before <= accepted[1] && accepted[1] <= Instant::now());
    // Where nobody is, nobody is reached.
    drop(other);
    std::thread::scope(|scope| {
        scope.spawn(|| expect_reset(&mut pair.client()));
        pair.proxy.await_connections(3);
    });
}

#[test]
fn proxy_resets_its_links_when_it_is_dropped() {
    let pair = Pair::new();
    let (mut client, mut server) = pair.ends();
    pair.proxy.freeze();
    send(&mut client, "never");
    drop(pair.proxy);
    for stream in [&mut client, &mut server] {
        expect_reset(stream);
    }
}

#[test]
fn port_is_kept_for_servers_that_come_and_go() {
    let port = Port::reserve();
    let mut setup = Setup::server();
    for parties in [0, 1] {
        let error = TcpStream::connect(port.address()).expect_err("nobody");
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let server = setup.restart_on(port.address()).start();
        assert_eq!(server.address(), port.address());
        let mut http = Http::registered(port.address(), &format!("host-{parties}"));
        assert_eq!(http.get("/").ok()["parties"], parties);
        http.party(&format!("host-{parties}"));
        setup = server.kill();
    }
    let server = setup.wiped().start();
    assert_eq!(server.http().get("/").ok()["parties"], 0);
}

/// Faults of connections to an echo server, by seed, and their results.
fn history(seed: u64, target: SocketAddr) -> Vec<Fault> {
    let proxy = Proxy::to(target);
    let mut chaos = Chaos::seeded(seed, &proxy);
    let mut faults = Vec::new();
    for _ in 0..60 {
        faults.push(chaos.step());
        // Some get in, and some are in the midst of something at the next fault.
        if let Ok(mut client) = TcpStream::connect(proxy.address()) {
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").ok();
        }
    }
    proxy.heal();
    assert_eq!(Http::connect(proxy.address()).get("/").ok()["status"], "ok");
    faults
}

#[test]
fn chaos_repeats_from_its_seed_and_ends_when_healed() {
    let server = Setup::server().start();
    for seed in 0..5 {
        assert_eq!(history(seed, server.address()), history(seed, server.address()));
    }
    assert_ne!(history(1, server.address()), history(2, server.address()));
}
