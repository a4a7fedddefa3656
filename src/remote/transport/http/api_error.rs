//! Errors of requests to a route.

use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ReqId;
use reqwest::StatusCode;

use super::super::Loss;
use super::exchange_error::ExchangeError;
use crate::core::shown;
use crate::core::upstream::{Message, Rejection};
use crate::remote::diagnostics::{self, HttpError};
use crate::server_url::ServerUrl;

/// Error of a request to a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct ApiError {
    /// Code of the error.
    pub(crate) code: ErrorCode,
    /// Detail of the server's response, or a description of the failure.
    pub(crate) message: String,
    /// Backoff that the server requests.
    pub(crate) retry_after: Option<Duration>,
    /// Cause of the error.
    pub(crate) cause: Cause,
}

/// Cause of an [`ApiError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No connection: the request did not reach the server.
    Unreachable,
    /// No whole response: the server may have executed the request.
    NoResponse,
    /// The server, or a proxy in front of it, demands a login.
    AccessDenied,
    /// Another program responded in place of the server: a proxy, or a captive portal.
    Foreign,
    /// The response cannot be decoded.
    Malformed,
    /// The request was not sent: no route supports it.
    Local,
    /// The server refused the request with this status.
    Status(u16),
}

impl ApiError {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>, cause: Cause) -> Self {
        Self { code, message: message.into(), retry_after: None, cause }
    }

    /// Error of a response that cannot be decoded.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message, Cause::Malformed)
    }

    /// Error of a response by another program: the outcome of the request is unknown.
    pub(super) fn foreign(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Offline, message, Cause::Foreign)
    }

    /// Error of a request that this transport refuses without the server.
    pub(super) fn local(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(code, message, Cause::Local)
    }

    /// Converts an error of a party's registration. `PartyNotFound` means that an earlier request
    /// with the same idempotency key registered the party, and that it has ended.
    pub(super) fn for_registration(self) -> Self {
        match self.code {
            ErrorCode::PartyNotFound => Self { code: ErrorCode::NotAMember, ..self },
            _ => self,
        }
    }

    /// Error of a status. `sent` is the code in the response's header, if it has one.
    pub(super) fn from_status(status: StatusCode, sent: Option<ErrorCode>, message: &str) -> Self {
        let cause = Cause::Status(status.as_u16());
        let code = sent.unwrap_or_else(|| code(status, message));
        Self::new(code, diagnostics::shown(message), cause)
    }

    /// Error of a request that did not reach the server.
    pub(super) fn unreachable(loss: Loss) -> Self {
        match loss.is_final {
            true => Self::new(ErrorCode::PermissionDenied, loss.words, Cause::AccessDenied),
            false => Self::new(ErrorCode::Offline, loss.words, Cause::Unreachable),
        }
    }

    /// Error of a request without a whole response within `limit`.
    pub(super) fn timed_out(limit: Duration, url: &ServerUrl) -> Self {
        let message = diagnostics::late("an answer of", limit, url);
        Self::new(ErrorCode::Offline, message, Cause::NoResponse)
    }

    /// Error of a failed exchange. The request is not retried after an endless response.
    pub(super) fn from_exchange(error: ExchangeError, url: &ServerUrl) -> Self {
        match error {
            ExchangeError::NoConnection(loss) => Self::unreachable(loss),
            ExchangeError::Http(endless @ HttpError::Endless) => {
                Self::foreign(endless.message(url))
            }
            ExchangeError::Http(_) | ExchangeError::Broken(_) => {
                Self::new(ErrorCode::Offline, error.message(url), Cause::NoResponse)
            }
        }
    }

    /// True for a response of this status.
    pub(crate) fn has_status(&self, status: u16) -> bool {
        self.cause == Cause::Status(status)
    }

    /// True for a failure of the connection to the server rather than of the request.
    pub(super) fn is_loss(&self) -> bool {
        matches!(
            self.cause,
            Cause::Unreachable | Cause::NoResponse | Cause::AccessDenied | Cause::Foreign
        )
    }

    /// True if the request may be retried after a backoff.
    pub(super) fn is_retryable(&self, is_idempotent: bool) -> bool {
        match self.cause {
            Cause::Unreachable => true,
            Cause::NoResponse => is_idempotent,
            Cause::Status(status) => is_idempotent && matches!(status, 502..=504),
            Cause::AccessDenied | Cause::Foreign | Cause::Malformed | Cause::Local => false,
        }
    }

    /// Converts the error to a message: the answer to a request, or a complaint without a `req_id`.
    pub(super) fn into_message(self, req_id: Option<ReqId>) -> Message {
        let Self { code, message, retry_after, .. } = self;
        let rejection = Rejection { code, message: shown(&message), retry_after };
        match req_id {
            Some(req_id) => Message::Answer { req_id, result: Err(rejection) },
            None => Message::Complaint(rejection),
        }
    }
}

