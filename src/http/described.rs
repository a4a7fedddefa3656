//! Request bodies, headers and error responses of the OpenAPI document.

use lanrage_ipc::http::ErrorReply;
use lanrage_ipc::lanrage::AnnouncedPeer;
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// Body of `POST /parties`.
#[derive(Debug, ToSchema)]
pub(crate) struct PartyRequest {
    /// Name of the party: 1 to 100 characters.
    pub(crate) name: String,
    /// Host of the party. `last_seen` is optional; the alternative shape with `public_endpoint`
    /// (`ip:port`) in place of the addresses is accepted, too.
    pub(crate) host_peer_info: AnnouncedPeer,
}

/// Body of `POST /parties/{party_id}/join`.
#[derive(Debug, ToSchema)]
pub(crate) struct JoinRequest {
    /// Id of the party, not empty; the one in the path counts.
    pub(crate) party_id: String,
    /// Peer that joins, as in `POST /parties`.
    pub(crate) peer_info: AnnouncedPeer,
}

/// Body of `POST /relays`.
#[derive(Debug, ToSchema)]
pub(crate) struct RelayRequest {
    /// Id of the relay.
    pub(crate) relay_id: String,
    /// IP address that it listens on.
    pub(crate) public_ip: String,
    /// Port that it listens on.
    pub(crate) port: u16,
    /// Region of the relay.
    #[schema(default = "unknown", required = false)]
    pub(crate) region: String,
    /// Maximum number of peers.
    #[schema(default = 100, required = false)]
    pub(crate) capacity: u32,
}

/// Idempotency key of a request.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Named {
    /// Idempotency key: 1 to 128 characters of printable ASCII in double quotes, such as a UUID;
    /// the quotes are optional. A request repeated by the same peer under the same key within 24
    /// hours is done once, and gets the first result; a party is returned in its present state. The
    /// same key with another body is a 422. Only completed requests count: a refused request is
    /// processed again. The key is the same as the `req_id` of a WebSocket's frame.
    #[param(rename = "Idempotency-Key", required = false)]
    pub(crate) idempotency_key: Option<String>,
}

/// Claim secret of a registration.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct ClaimSecret {
    /// Claim secret: 22 to 128 url-safe characters with 128 random bits, chosen by the client and
    /// stored before the request. A client repeats a registration with it if the answer was lost,
    /// and gets another token while the first one is valid: protect it like that token. With it, an
    /// invalid token in the request is a 401, and is not ignored.
    #[param(rename = "Claim", required = false)]
    pub(crate) claim: Option<String>,
}

/// Errors of every request except the probes.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unavailable {
    /// Too many requests.
    #[response(status = 429, headers(("Retry-After" = u64)))]
    TooOften(ErrorReply),
    /// Defect of the server.
    #[response(status = 500)]
    Internal(ErrorReply),
    /// The server is stopping or overloaded, or its state can't be written.
    #[response(status = 503, headers(("Retry-After" = u64)))]
    NoService(ErrorReply),
}

/// Error of a request without a valid token.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unauthorized {
    /// No valid token.
    #[response(status = 401, headers(("WWW-Authenticate" = String)))]
    Unauthorized(ErrorReply),
}

/// Error of a request that acts for another peer.
#[derive(Debug, IntoResponses)]
pub(crate) enum NotYours {
    /// The token belongs to another peer than the one that the request acts for.
    #[response(status = 403)]
    NotYours(ErrorReply),
}

/// Error of a request about an unknown party or peer.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unknown {
    /// There is no such party, or no such peer in it.
    #[response(status = 404)]
    Unknown(ErrorReply),
}

/// Errors of a request with a body.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unreadable {
    /// Malformed body.
    #[response(status = 400)]
    Malformed(ErrorReply),
    /// The body did not arrive in time.
    #[response(status = 408)]
    TooSlow(ErrorReply),
    /// The body is too long.
    #[response(status = 413)]
    TooLarge(ErrorReply),
    /// The body is compressed.
    #[response(status = 415)]
    Encoded(ErrorReply),
}

/// Errors in a body or in parameters.
#[derive(Debug, IntoResponses)]
pub(crate) enum Invalid {
    /// All mistakes in the body or the parameters.
    #[response(status = 422)]
    Invalid(ErrorReply),
}
