//! Idempotency keys of requests, which are done once.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpRequest};
use lanrage_ipc::http::{IDEMPOTENCY_KEY, IdempotencyKey};

use super::problem::Problem;
use crate::core::{Command, Idempotency, RequestKey};

/// `Idempotency-Key` of a request, if the client sent one.
pub(super) struct IdempotencyHeader(Option<IdempotencyKey>);

impl IdempotencyHeader {
    /// True if the request has an idempotency key.
    pub(super) fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// Returns the idempotency of a command, if the request has a key.
    pub(super) fn idempotency(self, command: &Command) -> Option<Idempotency> {
        self.0.map(|key| Idempotency {
            key: RequestKey(key.as_str().into()),
            // The server chooses the ids of parties.
            names_party: !matches!(command, Command::Register { .. }),
            refuses_reuse: true,
        })
    }
}

fn read(headers: &HeaderMap) -> Result<IdempotencyHeader, Problem> {
    let values = headers.get_all(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
    IdempotencyKey::from_values(values).map(IdempotencyHeader).map_err(Problem::invalid)
}

impl FromRequest for IdempotencyHeader {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.headers()))
    }
}
