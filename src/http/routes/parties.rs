//! Parties.

use actix_web::{HttpResponse, web};
use futures_util::future::try_join;
use jiff::tz::TimeZone;
use lanrage_ipc::http::{ErrorReply, JoinBody, PartyReply, RegisterPartyBody};
use lanrage_ipc::model::{Keepalive, Party, PartyId};

use crate::control_plane::Query;
use crate::core::{CommandFor, command};
use crate::http::auth::{Client, reply_zone};
use crate::http::body::Body;
use crate::http::described::{
    Invalid, JoinRequest, Named, NotYours, PartyRequest, Unauthorized, Unavailable, Unknown,
    Unreadable,
};
use crate::http::idempotency_header::IdempotencyHeader;
use crate::http::path::Params;
use crate::http::problem::Problem;
use crate::http::state::HttpState;
use crate::random_id::random_party_id;

/// Registers a party with its host. The server chooses a random id, which serves as the invitation.
#[utoipa::path(
    post,
    path = "/parties",
    operation_id = "register_party",
    params(Named),
    request_body = PartyRequest,
    responses(
        (status = 200, description = "Success.", body = PartyReply),
        (status = 409, body = ErrorReply, description = "The host is in too many parties."),
        (status = 404, body = ErrorReply, description = "The party that was registered under this `Idempotency-Key` has ended."),
        NotYours,
        Unreadable,
        Invalid,
        Unauthorized,
        Unavailable
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn register(
    state: web::Data<HttpState>,
    client: Client,
    header: IdempotencyHeader,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let room = state.reserve_party(client.address)?;
    let RegisterPartyBody { name, host } = body.read(RegisterPartyBody::from_json).await?;
    let utc_offset = host.offset(state.clock.now().wall);
    let register = command!(Register {
        party_id: random_party_id().map_err(Problem::internal)?,
        name,
        host: host.info,
        keepalive: Keepalive::Manual,
        utc_offset,
    });
    let zone = reply_zone(&state, &client, utc_offset).await?;
    let party = enter(&state, &client, header, register, "host_peer_info.peer_id").await?;
    let reply = PartyReply::new(&party, &zone);
    Ok(room.done(&PartyReply { party_id: Some(party.party_id), ..reply }))
}

/// Returns a party with its members.
#[utoipa::path(
    get,
    path = "/parties/{party_id}",
    operation_id = "get_party",
    params(("party_id" = String, Path)),
    responses((status = 200, description = "Success.", body = PartyReply), Unknown, Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn get(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
) -> Result<HttpResponse, Problem> {
    let room = state.reserve_party(client.address)?;
    let (party, zone) = shown(&state, &client, params.party()?).await?;
    room.read(&PartyReply::new(&party, &zone))
}

/// Adds a member to a party, or updates it. The path names the party; the body's `party_id` is
/// ignored.
#[utoipa::path(
    post,
    path = "/parties/{party_id}/join",
    operation_id = "join_party",
    params(("party_id" = String, Path), Named),
    request_body = JoinRequest,
    responses(
        (status = 200, description = "Success.", body = PartyReply),
        (status = 409, body = ErrorReply, description = "The party is full, or the peer is in too many."),
        NotYours,
        Unknown,
        Unreadable,
        Invalid,
        Unauthorized,
        Unavailable
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn join(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
    header: IdempotencyHeader,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let room = state.reserve_party(client.address)?;
    let JoinBody { peer } = body.read(JoinBody::from_json).await?;
    let utc_offset = peer.offset(state.clock.now().wall);
    let join = command!(Join {
        party_id: params.party()?,
        peer: peer.info,
        keepalive: Keepalive::Manual,
        utc_offset,
    });
    let zone = reply_zone(&state, &client, utc_offset).await?;
    let party = enter(&state, &client, header, join, "peer_info.peer_id").await?;
    Ok(room.done(&PartyReply::new(&party, &zone)))
}

/// Returns a party, and the time zone in which the client reads it.
pub(super) async fn shown(
    state: &HttpState,
    client: &Client,
    party_id: PartyId,
) -> Result<(Party, TimeZone), Problem> {
    let zone = async { Ok(reply_zone(state, client, None).await?) };
    try_join(find(state, client, party_id), zone).await
}

/// Returns a party as the client may see it.
pub(super) async fn find(
    state: &HttpState,
    client: &Client,
    party_id: PartyId,
) -> Result<Party, Problem> {
    Ok(state.ask(client.caller(), |reply| Query::Party(party_id, reply)).await?)
}

/// Registers or joins; `place` says where the body names the peer.
async fn enter(
    state: &HttpState,
    client: &Client,
    header: IdempotencyHeader,
    command: CommandFor<Party>,
    place: &str,
) -> Result<Party, Problem> {
    let refused = |failure| Problem::of(failure, place);
    match header.idempotency(&command.command) {
        None => state.ask(client.caller(), command).await.map_err(refused),
        Some(key) => {
            let entered = state.ask(client.caller(), command.once(key)).await.map_err(refused)?;
            // A repeated request is answered with the party as it is now.
            find(state, client, entered).await
        }
    }
}
