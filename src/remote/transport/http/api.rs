//! The server's routes: one request and its answer, made again where that does no harm.

use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ReqId, Secret};
use lanrage_ipc::http::answers::{self, BadAnswer, RevokedAnswer, ServiceAnswer, TokenAnswer};
use lanrage_ipc::http::{CLAIM, ERROR_CODE, IDEMPOTENCY_KEY, IdempotencyKey, RelayBody};
use lanrage_ipc::model::PeerId;
use reqwest::header::{self, HeaderMap};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::http::Request;
use url::Url;

use super::super::{Endpoint, Loss};
use super::client::HttpClient;
use super::refused::{Cause, Refused};
use crate::core::RelayInput;
use crate::remote::diagnostics;
use crate::server_url::ServerUrl;

/// The longest answer that is read, in bytes.
pub(super) const LONGEST_ANSWER: usize = 1024 * 1024;

/// Attempts at a request.
const ATTEMPTS: u32 = 4;

/// Longest wait before the second attempt; each further one waits twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Body of LANrage's own server's answer where a request failed in it: the one that is no JSON.
const UNHANDLED: &[u8] = b"Internal Server Error";

/// A control server's HTTP routes. Clones share their connections.
///
/// It follows no redirect, because a token is for one server alone. Its proxy is that of the
/// WebSocket.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: HttpClient,
    url: ServerUrl,
    request_timeout: Duration,
    /// True if the server knows idempotency keys.
    knows_names: bool,
    /// True if the server lets a claim be repeated with its secret.
    knows_claims: bool,
}

/// Token of a peer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    /// Its text.
    pub(crate) token: Secret,
    /// Until when it is good by the server's clock, where the server tells.
    pub(crate) expires_at: Option<Timestamp>,
}

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Question {
    method: Method,
    url: Url,
    /// JSON text of the body.
    body: Option<String>,
    bearer: Option<Secret>,
    /// Idempotency key.
    name: Option<IdempotencyKey>,
    /// Claim secret of a registration.
    claim: Option<Secret>,
    /// True for an idempotent request, with or without a key.
    repeatable: bool,
    /// True for the question what answers there: any program may refuse it.
    is_greeting: bool,
}

/// An answer of a status that is good.
#[derive(Debug)]
pub(super) struct Answer {
    /// All of its body.
    pub(super) body: Vec<u8>,
    /// Time of issue, by the server's clock.
    pub(super) date: Option<Timestamp>,
    /// Message for an answer that makes no sense.
    otherwise: String,
}

