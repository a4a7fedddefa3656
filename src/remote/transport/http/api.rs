//! Calls of the server's routes, with retries of idempotent requests.

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
use super::api_error::{ApiError, Cause};
use super::client::HttpClient;
use crate::core::RelayInput;
use crate::remote::diagnostics;
use crate::server_url::ServerUrl;

/// Longest response body that is read, in bytes.
pub(super) const LONGEST_BODY: usize = 1024 * 1024;

/// Upper bound of the attempts at a request.
const MOST_ATTEMPTS: u32 = 4;

/// Longest backoff before the second attempt; it doubles with each further attempt.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);

/// Body of a 500 of LANrage's own server after an unhandled exception. It is the only one that is
/// not JSON.
const UNHANDLED_EXCEPTION: &[u8] = b"Internal Server Error";

/// Client of a control server's HTTP routes. Clones share their connections.
///
/// It follows no redirect, because a token is for one server alone. It uses the same proxy as the
/// WebSocket transport.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    client: HttpClient,
    url: ServerUrl,
    request_timeout: Duration,
    /// True if the server supports idempotency keys.
    has_idempotency_keys: bool,
    /// True if the server supports claim secrets, which make a registration repeatable.
    has_claims: bool,
}

/// Token of a peer, as a registration returns it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    /// Text of the token.
    pub(crate) token: Secret,
    /// Expiry by the server's clock, where the server states it.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Request to a route.
#[derive(Debug, Clone)]
pub(super) struct ApiRequest {
    method: Method,
    url: Url,
    /// JSON text of the body.
    body: Option<String>,
    /// Bearer token.
    token: Option<Secret>,
    idempotency_key: Option<IdempotencyKey>,
    /// Claim secret of a registration.
    claim: Option<Secret>,
    /// True for a request that is idempotent even without a key.
    is_idempotent: bool,
    /// True for the request for the service description, which any program may refuse.
    is_discovery: bool,
}

/// Response with a status of success.
#[derive(Debug)]
pub(super) struct ApiResponse {
    /// Whole body.
    pub(super) body: Vec<u8>,
    /// Time of issue, by the server's clock.
    pub(super) date: Option<Timestamp>,
    /// Error message for a body that is not a control server's.
    unexpected: String,
}

