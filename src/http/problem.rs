//! Refusals as responses: the only place where a failure gets its status.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use lanrage_ipc::ErrorCode;
use lanrage_ipc::http::{Detail, ERROR_CODE, ErrorReply, IdempotencyKey};
use lanrage_ipc::lanrage::input::Mistake;

use crate::control_plane::Failure;
use crate::core::{Refusal, RetryAfter};

/// Default delay of a retry, in seconds.
const SOON: u64 = 1;

/// Refused request.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Detail,
    /// Error code, for this project's own programs.
    code: Option<ErrorCode>,
    /// Reason for the metrics, one of [`super::metrics::REASONS`].
    reason: Option<Reason>,
    /// Delay of a retry, in seconds.
    retry_after: Option<u64>,
    /// True if the connection closes without reading the rest of the request.
    closes: bool,
}

/// Reason of a refusal for the metrics; it travels with the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reason(pub(super) &'static str);

impl Problem {
    fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let reason = match status {
            StatusCode::UNAUTHORIZED => Some("unauthorized"),
            StatusCode::FORBIDDEN => Some("forbidden"),
            StatusCode::NOT_FOUND => Some("not_found"),
            StatusCode::CONFLICT => Some("conflict"),
            StatusCode::PAYLOAD_TOO_LARGE => Some("too_large"),
            StatusCode::TOO_MANY_REQUESTS => Some("rate_limited"),
            status if status.is_client_error() => Some("invalid"),
            _ => None,
        };
        let detail = Detail::Text(detail.into());
        let (reason, retry_after, code) = (reason.map(Reason), None, None);
        Self { status, detail, code, reason, retry_after, closes: false }
    }

    /// 503: a retry may help.
    fn unavailable(reason: &'static str, detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, detail);
        Self { reason: Some(Reason(reason)), retry_after: Some(SOON), ..problem }
    }

    /// 401.
    pub(super) fn unauthorized(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    /// 403.
    pub(crate) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// 403: the request is for a host that is not this server.
    pub(super) fn foreign_host() -> Self {
        Self::forbidden(
            "Host not allowed: it must be an address, localhost or a name in http.public_names",
        )
    }

    /// 404: unknown path.
    pub(super) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    /// 404: unknown party.
    pub(super) fn no_party(id: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Party {id} not found"))
    }

    /// 404: unknown peer.
    pub(super) fn no_peer(id: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("Peer {id} not found"))
    }

    /// 403: the caller acts for another's peer; `place` says where the request names it.
    pub(super) fn not_yours(place: &str) -> Self {
        Self::forbidden(format!("Token peer_id does not match {place}"))
    }

    /// 405.
    pub(super) fn no_method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
    }

    /// 426: this path is for WebSockets only.
    pub(crate) fn no_upgrade(detail: &'static str) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, detail)
    }

    /// 400.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 400: the body is unreadable.
    pub(super) fn unreadable() -> Self {
        let detail = "There was an error parsing the body";
        Self { closes: true, ..Self::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// 408: the body takes too long.
    pub(super) fn too_slow() -> Self {
        let detail = "The request body took too long";
        Self { closes: true, ..Self::new(StatusCode::REQUEST_TIMEOUT, detail) }
    }

    /// 413; `limit` is in bytes.
    pub(super) fn too_large(limit: usize) -> Self {
        let detail = format!("Request body too large: at most {limit} bytes");
        Self { closes: true, ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail) }
    }

    /// 415: the body is compressed.
    pub(super) fn encoded() -> Self {
        let detail = "Unsupported content encoding: send the body as it is";
        Self { closes: true, ..Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail) }
    }

    /// 422: the input is invalid; all mistakes are listed.
    pub(super) fn invalid(mistakes: Vec<Mistake>) -> Self {
        let problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "");
        Self { detail: Detail::Mistakes(mistakes), ..problem }
    }

    /// 429.
    pub(crate) fn too_often(after: RetryAfter) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
        Self { retry_after: Some(after.seconds()), ..problem }
    }

    /// 503: the server takes no more requests.
    pub(super) fn stopping() -> Self {
        Self { closes: true, ..Self::unavailable("stopping", "Server is stopping") }
    }

    /// 503: the server has not read its state yet.
    pub(crate) fn starting() -> Self {
        Self::not_ready("Server is starting")
    }

    /// 503: the server can't work, for the reason `why`.
    pub(crate) fn not_ready(why: &str) -> Self {
        Self::unavailable("overloaded", why)
    }

    /// 500; the cause is logged.
    pub(super) fn internal(wrong: impl fmt::Display) -> Self {
        log::error!("{wrong}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }

    /// Returns the problem of a failure; `place` says where the request names its peer.
    pub(super) fn of(failure: Failure, place: &str) -> Self {
        let (words, code) = (failure.to_string(), failure.code());
        let problem = match failure {
            Failure::Refused(refusal) => Self::refused(refusal, words, place),
            Failure::Store(_) => {
                Self::unavailable("store_unavailable", "The state could not be written")
            }
            Failure::Stopping => Self::stopping(),
            Failure::TimedOut(_) => Self::unavailable("overloaded", "The server is overloaded"),
            Failure::RepliesFull { .. } => Self::unavailable("overloaded", words),
            Failure::Discovery(_)
            | Failure::BackupPath(_)
            | Failure::Offline(_)
            | Failure::Rejected { .. }
            | Failure::TooLong { .. }
            | Failure::NoLink(_)
            | Failure::Mistake => Self::internal(words),
        };
        Self { code: Some(code), ..problem }
    }

    fn refused(refusal: Refusal, words: String, place: &str) -> Self {
        match refusal {
            Refusal::PartyNotFound(id) => Self::no_party(id),
            Refusal::PeerNotFound { peer_id, .. } => Self::no_peer(peer_id),
            Refusal::NotAMember { peer_id, .. } => {
                Self::new(StatusCode::NOT_FOUND, format!("Peer {peer_id} not in party"))
            }
            Refusal::PeerNotYours(_) => Self::not_yours(place),
            Refusal::RelayNotYours(_) => Self::forbidden(words),
            Refusal::KeyReused => Self::invalid(vec![IdempotencyKey::reused()]),
            Refusal::BadToken => Self::unauthorized("Invalid or expired token"),
            Refusal::PeerTaken(_) => {
                Self::new(StatusCode::CONFLICT, "Peer id is already registered")
            }
            Refusal::PartyExists(_)
            | Refusal::PartyFull { .. }
            | Refusal::TooManyParties { .. } => Self::new(StatusCode::CONFLICT, words),
            // Refusals of commands that clients can't send.
            Refusal::AddressRefused { .. }
            | Refusal::IdRefused { .. }
            | Refusal::HostRefused { .. }
            | Refusal::HostAbsent { .. }
            | Refusal::PartyUnstated { .. }
            | Refusal::KeyIsAnother(_) => Self::forbidden(words),
            Refusal::SignalTooLarge { .. } => Self::new(StatusCode::PAYLOAD_TOO_LARGE, words),
            Refusal::RegistryFull { .. }
            | Refusal::ShareFull { .. }
            | Refusal::CopiesFull { .. }
            | Refusal::OutboxFull { .. }
            | Refusal::SignalsFull { .. }
            | Refusal::SignalQueueFull { .. } => Self::unavailable("overloaded", words),
        }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self::of(failure, "requested peer_id")
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if self.status == StatusCode::UPGRADE_REQUIRED {
            response.insert_header((header::UPGRADE, "websocket"));
            response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
        }
        if let Some(code) = self.code {
            response.insert_header((ERROR_CODE, code.as_str()));
        }
        if self.status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            response.insert_header((header::ACCEPT_ENCODING, "identity"));
        }
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if self.closes {
            response.force_close();
        }
        if let Some(reason) = self.reason {
            response.extensions_mut().insert(reason);
        }
        response.json(ErrorReply { detail: self.detail.clone() })
    }
}
