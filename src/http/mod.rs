//! The face towards the network: HTTP and WebSocket.
//!
//! A request goes through [`guard`], which every request passes: is the server stopping, who asks,
//! and how often. Its route reads it, asks the control plane, and writes the answer. What is
//! refused becomes a [`Problem`], which alone knows statuses.

mod auth;
mod body;
mod cors;
pub mod described;
pub mod docs;
mod face;
mod guard;
pub mod metrics;
pub mod openapi;
pub mod origin;
mod path;
mod problem;
mod routes;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod tls;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::from_fn;
use actix_web::{App, Error, web};

pub(crate) use face::address_of;
pub use face::{HttpFace, Settings};
pub use problem::Problem;

use crate::ws;

/// What serves one worker's requests. `sockets` has those that become WebSockets.
pub fn app(
    face: web::Data<HttpFace>,
    sockets: web::Data<ws::Face>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .app_data(face)
        .app_data(sockets)
        .wrap(from_fn(guard::guard::<BoxBody>))
        .configure(routes::configure)
}
