//! The daemon's side of a control server's protocol, without IO: one [`Session`] a connection.
//!
//! A driver moves messages, has the registry answer, and arms one timer:
//!
//! | call | when |
//! |---|---|
//! | [`Session::handle_message`] | a message came from the server, and [`Session::wants_messages`] |
//! | [`Session::handle_request`], [`Session::handle_announcement`], [`Session::handle_relay_query`] | a client of this daemon wants something that the server has to do |
//! | [`Session::handle_applied`], [`Session::handle_looked_up`] | the registry has answered |
//! | [`Session::handle_called`] | one of the server's routes has answered |
//! | [`Session::handle_dirty`] | the registry has noted intents |
//! | [`Session::handle_timeout`] | [`Session::poll_timeout`] has come |
//! | [`Session::poll_send`] | after each of these, while the connection takes messages |
//! | [`Session::poll_output`] | after each of these, until there is none |
//!
//! | file | |
//! |---|---|
//! | `session`, `output`, `ending` | the session: its inputs and outputs, and its end |
//! | `requests`, `pace` | requests in flight: rate, window, repetition, answers |
//! | `auth`, `greeting`, `renewal` | local peers and their proofs: greeting by token or claim, renewal |
//! | `inbox` | messages in order, each durable before the next |
//! | `news`, `replica`, `reconcile` | the server's parties: what it tells of them, their state, their comparison with this machine's |
//! | `replay` | operations that follow from intents and news; corrections |
//! | `clients`, `relay` | requests of this daemon's clients |
//! | `keepalive` | heartbeats, and peers that nothing keeps alive |
//! | `frames` | between the wire's types and the core's |

mod auth;
mod clients;
mod ending;
mod frames;
mod greeting;
mod inbox;
mod keepalive;
pub(crate) mod link;
mod memory;
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
mod tests;

pub(crate) use clients::{
    ClientCommand, ClientError, ClientId, CommandOutcome, CommandReply, is_for_server,
};
pub(crate) use inbox::Message;
pub(crate) use memory::{Keys, Machine, Memory};
pub(crate) use output::{Apply, LookUp, Outgoing, Output, Settings, Then, TransportKind};
pub(crate) use relay::{Call, CallError, CallThen, Called};
pub(crate) use session::Session;
