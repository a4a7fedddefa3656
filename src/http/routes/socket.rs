//! Upgrade from HTTP to WebSocket.

use actix_web::{HttpRequest, HttpResponse, web};
use lanrage_ipc::http::ErrorReply;

use crate::http::described::Unavailable;
use crate::http::{Problem, Sockets};

/// Makes the connection a WebSocket; its frames say who asks.
#[utoipa::path(
    get,
    path = "/ws",
    operation_id = "websocket",
    responses(
        (status = 101, description = "A WebSocket, one JSON object per text frame."),
        (status = 400, description = "No WebSocket handshake.", body = ErrorReply),
        (status = 403, description = "Pages of this origin may not connect.", body = ErrorReply),
        (status = 426, description = "No WebSocket is asked for.", body = ErrorReply),
        Unavailable
    )
)]
pub(in crate::http) async fn upgrade(
    request: HttpRequest,
    payload: web::Payload,
    sockets: web::Data<dyn Sockets>,
) -> Result<HttpResponse, Problem> {
    sockets.into_inner().upgrade(&request, payload)
}
