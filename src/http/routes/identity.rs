//! Registration of peer ids, and the end of their tokens.

use actix_web::{HttpRequest, web};
use lanrage_ipc::control::Secret;
use lanrage_ipc::http::{ErrorReply, RevokedReply, TokenReply};
use lanrage_ipc::lanrage::input::{Mistake, Reader, Refusal, rules};
use lanrage_ipc::model::PeerId;
use serde_json::{Map, Value};

use crate::control_plane::Ask;
use crate::core::{Claimed, Hold, Identity, command};
use crate::http::auth::{Client, Credentials, bearer, look_up, stranger, zone};
use crate::http::claim::Claim;
use crate::http::described::{ClaimSecret, Invalid, Unauthorized, Unavailable};
use crate::http::idempotency_header::IdempotencyHeader;
use crate::http::problem::Problem;
use crate::http::state::{HttpState, address_of};
use crate::token::{self, Token};

/// Registers a peer id and returns a token for it.
///
/// The first client that registers an id owns it. While the id has a valid token or is in a party,
/// a further registration needs that token.
#[utoipa::path(
    post,
    path = "/auth/register",
    operation_id = "register_peer",
    params(("peer_id" = String, Query, description = "Peer id to register."), ClaimSecret),
    responses(
        (status = 200, description = "Success.", body = TokenReply),
        (status = 409, body = ErrorReply, description = "The peer id belongs to another client."),
        Invalid,
        Unauthorized,
        Unavailable
    ),
    security((), ("bearer" = []))
)]
pub(in crate::http) async fn register(
    state: web::Data<HttpState>,
    credentials: Credentials,
    header: IdempotencyHeader,
    Claim(claim): Claim,
    request: HttpRequest,
) -> Result<web::Json<TokenReply>, Problem> {
    let address = address_of(&request, &state.settings().http);
    let peer_id = peer_id(request.query_string());
    let admitted = state.admit_registration(address, peer_id.as_ref().ok()).await;
    admitted.map_err(Problem::too_often)?;
    let peer_id = peer_id.map_err(Problem::invalid)?;
    let token = Token::fresh().map_err(Problem::internal)?;
    let proof = bearer(request.headers()).ok().map(token::hash);
    let credentials = match (credentials, proof) {
        (Credentials(Err(_)), Some(hash)) => {
            let claim = |reply| Ask::AuthenticateClaim(hash, reply);
            let proven = look_up(&state, claim, address.into()).await?;
            let client = |Identity { peer_id, .. }| Client { peer_id, address: address.into() };
            Credentials(proven.map(client))
        }
        (credentials, _) => credentials,
    };
    // A client with a claim secret or idempotency key must learn first that its token is lost.
    if let Err(error) = &credentials.0
        && proof.is_some()
        && (claim.is_some() || header.is_named())
    {
        return Err((*error).into());
    }
    let claim = claim.as_ref().map(token::claim_hash);
    let caller =
        credentials.0.map_or_else(|_| stranger(Some(address.into())), |client| client.caller());
    let (issue, hold) = (Some(token.hash()), Hold::No);
    let claim = command!(Claim { peer_id, proof, issue, hold, claim });
    let Claimed { identity, is_issued } = state.ask(caller, claim).await?;
    // Otherwise the shown token itself was renewed.
    let token = match bearer(request.headers()).ok().filter(|_| !is_issued) {
        Some(shown) => Secret::from(String::from_utf8_lossy(shown).into_owned()),
        None => token.into_secret(),
    };
    state.note_valid(token::hash(token.expose().as_bytes()));
    let expires_at = identity.expires_at.unwrap_or_else(|| state.clock.now().wall);
    Ok(web::Json(TokenReply {
        token,
        peer_id: identity.peer_id,
        expires_at: zone(identity.utc_offset).to_datetime(expires_at),
    }))
}

/// Revokes the peer's tokens except the one of the request, and ends the connections that use them.
/// With `all=true` it revokes that one, too.
#[utoipa::path(
    delete,
    path = "/auth/tokens",
    operation_id = "revoke_tokens",
    params(("all" = Option<bool>, Query, description = "True to revoke the request's own token, too.")),
    responses((status = 200, description = "Success.", body = RevokedReply), Invalid, Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn revoke(
    state: web::Data<HttpState>,
    client: Client,
    request: HttpRequest,
) -> Result<web::Json<RevokedReply>, Problem> {
    let all = all(request.query_string()).map_err(Problem::invalid)?;
    let shown = bearer(request.headers()).ok().map(token::hash);
    let peer_id = client.peer_id.clone();
    let revoke = command!(Revoke { peer_id, keep: shown.filter(|_| !all) });
    let revoked = state.ask(client.caller(), revoke).await?;
    let revoked = u64::try_from(revoked.tokens).unwrap_or(u64::MAX);
    Ok(web::Json(RevokedReply { status: "ok", revoked }))
}

/// Returns the `peer_id` of a query; the last one counts.
fn peer_id(query: &str) -> Result<PeerId, Vec<Mistake>> {
    let fields = fields(query);
    let mut reader = Reader::query(&fields);
    let peer_id = reader.required("peer_id", rules::new_id);
    reader.finish(peer_id)
}

/// Returns the `all` of a query; false by default.
fn all(query: &str) -> Result<bool, Vec<Mistake>> {
    let fields = fields(query);
    let mut reader = Reader::query(&fields);
    let all = reader.optional("all", |value| match value.as_str() {
        Some("true" | "1") => Ok(true),
        Some("false" | "0") => Ok(false),
        _ => Err(Refusal::value_error("must be true or false")),
    });
    reader.finish(all.map(Option::unwrap_or_default))
}

fn fields(query: &str) -> Map<String, Value> {
    // An invalid query has no parameters.
    let pairs = web::Query::<Vec<(String, String)>>::from_query(query);
    let pairs = pairs.map(web::Query::into_inner).unwrap_or_default();
    pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect()
}
