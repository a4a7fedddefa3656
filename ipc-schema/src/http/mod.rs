//! The bodies of the control server's HTTP requests and replies, as LANrage's client has them.

pub mod answers;
mod claim;
mod idempotency;
mod replies;
mod requests;
#[cfg(test)]
mod tests;

pub use claim::{CLAIM, read_claim};
pub use idempotency::{IDEMPOTENCY_KEY, IdempotencyKey};
pub use replies::{
    Detail, ErrorReply, PartyReply, PeerReply, PeersReply, RelayEntry, RelayReply, RelaysReply,
    RevokedReply, ServiceReply, StatusReply, TokenReply,
};
pub use requests::{JoinBody, RegisterPartyBody, RelayBody, not_json};

/// Header with the [`ErrorCode`](crate::ErrorCode) of an error. LANrage's clients read the `detail`
/// of a body that has no further key.
pub const ERROR_CODE: &str = "x-error-code";
