//! A transport over LANrage's HTTP routes: a session need not know which transport it has.
//!
//! A request becomes a call of a route, and its answer the messages of a session. Changes are polled:
//! often after a change, seldom while nothing happens. LANrage's own server states less than this
//! project's. Where it does not number changes, the numbers are made up; where it gives no virtual
//! addresses, there are none.
//!
//! A `req_id` is sent as `Idempotency-Key`. A server that supports this header says so in its
//! greeting: a request whose answer is lost is then repeated at once, and later if the session
//! repeats it. Without it, a registration would be executed twice, and is not repeated. The `claim`
//! of a hello is sent as the header `Claim` of a registration, where the server supports it.
//!
//! Two things have no place in the routes. Signals are refused. A party that ended and one that was
//! removed look alike.
//!
//! | file | |
//! |---|---|
//! | `jobs` | the task of the transport: order and concurrency of calls |
//! | `requests` | requests of the session as calls, answers as messages |
//! | `session`, `parties`, `tokens` | state that all calls share: polled parties, tokens |
//! | `api`, `client`, `stream` | calls of the routes over pooled, bounded connections |
//! | `refused`, `fault` | failures of calls and connections |
//! | `wall_clock` | offset of a server that states times without one |

mod api;
mod client;
mod fault;
mod jobs;
mod parties;
mod refused;
mod requests;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod tokens;
mod wall_clock;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::mpsc;

pub(crate) use api::{Api, Token};
pub(crate) use client::HttpClient;
pub(crate) use fault::Fault;
pub(crate) use refused::Cause;
pub(in crate::remote) use stream::LONGEST_EXCHANGE;

use super::{Endpoint, Loss, RECEIVE_QUEUE, SEND_QUEUE, Transport, TransportKind, ahead};
use jobs::JobRunner;
use parties::Parties;
use session::PollSession;

/// Opens a way to a server over HTTP.
///
/// # Errors
/// No answer of a control server.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Transport, Loss> {
    let mut api = Api::new(endpoint);
    let sent = Timestamp::now();
    let date = api.meet().await?;
    let clock_ahead = date.map(|date| ahead(date, [sent, Timestamp::now()]));
    let (outgoing, wanted) = mpsc::channel(SEND_QUEUE);
    let (told, incoming) = mpsc::channel(RECEIVE_QUEUE);
    let is_chosen = endpoint.kind == TransportKind::Http;
    let session = PollSession::new(api, Parties::new(endpoint.poll), told, clock_ahead, is_chosen);
    let pump = JobRunner::new(Arc::new(session));
    tokio::spawn(pump.run(wanted, endpoint.request_timeout));
    Ok(Transport { outgoing, incoming, kind: TransportKind::Http, clock_ahead })
}
