//! The face towards the network's WebSocket clients: LANrage's own, and the daemons.
//!
//! | file | |
//! |---|---|
//! | `session` | one actor per connection, and the only file that knows `actix-web-actors`: frames in, frames out |
//! | `intake`, `scanner` | backpressure on a client's input, and checks of its frames' heads |
//! | `assembly` | reassembly of fragmented messages |
//! | `connection_handle` | what waits for a client, when it gave its last sign of life, and how it ends |
//! | `conversation` | one task per connection: texts in, in order, and news |
//! | `turns` | which frames of a client are acted on at the same time |
//! | `pace` | how often a client may send a frame |
//! | `requests` | what a client asks for |
//! | `identity`, `holders` | for whom a connection speaks, and which connections speak for a peer |
//! | `party_subscriptions`, `events` | the parties that a connection hears of, and what its client is told |
//! | `told_parties` | texts that connections share |
//! | `render` | events and answers as frames |
//! | `watch` | the deadlines of all connections, kept outside of them: one whose client does not read is not polled |

mod assembly;
mod connection_handle;
mod conversation;
mod events;
mod holders;
mod identity;
mod intake;
mod pace;
mod party_subscriptions;
mod queued;
mod render;
mod requests;
mod scanner;
mod server;
mod session;
mod told_parties;
mod turns;
mod watch;

pub(crate) use server::{WsServer, WsSettings};
pub(crate) use watch::watch;
