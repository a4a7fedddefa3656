//! The face towards the network: HTTP and WebSocket.
//!
//! These parts stand alone: each knows nothing of the others.

pub mod docs;
pub mod metrics;
pub mod origin;
pub mod socket;
pub mod tls;
