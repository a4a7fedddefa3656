//! HTTP tests over a real engine and real sockets.

mod bodies;
mod identity;
mod parties;
mod rates;
mod relays;
mod routing;
mod standing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::metrics::Metrics;
use super::{HttpSettings, HttpState, app, serve};
use crate::cleanup::Routine;
use crate::clock::Clock;
use crate::config::{Auth, Http, ServerLimits, Ws};
use crate::control_plane::{Connections, ControlPlane};
use crate::core::{Caller, ConnectionId, Ended, Principal, Rules, Shares, User};
use crate::engine::{self, Engine, EngineContext, State, Tuning};
use crate::store::Layout;
use crate::ws;

const HOUR: Duration = Duration::from_secs(3600);

/// Server in front of its own engine.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: web::Data<HttpState>,
    stop: watch::Sender<Option<String>>,
    engine: Option<Engine>,
    _dir: TempDir,
}

/// Reply as received.
#[derive(Debug)]
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(settings())
    }

    pub(crate) fn with(settings: HttpSettings) -> Self {
        Self::before(settings, |calls| calls)
    }

    /// Starts a server with a control plane that `wrap` makes from the engine's.
    fn before(settings: HttpSettings, wrap: impl FnOnce(ControlPlane) -> ControlPlane) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, metrics) = (Clock::start(), Arc::new(Metrics::new()));
        let settings_of_engine = engine_settings(&dir);
        let (layout, rules) = (settings_of_engine.layout, settings_of_engine.tuning.rules.clone());
        let opened = State::open(dir.path(), layout, rules, clock, itself()).unwrap();
        let engine =
            Engine::over(EngineContext::default(), opened, clock, settings_of_engine, itself());
        let (stop, stopping) = watch::channel(None);
        let state = HttpState::new(wrap(engine.calls.clone()), clock, settings, metrics, stopping);
        let state = web::Data::new(state);
        let of_http = state.clone();
        engine.ending.set(move |ended| match ended {
            Ended::Token(hash) => of_http.end_token(hash),
            Ended::Connection { .. } => {}
        });
        let sockets = ws::WsSettings { ws: Ws::default(), peer_timeout: HOUR };
        let epoch = "epoch".parse().unwrap();
        let sockets = ws::WsServer::new(state.clone(), epoch, sockets, Connections::default());
        let sockets = Arc::new(sockets);
        let shared = state.clone();
        let limiter = Arc::new(state.connection_limiter());
        let app = move || app(shared.clone(), sockets.clone());
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let http = &state.settings().http;
        let (server, address) = serve(app, any, None, http, &limiter, 1).unwrap();
        actix::spawn(server);
        Self { address, state, stop, engine: Some(engine), _dir: dir }
    }

    async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let auth = match token {
            "" => String::new(),
            token => format!("Authorization: Bearer {token}\r\n"),
        };
        let length = body.len();
        self.raw(&format!(
            "{method} {path} HTTP/1.1\r\nHost: games.example\r\nConnection: close\r\n{auth}Content-Length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn get(&self, path: &str, token: &str) -> Reply {
        self.call("GET", path, token, None).await
    }

    /// Sends a request with these header lines.
    async fn headed(&self, request: &str, headers: &str) -> Reply {
        self.raw(&format!("{request} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await
    }

    /// Sends the bytes of a request, and reads until the server closes.
    async fn raw(&self, request: &str) -> Reply {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Reply { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    /// Registers a peer and returns its token.
    pub(crate) async fn token(&self, peer: &str) -> String {
        let path = format!("/auth/register?peer_id={peer}");
        let reply = self.call("POST", &path, "", None).await.expect(200);
        reply["token"].as_str().unwrap().to_owned()
    }

    /// Returns the number of parties.
    pub(crate) async fn parties(&self) -> u64 {
        self.get("/", "").await.expect(200)["parties"].as_u64().unwrap()
    }

    /// Registers a party with a host, and returns its id.
    async fn party(&self, host: &str, token: &str) -> String {
        let body = json!({"name": "Game", "host_peer_info": peer(host)});
        let reply = self.call("POST", "/parties", token, Some(body)).await.expect(200);
        reply["party_id"].as_str().unwrap().to_owned()
    }
}

impl Reply {
    /// Returns the body of a reply that must have this status.
    fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that a reply is a refusal with this detail.
    fn refuses(&self, status: u16, detail: &str) {
        assert_eq!(self.expect(status), json!({"detail": detail}));
    }

    /// Returns a header by its lower-case name.
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

pub(crate) fn settings() -> HttpSettings {
    let (http, auth, limits) = Default::default();
    HttpSettings { http, is_on_loopback: false, auth, limits }
}

fn itself() -> Caller {
    let principal = Principal::User { user: User(0), admin: true };
    Caller { principal, connection: ConnectionId(0), address: None }
}

fn engine_settings(dir: &TempDir) -> engine::EngineSettings {
    let rules = Rules {
        peer_timeout: HOUR,
        relay_timeout: HOUR,
        signal_ttl: HOUR,
        grace_until: Duration::ZERO,
        parties_per_peer: 2,
        peers_per_party: 2,
        parties: 100,
        relays: 100,
        tokens: 100,
        token_ttl: 8 * HOUR,
        intents: 0,
        receipts: 100,
        signal_bytes: 1000,
        signals_per_peer: 10,
        signals_total_bytes: 10_000,
        shares: Shares { address: 1, user: 1 },
        copies_bytes: 1 << 20,
        hold_keys: false,
        subnet: "10.66.0.0/16".parse().unwrap(),
    };
    let routine = Routine { expire: HOUR, backup: HOUR, backups_kept: 1 };
    let tuning = Tuning { rules, routine, batch: Duration::from_millis(100) };
    let state_dir = dir.path().to_owned();
    engine::EngineSettings { state_dir, layout: Layout::SERVER, discovery: None, tuning }
}

/// Description of a peer as LANrage's client sends it, without the time.
fn peer(id: &str) -> Value {
    json!({
        "peer_id": id, "name": "Ann", "public_key": "a2V5", "nat_type": "open",
        "public_ip": "203.0.113.5", "public_port": 51820,
        "local_ip": "192.168.1.5", "local_port": 51820,
    })
}
