//! The server's routes: one request and its answer, made again where that does no harm.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::http::answers::{self, BadAnswer, PartyAnswer, ServiceAnswer, TokenAnswer};
use lanrage_ipc::model::PeerId;
use lanrage_ipc::params::RelayRegisterParams;
use reqwest::header::{self, HeaderMap};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use super::super::Target;
use super::refused::{Cause, Refused};
use crate::server_url::ServerUrl;

/// The longest answer that is read, in bytes.
pub(super) const LONGEST_ANSWER: usize = 1024 * 1024;

/// How often a request is made at most.
const ATTEMPTS: u32 = 4;

/// How long to wait before the second attempt, at most; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Connections that are kept while nothing is asked.
const IDLE_CONNECTIONS: usize = 4;

/// A control server's HTTP routes. Clones share their connections.
///
/// It follows no redirect, because a token is for one server alone. Proxies that the environment
/// names are passed by: the WebSocket knows none either, and what carries the frames must not
/// decide which server is reached.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    url: ServerUrl,
    request_timeout: Duration,
}

/// What proves that a client speaks for a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    /// Its text.
    pub token: Secret,
    /// Until when it is good by the server's clock, where the server tells.
    pub expires_at: Option<Timestamp>,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Question {
    method: Method,
    url: Url,
    body: Option<Value>,
    bearer: Option<Secret>,
    /// Whether it does no more when it is made twice.
    repeatable: bool,
}

/// An answer of a status that is good.
#[derive(Debug)]
pub(super) struct Answer {
    /// All of its body.
    pub(super) body: Vec<u8>,
    /// When the server gave it, by its own clock.
    pub(super) date: Option<Timestamp>,
    is_page: bool,
}

