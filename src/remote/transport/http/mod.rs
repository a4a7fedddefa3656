//! LANrage's HTTP routes behind the frames of a WebSocket: the holder of a [`Transport`] need not know
//! its kind.
//!
//! A frame becomes a request, and its answer the frames that a server with a WebSocket would send.
//! What such a server tells by itself is looked for: often after a change, seldom while nothing
//! happens. LANrage's own server tells less than this project's: where it gives no numbers they
//! are made up, and where it gives no virtual addresses there are none.
//!
//! A `req_id` is an `Idempotency-Key`. Where the server knows that header, which it says of itself
//! to who greets it, a request whose answer is lost is made again at once, and later as the link
//! wants it; where it does not, a registration would be made twice, and is not made again by itself.
//! The `claim` of a hello is the header `Claim` of a registration, where the server knows that.
//!
//! Two things are different, because the routes have no place for them. Signals are refused. A
//! party that ended and one that was removed look alike.

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
