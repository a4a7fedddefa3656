//! Upgrade from HTTP to WebSocket.

use actix_web::{HttpRequest, HttpResponse, web};
use lanrage_ipc::http::ErrorReply;

use crate::http::described::Unavailable;
use crate::http::{Problem, Sockets};

/// Upgrades the connection to a WebSocket, whose frames carry the credentials.
#[utoipa::path(
    get,
    path = "/ws",
    operation_id = "websocket",
    responses(
        (status = 101, description = "WebSocket with one JSON object per text frame."),
        (status = 400, description = "Invalid WebSocket handshake.", body = ErrorReply),
        (status = 403, description = "Pages of this origin may not connect.", body = ErrorReply),
        (status = 426, description = "The request is no upgrade to a WebSocket.", body = ErrorReply),
        Unavailable
    )
)]
pub(in crate::http) async fn upgrade(
    request: HttpRequest,
    sockets: web::Data<dyn Sockets>,
) -> Result<HttpResponse, Problem> {
    sockets.into_inner().upgrade(&request)
}
