//! Face for WebSocket clients on the network: LANrage's own, and the daemons.
//!
//! | file | |
//! |---|---|
//! | `session` | one actor per connection; the only file that knows `actix-web-actors`: frames in,
//! frames out |
//! | `intake`, `scanner` | backpressure on a client's input, and checks of its frame headers |
//! | `assembly` | reassembly of fragmented messages |
//! | `connection_handle` | send queue, signs of life and closing of a connection |
//! | `conversation` | one task per connection: texts in, in order, and events |
//! | `turns` | concurrency of a client's frames |
//! | `pace` | rate limit of a client's frames |
//! | `requests` | requests of the clients |
//! | `identity`, `holders` | peers that a connection speaks for, and connections that speak for a
//! peer |
//! | `party_subscriptions`, `events` | subscriptions of a connection, and what its client is sent
//! of them |
//! | `told_parties` | texts that connections share |
//! | `render` | events and answers as frames |
//! | `watch` | deadlines of all connections, kept outside of them: a session is not polled while
//! its client does not read |

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
