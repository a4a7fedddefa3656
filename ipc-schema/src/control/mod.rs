//! The control server's WebSocket frames: one JSON object per text frame, its kind in `type`.
//!
//! Clients send a [`ClientFrame`], the server sends a [`ServerFrame`]. Both sides ignore unknown
//! fields. Only clients that name `caps` in their first frame get extensions of LANrage's protocol.

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
pub use server::{PartyExtensions, ServerFrame};
