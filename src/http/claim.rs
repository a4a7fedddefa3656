//! Claim secret of a registration.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderValue;
use actix_web::{FromRequest, HttpRequest};
use lanrage_ipc::control::Secret;
use lanrage_ipc::http::{CLAIM, read_claim};

use super::problem::Problem;

/// Claim secret of a request, if it has one.
pub(super) struct Claim(pub(super) Option<Secret>);

impl FromRequest for Claim {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let values = request.headers().get_all(CLAIM).map(HeaderValue::as_bytes);
        ready(read_claim(values).map(Self).map_err(Problem::invalid))
    }
}
