//! The way from HTTP to WebSocket.

use actix_web::{HttpRequest, HttpResponse, web};
use lanrage_ipc::http::ErrorReply;

use crate::http::face::{HttpFace, address_of};
use crate::http::openapi::Unavailable;
use crate::ws;

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
    face: web::Data<HttpFace>,
    sockets: web::Data<ws::Face>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let address = address_of(&request, &face.settings().http);
    ws::upgrade(&sockets, &request, payload, address)
}