impl Api {
    /// Creates a client of a server.
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let client = HttpClient::new(endpoint);
        let (url, request_timeout) = (endpoint.url.clone(), endpoint.request_timeout);
        let (has_idempotency_keys, has_claims) = (false, false);
        Self { client, url, request_timeout, has_idempotency_keys, has_claims }
    }

    /// Registers a peer id. With `proof`, a token of this peer, it renews the token; the old one
    /// stays valid. Without `proof`, the claim secret makes the registration repeatable. The key is
    /// sent with a renewal only: the server then reports an invalid token.
    ///
    /// # Errors
    /// An [`ApiError`] for an id of another owner, or a server that does not respond.
    pub(crate) async fn register_peer(
        &self,
        peer_id: &PeerId,
        proof: Option<&Secret>,
        claim: Option<&Secret>,
        key: Option<&ReqId>,
    ) -> Result<Token, ApiError> {
        let mut url = self.url.route(&["auth", "register"]);
        url.query_pairs_mut().append_pair("peer_id", peer_id.as_str());
        let request = ApiRequest {
            method: Method::POST,
            url,
            body: None,
            token: proof.cloned(),
            idempotency_key: None,
            claim: claim.cloned(),
            // Without proof or secret, a repetition conflicts with the first registration.
            is_idempotent: proof.is_some(),
            is_discovery: false,
        };
        let response = self.send(&request.with_key(key.filter(|_| proof.is_some()))).await?;
        let TokenAnswer { token, expires_at } = response.decode(TokenAnswer::from_json)?;
        Ok(Token { token, expires_at })
    }

    /// Revokes all tokens of a peer, including `token`. Returns their number, or 0 where the server
    /// does not state it.
    ///
    /// # Errors
    /// An [`ApiError`] if the server does not support this, or does not respond.
    pub(crate) async fn revoke(&self, token: &Secret) -> Result<u64, ApiError> {
        let mut request = self.delete(&["auth", "tokens"]).with_token(token.clone());
        request.url.query_pairs_mut().append_pair("all", "true");
        let response = self.send(&request).await?;
        Ok(RevokedAnswer::from_json(&response.body).map_or(0, |answer| answer.revoked))
    }

    /// Registers a relay with the token of a peer, or with the server's relay key.
    ///
    /// # Errors
    /// An [`ApiError`] for a relay of another owner, or a server that does not respond.
    pub(crate) async fn register_relay(
        &self,
        token: &Secret,
        relay: &RelayInput,
    ) -> Result<(), ApiError> {
        let RelayInput { relay_id, public_ip, port, region, capacity } = relay.clone();
        let body = RelayBody { relay_id, public_ip, port, region, capacity };
        let request = self.post(&["relays"]).with_body(&body)?.idempotent();
        self.send(&request.with_token(token.clone())).await.map(drop)
    }

    /// Requests the service description, and notes the features that the server supports. Returns
    /// the time of the response, by the server's clock.
    pub(super) async fn discover(&mut self) -> Result<Option<Timestamp>, ApiError> {
        let (service, date) = self.service().await?;
        self.has_idempotency_keys = service.idempotency_key;
        self.has_claims = service.claim;
        Ok(date)
    }

    /// Requests the service description, which shows that a control server responds.
    pub(super) async fn service(&self) -> Result<(ServiceAnswer, Option<Timestamp>), ApiError> {
        // With a trailing slash, which a server below a path may require.
        let response = self.send(&ApiRequest { is_discovery: true, ..self.get(&[""]) }).await?;
        let service = response.decode(ServiceAnswer::from_json);
        let service = service.map_err(|_| ApiError::malformed(&response.unexpected))?;
        Ok((service, response.date))
    }

    pub(super) fn get(&self, segments: &[&str]) -> ApiRequest {
        self.request(Method::GET, segments).idempotent()
    }

    pub(super) fn delete(&self, segments: &[&str]) -> ApiRequest {
        self.request(Method::DELETE, segments).idempotent()
    }

    pub(super) fn post(&self, segments: &[&str]) -> ApiRequest {
        self.request(Method::POST, segments)
    }

    fn request(&self, method: Method, segments: &[&str]) -> ApiRequest {
        let url = self.url.route(segments);
        let (body, token, idempotency_key, claim, is_idempotent, is_discovery) = Default::default();
        ApiRequest { method, url, body, token, idempotency_key, claim, is_idempotent, is_discovery }
    }

    /// Sends a request. Retries it while the error is retryable, for twice the request timeout.
    pub(super) async fn send(&self, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let deadline = Instant::now() + self.request_timeout * 2;
        let is_idempotent = request.is_idempotent
            || self.has_idempotency_keys && request.idempotency_key.is_some()
            || self.has_claims && request.claim.is_some();
        let mut attempt = 1;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let sent = self.send_once(request, left.min(self.request_timeout)).await;
            let Err(error) = sent else { return sent };
            let backoff = backoff(attempt).max(error.retry_after.unwrap_or_default());
            let is_late = deadline.saturating_duration_since(Instant::now()) <= backoff;
            if attempt == MOST_ATTEMPTS || is_late || !error.is_retryable(is_idempotent) {
                return Err(error);
            }
            log::debug!("request is retried: {} {} {error}", request.method, request.url.path());
            tokio::time::sleep(backoff).await;
            attempt += 1;
        }
    }

    /// Sends a request once, for `limit` at most. Converts any other status than success to an
    /// error.
    async fn send_once(
        &self,
        request: &ApiRequest,
        limit: Duration,
    ) -> Result<ApiResponse, ApiError> {
        let (status, headers, body) = timeout(limit, self.exchange(request.to_http()?))
            .await
            .map_err(|_| ApiError::timed_out(self.request_timeout, &self.url))??;
        let Loss { words, retry_after, is_final, .. } = diagnostics::refusal(
            status,
            &headers,
            &self.url,
            Timestamp::now(),
            !request.is_discovery,
        );
        if status.is_success() {
            return Ok(ApiResponse { body, date: diagnostics::date(&headers), unexpected: words });
        }
        let detail = answers::detail(&body);
        let is_own = detail.is_some() || status == 500 && body == UNHANDLED_EXCEPTION;
        if !is_own && !request.is_discovery {
            return Err(ApiError { retry_after, ..ApiError::foreign(words) });
        }
        // A 401 to a request without a token demands a login that this daemon cannot get.
        if is_final && (request.token.is_none() || status != StatusCode::UNAUTHORIZED) {
            return Err(ApiError::new(ErrorCode::PermissionDenied, words, Cause::AccessDenied));
        }
        // A detail that only repeats the status, as web frameworks send it, adds nothing.
        let detail = detail.filter(|detail| Some(&**detail) != status.canonical_reason());
        let message = match detail.map(|detail| diagnostics::shown(&detail)) {
            Some(detail) if request.is_discovery => format!("{words}; it says “{detail}”"),
            Some(detail) => detail,
            None => words,
        };
        let code = headers.get(ERROR_CODE).and_then(|code| ErrorCode::of_text(code.to_str().ok()?));
        let error = ApiError::from_status(status, code, &message);
        Err(ApiError { retry_after, ..error })
    }

    /// Sends a request, and reads the whole response.
    async fn exchange(
        &self,
        request: Request<String>,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), ApiError> {
        let response = self.client.exchange(request, LONGEST_BODY).await;
        let response = response.map_err(|error| ApiError::from_exchange(error, &self.url))?;
        if response.2.len() > LONGEST_BODY {
            let message = format!("the server's answer passes {LONGEST_BODY} bytes");
            return Err(ApiError::malformed(message));
        }
        Ok(response)
    }
}

