//! Access of pages from other origins (CORS). Cookies and passwords are never allowed.

use actix_web::HttpResponse;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

use super::origin::{is_own_host, origin_allowed};
use crate::config::Http;

/// Methods of the routes.
const METHODS: HeaderValue = HeaderValue::from_static("DELETE, GET, POST");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("authorization, claim, content-type, idempotency-key");
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static("retry-after");
/// Time for which a browser caches a preflight, in seconds.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

/// True if the request's page may send it. A request without `Origin` is not from a page. Several
/// origins count as a forbidden one.
pub(super) fn may_send(headers: &HeaderMap, http: &Http) -> bool {
    let mut origins = headers.get_all(header::ORIGIN);
    match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => is_allowed(origin, headers, http),
        (Some(_), Some(_)) => false,
    }
}

fn is_allowed(origin: &HeaderValue, headers: &HeaderMap, http: &Http) -> bool {
    let mut hosts = headers.get_all(header::HOST);
    let host = hosts.next().filter(|_| hosts.next().is_none()).and_then(|host| host.to_str().ok());
    origin.to_str().is_ok_and(|origin| origin_allowed(origin, host, http))
}

/// True if the `Host` is a name of this server. A page under an attacker's name (DNS rebinding)
/// sends that name. Browsers always send a `Host`.
pub(super) fn names_server(request: &ServiceRequest, http: &Http) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).map(HeaderValue::to_str);
    let target = request.uri().authority();
    hosts.all(|host| host.is_ok_and(|host| is_own_host(host, http)))
        && target.is_none_or(|target| is_own_host(target.as_str(), http))
}

/// Returns the origin of the request's page, if it may read the answer.
pub(super) fn allowed_origin(request: &ServiceRequest, http: &Http) -> Option<HeaderValue> {
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN)?;
    may_send(headers, http).then(|| origin.clone())
}

/// Returns the answer to a preflight request.
pub(super) fn preflight(request: &ServiceRequest) -> Option<HttpResponse> {
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    asks.then(|| {
        HttpResponse::NoContent()
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, METHODS))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
            .finish()
    })
}

/// Lets pages of that origin read the answer.
pub(super) fn permit(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
}
