//! Guard of all requests and their answers: the app's only service. It is no stack of middlewares,
//! because its checks depend on the caller: a proven token has a rate limit of its own.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use actix_web::body::{BodySize, BodyStream, BoxBody, MessageBody as _};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage as _, ResponseError as _, web};
use futures_util::stream;

use super::auth::{Client, Credentials, bearer, look_up};
use super::cors;
use super::metrics::OTHER;
use super::problem::{Problem, Reason};
use super::refusals::Limit;
use super::routes::{self, METRICS, PROBES, Target};
use super::socket::Accepted;
use super::state::{HttpState, Proven, address_of};
use crate::control_plane::Ask;
use crate::core::{RetryAfter, TokenHash};
use crate::token;

/// Time for a client to read the reason before its connection ends.
const FAREWELL: Duration = Duration::from_secs(2);

/// Passes a request to its route, or refuses it; then completes the answer.
pub(super) async fn guard(request: ServiceRequest) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(state) = request.app_data::<web::Data<HttpState>>().cloned() else {
        return Err(Problem::internal("a request has no HTTP state").into());
    };
    if let Some(target) = routes::find(request.path()) {
        request.extensions_mut().insert(target);
    }
    let begun = state.clock.elapsed();
    let mut under_way = request.conn_data::<Accepted>().map(Accepted::begin_request);
    let settings = state.settings();
    let method = request.method().clone();
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let origin = cors::allowed_origin(&request, &settings.http);
    let preflight = origin.as_ref().and_then(|_| cors::preflight(&request));
    let is_foreign = settings.is_on_loopback && !cors::names_server(&request, &settings.http);
    let mut response = match preflight {
        _ if is_foreign => request.into_response(Problem::foreign_host().error_response()),
        Some(preflight) => request.into_response(preflight),
        None => match admit(&state, &request).await {
            Ok(()) => answer(&state, request).await,
            Err(problem) => request.into_response(problem.error_response()),
        },
    };
    if method == Method::HEAD {
        response = without_body(response);
    }
    end_unread(&mut response, is_chunked);
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Pages of a foreign origin get another answer.
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        cors::permit(headers, origin);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(under_way) = &mut under_way
    {
        under_way.upgrade();
    }
    observe(&state, &method, &response, state.clock.elapsed().saturating_sub(begun));
    Ok(response)
}

/// Passes a request to its route.
async fn answer(state: &HttpState, request: ServiceRequest) -> ServiceResponse<BoxBody> {
    let (request, payload) = request.into_parts();
    let route = request.extensions().get().map(|target: &Target| target.route);
    let response = match route {
        Some(route) => route.answer(request.clone(), payload).await,
        None => routes::no_route(&request, state),
    };
    ServiceResponse::new(request, response)
}

/// Removes the body and keeps its length. The framework does so too, but for a pipelined `HEAD` it
/// goes by the request that it read last.
fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    response.map_body(|head, body| {
        if let BodySize::Sized(length) = body.size() {
            head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        // The framework writes no length of its own for a stream.
        head.no_chunking(true);
        BoxBody::new(BodyStream::new(stream::empty::<Result<Bytes, Infallible>>()))
    })
}

/// Ends the connection of a request that was refused before its whole body came. The framework
/// would read the rest for as long as the client sends.
fn end_unread(response: &mut ServiceResponse<BoxBody>, is_chunked: bool) {
    let is_refused = is_chunked && response.status().as_u16() >= 400;
    let head = response.response_mut().head_mut();
    if is_refused {
        head.set_connection_type(ConnectionType::Close);
    }
    // The framework reuses heads with the version of their last response. With a version of
    // HTTP/1.0 the connection would close. It sets the version of this response later.
    head.version = Version::HTTP_11;
    if head.connection_type() != ConnectionType::Close {
        return;
    }
    let Some(accepted) = response.request().conn_data::<Accepted>() else { return };
    let hangup = accepted.hangup();
    actix_web::rt::spawn(async move {
        tokio::time::sleep(FAREWELL).await;
        hangup.now();
    });
}

