//! Responses that violate HTTP or are incomplete.

use super::host_port;
use crate::remote::transport::http::LONGEST_EXCHANGE;
use crate::server_url::ServerUrl;

/// Failure of an open connection before a whole response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HttpError {
    /// Bytes that are not HTTP, or a head that is too large.
    NotHttp,
    /// End of the connection before the head of a response.
    NoResponse,
    /// More than [`LONGEST_EXCHANGE`] bytes before a whole response.
    Endless,
    /// Response whose body breaks off or cannot be decoded.
    Incomplete,
}

impl HttpError {
    /// Returns the message for the user.
    pub(crate) fn message(self, url: &ServerUrl) -> String {
        let host_port = host_port(url);
        match (self, url.is_secure()) {
            (Self::NotHttp, false) => format!(
                "{host_port} does not answer in HTTP: no control server listens there, or it speaks TLS and its URL starts with https://"
            ),
            (Self::NotHttp, true) => {
                format!("{host_port} does not answer in HTTP: no control server listens there")
            }
            (Self::NoResponse, false) => format!(
                "{host_port} closed the connection without an answer: if the server speaks TLS, its URL starts with https://"
            ),
            (Self::NoResponse, true) => {
                format!("{host_port} closed the connection without an answer")
            }
            (Self::Endless, _) => format!(
                "{host_port} sent more than {LONGEST_EXCHANGE} bytes without an answer: no control server listens there, or it has a defect"
            ),
            (Self::Incomplete, _) => format!(
                "{host_port} broke its answer off: the server or a proxy in front of it failed, or is no control server"
            ),
        }
    }
}
