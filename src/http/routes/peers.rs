//! Members of a party.

use actix_web::{HttpResponse, web};
use futures_util::future::try_join;
use lanrage_ipc::http::{PeerReply, PeersReply, StatusReply};

use super::parties::{find, shown};
use crate::control_plane::Query;
use crate::core::command;
use crate::http::auth::{Client, reply_zone};
use crate::http::described::{Invalid, Named, NotYours, Unauthorized, Unavailable, Unknown};
use crate::http::idempotency_header::IdempotencyHeader;
use crate::http::path::Params;
use crate::http::problem::Problem;
use crate::http::state::HttpState;

/// Place in the path that names the peer of the request.
const REQUESTED: &str = "requested peer_id";

/// Returns the members of a party.
#[utoipa::path(
    get,
    path = "/parties/{party_id}/peers",
    operation_id = "list_peers",
    params(("party_id" = String, Path)),
    responses((status = 200, description = "Success.", body = PeersReply), Unknown, Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn list(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
) -> Result<HttpResponse, Problem> {
    let room = state.reserve_party(client.address)?;
    let (party, zone) = shown(&state, &client, params.party()?).await?;
    room.read(&PeersReply::new(&party, &zone))
}

/// Returns a member of a party.
#[utoipa::path(
    get,
    path = "/parties/{party_id}/peers/{peer_id}",
    operation_id = "get_peer",
    params(("party_id" = String, Path), ("peer_id" = String, Path)),
    responses((status = 200, description = "Success.", body = PeerReply), Unknown, Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn get(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
) -> Result<web::Json<PeerReply>, Problem> {
    let party_id = params.party()?;
    let peer_id = match params.peer() {
        Ok(peer_id) => peer_id,
        // A missing party is reported before a missing peer.
        Err(problem) => return Err(find(&state, &client, party_id).await.err().unwrap_or(problem)),
    };
    let peer = state.ask(client.caller(), |reply| Query::Peer(party_id, peer_id, reply));
    let (peer, zone) = try_join(peer, reply_zone(&state, &client, None)).await?;
    Ok(web::Json(PeerReply::new(&peer, &zone)))
}

/// Removes a member from its party. The party ends when its host leaves.
#[utoipa::path(
    delete,
    path = "/parties/{party_id}/peers/{peer_id}",
    operation_id = "leave_party",
    params(("party_id" = String, Path), ("peer_id" = String, Path), Named),
    responses((status = 200, description = "Success.", body = StatusReply), NotYours, Unknown, Invalid, Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn leave(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
    header: IdempotencyHeader,
) -> Result<web::Json<StatusReply>, Problem> {
    // A token implies a valid peer id.
    let peer_id = params.peer().map_err(|_| Problem::not_yours(REQUESTED))?;
    let leave = command!(Leave { party_id: params.party()?, peer_id });
    let key = header.idempotency(&leave.command);
    let left = state.ask(client.caller(), leave.once(key)).await?;
    let status = if left.party_deleted { "party_deleted" } else { "left" };
    Ok(web::Json(StatusReply { status }))
}

/// Refreshes a member's `last_seen`.
#[utoipa::path(
    post,
    path = "/parties/{party_id}/peers/{peer_id}/heartbeat",
    operation_id = "heartbeat",
    params(("party_id" = String, Path), ("peer_id" = String, Path)),
    responses((status = 200, description = "Success.", body = StatusReply), NotYours, Unknown, Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn heartbeat(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
) -> Result<web::Json<StatusReply>, Problem> {
    let peer_id = params.peer().map_err(|_| Problem::not_yours(REQUESTED))?;
    state.ask(client.caller(), command!(Heartbeat { party_id: params.party()?, peer_id })).await?;
    Ok(web::Json(StatusReply { status: "ok" }))
}
