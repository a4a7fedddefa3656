//! Authentication of requests by their `Authorization` header.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use jiff::tz::TimeZone;
use lanrage_ipc::model::{PeerId, UtcOffset};

use super::problem::Problem;
use super::state::HttpState;
use crate::control_plane::{Ask, Failure, IntoAsk};
use crate::core::{AddressKey, Caller, ConnectionId, Principal, Refusal};

/// Reason why a request is not authenticated, as the client is told it.
#[derive(Debug, Clone, Copy)]
pub(super) struct AuthError(pub(super) &'static str);

const MISSING: AuthError = AuthError("Missing authorization header");
const NOT_BEARER: AuthError = AuthError("Invalid authorization format");
const UNKNOWN: AuthError = AuthError("Invalid or expired token");

/// Credentials of a request, checked once by [`super::guard`].
#[derive(Debug, Clone)]
pub(super) struct Credentials(pub(super) Result<Client, AuthError>);

/// Peer that showed a valid token.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Peer id of the client.
    pub(super) peer_id: PeerId,
    /// Address of the client.
    pub(super) address: AddressKey,
}

impl Client {
    /// Returns the caller for the control plane.
    pub(super) fn caller(&self) -> Caller {
        let own = [self.peer_id.clone()];
        let (principal, address) = (Principal::Peers(own.into()), Some(self.address));
        Caller { principal, connection: NO_CONNECTION, address }
    }
}

/// Requests have no connection that outlives them.
const NO_CONNECTION: ConnectionId = ConnectionId(0);

/// Returns a caller without credentials; without an address it is this program itself.
pub(super) fn stranger(address: Option<AddressKey>) -> Caller {
    Caller { principal: Principal::Peers([].into()), connection: NO_CONNECTION, address }
}

/// Returns the caller that has the relay key.
pub(super) fn relay(address: AddressKey) -> Caller {
    let address = Some(address);
    Caller { principal: Principal::RelayKey, connection: NO_CONNECTION, address }
}

/// Returns the zone of an offset; UTC if it is unknown.
pub(super) fn zone(offset: Option<UtcOffset>) -> TimeZone {
    offset.map_or(TimeZone::UTC, UtcOffset::zone)
}

/// Returns the token after `Bearer` in the first `Authorization` header.
///
/// # Errors
/// The reason why there is none.
pub(super) fn bearer(headers: &HeaderMap) -> Result<&[u8], AuthError> {
    let value = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let value = value.filter(|value| !value.is_empty()).ok_or(MISSING)?;
    let (scheme, credentials) = value.split_at_checked(b"Bearer".len()).ok_or(NOT_BEARER)?;
    // A header value has no trailing space, so that something follows this one.
    let is_bearer = scheme.eq_ignore_ascii_case(b"Bearer") && credentials.starts_with(b" ");
    if is_bearer { Ok(credentials.trim_ascii_start()) } else { Err(NOT_BEARER) }
}

/// Looks up what a token proves.
///
/// # Errors
/// The failure of the control plane; an unknown token is none.
pub(super) async fn look_up<T>(
    state: &HttpState,
    request: impl IntoAsk<T>,
    address: AddressKey,
) -> Result<Result<T, AuthError>, Problem> {
    let _permit = state.acquire_permit(address).await;
    match state.ask(stranger(Some(address)), request).await {
        Ok(proven) => Ok(Ok(proven)),
        Err(Failure::Refused(Refusal::BadToken)) => Ok(Err(UNKNOWN)),
        Err(failure) => Err(failure.into()),
    }
}

/// Returns the time zone for times in a reply: of this request, or else of an earlier one.
///
/// # Errors
/// The failure of the control plane.
pub(super) async fn reply_zone(
    state: &HttpState,
    client: &Client,
    of_request: Option<UtcOffset>,
) -> Result<TimeZone, Failure> {
    if of_request.is_some() {
        return Ok(zone(of_request));
    }
    let earlier = |reply| Ask::UtcOffset(client.peer_id.clone(), reply);
    state.ask(client.caller(), earlier).await.map(zone)
}

impl FromRequest for Credentials {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let credentials = request.extensions().get::<Self>().cloned();
        ready(credentials.ok_or_else(|| Problem::internal("a request passed no guard")))
    }
}

impl FromRequest for Client {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let credentials = Credentials::from_request(request, payload).into_inner();
        ready(credentials.and_then(|Credentials(client)| client.map_err(Problem::from)))
    }
}

impl From<AuthError> for Problem {
    fn from(AuthError(why): AuthError) -> Self {
        Self::unauthorized(why)
    }
}
