//! Frontend for WebSocket clients on the network: LANrage's own, and the daemons.
//!
//! | file | |
//! |---|---|
//! | `server` | state that all connections share |
//! | `session` | one actor per connection: frames in, frames out; alone uses `actix-web-actors` |
//! | `intake`, `scanner` | backpressure on a client's input, and checks of its frame headers |
//! | `assembly` | reassembly of fragmented messages |
//! | `connection_handle` | send queue, signs of life and closing of a connection |
//! | `conversation` | one task per connection: texts in, in order, and events |
//! | `running_frames` | concurrency of a client's frames |
//! | `frame_rate` | rate limit of a client's frames |
//! | `requests` | requests of the clients |
//! | `identity`, `holders` | peers of a connection, and the connections that speak for a peer |
//! | `party_subscriptions`, `events` | subscriptions of a connection, and delivery of their events |
//! | `encoded_parties` | texts that connections share |
//! | `render` | events and answers as frames |
//! | `queued` | bytes in all send queues |
//! | `watch` | deadlines of all connections |
//!
//! The watch is no part of the sessions: the framework polls a session only while its client reads.

mod assembly;
mod connection_handle;
mod conversation;
mod encoded_parties;
mod events;
mod frame_rate;
mod holders;
mod identity;
mod intake;
mod party_subscriptions;
mod queued;
mod render;
mod requests;
mod running_frames;
mod scanner;
mod server;
mod session;
mod watch;

pub(crate) use server::{WsServer, WsSettings};
pub(crate) use watch::watch;
