//! Errors of HTTP exchanges without a whole response.

use std::error::Error;
use std::io::{self, ErrorKind};

use hyper_util::client::legacy;
use tokio_tungstenite::tungstenite::http::Extensions;

use super::super::Loss;
use super::stream::{EndlessResponse, ReadEnd};
use crate::remote::diagnostics::{self, HttpError};
use crate::server_url::ServerUrl;

/// Error of an exchange without a whole response.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// Connecting failed.
    NoConnection(Loss),
    /// Violation of HTTP on an open connection.
    Http(HttpError),
    /// The connection broke; with the message.
    Broken(String),
}

/// Error of the connection pool's connector.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.words)]
pub(super) struct NoConnection(pub(super) Loss);

impl ExchangeError {
    /// Error before the head of a response.
    pub(super) fn before_response(error: &legacy::Error, url: &ServerUrl) -> Self {
        if let Some(NoConnection(loss)) = error.source().and_then(<dyn Error>::downcast_ref) {
            return Self::NoConnection(loss.clone());
        }
        let mut extras = Extensions::new();
        if let Some(connection) = error.connect_info() {
            connection.get_extras(&mut extras);
        }
        // On a connection that is still open, the server sent something other than HTTP.
        let is_ended = extras.get().is_none_or(ReadEnd::is_reached);
        Self::of(error, url, if is_ended { HttpError::NoResponse } else { HttpError::NotHttp })
    }

    /// Error after the head of a response.
    pub(super) fn in_body(error: &(dyn Error + 'static), url: &ServerUrl) -> Self {
        Self::of(error, url, HttpError::Incomplete)
    }

    /// Converts an error. `otherwise` is the result where the connection itself did not break.
    fn of(error: &(dyn Error + 'static), url: &ServerUrl, otherwise: HttpError) -> Self {
        use ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        let io_error =
            || diagnostics::causes(error).find_map(|cause| cause.downcast_ref::<io::Error>());
        if diagnostics::causes(error).any(|cause| cause.is::<EndlessResponse>()) {
            return Self::Http(HttpError::Endless);
        }
        if diagnostics::causes(error).any(|cause| cause.is::<rustls::Error>()) {
            return Self::Broken(diagnostics::failure(error, url));
        }
        match io_error().map(io::Error::kind) {
            None => Self::Http(otherwise),
            Some(UnexpectedEof | InvalidData | InvalidInput) => Self::Http(HttpError::Incomplete),
            Some(_) => Self::Broken(diagnostics::failure(error, url)),
        }
    }

    /// Returns the message for the user.
    pub(crate) fn message(&self, url: &ServerUrl) -> String {
        match self {
            Self::NoConnection(loss) => loss.words.clone(),
            Self::Http(error) => error.message(url),
            Self::Broken(words) => words.clone(),
        }
    }
}
