//! Relays.

use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::future::try_join;
use lanrage_ipc::http::{ErrorReply, RelayBody, RelayEntry, RelayReply, RelaysReply};
use lanrage_ipc::model::Name;

use crate::control_plane::Query;
use crate::core::{Caller, RelayInput, command};
use crate::http::auth::{Client, Credentials, bearer, relay, reply_zone};
use crate::http::body::Body;
use crate::http::described::{Invalid, RelayRequest, Unauthorized, Unavailable, Unreadable};
use crate::http::path::Params;
use crate::http::problem::Problem;
use crate::http::state::{HttpState, address_of};
use crate::token;

/// Registers, updates or refreshes a relay.
#[utoipa::path(
    post,
    path = "/relays",
    operation_id = "register_relay",
    request_body = RelayRequest,
    responses(
        (status = 200, description = "Success.", body = RelayReply),
        (status = 403, body = ErrorReply, description = "The relay key is missing, or the relay belongs to another peer."),
        Unreadable,
        Invalid,
        Unauthorized,
        Unavailable
    ),
    security(("bearer" = []))
)]
pub(in crate::http) async fn register(
    state: web::Data<HttpState>,
    credentials: Credentials,
    request: HttpRequest,
    body: Body,
) -> Result<web::Json<RelayReply>, Problem> {
    let caller = registrar(&state, credentials, &request)?;
    let RelayBody { relay_id, public_ip, port, region, capacity } =
        body.read(RelayBody::from_json).await?;
    let relay = RelayInput { relay_id, public_ip, port, region, capacity };
    let relay = state.ask(caller, command!(RegisterRelay(relay))).await?;
    Ok(web::Json(RelayReply { status: "registered", relay_id: relay.relay_id }))
}

/// Returns all relays, by region, then id.
#[utoipa::path(
    get,
    path = "/relays",
    operation_id = "list_relays",
    responses((status = 200, description = "Success.", body = RelaysReply), Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn list(
    state: web::Data<HttpState>,
    client: Client,
) -> Result<HttpResponse, Problem> {
    find(&state, &client, None).await
}

/// Returns the relays of a region, by id. The region is case-sensitive.
#[utoipa::path(
    get,
    path = "/relays/{region}",
    operation_id = "list_relays_of_region",
    params(("region" = String, Path)),
    responses((status = 200, description = "Success.", body = RelaysReply), Unauthorized, Unavailable),
    security(("bearer" = []))
)]
pub(in crate::http) async fn list_region(
    state: web::Data<HttpState>,
    params: Params,
    client: Client,
) -> Result<HttpResponse, Problem> {
    match params.region() {
        Some(region) => find(&state, &client, Some(region)).await,
        None => Ok(HttpResponse::Ok().json(RelaysReply { relays: Vec::new() })),
    }
}

async fn find(
    state: &HttpState,
    client: &Client,
    region: Option<Name>,
) -> Result<HttpResponse, Problem> {
    let room = state.reserve_relays(client.address).await?;
    let are_all = region.is_none();
    let relays = state.ask(client.caller(), |reply| Query::Relays(region, reply));
    let (relays, zone) = try_join(relays, reply_zone(state, client, None)).await?;
    if are_all {
        state.note_relays(relays.len());
    }
    let relays = relays.iter().map(|relay| RelayEntry::new(relay, &zone)).collect();
    room.read(&RelaysReply { relays })
}

/// Returns the caller of a relay's registration: with a relay key configured, it must be shown.
fn registrar(
    state: &HttpState,
    credentials: Credentials,
    request: &HttpRequest,
) -> Result<Caller, Problem> {
    let client = credentials.0.map_err(Problem::from);
    let settings = state.settings();
    let Some(key) = &settings.auth.relay_key else { return Ok(client?.caller()) };
    match bearer(request.headers()) {
        Ok(shown) if token::is_secret(shown, key) => {
            Ok(relay(address_of(request, &settings.http).into()))
        }
        _ => client.and(Err(Problem::forbidden("Registering a relay needs the relay key"))),
    }
}
