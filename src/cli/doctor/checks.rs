//! Steps from this machine to a working control server.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use jiff::Timestamp;
use lanrage_ipc::model::{Connection, ConnectionState};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::http::Request;

use super::certificate;
use super::exchange::fix_of;
use super::report::{CheckFailure, Finding};
use crate::remote::diagnostics;
use crate::remote::transport::proxy::{Proxies, ProxyUrl};
use crate::remote::transport::ws::{self, WsOpenError};
use crate::remote::transport::{Outgoing, clock_lead, tls};
use crate::server_url::ServerUrl;

/// Limit of the addresses of one name that are tried.
const MOST_ADDRESSES: usize = 16;
/// Tolerated difference of two clocks, in seconds.
const CLOCKS: u64 = 60;
/// Remaining days below which a certificate is reported: renewal should happen before.
const FEW_DAYS: i64 = 14;

const PROXY_FIX: &str = "correct the proxy (--proxy here, remote.proxy for the daemon), or have it \
                         let this machine connect to the server; the daemon does not tell its \
                         login, give that by --proxy http://USER:PASSWORD@HOST:PORT";

/// State of the check, after the steps so far.
pub(super) struct ServerProbe {
    pub(super) url: ServerUrl,
    /// Time limit of a step.
    pub(super) patience: Duration,
    pub(super) proxies: Arc<Proxies>,
    addresses: Vec<SocketAddr>,
    /// First address that accepted a connection.
    address: Option<SocketAddr>,
    pub(super) tls: Option<Arc<ClientConfig>>,
    /// True after something that calls itself a control server has answered.
    pub(super) is_met: bool,
    /// Lead of the server's clock over this machine's, in seconds, if the server states its time.
    clock_ahead: Option<i64>,
}

type Found = Result<Finding<()>, CheckFailure>;

impl ServerProbe {
    pub(super) fn new(url: ServerUrl, patience: Duration, proxies: Proxies) -> Self {
        Self {
            url,
            patience,
            proxies: Arc::new(proxies),
            addresses: Vec::new(),
            address: None,
            tls: None,
            is_met: false,
            clock_ahead: None,
        }
    }

    /// Returns the next hop: the server, or the proxy on the way.
    fn next_hop(&self) -> &ServerUrl {
        self.proxies.to(&self.url).map_or(&self.url, ProxyUrl::address)
    }