impl Api {
    /// Of a server.
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let client = HttpClient::new(endpoint);
        let (url, request_timeout) = (endpoint.url.clone(), endpoint.request_timeout);
        Self { client, url, request_timeout, knows_names: false, knows_claims: false }
    }

    /// Takes a peer id, or takes it again with the token that proves it: the old one stays good.
    /// Without one, a claim may be repeated with its secret. A name has the server say that the
    /// token is of no use.
    ///
    /// # Errors
    /// An id of another owner, or a server that does not answer.
    pub(crate) async fn register_peer(
        &self,
        peer_id: &PeerId,
        proof: Option<&Secret>,
        claim: Option<&Secret>,
        name: Option<&ReqId>,
    ) -> Result<Token, Refused> {
        let mut url = self.url.route(&["auth", "register"]);
        url.query_pairs_mut().append_pair("peer_id", peer_id.as_str());
        let question = Question {
            method: Method::POST,
            url,
            body: None,
            bearer: proof.cloned(),
            name: None,
            claim: claim.cloned(),
            // Without proof or secret the first one would stand in the second one's way.
            repeatable: proof.is_some(),
            is_greeting: false,
        };
        let answer = self.ask(&question.named(name.filter(|_| proof.is_some()))).await?;
        let TokenAnswer { token, expires_at } = answer.read(TokenAnswer::from_json)?;
        Ok(Token { token, expires_at })
    }

    /// Ends all tokens of a peer, the one that is shown too. Returns their number, or none where
    /// the server does not tell it.
    ///
    /// # Errors
    /// A [`Refused`] if the server can't, or does not answer.
    pub(crate) async fn revoke(&self, bearer: &Secret) -> Result<u64, Refused> {
        let mut question = self.delete(&["auth", "tokens"]).bearing(bearer.clone());
        question.url.query_pairs_mut().append_pair("all", "true");
        let answer = self.ask(&question).await?;
        Ok(RevokedAnswer::from_json(&answer.body).map_or(0, |answer| answer.revoked))
    }

    /// Registers a relay as a peer, or as whoever has the server's relay key.
    ///
    /// # Errors
    /// A relay of another owner, or a server that does not answer.
    pub(crate) async fn register_relay(
        &self,
        bearer: &Secret,
        relay: &RelayInput,
    ) -> Result<(), Refused> {
        let RelayInput { relay_id, public_ip, port, region, capacity } = relay.clone();
        let body = RelayBody { relay_id, public_ip, port, region, capacity };
        let question = self.post(&["relays"]).body(&body)?.repeatable().bearing(bearer.clone());
        self.ask(&question).await.map(drop)
    }

    /// Asks the server whether it is one, and learns what it knows: when it answered by its own
    /// clock.
    pub(super) async fn meet(&mut self) -> Result<Option<Timestamp>, Refused> {
        let (service, date) = self.greet().await?;
        self.knows_names = service.idempotency_key;
        self.knows_claims = service.claim;
        Ok(date)
    }

    /// Asks the server whether it is one.
    pub(super) async fn greet(&self) -> Result<(ServiceAnswer, Option<Timestamp>), Refused> {
        // With a slash at its end, which a server below a path may insist on.
        let answer = self.ask(&Question { is_greeting: true, ..self.get(&[""]) }).await?;
        let service = answer.read(ServiceAnswer::from_json);
        let service = service.map_err(|_| Refused::nonsense(&answer.otherwise))?;
        Ok((service, answer.date))
    }

    pub(super) fn get(&self, segments: &[&str]) -> Question {
        self.question(Method::GET, segments).repeatable()
    }

    pub(super) fn delete(&self, segments: &[&str]) -> Question {
        self.question(Method::DELETE, segments).repeatable()
    }

    pub(super) fn post(&self, segments: &[&str]) -> Question {
        self.question(Method::POST, segments)
    }

    fn question(&self, method: Method, segments: &[&str]) -> Question {
        let url = self.url.route(segments);
        let (body, bearer, name, claim, repeatable, is_greeting) = Default::default();
        Question { method, url, body, bearer, name, claim, repeatable, is_greeting }
    }

    /// Asks, and again while that may help and there is time.
    pub(super) async fn ask(&self, question: &Question) -> Result<Answer, Refused> {
        let until = Instant::now() + self.request_timeout * 2;
        let repeatable = question.repeatable
            || self.knows_names && question.name.is_some()
            || self.knows_claims && question.claim.is_some();
        let mut attempt = 1;
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            let asked = self.ask_once(question, patience.min(self.request_timeout)).await;
            let Err(refused) = asked else { return asked };
            let pause = pause(attempt).max(refused.retry_after.unwrap_or_default());
            let is_late = until.saturating_duration_since(Instant::now()) <= pause;
            if attempt == ATTEMPTS || is_late || !refused.may_pass(repeatable) {
                return Err(refused);
            }
            log::debug!("{} {}: again: {refused}", question.method, question.url.path());
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn ask_once(&self, question: &Question, patience: Duration) -> Result<Answer, Refused> {
        let request = question.request()?;
        let (status, headers, body) = timeout(patience, self.exchange(request))
            .await
            .map_err(|_| Refused::late(self.request_timeout, &self.url))??;
        let Loss { words, retry_after, is_final, .. } = diagnostics::refusal(
            status,
            &headers,
            &self.url,
            Timestamp::now(),
            !question.is_greeting,
        );
        if status.is_success() {
            return Ok(Answer { body, date: diagnostics::date(&headers), otherwise: words });
        }
        let said = answers::detail(&body);
        let is_own = said.is_some() || status == 500 && body == UNHANDLED;
        if !is_own && !question.is_greeting {
            return Err(Refused { retry_after, ..Refused::foreign(words) });
        }
        // A request without a token that is refused for a missing login needs one from elsewhere.
        if is_final && (question.bearer.is_none() || status != StatusCode::UNAUTHORIZED) {
            return Err(Refused::new(ErrorCode::PermissionDenied, words, Cause::Barred));
        }
        // A status in words, as frameworks give it, says nothing of its own.
        let said = said.filter(|said| Some(&**said) != status.canonical_reason());
        let message = match said.map(|said| diagnostics::shown(&said)) {
            Some(said) if question.is_greeting => format!("{words}; it says “{said}”"),
            Some(said) => said,
            None => words,
        };
        let told = headers.get(ERROR_CODE).and_then(|code| ErrorCode::of_text(code.to_str().ok()?));
        let refused = Refused::of_status(status, told, &message);
        Err(Refused { retry_after, ..refused })
    }

    /// Sends a request, and reads all of its answer.
    async fn exchange(
        &self,
        request: Request<String>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Refused> {
        let answer = self.client.exchange(request, LONGEST_ANSWER).await;
        let answer = answer.map_err(|fault| Refused::of_fault(fault, &self.url))?;
        if answer.2.len() > LONGEST_ANSWER {
            let message = format!("the server's answer passes {LONGEST_ANSWER} bytes");
            return Err(Refused::nonsense(message));
        }
        Ok(answer)
    }
}

impl Question {
    /// As a request for the HTTP client.
    fn request(&self) -> Result<Request<String>, Refused> {
        let mut request = Request::builder().method(&self.method).uri(self.url.as_str());
        request = request.header(header::ACCEPT, "application/json");
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", bearer.expose()));
        }
        if let Some(name) = &self.name {
            request = request.header(IDEMPOTENCY_KEY, name.to_value());
        }
        if let Some(claim) = &self.claim {
            request = request.header(CLAIM, claim.expose());
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        } else if self.method == Method::POST {
            // HTTP/1.0, which proxies speak with servers, wants a length even of nothing.
            request = request.header(header::CONTENT_LENGTH, 0);
        }
        let body = self.body.clone().unwrap_or_default();
        request.body(body).map_err(|error| Refused::nonsense(format!("no HTTP request: {error}")))
    }

    /// The same with a body.
    pub(super) fn body(mut self, body: &impl Serialize) -> Result<Self, Refused> {
        let text = serde_json::to_string(body);
        let text = text.map_err(|error| Refused::nonsense(format!("no JSON: {error}")))?;
        self.body = Some(text);
        Ok(self)
    }

    /// The same, made for a peer.
    pub(super) fn bearing(mut self, token: Secret) -> Self {
        self.bearer = Some(token);
        self
    }

    /// The same under a name, as far as a header can carry it.
    pub(super) fn named(mut self, name: Option<&ReqId>) -> Self {
        self.name = name.and_then(|name| IdempotencyKey::new(name.key()));
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
        read(&self.body).map_err(|error| match error.is_foreign() {
            true => Refused::foreign(&self.otherwise),
            false => Refused::nonsense(format!("the server's answer can't be understood: {error}")),
        })
    }
}

/// Returns the wait after so many attempts: at random, so that clients do not return at once.
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
    fn pauses_grow_and_stay_within_bounds() {
        for (attempts, most) in [(1, 200), (2, 400), (3, 800), (4, 1600), (99, 1600)] {
            let pause = pause(attempts).as_millis();
            assert!((most / 2..=most).contains(&pause), "{attempts}: {pause}");
        }
    }
}
