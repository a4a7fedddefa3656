//! TLS handshakes.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::programs::tls_server;
use super::rows;
use super::table::{Attack, Honest, Row};
use crate::harness::{Daemon, connect_from, get_over_tls, is_open, limit_descriptors, shake_hands};

const ATTACKER: u8 = 3;
const HONEST: u8 = 2;
/// A faster flood would leave the machine without ports.
const PAUSE: Duration = Duration::from_millis(2);

rows! {
    one_address_never_shakes_hands: Row {
        limits: &["http.handshakes_per_address"],
        attack: "one address connects without end and sends nothing",
        start: tls_server,
        small: "http.handshakes_per_address = 4\nhttp.handshake_timeout = '1h'\n",
        at_default: true,
        attacker: |server, attack| stay_silent(server, attack, &[ATTACKER]),
        honest: |server| shake_hands_anew(server, HONEST),
    };
    a_neighbour_never_shakes_hands: Row {
        limits: &["http.handshakes_per_address"],
        attack: "another client of the same address connects without end and sends nothing",
        start: tls_server,
        small: "http.handshakes_per_address = 128\nhttp.handshake_timeout = '1h'\n",
        at_default: false,
        attacker: |server, attack| stay_silent(server, attack, &[HONEST]),
        honest: |server| shake_hands_anew(server, HONEST),
    };
    many_addresses_never_shake_hands: Row {
        limits: &["http.handshakes"],
        attack: "a hundred addresses connect without end and send nothing",
        start: |config| tls_server(config).inspect(|server| limit_descriptors(server, 200)),
        small: "http.handshakes = 16\nhttp.handshake_timeout = '1h'\n",
        at_default: false,
        attacker: |server, attack| {
            let addresses: Vec<u8> = (100..200).collect();
            stay_silent(server, attack, &addresses);
        },
        honest: |server| shake_hands_anew(server, HONEST),
    };
    one_address_begins_handshakes: Row {
        limits: &["http.handshake_timeout"],
        attack: "one address begins handshakes and does not end them",
        start: tls_server,
        small: "http.handshake_timeout = '2s'\n",
        at_default: false,
        attacker: begin_handshakes,
        honest: |server| shake_hands_anew(server, HONEST),
    };
}

fn source(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

fn stay_silent(server: &Daemon, attack: &Attack, addresses: &[u8]) {
    let mut silent = VecDeque::new();
    let mut addresses = addresses.iter().cycle();
    attack.repeat(|| {
        let address = source(*addresses.next().expect("no end"));
        silent.extend(connect_from(address, server.address()));
        thread::sleep(PAUSE);
        silent.len() > 300 && silent.pop_front().is_some_and(|oldest| !is_open(&oldest))
    });
}

fn begin_handshakes(server: &Daemon, attack: &Attack) {
    /// The beginning of a ClientHello.
    const BEGIN: [u8; 5] = [22, 3, 1, 1, 0];
    attack.repeat(|| {
        let mut begun = (0..16)
            .map(|_| {
                let mut stream = connect_from(source(ATTACKER), server.address()).expect("room");
                stream.write_all(&BEGIN).expect("the server takes it");
                stream
            })
            .collect::<Vec<_>>();
        begun.iter_mut().all(|stream| stream.read_to_end(&mut Vec::new()).is_ok())
    });
}

/// A client that connects each time.
fn shake_hands_anew(server: &Daemon, number: u8) -> Honest {
    let address = server.address();
    let trusted = CertificateDer::from_pem_file(server.setup.path("cert.pem")).expect("a file");
    Box::new(move || {
        let stream = connect_from(source(number), address).expect("a connection");
        let tls = shake_hands(stream, trusted.clone());
        tls.is_ok_and(|mut tls| get_over_tls(&mut tls, "/healthz").status == 200)
    })
}
