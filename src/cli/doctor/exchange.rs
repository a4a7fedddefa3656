//! HTTP requests to the server, as the daemon makes them.

use jiff::Timestamp;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, HeaderMap};
use serde_json::Value;
use tokio_tungstenite::tungstenite::http::request::Builder;

use super::checks::ServerProbe;
use super::report::CheckFailure;
use crate::remote::diagnostics::{self, HttpError};
use crate::remote::transport::http::{ExchangeError, HttpClient};
use crate::remote::transport::{Endpoint, TransportKind};
use crate::server_url::ServerUrl;

/// Limit of the part of an answer that is read, in bytes: a control server's description is
/// shorter.
const MOST_BYTES: usize = 64 * 1024;

const URL_FIX: &str = "correct the server's URL: its host, its port and its path";

const SERVER_FIX: &str = "see whether the control server runs, and what it logs; a proxy in front \
                          of it may not reach it";

/// HTTP answer.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// `null` if it is not JSON.
    pub(super) body: Value,
}

impl ServerProbe {
    /// Sends a request on its own connection, and reads the answer up to the limit.
    pub(super) async fn ask(&self, request: Builder) -> Result<Answer, CheckFailure> {
        let request = request.header(ACCEPT, "application/json").body(String::new());
        let request = request.map_err(|error| {
            CheckFailure::new(format!("no HTTP request: {error}"), "report this")
        })?;
        let late = |words| {
            let fix = "see whether a control server is at that port, and what it logs; --timeout \
                       waits longer";
            CheckFailure::new(words, fix)
        };
        let client = HttpClient::new(&self.endpoint()?);
        let exchange = client.exchange(request, MOST_BYTES);
        let answer = self.within("the answer of", exchange).await.map_err(late)?;
        let (status, headers, body) = answer.map_err(|error| {
            CheckFailure::new(error.message(&self.url), fix_of_error(&error, &self.url))
        })?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Answer { status, headers, body })
    }

    /// Returns the server for the daemon's transports.
    pub(super) fn endpoint(&self) -> Result<Endpoint, CheckFailure> {
        let tls = self.tls.clone();
        let unready =
            || CheckFailure::new("the steps before this one were not taken", "report this");
        Ok(Endpoint {
            url: self.url.clone(),
            kind: TransportKind::Ws,
            tls: tls.ok_or_else(unready)?,
            proxies: self.proxies.clone(),
            connect_timeout: self.patience,
            request_timeout: self.patience,
            poll: self.patience,
        })
    }

    /// Returns the reason why an answer is unexpected.
    pub(super) fn refused(&self, answer: &Answer) -> String {
        let Answer { status, headers, .. } = answer;
        diagnostics::refusal(*status, headers, &self.url, Timestamp::now(), self.is_met).words
    }
}

/// Returns the remedy for an answer that is not a control server's.
pub(super) fn fix_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            "have the operator of the gateway that demands a login let the control server's paths through"
        }
        StatusCode::NETWORK_AUTHENTICATION_REQUIRED => {
            "open a web page in a browser, log in to the network there, and try again"
        }
        StatusCode::TOO_MANY_REQUESTS => "wait a while, and try again",
        status if status.is_redirection() => {
            "if you trust the address that it redirects to, make that the server's URL"
        }
        status if status.is_server_error() => SERVER_FIX,
        _ => URL_FIX,
    }
}

/// Returns the remedy for a request without an answer.
fn fix_of_error(error: &ExchangeError, url: &ServerUrl) -> &'static str {
    match (error, url.is_secure()) {
        (ExchangeError::Http(HttpError::NotHttp | HttpError::NoResponse), false) => {
            "correct the port in the server's URL, or start the URL with https:// if the server \
             speaks TLS there"
        }
        (ExchangeError::Http(HttpError::Endless), _)
        | (ExchangeError::Http(HttpError::NotHttp), true) => "correct the port in the server's URL",
        _ => SERVER_FIX,
    }
}
