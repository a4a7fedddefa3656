//! The daemon's side of a control server's protocol, without IO: one [`Session`] for each connection.
//!
//! A driver moves messages, asks the registry, and arms one timer:
//!
//! | call | when |
//! |---|---|
//! | [`Session::handle_message`] | a message arrived, and [`Session::wants_messages`] is true |
//! | [`Session::handle_request`], [`Session::handle_announcement`], [`Session::handle_relay_query`] | a client's request needs the server |
//! | [`Session::handle_applied`], [`Session::handle_looked_up`] | the registry has answered |
//! | [`Session::handle_called`] | one of the server's routes has answered |
//! | [`Session::handle_dirty`] | the registry has noted intents |
//! | [`Session::handle_timeout`] | [`Session::poll_timeout`] has passed |
//! | [`Session::poll_send`] | after each call above, while the connection accepts messages |
//! | [`Session::poll_output`] | after each call above, until it returns none |
//!
//! | file | |
//! |---|---|
//! | `session`, `output`, `ending` | the session: its inputs and outputs, and its end |
//! | `continuations` | answers of the registry and the server, by the purpose of the request |
//! | `requests`, `pace` | requests in flight: rate, window, repetition, answers |
//! | `auth`, `greeting`, `renewal` | local peers and their proofs: greeting by token or claim, token renewal |
//! | `message` | messages of the server in the core's types |
//! | `inbox` | messages in order, each durable before the next |
//! | `news`, `replica`, `reconcile` | the server's parties: messages, state, comparison with this machine's |
//! | `replay` | operations that result from intents and messages; corrections |
//! | `clients`, `relay` | requests of this daemon's clients |
//! | `keepalive` | heartbeats, and idle peers |
//! | `frames` | conversion between the wire's frames and the core's types |
//! | `times` | conversion of the server's times to this machine's clock |

mod auth;
mod clients;
mod continuations;
mod ending;
mod frames;
mod greeting;
mod inbox;
mod keepalive;
pub(crate) mod link;
mod memory;
mod message;
mod news;
mod output;
mod pace;
mod reconcile;
mod relay;
mod renewal;
mod replay;
mod replica;
mod requests;
mod session;
#[cfg(test)]
pub(in crate::core) mod tests;
mod times;

pub(crate) use clients::{
    ClientCommand, ClientError, ClientId, CommandOutcome, CommandReply, is_for_server,
};
pub(crate) use memory::{Keys, Machine, Memory};
pub(crate) use message::{Acked, Message, PeerToken, RequestResult};
pub(crate) use output::{Apply, LookUp, Outgoing, Output, SessionSettings, Then, TransportKind};
pub(crate) use relay::{Call, CallError, CallThen, Called};
pub(crate) use requests::Rejection;
pub(crate) use session::Session;