impl ApiRequest {
    /// Converts the request to one for the HTTP client.
    fn to_http(&self) -> Result<Request<String>, ApiError> {
        let mut request = Request::builder().method(&self.method).uri(self.url.as_str());
        request = request.header(header::ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(key) = &self.idempotency_key {
            request = request.header(IDEMPOTENCY_KEY, key.to_value());
        }
        if let Some(claim) = &self.claim {
            request = request.header(CLAIM, claim.expose());
        }
        if self.body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        } else if self.method == Method::POST {
            // HTTP/1.0, which proxies use with servers, requires a length even of an empty body.
            request = request.header(header::CONTENT_LENGTH, 0);
        }
        let body = self.body.clone().unwrap_or_default();
        request.body(body).map_err(|error| ApiError::malformed(format!("no HTTP request: {error}")))
    }

    /// Sets the JSON body.
    pub(super) fn with_body(mut self, body: &impl Serialize) -> Result<Self, ApiError> {
        let text = serde_json::to_string(body);
        let text = text.map_err(|error| ApiError::malformed(format!("no JSON: {error}")))?;
        self.body = Some(text);
        Ok(self)
    }

    /// Sets the bearer token.
    pub(super) fn with_token(mut self, token: Secret) -> Self {
        self.token = Some(token);
        self
    }

    /// Sets the idempotency key, if there is one that is valid in a header.
    pub(super) fn with_key(mut self, key: Option<&ReqId>) -> Self {
        self.idempotency_key = key.and_then(|req_id| IdempotencyKey::new(req_id.key()));
        self
    }

    /// Marks the request as idempotent without a key.
    pub(super) fn idempotent(mut self) -> Self {
        self.is_idempotent = true;
        self
    }
}

impl ApiResponse {
    /// Decodes the body.
    pub(super) fn decode<T>(
        &self,
        decode: impl FnOnce(&[u8]) -> Result<T, BadAnswer>,
    ) -> Result<T, ApiError> {
        decode(&self.body).map_err(|error| match error.is_foreign() {
            true => ApiError::foreign(&self.unexpected),
            false => {
                ApiError::malformed(format!("the server's answer can't be understood: {error}"))
            }
        })
    }
}

/// Returns the backoff after a number of attempts, with jitter, so that clients do not retry in
/// step.
fn backoff(attempts: u32) -> Duration {
    let most = FIRST_BACKOFF * 2_u32.pow(attempts.min(MOST_ATTEMPTS) - 1);
    // Without random numbers there is no jitter.
    let share = getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX));
    most.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_grows_within_its_bounds() {
        for (attempts, most) in [(1, 200), (2, 400), (3, 800), (4, 1600), (99, 1600)] {
            let backoff = backoff(attempts).as_millis();
            assert!((most / 2..=most).contains(&backoff), "{attempts}: {backoff}");
        }
    }
}
