//! The control server's WebSocket frames: one JSON object per text frame, its kind in `type`.
//!
//! [`ClientFrame`] is what clients send, [`ServerFrame`] what the server does. Both sides ignore
//! fields that they do not know. What LANrage's own clients do not know is sent only to those that
//! name `caps` in their first frame.

mod ack;
mod client;
mod decode;
mod req_id;
mod secret;
mod server;
#[cfg(test)]
mod tests;

pub use ack::AckResult;
pub use client::{Bookmark, ClientFrame, IDLE, Inbound, TAKEOVER};
pub use decode::{BadFrame, decode};
pub use req_id::ReqId;
pub use secret::Secret;
pub use server::{Beside, ServerFrame};