impl Api {
    /// Of a server.
    ///
    /// # Errors
    /// When the TLS settings are of no use.
    pub fn new(target: &Target) -> Result<Self, Refused> {
        let client = Client::builder()
            .tls_backend_preconfigured((*target.tls).clone())
            .user_agent(concat!("lanragectl/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(target.connect_timeout)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build()
            .map_err(|error| Refused::nonsense(format!("no HTTP client: {error}")))?;
        let (url, request_timeout) = (target.url.clone(), target.request_timeout);
        Ok(Self { client, url, request_timeout })
    }

    /// Takes a peer id, or takes it again with the token that proves it: the old one stays good.
    ///
    /// # Errors
    /// When the id is somebody else's, or the server does not answer.
    pub async fn register_peer(
        &self,
        peer_id: &PeerId,
        proof: Option<&Secret>,
    ) -> Result<Token, Refused> {
        let mut url = self.url.route(&["auth", "register"]);
        url.query_pairs_mut().append_pair("peer_id", peer_id.as_str());
        let question = Question {
            method: Method::POST,
            url,
            body: None,
            bearer: proof.cloned(),
            // Without proof the first one would stand in the second one's way.
            repeatable: proof.is_some(),
        };
        let asked = self.ask(&question).await;
        let answer = if proof.is_none() { asked.map_err(barred)? } else { asked? };
        let TokenAnswer { token, expires_at } = answer.read(TokenAnswer::from_json)?;
        Ok(Token { token, expires_at })
    }

    /// Registers a relay as a peer, or as whoever has the server's relay key.
    ///
    /// # Errors
    /// When the relay is somebody else's, or the server does not answer.
    pub async fn register_relay(
        &self,
        bearer: &Secret,
        relay: &RelayRegisterParams,
    ) -> Result<(), Refused> {
        let question =
            self.post(&["relays"], Some(json!(relay))).repeatable().bearing(bearer.clone());
        self.ask(&question).await.map(drop)
    }

    /// Asks the server whether it is one: when it answered by its own clock.
    pub(super) async fn greet(&self) -> Result<Option<Timestamp>, Refused> {
        // With a slash at its end, which a server below a path may insist on.
        let answer = self.ask(&self.get(&[""])).await.map_err(barred)?;
        answer.read(ServiceAnswer::from_json).map_err(|refused| {
            let message = format!("{} is not a control server: {refused}", self.url);
            Refused::nonsense(message)
        })?;
        Ok(answer.date)
    }

    pub(super) fn get(&self, segments: &[&str]) -> Question {
        self.question(Method::GET, segments).repeatable()
    }

    pub(super) fn delete(&self, segments: &[&str]) -> Question {
        self.question(Method::DELETE, segments).repeatable()
    }

    pub(super) fn post(&self, segments: &[&str], body: Option<Value>) -> Question {
        Question { body, ..self.question(Method::POST, segments) }
    }

    fn question(&self, method: Method, segments: &[&str]) -> Question {
        let url = self.url.route(segments);
        Question { method, url, body: None, bearer: None, repeatable: false }
    }

    /// Asks, and again while that may help and there is time.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Refused> {
        let until = Instant::now() + self.request_timeout * 2;
        let mut attempt = 1;
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            let asked = self.ask_once(question, patience.min(self.request_timeout)).await;
            let Err(refused) = asked else { return asked };
            let pause = pause(attempt).max(refused.retry_after.unwrap_or_default());
            let is_late = until.saturating_duration_since(Instant::now()) <= pause;
            if attempt == ATTEMPTS || is_late || !refused.may_pass(question.repeatable) {
                return Err(refused);
            }
            log::debug!("{} {}: again: {refused}", question.method, question.url.path());
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn ask_once(&self, question: &Question, patience: Duration) -> Result<Answer, Refused> {
        let broken = |error: reqwest::Error| Refused::of_transport(&error, &self.host());
        let mut request = self.client.request(question.method.clone(), question.url.clone());
        request = request.timeout(patience).header(header::ACCEPT, "application/json");
        if let Some(bearer) = &question.bearer {
            request = request.bearer_auth(bearer.expose());
        }
        if let Some(body) = &question.body {
            request = request.header(header::CONTENT_TYPE, "application/json");
            request = request.body(body.to_string());
        }
        let mut response = request.send().await.map_err(broken)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() {
            return Err(self.redirected(&headers));
        }
        let body = self.body(&mut response).await?;
        let date = text(&headers, header::DATE).and_then(|date| rfc2822::parse(date).ok());
        let date = date.map(|date| date.timestamp());
        if status.is_success() {
            let media_type = text(&headers, header::CONTENT_TYPE).unwrap_or_default();
            let is_page = media_type.to_ascii_lowercase().starts_with("text/html");
            return Ok(Answer { body, date, is_page });
        }
        let refused = Refused::of_status(status, answers::detail(&body));
        let retry_after = text(&headers, header::RETRY_AFTER);
        Err(Refused { retry_after: retry_after.and_then(|it| wait(it, date)), ..refused })
    }

    /// All of a body, unless it is too long.
    async fn body(&self, response: &mut Response) -> Result<Vec<u8>, Refused> {
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| Refused::of_transport(&error, &self.host()))?;
            let Some(chunk) = chunk else { return Ok(body) };
            if body.len() + chunk.len() > LONGEST_ANSWER {
                let message = format!("the server's answer passes {LONGEST_ANSWER} bytes");
                return Err(Refused::nonsense(message));
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn redirected(&self, headers: &HeaderMap) -> Refused {
        let to = text(headers, header::LOCATION).unwrap_or("elsewhere");
        let message = format!(
            "{} sends its visitors on to {to:.200}, and tokens are for one server alone: set the \
             server's own address as server_url",
            self.url
        );
        Refused::new(ErrorCode::ServerRejected, message, Cause::Nonsense)
    }

    fn host(&self) -> String {
        let (host, port) = self.url.host_and_port();
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl Question {
    /// The same, made for a peer.
    pub(super) fn bearing(mut self, token: Secret) -> Self {
        self.bearer = Some(token);
        self
    }

    /// The same, which does no more when it is made twice.
    pub(super) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }
}

impl Answer {
    /// Its body.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&[u8]) -> Result<T, BadAnswer>,
    ) -> Result<T, Refused> {
        read(&self.body).map_err(|error| match self.is_page {
            true => Refused::nonsense("it answered with a web page"),
            false => Refused::nonsense(format!("its answer can't be understood: {error}")),
        })
    }

    /// As a party.
    pub(super) fn party(&self) -> Result<PartyAnswer, Refused> {
        let party = self.read(PartyAnswer::from_json)?;
        for rejected in &party.rejected {
            log::warn!("party {}: a member is left out: {}", party.party_id, rejected.reason);
        }
        Ok(party)
    }
}

/// Where no token is needed, who asks for one lets nobody in who has none from elsewhere.
fn barred(refused: Refused) -> Refused {
    match refused.is_status(401) {
        true => Refused { cause: Cause::Barred, ..refused },
        false => refused,
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// How long a `Retry-After` says to wait: seconds, or until a date by the server's clock.
fn wait(text: &str, date: Option<Timestamp>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = rfc2822::parse(text).ok()?.timestamp();
    let now = date.unwrap_or_else(Timestamp::now);
    Duration::try_from(until.duration_since(now)).ok()
}

/// How long to wait after so many attempts: at random, so that not all come back at once.
fn pause(attempts: u32) -> Duration {
    let most = FIRST_PAUSE * 2_u32.pow(attempts.min(ATTEMPTS) - 1);
    // Where the system gives no random numbers all wait equally long.
    let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    most.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_in_seconds_or_by_a_date() {
        let date = "2026-11-22T12:00:00Z".parse().ok();
        let seconds = |text| wait(text, date).map(|wait| wait.as_secs());
        assert_eq!(seconds("7"), Some(7));
        assert_eq!(seconds("Sun, 22 Nov 2026 12:00:30 GMT"), Some(30));
        assert_eq!(seconds("Sun, 22 Nov 2026 11:00:00 GMT"), None);
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn pauses_grow_and_stay_within_bounds() {
        for (attempts, most) in [(1, 200), (2, 400), (3, 800), (4, 1600), (99, 1600)] {
            let pause = pause(attempts).as_millis();
            assert!((most / 2..=most).contains(&pause), "{attempts}: {pause}");
        }
    }
}