impl From<ApiError> for Loss {
    fn from(error: ApiError) -> Self {
        let ApiError { message, retry_after, cause, .. } = error;
        Self { retry_after, is_final: cause == Cause::AccessDenied, ..Self::new(message) }
    }
}

/// Returns the code of a status without the header of a code, as LANrage's own server sends it. For
/// 404 and 409 the detail, which is part of the contract, determines the code.
fn code(status: StatusCode, detail: &str) -> ErrorCode {
    match status.as_u16() {
        401 | 403 => ErrorCode::PermissionDenied,
        404 if detail.starts_with("Party ") => ErrorCode::PartyNotFound,
        404 if detail.starts_with("Peer ") && detail.ends_with("not in party") => {
            ErrorCode::NotAMember
        }
        404 if detail.starts_with("Peer ") => ErrorCode::PeerNotFound,
        408 => ErrorCode::Timeout,
        409 if detail.starts_with("Peer id ") => ErrorCode::PermissionDenied,
        413 | 422 => ErrorCode::InvalidParams,
        429 => ErrorCode::RateLimited,
        503 => ErrorCode::StoreUnavailable,
        500..=599 => ErrorCode::Internal,
        _ => ErrorCode::ServerRejected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_follows_status_and_detail() {
        for (status, detail, code) in [
            (400, "Bad", "server_rejected"),
            (401, "Invalid or expired token", "permission_denied"),
            (403, "Token peer_id does not match requested peer_id", "permission_denied"),
            (404, "Party p not found", "party_not_found"),
            (404, "Peer a not in party", "not_a_member"),
            (404, "Peer a not found", "peer_not_found"),
            (404, "Not Found", "server_rejected"),
            (405, "Method Not Allowed", "server_rejected"),
            (408, "The request body took too long", "timeout"),
            (409, "Peer id is already registered", "permission_denied"),
            (409, "Conflict", "server_rejected"),
            (413, "Request body too large", "invalid_params"),
            (422, "body.name: Field required", "invalid_params"),
            (429, "Too many requests", "rate_limited"),
            (500, "", "internal"),
            (502, "", "internal"),
            (503, "Server is stopping", "store_unavailable"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = ApiError::from_status(status, None, detail);
            assert_eq!(error.code.as_str(), code, "{status} {detail}");
        }
    }

    #[test]
    fn code_of_the_server_precedes_status_and_detail() {
        for (status, sent) in [(409, ErrorCode::PartyFull), (404, ErrorCode::NotAMember)] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = ApiError::from_status(status, Some(sent), "Party p is gone");
            assert_eq!(error.code, sent);
        }
    }

    #[test]
    fn only_idempotent_requests_are_retried_after_a_lost_response() {
        let of = |cause| ApiError::new(ErrorCode::Offline, "", cause);
        for (cause, otherwise, idempotent) in [
            (Cause::Unreachable, true, true),
            (Cause::NoResponse, false, true),
            (Cause::Status(503), false, true),
            (Cause::Status(500), false, false),
            (Cause::Status(429), false, false),
            (Cause::AccessDenied, false, false),
            (Cause::Foreign, false, false),
            (Cause::Malformed, false, false),
        ] {
            assert_eq!(of(cause).is_retryable(false), otherwise, "{cause:?}");
            assert_eq!(of(cause).is_retryable(true), idempotent, "{cause:?}");
        }
    }

    #[test]
    fn access_denied_is_a_final_loss() {
        let denied = ApiError::new(ErrorCode::PermissionDenied, "", Cause::AccessDenied);
        assert!(denied.is_loss() && Loss::from(denied).is_final);
        let busy = ApiError::from_status(StatusCode::BAD_GATEWAY, None, "");
        assert!(!busy.is_loss() && !Loss::from(busy).is_final);
    }
}