/// Checks the credentials, the origin and the rate limits of a request. Probes always pass.
async fn admit(state: &HttpState, request: &ServiceRequest) -> Result<(), Problem> {
    if PROBES.contains(&request.path()) {
        return Ok(());
    }
    if !state.is_ready() && !state.wait_ready().await {
        return Err(Problem::starting());
    }
    let settings = state.settings();
    if request.path() == METRICS {
        let address = address_of(request.request(), &settings.http);
        let admitted = state.admit_scrape(address);
        return admitted.map_err(|wait| too_often(state, Limit::Scrapes, address, wait));
    }
    if state.is_stopping() {
        return Err(Problem::stopping());
    }
    if !cors::may_send(request.headers(), &settings.http) {
        return Err(Problem::forbidden("Origin not allowed"));
    }
    let address = address_of(request.request(), &settings.http);
    let credentials = match bearer(request.headers()) {
        Ok(text) => admit_token(state, token::hash(text), address).await?,
        Err(error) => {
            let admitted = state.admit_address(address);
            admitted.map_err(|wait| too_often(state, Limit::Requests, address, wait))?;
            Credentials(Err(error))
        }
    };
    if let (Credentials(Ok(_)), Some(accepted)) = (&credentials, request.conn_data::<Accepted>()) {
        accepted.note_token();
    }
    request.extensions_mut().insert(credentials);
    Ok(())
}

/// Takes a request from the bucket of its token, or of its address if the token is invalid. A token
/// that was not proven recently counts for its address until the control plane has answered. So
/// made-up tokens reach it no more often than requests without one. A token that was proven reaches
/// it no more while the proof holds.
async fn admit_token(
    state: &HttpState,
    token: TokenHash,
    address: IpAddr,
) -> Result<Credentials, Problem> {
    let too_often = |wait| too_often(state, Limit::Requests, address, wait);
    let client = |peer_id| Credentials(Ok(Client { peer_id, address: address.into() }));
    let was_proven = match state.admit_proven(&token).map_err(too_often)? {
        Proven::Peer(peer_id) => return Ok(client(peer_id)),
        Proven::Recently => true,
        Proven::Not => {
            state.admit_address(address).map_err(too_often)?;
            false
        }
    };
    let ended_before = state.ended_tokens();
    let authenticate = |reply| Ask::Authenticate(token, reply);
    match look_up(state, authenticate, address.into()).await? {
        Ok(proven) => {
            state.note_proven(token, &proven, ended_before);
            if !was_proven {
                state.give_back(address);
                state.admit_proven(&token).map_err(too_often)?;
            }
            Ok(client(proven.peer_id))
        }
        Err(error) => {
            if was_proven {
                state.note_unproven(&token);
                state.admit_address(address).map_err(too_often)?;
            }
            Ok(Credentials(Err(error)))
        }
    }
}

/// Refuses a request above a rate limit, and counts it for the log.
fn too_often(state: &HttpState, limit: Limit, address: IpAddr, wait: RetryAfter) -> Problem {
    state.refusals.add(limit, address);
    Problem::too_often(wait)
}

/// Counts and logs the answer.
fn observe(
    state: &HttpState,
    method: &Method,
    response: &ServiceResponse<BoxBody>,
    took: Duration,
) {
    let request = response.request();
    let extensions = request.extensions();
    let target = extensions.get::<Target>();
    let route = target.map_or(OTHER, |target| target.route.template);
    let status = response.status();
    state.metrics.observe(route, method, status, took);
    if let Some(Reason(reason)) = response.response().extensions().get() {
        state.metrics.rejected(reason);
    }
    if log::log_enabled!(log::Level::Debug) {
        let peer = match extensions.get() {
            Some(Credentials(Ok(client))) => client.peer_id.as_str(),
            _ => "-",
        };
        // Only valid ids are written.
        let party = target.and_then(|target| target.params.party().ok());
        let party = party.as_ref().map_or("-", |party| party.as_str());
        let ms = took.as_millis();
        // A method may be any word, of any length.
        let method = method.as_str();
        log::debug!("{method:.16} {route} {status} {ms} ms, peer {peer}, party {party}");
    }
}
