//! Requests over HTTP.

use std::net::SocketAddr;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::support::client::peer;
use crate::support::http::Http;
use crate::support::process::Web;
use crate::support::wrk::{Request, compare};

/// Members of the party that is asked for.
const MEMBERS: usize = 8;

pub(super) fn run() -> anyhow::Result<()> {
    let (server, site) = (Web::server()?, Web::site()?);
    let servers = [&server, &site];
    let (party, token) = fill(server.address)?;
    let peers = format!("/parties/{party}/peers");
    let beat = format!("/parties/{party}/peers/p0/heartbeat");
    // A peer registers once.
    let fresh = |round| format!("/auth/register?peer_id=fresh-{round}-*");
    route("GET /healthz", servers, "GET", "", &|_| "/healthz".to_owned())?;
    route(&format!("GET {MEMBERS} peers"), servers, "GET", &token, &|_| peers.clone())?;
    route("POST heartbeat", servers, "POST", &token, &|_| beat.clone())?;
    route("POST /auth/register", servers, "POST", "", &fresh)
}

/// Compares with the site what is asked in a round; its answers are as long.
fn route(
    name: &str,
    servers: [&Web; 2],
    method: &str,
    token: &str,
    path: &dyn Fn(usize) -> String,
) -> anyhow::Result<()> {
    let answer = servers[0].http()?.ask(method, &path(0).replace('*', "0"), token, None)?;
    let length = answer.len();
    let query = |path: &str| path.split_once('?').map_or("", |(_, query)| query).to_owned();
    let request = |path| Request { method, path, token };
    compare(
        &format!("{name}, {length} bytes"),
        servers,
        [&|round| request(path(round)), &|round| {
            request(format!("/{length}?{}", query(&path(round))))
        }],
    )
}

/// Registers a party of eight: its id, and the token of its host `p0`.
fn fill(address: SocketAddr) -> anyhow::Result<(String, String)> {
    let mut http = Http::connect(address)?;
    let mut host = None;
    for number in 0..MEMBERS {
        let id = format!("p{number}");
        let path = format!("/auth/register?peer_id={id}");
        let token = text(&http.ask("POST", &path, "", None)?, "token")?;
        match &host {
            None => {
                let body = json!({"name": "LAN party", "host_peer_info": peer(&id)});
                let reply = http.ask("POST", "/parties", &token, Some(&body))?;
                host = Some((text(&reply, "party_id")?, token));
            }
            Some((party, _)) => {
                let body = json!({"party_id": party, "peer_info": peer(&id)});
                http.ask("POST", &format!("/parties/{party}/join"), &token, Some(&body))?;
            }
        }
    }
    host.context("a party has a host")
}

fn text(reply: &[u8], key: &str) -> anyhow::Result<String> {
    let reply: Value = serde_json::from_slice(reply)?;
    Ok(reply[key].as_str().with_context(|| format!("no {key} in {reply}"))?.to_owned())
}
