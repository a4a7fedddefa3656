//! How an answer over HTTP can fail to be one.

use std::error::Error;

use super::{causes, place};
use crate::control_plane::remote::transport::http::{EndlessAnswer, LONGEST_EXCHANGE};
use crate::server_url::ServerUrl;

/// What an open connection came to instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// Something that is no HTTP, or more of it than any server sends.
    NotHttp,
    /// Its end, before an answer was whole.
    Unanswered,
    /// More bytes than an answer may have, before an answer was whole.
    Endless,
    /// An answer whose body breaks off, or makes no sense.
    Torn,
}

impl Breach {
    /// What an error of the HTTP client tells.
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        if causes(error).any(|cause| cause.is::<EndlessAnswer>()) {
            return Some(Self::Endless);
        }
        let error = causes(error).find_map(|cause| cause.downcast_ref::<hyper::Error>())?;
        let is_of_connection = causes(error).any(|cause| cause.is::<rustls::Error>());
        match error {
            _ if is_of_connection => None,
            error if error.is_parse() => Some(Self::NotHttp),
            error if error.is_incomplete_message() || error.is_canceled() => Some(Self::Unanswered),
            // What hyper gives no name: it has an end, but the server spoke unasked.
            error if error.source().is_none() => Some(Self::NotHttp),
            error => is_of_body(error).then_some(Self::Torn),
        }
    }

    /// In words that a person understands.
    pub fn words(self, url: &ServerUrl) -> String {
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

/// Whether what is wrong is what comes after the head of an answer. A connection that is cut says
/// so by itself.
fn is_of_body(error: &hyper::Error) -> bool {
    use std::io::{Error, ErrorKind};
    let kind = causes(error).find_map(|cause| Some(cause.downcast_ref::<Error>()?.kind()));
    matches!(
        kind,
        Some(ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput)
    )
}
