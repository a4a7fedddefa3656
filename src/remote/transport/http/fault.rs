//! Requests that got no answer.

use std::error::Error;
use std::io::{self, ErrorKind};

use hyper_util::client::legacy;
use tokio_tungstenite::tungstenite::http::Extensions;

use super::super::Loss;
use super::stream::{End, EndlessAnswer};
use crate::remote::diagnostics::{self, HttpError};
use crate::server_url::ServerUrl;

/// Failure to get an answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No connection was made.
    NoConnection(Loss),
    /// The connection came to this instead of an answer.
    Http(HttpError),
    /// The connection broke, in words.
    Cut(String),
}

/// Error of the pool's connector.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.words)]
pub(super) struct NoConnection(pub(super) Loss);

impl Fault {
    /// Failure before the head of an answer.
    pub(super) fn before_answer(error: &legacy::Error, url: &ServerUrl) -> Self {
        if let Some(NoConnection(loss)) = error.source().and_then(<dyn Error>::downcast_ref) {
            return Self::NoConnection(loss.clone());
        }
        let mut told = Extensions::new();
        if let Some(connection) = error.connect_info() {
            connection.get_extras(&mut told);
        }
        // A connection that has not ended brought something other than HTTP.
        let is_ended = told.get().is_none_or(End::is_reached);
        Self::of(error, url, if is_ended { HttpError::Unanswered } else { HttpError::NotHttp })
    }

    /// Failure after the head of an answer.
    pub(super) fn in_body(error: &(dyn Error + 'static), url: &ServerUrl) -> Self {
        Self::of(error, url, HttpError::Torn)
    }

    /// `breach` holds where the connection itself did not break.
    fn of(error: &(dyn Error + 'static), url: &ServerUrl, breach: HttpError) -> Self {
        use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let io_error =
            || diagnostics::causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        if diagnostics::causes(error).any(|cause| cause.is::<EndlessAnswer>()) {
            return Self::Http(HttpError::Endless);
        }
        if diagnostics::causes(error).any(|cause| cause.is::<rustls::Error>()) {
            return Self::Cut(diagnostics::failure(error, url));
        }
        match io_error().map(io::Error::kind) {
            None => Self::Http(breach),
            Some(UnexpectedEof | InvalidData | InvalidInput) => Self::Http(HttpError::Torn),
            Some(_) => Self::Cut(diagnostics::failure(error, url)),
        }
    }

    /// Message for a person.
    pub(crate) fn words(&self, url: &ServerUrl) -> String {
        match self {
            Self::NoConnection(loss) => loss.words.clone(),
            Self::Http(breach) => breach.words(url),
            Self::Cut(words) => words.clone(),
        }
    }
}