    /// Resolves the name of the next hop.
    pub(super) async fn resolve(&mut self) -> Found {
        let fix = "correct the host in the server's URL, or see to this machine's network and DNS";
        let (host, port) = self.next_hop().host_and_port();
        let looked_up =
            self.within("finding the address of", tokio::net::lookup_host((host, port)));
        let found = looked_up.await.map_err(|late| CheckFailure::new(late, fix))?;
        let found = found.map_err(|error| {
            CheckFailure::new(diagnostics::unresolved(&error, self.next_hop()), fix)
        })?;
        for address in found.take(MOST_ADDRESSES) {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        if self.addresses.is_empty() {
            return Err(CheckFailure::new("the name has no address", fix));
        }
        let addresses: Vec<_> = self.addresses.iter().map(|found| found.ip().to_string()).collect();
        Ok(good(addresses.join(", ")))
    }

    /// Connects to every address.
    pub(super) async fn connect(&mut self) -> Found {
        let patience = self.patience;
        let attempts = self.addresses.iter().map(|&address| async move {
            match timeout(patience, TcpStream::connect(address)).await {
                Ok(Ok(_)) => Ok(address),
                Ok(Err(error)) => Err(format!("{address}: {error}")),
                Err(_) => Err(format!("{address}: no answer within {} s", patience.as_secs_f64())),
            }
        });
        let tried = join_all(attempts).await;
        self.address = tried.iter().find_map(|tried| tried.as_ref().ok()).copied();
        let words = tried.into_iter().map(|tried| match tried {
            Ok(address) => format!("{address} connects"),
            Err(words) => words,
        });
        let words = words.collect::<Vec<_>>().join("; ");
        match self.address {
            Some(_) => Ok(good(words)),
            None => {
                let fix = match self.proxies.to(&self.url) {
                    Some(_) => PROXY_FIX,
                    None => {
                        "start the server there, open its port in the firewalls on the way, or \
                         correct the port in its URL"
                    }
                };
                Err(CheckFailure::new(words, fix))
            }
        }
    }

    /// Performs the TLS handshake, if the URL requires one, and prepares HTTP.
    pub(super) async fn secure(&mut self, ca_file: Option<&Path>) -> Found {
        let config = tls::client_config(ca_file).map_err(|error| {
            CheckFailure::new(
                error.to_string(),
                "correct --ca-file here, or remote.ca_file for the daemon",
            )
        })?;
        self.tls = Some(config.clone());
        if !self.url.is_secure() {
            return Ok(Finding::Skipped("not spoken: the URL starts with http://".to_owned()));
        }
        let fix = "give the server a certificate for the host in its URL; if it is of your own \
                   authority, trust that: --ca-file here, remote.ca_file for the daemon";
        let failure = |words| CheckFailure::new(words, fix);
        let (host, _) = self.url.host_and_port();
        let name = ServerName::try_from(host)
            .map_err(|error| failure(format!("no certificate can be for that host: {error}")))?;
        let address = self.address.ok_or_else(|| failure("no address connects".to_owned()))?;
        let tunnel = async {
            let mut stream = TcpStream::connect(address)
                .await
                .map_err(|error| diagnostics::failure(&error, self.next_hop()))?;
            if let Some(proxy) = self.proxies.to(&self.url) {
                proxy.tunnel(&mut stream, &self.url).await.map_err(|loss| loss.words)?;
            }
            Ok::<_, String>(stream)
        };
        let stream = self.within("connecting to", tunnel).await.map_err(failure)?;
        let stream = stream.map_err(|words| CheckFailure::new(words, PROXY_FIX))?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = self.within("the TLS handshake with", handshake).await.map_err(failure)?;
        let stream = stream.map_err(|error| failure(diagnostics::failure(&error, &self.url)))?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let ends = shown.and_then(|certificate| certificate::not_after(certificate));
        Ok(good(ends.map_or_else(|| "a trusted certificate".to_owned(), certificate_words)))
    }

    /// Requests the server's description.
    pub(super) async fn greet(&mut self) -> Found {
        let asked = Timestamp::now();
        let answer = self.ask(Request::get(self.url.route(&[""]).as_str())).await?;
        let service = answer.body["service"].as_str().unwrap_or_default();
        if answer.status != StatusCode::OK || !service.to_lowercase().contains("control plane") {
            return Err(CheckFailure::new(self.refused(&answer), fix_of(answer.status)));
        }
        self.is_met = true;
        let date = diagnostics::date(&answer.headers);
        self.clock_ahead = date.map(|date| clock_lead(date, [asked, Timestamp::now()]));
        let program = answer.body["server"].as_str().or(answer.body["version"].as_str());
        Ok(good(match program {
            Some(program) => {
                format!("{} ({})", diagnostics::shown(service), diagnostics::shown(program))
            }
            None => diagnostics::shown(service),
        }))
    }

    /// Compares the server's clock with this machine's.
    pub(super) fn compare_clocks(&self) -> Found {
        let Some(ahead) = self.clock_ahead else {
            return Ok(Finding::Skipped("the server does not tell the time".to_owned()));
        };
        let words = match (ahead.unsigned_abs(), ahead > 0) {
            (seconds @ 0..=1, _) => format!("{seconds} s apart"),
            (seconds, true) => format!("the server's is {seconds} s ahead of this machine's"),
            (seconds, false) => format!("the server's is {seconds} s behind this machine's"),
        };
        if ahead.unsigned_abs() < CLOCKS {
            return Ok(good(words));
        }
        Err(CheckFailure::new(
            words,
            "set both clocks right, best by NTP: peers look silent otherwise",
        ))
    }

    /// Sends an incomplete registration. It changes nothing, and the server answers with the
    /// missing fields.
    pub(super) async fn register(&self) -> Found {
        let route = self.url.route(&["auth", "register"]);
        let question = Request::post(route.as_str()).header(CONTENT_LENGTH, 0);
        let answer = self.ask(question).await?;
        match (answer.status, &answer.body["detail"]) {
            (StatusCode::UNPROCESSABLE_ENTITY, Value::Array(_)) => {
                Ok(good("a registration's request arrives".to_owned()))
            }
            (StatusCode::TOO_MANY_REQUESTS, Value::String(_)) => {
                Ok(good("a registration's request arrives: there are too many".to_owned()))
            }
            _ => {
                let fix = "see whether a proxy in front of the server passes POST requests on, and \
                           what the server logs";
                Err(CheckFailure::new(self.refused(&answer), fix))
            }
        }
    }

    /// Opens a WebSocket as the daemon does.
    pub(super) async fn upgrade(&self) -> Found {
        let endpoint = self.endpoint()?;
        match ws::open(&endpoint).await {
            Ok(transport) => {
                // Dropping the transport closes it in any case.
                transport.outgoing.try_send(Outgoing::Close).ok();
                Ok(good("WebSocket".to_owned()))
            }
            Err(WsOpenError::NoWebSocket(loss)) => {
                Ok(good(format!("no WebSocket: the daemon will poll over HTTP ({})", loss.words)))
            }
            Err(WsOpenError::Lost(loss)) => {
                let fix = "let the proxy in front of the server pass WebSockets on, or poll: \
                           remote.transport = \"http\" for the daemon";
                Err(CheckFailure::new(loss.words, fix))
            }
        }
    }

    /// Sends an unknown token: the answer shows if tokens reach the server.
    pub(super) async fn show_token(&self, connection: Option<&Connection>) -> Found {
        let fix = "see whether a proxy in front of the server takes requests for its own";
        let mut random = [0; 32];
        getrandom::fill(&mut random)
            .map_err(|error| CheckFailure::new(format!("no random bytes: {error}"), "try again"))?;
        let token = BASE64_URL_SAFE_NO_PAD.encode(random);
        let question = Request::get(self.url.route(&["relays"]).as_str())
            .header(AUTHORIZATION, format!("Bearer {token}"));
        let answer = self.ask(question).await?;
        match (answer.status, answer.body["detail"].as_str()) {
            (StatusCode::UNAUTHORIZED, Some("Invalid or expired token")) => {}
            (StatusCode::UNAUTHORIZED, Some("Missing authorization header")) => {
                let words = "the server never sees the token that it is shown";
                let fix = "let the proxy in front of it pass the header Authorization on";
                return Err(CheckFailure::new(words, fix));
            }
            (StatusCode::UNAUTHORIZED, Some("Invalid authorization format")) => {
                let words = "the server sees another token than the one that it is shown";
                let fix = "keep the proxy in front of it from changing the header Authorization";
                return Err(CheckFailure::new(words, fix));
            }
            (status, _) if status.is_success() => {
                let words = format!("a made-up token is taken for a good one ({status})");
                return Err(CheckFailure::new(words, "put no cache in front of the server"));
            }
            _ => return Err(CheckFailure::new(self.refused(&answer), fix)),
        }
        match connection {
            Some(connection) if self.is_shut_out(connection) => {
                let why = connection.last_error.as_deref().unwrap_or("it does not say why");
                let words =
                    format!("the server does not let the daemon in: {}", diagnostics::shown(why));
                let fix = "mend that, then tell the daemon: `lanragectl connection retry`";
                Err(CheckFailure::new(words, fix))
            }
            _ => Ok(good("a made-up token is refused, as it should be".to_owned())),
        }
    }

    /// True if the daemon has given up at this very server.
    fn is_shut_out(&self, connection: &Connection) -> bool {
        let followed = connection.server_url.as_deref().and_then(|url| url.parse().ok());
        connection.state == ConnectionState::AuthFailed && followed.as_ref() == Some(&self.url)
    }

    /// Waits for a future, up to the time limit of a step. `named` has the form that
    /// [`diagnostics::late`] needs.
    pub(super) async fn within<T>(
        &self,
        named: &str,
        work: impl Future<Output = T>,
    ) -> Result<T, String> {
        let late = |_| diagnostics::late(named, self.patience, &self.url);
        timeout(self.patience, work).await.map_err(late)
    }
}

fn good(words: String) -> Finding<()> {
    Finding::Good((), words)
}

fn certificate_words(ends: Timestamp) -> String {
    let days = ends.duration_since(Timestamp::now()).as_hours() / 24;
    let soon = if days < FEW_DAYS { ": renew it soon" } else { "" };
    format!("a trusted certificate, valid for {days} days until {}{soon}", ends.strftime("%F"))
}
