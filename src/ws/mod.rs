//! Frontend for WebSocket clients on the network: LANrage's own, and the daemons.
//!
//! | file | |
//! |---|---|
//! | `server` | state that all connections share |
//! | `session` | one task per connection: handshake, frames in, frames out; alone uses `actix-web-actors` |
//! | `intake`, `frame_header` | frames of a client, and the checks of their headers |
//! | `outlet` | frames to a client, gathered into writes |
//! | `unread` | texts of a client that wait, bounded by bytes |
//! | `assembly` | reassembly of fragmented messages |
//! | `connection_handle` | send queue, signs of life and closing of a connection |
//! | `conversation` | the part of the task that gives meaning: texts in, in order, and events |
//! | `running_frames` | concurrency of a client's frames |
//! | `frame_rate` | rate limit of a client's frames |
//! | `requests` | requests of the clients |
//! | `greetings` | bound of the greetings under way |
//! | `identity`, `holders` | peers of a connection, and the connections that speak for a peer |
//! | `party_subscriptions`, `events` | subscriptions of a connection, and delivery of their events |
//! | `party_snapshots` | snapshots and texts that connections share |
//! | `render` | events and answers as frames |
//! | `queued` | bytes in all send queues |
//! | `watch` | deadlines of all connections |
//!
//! The watch is one task for all connections, so that an idle connection has no timer.

mod assembly;
mod connection_handle;
mod conversation;
mod events;
mod frame_header;
mod frame_rate;
mod greetings;
mod holders;
mod identity;
mod intake;
mod outlet;
mod party_snapshots;
mod party_subscriptions;
mod queued;
mod render;
mod requests;
mod running_frames;
mod server;
mod session;
mod unread;
mod watch;

pub(crate) use server::{WsServer, WsSettings};
pub(crate) use watch::watch;
