//! Answers that are not HTTP, or not whole.

use super::place;
use crate::remote::transport::http::LONGEST_EXCHANGE;
use crate::server_url::ServerUrl;

/// Failure of an open connection in place of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// Something that is no HTTP, or more of it than any server sends.
    NotHttp,
    /// Its end, before an answer was whole.
    Unanswered,
    /// More bytes than an answer may have, before an answer was whole.
    Endless,
    /// An answer whose body breaks off, or makes no sense.
    Torn,
}

impl HttpError {
    /// In words that a person understands.
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
