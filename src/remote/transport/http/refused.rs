//! Why a request was not answered as it should be.

use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::ReqId;
use reqwest::StatusCode;

use super::super::Loss;
use super::fault::Fault;
use crate::core::shown;
use crate::core::upstream::{Message, Rejection};
use crate::remote::diagnostics::{self, HttpError};
use crate::server_url::ServerUrl;

/// A request that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refused {
    /// Code of the failure.
    pub(crate) code: ErrorCode,
    /// The server's own words, or what happened instead of them.
    pub(crate) message: String,
    /// Pause that the server asks for.
    pub(crate) retry_after: Option<Duration>,
    /// Kind of the failure.
    pub(crate) cause: Cause,
}

/// Kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It never reached the server.
    Unreachable,
    /// It may have reached the server, which did not answer, or not to the end.
    Unanswered,
    /// The server, or what stands before it, lets this machine do nothing at all.
    Barred,
    /// Another program answered in the server's place: a proxy, or a captive portal.
    Foreign,
    /// The server answered something that can't be understood.
    Nonsense,
    /// It was not made: the routes have nothing for it.
    Here,
    /// The server refuses it with this status.
    Status(u16),
}

impl Refused {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>, cause: Cause) -> Self {
        Self { code, message: message.into(), retry_after: None, cause }
    }

    /// An answer that can't be understood.
    pub(super) fn nonsense(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Internal, message, Cause::Nonsense)
    }

    /// An answer that is not the server's own: nobody can tell what became of the request.
    pub(super) fn foreign(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Offline, message, Cause::Foreign)
    }

    /// A request that this transport refuses by itself, as a server would.
    pub(super) fn here(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::new(code, message, Cause::Here)
    }

    /// Of a registration: there is no party only where that was made before, under the same name,
    /// and has ended since.
    pub(super) fn of_registration(self) -> Self {
        match self.code {
            ErrorCode::PartyNotFound => Self { code: ErrorCode::NotAMember, ..self },
            _ => self,
        }
    }

    /// A status with what there is to say about it, and the code that the server gives it, if any.
    pub(super) fn of_status(status: StatusCode, told: Option<ErrorCode>, message: &str) -> Self {
        let cause = Cause::Status(status.as_u16());
        let code = told.unwrap_or_else(|| code(status, message));
        Self::new(code, diagnostics::shown(message), cause)
    }

    /// A request that never reached the server.
    pub(super) fn unreachable(loss: Loss) -> Self {
        match loss.is_final {
            true => Self::new(ErrorCode::PermissionDenied, loss.words, Cause::Barred),
            false => Self::new(ErrorCode::Offline, loss.words, Cause::Unreachable),
        }
    }

    /// A request that got no answer within `patience`, or not all of it.
    pub(super) fn late(patience: Duration, url: &ServerUrl) -> Self {
        let message = diagnostics::late("an answer of", patience, url);
        Self::new(ErrorCode::Offline, message, Cause::Unanswered)
    }

    /// A request that got no answer. A server that sends without end is not asked again at once.
    pub(super) fn of_fault(fault: Fault, url: &ServerUrl) -> Self {
        match fault {
            Fault::NoConnection(loss) => Self::unreachable(loss),
            Fault::Http(breach @ HttpError::Endless) => Self::foreign(breach.words(url)),
            Fault::Http(_) | Fault::Cut(_) => {
                Self::new(ErrorCode::Offline, fault.words(url), Cause::Unanswered)
            }
        }
    }

    /// True for an answer of this status.
    pub(crate) fn is_status(&self, status: u16) -> bool {
        self.cause == Cause::Status(status)
    }

    /// True for a failure of the way to the server rather than of the request.
    pub(super) fn is_loss(&self) -> bool {
        matches!(
            self.cause,
            Cause::Unreachable | Cause::Unanswered | Cause::Barred | Cause::Foreign
        )
    }

    /// True if the request may be repeated at once. A `repeatable` request is idempotent.
    pub(super) fn may_pass(&self, repeatable: bool) -> bool {
        match self.cause {
            Cause::Unreachable => true,
            Cause::Unanswered => repeatable,
            Cause::Status(status) => repeatable && matches!(status, 502..=504),
            Cause::Barred | Cause::Foreign | Cause::Nonsense | Cause::Here => false,
        }
    }

    /// Converts a refusal to the message that reports it: the answer to a request, if it has an id.
    pub(super) fn into_message(self, req_id: Option<ReqId>) -> Message {
        let Self { code, message, retry_after, .. } = self;
        let rejection = Rejection { code, message: shown(&message), retry_after };
        match req_id {
            Some(req_id) => Message::Answer { req_id, result: Err(rejection) },
            None => Message::Complaint(rejection),
        }
    }
}

impl From<Refused> for Loss {
    fn from(refused: Refused) -> Self {
        let Refused { message, retry_after, cause, .. } = refused;
        Self { retry_after, is_final: cause == Cause::Barred, ..Self::new(message) }
    }
}

/// The code of a status that came without one. LANrage's own server gives none; of a 404 and a 409
/// its words, which the contract fixes, tell what it is about.
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
    fn each_refusal_has_its_code() {
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
            let refused = Refused::of_status(status, None, detail);
            assert_eq!(refused.code.as_str(), code, "{status} {detail}");
        }
    }

    #[test]
    fn code_of_the_server_goes_before_status_and_words() {
        for (status, told) in [(409, ErrorCode::PartyFull), (404, ErrorCode::NotAMember)] {
            let status = StatusCode::from_u16(status).unwrap();
            let refused = Refused::of_status(status, Some(told), "Party p is gone");
            assert_eq!(refused.code, told);
        }
    }

    #[test]
    fn only_what_does_no_more_when_made_twice_is_made_again() {
        let of = |cause| Refused::new(ErrorCode::Offline, "", cause);
        for (cause, once, repeatable) in [
            (Cause::Unreachable, true, true),
            (Cause::Unanswered, false, true),
            (Cause::Status(503), false, true),
            (Cause::Status(500), false, false),
            (Cause::Status(429), false, false),
            (Cause::Barred, false, false),
            (Cause::Foreign, false, false),
            (Cause::Nonsense, false, false),
        ] {
            assert_eq!(of(cause).may_pass(false), once, "{cause:?}");
            assert_eq!(of(cause).may_pass(true), repeatable, "{cause:?}");
        }
    }

    #[test]
    fn a_server_that_lets_nobody_in_is_final() {
        let barred = Refused::new(ErrorCode::PermissionDenied, "", Cause::Barred);
        assert!(barred.is_loss() && Loss::from(barred).is_final);
        let busy = Refused::of_status(StatusCode::BAD_GATEWAY, None, "");
        assert!(!busy.is_loss() && !Loss::from(busy).is_final);
    }
}
