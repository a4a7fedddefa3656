//! Attacks on the control server.

use std::io::Write as _;
use std::net::{IpAddr, TcpStream};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{GoesOn, compare};
use crate::support::client::peer;
use crate::support::http::Http;
use crate::support::process::Web;
use crate::support::ws::Ws;

const ATTACKERS: usize = 4;
/// Relays that a peer may have, and peers that announce them from each address.
const RELAYS: usize = 16;
const ANNOUNCERS: usize = 8;
/// Connections of one attacker.
const CONNECTIONS: usize = 600;

pub(super) fn run() -> anyhow::Result<()> {
    attack("parties of one address", ATTACKERS, &parties)?;
    attack("tokens of many addresses", ATTACKERS, &tokens)?;
    attack("signals to one that is away", ATTACKERS, &signals)?;
    attack("connections of one address", ATTACKERS, &connections)?;
    attack("unread lists of relays", ATTACKERS, &unread_lists)?;
    attack("lists of relays", ATTACKERS, &lists)
}

type Attack = dyn Fn(&Web, usize, GoesOn<'_>) -> anyhow::Result<()> + Sync;

/// The honest client changes a member and reads the party.
fn attack(name: &str, attackers: usize, attack: &Attack) -> anyhow::Result<()> {
    let server = Web::limited_server()?;
    announce_relays(&server)?;
    let mut honest = server.http()?;
    let token = register(&mut honest, "honest")?;
    let body = json!({"name": "LAN party", "host_peer_info": peer("honest")});
    let party = text(&honest.ask("POST", "/parties", &token, Some(&body))?, "party_id");
    let mut port = 0;
    let mut ask = || {
        port = (port + 1) % 60_000;
        let mut changed = peer("honest");
        changed["local_port"] = json!(1 + port);
        let body = json!({"party_id": party, "peer_info": changed});
        honest.ask("POST", &format!("/parties/{party}/join"), &token, Some(&body))?;
        honest.ask("GET", &format!("/parties/{party}/peers"), &token, None).map(drop)
    };
    compare(name, &mut ask, attackers, &|number, goes_on| {
        if let Err(error) = attack(&server, number, goes_on) {
            println!("{name}: an attacker gave up: {error:#}");
        }
    });
    Ok(())
}

/// Announces as many relays as the limit admits, so that their list is long.
fn announce_relays(server: &Web) -> anyhow::Result<()> {
    for address in 0..8 {
        let source = [127, 0, 1, 1 + address].into();
        let mut http = Http::connect_from(source, server.address)?;
        for announcer in 0..ANNOUNCERS {
            let id = format!("relay-{address}-{announcer}");
            let token = register(&mut http, &id)?;
            for number in 0..RELAYS {
                let body = json!({
                    "relay_id": format!("{id}-{number}"), "public_ip": "203.0.113.1", "port": 1,
                    "region": "x".repeat(100),
                });
                http.ask("POST", "/relays", &token, Some(&body))?;
            }
        }
    }
    Ok(())
}

fn foe(number: usize) -> IpAddr {
    [127, 0, 0, 2 + (number / ATTACKERS) as u8].into()
}

fn register(http: &mut Http, id: &str) -> anyhow::Result<String> {
    let answer = http.ask("POST", &format!("/auth/register?peer_id={id}"), "", None)?;
    Ok(text(&answer, "token"))
}

fn text(reply: &[u8], key: &str) -> String {
    let reply: Value = serde_json::from_slice(reply).unwrap_or_default();
    reply[key].as_str().unwrap_or_default().to_owned()
}

fn parties(server: &Web, number: usize, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let mut http = Http::connect_from(foe(number), server.address)?;
    let (mut token, mut id) = (String::new(), String::new());
    for round in 0.. {
        if !goes_on() {
            break;
        }
        // A peer is in so many parties at most. Registrations have a rate.
        if round % 64 == 0 {
            let next = format!("foe-{number}-{round}");
            if let Ok(fresh) = register(&mut http, &next) {
                (token, id) = (fresh, next);
            }
        }
        let body = json!({"name": "LAN party", "host_peer_info": peer(&id)});
        http.ask("POST", "/parties", &token, Some(&body)).ok();
    }
    Ok(())
}

fn tokens(server: &Web, number: usize, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    for round in 0_usize.. {
        if !goes_on() {
            break;
        }
        let source = [127, 2 + number as u8, (round / 250) as u8, 1 + (round % 250) as u8];
        let mut http = Http::connect_from(source.into(), server.address)?;
        for claim in 0..16 {
            register(&mut http, &format!("foe-{number}-{round}-{claim}")).ok();
        }
    }
    Ok(())
}

fn signals(server: &Web, number: usize, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let (id, away) = (format!("foe-{number}"), format!("away-{number}"));
    let mut ws = Ws::connect_from(foe(number), server.address)?;
    ws.greet(&id)?;
    let register =
        json!({"type": "register_party", "party_id": id, "name": "x", "host_peer": peer(&id)});
    ws.send(&register.to_string())?;
    ws.hear(1, r#"{"type":"party_update""#)?;
    let mut http = Http::connect_from(foe(number), server.address)?;
    let token = self::register(&mut http, &away)?;
    let body = json!({"party_id": id, "peer_info": peer(&away)});
    http.ask("POST", &format!("/parties/{id}/join"), &token, Some(&body))?;
    ws.hear(1, r#"{"type":"peer_joined""#)?;
    let data = "x".repeat(60_000);
    let mut count = 0;
    while goes_on() {
        count += 1;
        let signal = json!({
            "type": "signal", "req_id": format!("signal-{count}"), "party_id": id,
            "from_peer_id": id, "to_peer_id": away, "signal_data": data,
        });
        ws.send(&signal.to_string())?;
        // Most are refused. One that sends too often is closed.
        if ws
            .hear(1, r#"{"type":"ack""#)
            .is_err_and(|error| format!("{error:#}").contains("closed"))
        {
            ws = Ws::connect_from(foe(number), server.address)?;
            ws.greet(&id).ok();
        }
    }
    Ok(())
}

/// Each asks a probe, again and again.
fn connections(server: &Web, number: usize, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let connect = || Http::connect_from(foe(number), server.address);
    let mut all = Vec::new();
    while goes_on() {
        if all.len() < CONNECTIONS {
            all.extend(connect().ok());
        }
        let last = all.len().saturating_sub(1);
        let at = all.len().min(1) * (all.len() * 7 / 11).min(last);
        if all.get_mut(at).is_some_and(|http| http.ask("GET", "/healthz", "", None).is_err()) {
            all.swap_remove(at);
        }
    }
    Ok(())
}

fn unread_lists(server: &Web, number: usize, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let mut http = Http::connect_from(foe(number), server.address)?;
    let token = register(&mut http, &format!("foe-{number}"))?;
    let request =
        format!("GET /relays HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n");
    let mut all = Vec::new();
    while goes_on() {
        if all.len() >= CONNECTIONS / 2 {
            all.clear();
        }
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4 * 1024)?;
        socket.bind(&std::net::SocketAddr::new(foe(number), 0).into())?;
        socket.connect(&server.address.into())?;
        let mut stream = TcpStream::from(socket);
        stream.write_all(request.as_bytes())?;
        all.push(stream);
    }
    Ok(())
}

fn lists(server: &Web, number: usize, goes_on: GoesOn<'_>) -> anyhow::Result<()> {
    let mut http = Http::connect_from(foe(number), server.address)?;
    let token = register(&mut http, &format!("foe-{number}"))?;
    while goes_on() {
        http.ask("GET", "/relays", &token, None).ok();
    }
    Ok(())
}
