//! Bodies and answers as the description of the interface has them.

use lanrage_ipc::http::ErrorReply;
use lanrage_ipc::lanrage::AnnouncedPeer;
use utoipa::{IntoParams, IntoResponses, ToSchema};

/// The body of `POST /parties`.
#[derive(Debug, ToSchema)]
pub(crate) struct PartyRequest {
    /// What to call the party: 1 to 100 characters.
    pub(crate) name: String,
    /// The host. `last_seen` may be left out; the alternative shape with `public_endpoint`
    /// (`ip:port`) in place of the addresses is taken, too.
    pub(crate) host_peer_info: AnnouncedPeer,
}

/// The body of `POST /parties/{party_id}/join`.
#[derive(Debug, ToSchema)]
pub(crate) struct JoinRequest {
    /// Not empty; it is the path's that counts.
    pub(crate) party_id: String,
    /// Who joins, as in `POST /parties`.
    pub(crate) peer_info: AnnouncedPeer,
}

/// The body of `POST /relays`.
#[derive(Debug, ToSchema)]
pub(crate) struct RelayRequest {
    /// Its id.
    pub(crate) relay_id: String,
    /// Where it listens: an IP address.
    pub(crate) public_ip: String,
    /// The port it listens on.
    pub(crate) port: u16,
    /// Where in the world it stands.
    #[schema(default = "unknown", required = false)]
    pub(crate) region: String,
    /// How many peers it takes.
    #[schema(default = 100, required = false)]
    pub(crate) capacity: u32,
}

/// What a request may be called.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Named {
    /// Names the request: 1 to 128 characters of printable ASCII in double quotes, such as a UUID;
    /// the quotes may be left out. Repeated under the same key by the same peer within 24 hours it
    /// is done once, and answered with what it did the first time; a party is told as it is by
    /// then. With another body the key is a 422. Only what was done is known again: a request that
    /// was refused is looked at anew. It is the same key as the `req_id` of a WebSocket's frame.
    #[param(rename = "Idempotency-Key", required = false)]
    pub(crate) idempotency_key: Option<String>,
}

/// What repeats a claim.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct ClaimSecret {
    /// Claim secret: 22 to 128 url-safe characters with 128 random bits, chosen by the client and
    /// kept before it asks. A registration whose answer was lost is repeated with it, and gets
    /// another token, while the first one is good: keep it as secret as that. With it a token that
    /// is shown and not good is a 401, and is not passed over.
    #[param(rename = "Claim", required = false)]
    pub(crate) claim: Option<String>,
}

/// What any request but a probe may get.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unavailable {
    /// Asked too often.
    #[response(status = 429, headers(("Retry-After" = u64)))]
    TooOften(ErrorReply),
    /// A defect of the server.
    #[response(status = 500)]
    Internal(ErrorReply),
    /// The server is stopping or overloaded, or its state can't be written.
    #[response(status = 503, headers(("Retry-After" = u64)))]
    NoService(ErrorReply),
}

/// What a request without a valid token gets.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unauthorized {
    /// No valid token.
    #[response(status = 401, headers(("WWW-Authenticate" = String)))]
    Unauthorized(ErrorReply),
}

/// What a request that acts for a peer may get.
#[derive(Debug, IntoResponses)]
pub(crate) enum NotYours {
    /// The token is of another peer than the one that the request acts for.
    #[response(status = 403)]
    NotYours(ErrorReply),
}

/// What a request about a party may get.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unknown {
    /// There is no such party, or no such peer in it.
    #[response(status = 404)]
    Unknown(ErrorReply),
}

/// What a request with a body may get.
#[derive(Debug, IntoResponses)]
pub(crate) enum Unreadable {
    /// The body can't be read.
    #[response(status = 400)]
    Malformed(ErrorReply),
    /// The body took too long.
    #[response(status = 408)]
    TooSlow(ErrorReply),
    /// The body is too long.
    #[response(status = 413)]
    TooLarge(ErrorReply),
    /// The body is compressed.
    #[response(status = 415)]
    Encoded(ErrorReply),
}

/// What a request with a body or parameters may get.
#[derive(Debug, IntoResponses)]
pub(crate) enum Invalid {
    /// All that is wrong with the body or the parameters.
    #[response(status = 422)]
    Invalid(ErrorReply),
}
