//! Frontend for HTTP clients.
//!
//! Every request passes the `guard`, which checks the shutdown state, the credentials and the rate
//! limits. Its route reads it, asks the control plane, and writes the answer. A refusal becomes a
//! [`Problem`], which alone knows statuses.
//!
//! | file | |
//! |---|---|
//! | `serve`, `socket`, `tls` | listener, accepted connections and their TLS |
//! | `connections` | bounds of connections and handshakes, in all and per address |
//! | `error_bodies`, `old_posts`, `pipelining` | wrappers of a connection, around the HTTP library |
//! | `upgrade` | end of HTTP on a connection that becomes a WebSocket |
//! | `guard`, `auth`, `origin`, `cors` | checks of a request: credentials, rates, client address, origin |
//! | `routes`, `path`, `body`, `claim`, `idempotency_header` | handlers, and the parts of a request |
//! | `problem` | failures as responses |
//! | `replies`, `sliced` | memory budget of long replies, and their bodies |
//! | `refusals` | log of reached limits |
//! | `metrics`, `openapi`, `described`, `docs` | metrics; description of the interface, and its page |
//! | `state` | state that all workers share |

mod auth;
mod body;
mod claim;
mod connections;
mod cors;
#[expect(dead_code, reason = "the description of the interface shows the fields")]
pub(crate) mod described;
pub(crate) mod docs;
mod error_bodies;
mod guard;
mod idempotency_header;
pub(crate) mod metrics;
mod old_posts;
pub(crate) mod openapi;
pub(crate) mod origin;
mod path;
mod pipelining;
mod problem;
pub(crate) mod refusals;
mod replies;
mod routes;
mod serve;
mod sliced;
pub(crate) mod socket;
mod state;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tls;
pub(crate) mod upgrade;

use std::sync::Arc;

use actix_service::fn_service;
use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, HttpRequest, HttpResponse, web};

pub(crate) use connections::HttpConnectionLimiter;
pub(crate) use problem::Problem;
pub(crate) use serve::{serve, workers};
pub(crate) use state::address_of;
pub(crate) use state::{HttpSettings, HttpState};

/// Server of the connections that become WebSockets.
pub(crate) trait Sockets: Send + Sync {
    /// Upgrades a connection to a WebSocket.
    ///
    /// # Errors
    /// Problem of an invalid handshake or a full limit.
    fn upgrade(self: Arc<Self>, request: &HttpRequest) -> Result<HttpResponse, Problem>;

    /// Returns the number of open WebSockets.
    fn open(&self) -> usize;

    /// Returns the number of frames in the send queues.
    fn queued(&self) -> usize;
}

/// Builds the app of one worker. `sockets` takes the upgraded connections.
pub(crate) fn app(
    state: web::Data<HttpState>,
    sockets: Arc<dyn Sockets>,
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
        .app_data(state)
        .app_data(web::Data::from(sockets))
        .default_service(fn_service(guard::guard))
}
