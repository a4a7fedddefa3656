//! Probes and metrics: they need no token. The probes have no rate limit, either.

use std::time::Duration;

use actix_web::{HttpResponse, web};
use lanrage_ipc::http::{ErrorReply, StatusReply};

use crate::control_plane::{Ask, Status};
use crate::http::Sockets;
use crate::http::auth::stranger;
use crate::http::metrics::{CONTENT_TYPE, Gauges};
use crate::http::problem::Problem;
use crate::http::state::HttpState;

/// Time limit of the control plane to show that it is ready.
const READY: Duration = Duration::from_secs(2);

/// Liveness probe: answers while the process runs.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    responses((status = 200, description = "Success.", body = StatusReply))
)]
pub(in crate::http) async fn healthz() -> web::Json<StatusReply> {
    web::Json(StatusReply { status: "ok" })
}

/// Readiness probe: succeeds while the control plane answers, the disk takes writes, and the server
/// is not stopping.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    responses(
        (status = 200, description = "Success.", body = StatusReply),
        (status = 503, body = ErrorReply, description = "Not ready.", headers(("Retry-After" = u64)))
    )
)]
pub(in crate::http) async fn readyz(
    state: web::Data<HttpState>,
) -> Result<web::Json<StatusReply>, Problem> {
    if state.is_stopping() {
        return Err(Problem::stopping());
    }
    if !state.is_ready() {
        return Err(Problem::starting());
    }
    if status(&state).await?.store.last_error.is_some() {
        return Err(Problem::not_ready("The last commit of the state failed"));
    }
    Ok(web::Json(StatusReply { status: "ok" }))
}

/// Returns the metrics, for Prometheus.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    responses(
        (status = 200, description = "Success.", body = String, content_type = "text/plain"),
        (status = 429, body = ErrorReply, description = "Too many requests.", headers(("Retry-After" = u64))),
        (status = 503, body = ErrorReply, description = "No answer.", headers(("Retry-After" = u64)))
    )
)]
pub(in crate::http) async fn metrics(
    state: web::Data<HttpState>,
    sockets: web::Data<dyn Sockets>,
) -> Result<HttpResponse, Problem> {
    let Status { parties, peers, relays, tokens, counters, store, .. } = status(&state).await?;
    let size = |count| usize::try_from(count).unwrap_or(usize::MAX);
    let gauges = Gauges {
        parties: size(parties),
        peers: size(peers),
        relays: size(relays),
        tokens: size(tokens),
        store_pending: store.pending,
        commits: counters.commits,
        commit_failures: counters.commit_failures,
        evicted_peers: counters.peers_expired,
        evicted_parties: counters.parties_expired,
        evicted_relays: counters.relays_expired,
        uptime: state.clock.elapsed(),
        websockets: sockets.open(),
        queued_frames: sockets.queued(),
    };
    Ok(HttpResponse::Ok().content_type(CONTENT_TYPE).body(state.metrics.text(&gauges)))
}

async fn status(state: &HttpState) -> Result<Status, Problem> {
    Ok(state.control_plane.ask_within(READY, stranger(None), Ask::Status).await?)
}
