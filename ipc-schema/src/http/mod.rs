//! The bodies of the control server's HTTP requests and replies, as LANrage's client has them.

pub mod answers;
mod replies;
mod requests;
#[cfg(test)]
mod tests;

pub use replies::{
    Detail, ErrorReply, PartyReply, PeerReply, PeersReply, RelayEntry, RelayReply, RelaysReply,
    ServiceReply, StatusReply, TokenReply,
};
pub use requests::{JoinBody, RegisterPartyBody, RelayBody, not_json};
