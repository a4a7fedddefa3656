//! Responses that violate HTTP or are incomplete.

use super::place;
use crate::remote::transport::http::LONGEST_EXCHANGE;
use crate::server_url::ServerUrl;

/// Failure of an open connection before a whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// Bytes that are not HTTP, or a head that is too large.
    NotHttp,
    /// End of the connection before the head of a response.
    Unanswered,
    /// More than [`LONGEST_EXCHANGE`] bytes before a whole response.
    Endless,
    /// Response whose body breaks off or cannot be decoded.
    Torn,
}

impl HttpError {
    /// Returns the message for the user.
    pub(crate) fn words(self, url: &ServerUrl) -> String {
        let place = place(url);
        match (self, url.is_secure()) {
            (Self::NotHttp, false) => format!(
                "{place} does not answer in HTTP: no control server listens there, or it speaks TLS and its URL starts with https://"
            ),
            (Self::NotHttp, true) => {
                format!("{place} does not answer in HTTP: no control server listens there")
            }
            (Self::Unanswered, false) => format!(
                "{place} closed the connection without an answer: if the server speaks TLS, its URL starts with https://"
            ),
            (Self::Unanswered, true) => {
                format!("{place} closed the connection without an answer")
            }
            (Self::Endless, _) => format!(
                "{place} sent more than {LONGEST_EXCHANGE} bytes without an answer: no control server listens there, or it has a defect"
            ),
            (Self::Torn, _) => format!(
                "{place} broke its answer off: the server or a proxy in front of it failed, or is no control server"
            ),
        }
    }
}
