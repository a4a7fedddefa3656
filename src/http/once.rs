//! Requests that may come twice and are done once.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderValue};
use actix_web::{FromRequest, HttpRequest};
use lanrage_ipc::http::{IDEMPOTENCY_KEY, IdempotencyKey};

use super::problem::Problem;
use crate::control_plane::Ask;
use crate::core::{Command, Idempotency, RequestKey};

/// What its client calls a request, if it does.
pub(super) struct Once(Option<IdempotencyKey>);

impl Once {
    /// Whether the client calls the request something.
    pub(super) fn is_named(&self) -> bool {
        self.0.is_some()
    }

    /// To do a command; once, if it has a name.
    pub(super) fn ask(self, command: Command) -> Ask {
        match self.0 {
            Some(key) => {
                let key = RequestKey(key.as_str().into());
                // The server chooses the ids of parties.
                let names_party = !matches!(command, Command::Register { .. });
                let idempotency = Idempotency { key, names_party, refuses_reuse: true };
                Ask::Once(idempotency, command)
            }
            None => Ask::Command(command),
        }
    }
}

fn read(headers: &HeaderMap) -> Result<Once, Problem> {
    let values = headers.get_all(IDEMPOTENCY_KEY).map(HeaderValue::as_bytes);
    IdempotencyKey::from_values(values).map(Once).map_err(Problem::invalid)
}

impl FromRequest for Once {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(request.headers()))
    }
}
