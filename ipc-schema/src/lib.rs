//! Types and encodings of every message that crosses a process boundary of lanragectl.
//!
//! # The protocol, in rules
//!
//! 1. The daemon listens on a Unix socket or a Windows named pipe. Both sides send JSON-RPC 2.0:
//!    one UTF-8 JSON object per line ([`codec`], [`envelope`]). There are no batches.
//! 2. A request's `params` are an object. It gets one reply with the same `id`, a string or a
//!    number. Replies come in any order. A request without an `id` gets none.
//! 3. One table lists the methods with their roles and errors: [`method::METHODS`].
//! 4. `hello` is optional. Without it a connection speaks protocol 1.
//! 5. Errors are matched by `data.code` ([`ErrorCode`]).
//! 6. `events.subscribe` answers with a snapshot. Each later change is an `event` notification
//!    whose `seq` is one more than the last ([`event`]). A client that reads too slowly gets
//!    `event.reset` with a fresh snapshot instead of the dropped events.
//! 7. `goaway` comes before the daemon stops.
//! 8. Both sides ignore unknown fields and notifications. Protocol 1 only grows: no field or
//!    method is removed.
//!
//! The control server speaks JSON over HTTP ([`http`]) and WebSockets ([`control`]), in the shapes
//! of LANrage's own clients ([`lanrage`]).
//!
//! [`view`] keeps a client's copy of the state, and [`client`] is a small blocking client.
//! [`schema`] describes the protocols for other languages.

mod bounded;
pub mod client;
pub mod codec;
pub mod control;
pub mod envelope;
pub mod error;
pub mod event;
pub mod http;
pub mod lanrage;
pub mod message;
pub mod method;
pub mod model;
mod new_values;
mod object;
pub mod params;
pub mod results;
pub mod schema;
pub mod unicode;
pub mod view;
mod words;

pub use error::{ErrorCode, RpcError};
pub use event::Event;
pub use message::ServerMessage;
pub use method::{Method, Reply, Request};
pub use view::View;

/// Protocol version of this crate.
pub const PROTOCOL: u32 = 1;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
