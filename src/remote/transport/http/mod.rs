//! Transport over LANrage's HTTP routes, with the same messages as the one over WebSocket.
//!
//! Each request of the session calls a route; the response becomes messages. Changes are polled:
//! often after a change, seldom while nothing changes. LANrage's own server reports less than this
//! project's. It does not number changes, so that this transport numbers them itself; and it
//! assigns no virtual addresses.
//!
//! A `req_id` is sent as `Idempotency-Key`. A server that supports this header announces it in its
//! service description: a request whose response is lost is then retried at once, and later if the
//! session repeats it. Without the header, a retried registration would be executed twice, so it is
//! not retried. The `claim` of a hello is sent as the header `Claim` of a registration, where the
//! server supports it.
//!
//! The routes have two limits. There is none for signals: they are refused. The end of a party and
//! its removal by the server cannot be told apart.
//!
//! | file | |
//! |---|---|
//! | `jobs` | the task of the transport: order and concurrency of requests and polls |
//! | `requests` | calls for the session's requests, and the messages that answer them |
//! | `session`, `parties`, `tokens` | state that all requests share: polled parties, tokens |
//! | `api`, `client`, `stream` | calls of the routes over pooled, bounded connections |
//! | `api_error`, `exchange_error` | errors of calls and connections |
//! | `wall_clock` | offset of a server that states times without one |

mod api;
mod api_error;
mod client;
mod exchange_error;
mod jobs;
mod parties;
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
pub(crate) use api_error::Cause;
pub(crate) use client::HttpClient;
pub(crate) use exchange_error::ExchangeError;
pub(in crate::remote) use stream::LONGEST_EXCHANGE;

use super::{Endpoint, Loss, RECEIVE_QUEUE, SEND_QUEUE, Transport, TransportKind, clock_lead};
use jobs::JobRunner;
use parties::PolledParties;
use session::PollSession;

/// Opens a transport to a server over HTTP.
///
/// # Errors
/// A [`Loss`] where no control server responds.
pub(crate) async fn open(endpoint: &Endpoint) -> Result<Transport, Loss> {
    let mut api = Api::new(endpoint);
    let sent = Timestamp::now();
    let date = api.discover().await?;
    let clock_ahead = date.map(|date| clock_lead(date, [sent, Timestamp::now()]));
    let (outgoing, to_send) = mpsc::channel(SEND_QUEUE);
    let (received, incoming) = mpsc::channel(RECEIVE_QUEUE);
    let is_chosen = endpoint.kind == TransportKind::Http;
    let parties = PolledParties::new(endpoint.poll);
    let session = PollSession::new(api, parties, received, clock_ahead, is_chosen);
    let runner = JobRunner::new(Arc::new(session));
    tokio::spawn(runner.run(to_send, endpoint.request_timeout));
    Ok(Transport { outgoing, incoming, kind: TransportKind::Http, clock_ahead })
}
