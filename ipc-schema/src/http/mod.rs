//! Bodies of the control server's HTTP requests and replies, in the format of LANrage's client.

pub mod answers;
mod claim;
mod idempotency;
mod replies;
mod requests;
#[cfg(test)]
mod tests;

pub use claim::{CLAIM, read_claim};
pub use idempotency::{IDEMPOTENCY_KEY, IdempotencyKey};
pub use replies::*;
pub use requests::*;

/// Header with the [`ErrorCode`](crate::ErrorCode) of an error. LANrage's clients read the `detail`
/// of a body that has no further key.
pub const ERROR_CODE: &str = "x-error-code";
