//! Service information and its description.

use std::sync::LazyLock;

use actix_web::http::header::{self, ContentType};
use actix_web::{HttpResponse, web};
use lanrage_ipc::http::ServiceReply;

use crate::control_plane::Ask;
use crate::http::auth::stranger;
use crate::http::described::Unavailable;
use crate::http::problem::Problem;
use crate::http::sliced::Sliced;
use crate::http::state::HttpState;
use crate::http::{docs, openapi};

/// Version of LANrage's interface that the server implements.
const INTERFACE: &str = "1.0.0";
const PROGRAM: &str = concat!("lanragectl-server/", env!("CARGO_PKG_VERSION"));

/// Returns the server's identity and the number of its objects.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "root",
    responses((status = 200, description = "Success.", body = ServiceReply), Unavailable)
)]
pub(in crate::http) async fn root(
    state: web::Data<HttpState>,
) -> Result<web::Json<ServiceReply>, Problem> {
    let status = state.ask(stranger(None), Ask::Status).await?;
    Ok(web::Json(ServiceReply {
        service: "LANrage Control Plane",
        version: INTERFACE,
        status: "ok",
        parties: status.parties,
        relays: status.relays,
        peers: status.peers,
        server: PROGRAM,
        idempotency_key: true,
        claim: true,
    }))
}

/// Returns this description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    responses((status = 200, description = "Success.", body = serde_json::Value), Unavailable)
)]
pub(in crate::http) async fn openapi() -> HttpResponse {
    static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::document);
    HttpResponse::Ok().content_type(ContentType::json()).body(Sliced::shared(DOCUMENT.as_str()))
}

/// Returns a page with this description, which loads nothing from other hosts.
#[utoipa::path(
    get,
    path = "/docs",
    operation_id = "docs",
    responses((status = 200, description = "Success.", body = String, content_type = "text/html"), Unavailable)
)]
pub(in crate::http) async fn docs() -> HttpResponse {
    static PAGE: LazyLock<(&str, String)> = LazyLock::new(docs::page);
    let (page, policy) = &*PAGE;
    HttpResponse::Ok()
        .content_type(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, policy.as_str()))
        .body(Sliced::shared(page))
}
