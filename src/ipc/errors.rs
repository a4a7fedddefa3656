//! The one place where a failure gets its code on the wire.

use lanrage_ipc::{ErrorCode, RpcError};

use crate::control_plane::Failure;
use crate::core::Refusal;

/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 300;

/// A failure as the wire has it.
pub(super) fn wire(failure: &Failure) -> RpcError {
    let words = failure.to_string();
    match failure {
        Failure::Refused(refusal) => refused(refusal, words),
        Failure::Store(_) => RpcError::new(ErrorCode::StoreUnavailable, words),
        Failure::Discovery(_) => RpcError::new(ErrorCode::StoreUnavailable, words)
            .hint("mend the discovery file, or what it is on"),
        Failure::BackupPath(_) => RpcError::invalid_params("path", words),
        Failure::Stopping => RpcError::new(ErrorCode::ShuttingDown, words),
        Failure::TimedOut(_) => RpcError::new(ErrorCode::Timeout, words),
    }
}

fn refused(refusal: &Refusal, words: String) -> RpcError {
    let code = match refusal {
        Refusal::PartyNotFound(_) => ErrorCode::PartyNotFound,
        Refusal::PartyExists(_) => ErrorCode::PartyExists,
        Refusal::PartyFull { .. } => ErrorCode::PartyFull,
        Refusal::PeerNotFound { .. } => ErrorCode::PeerNotFound,
        Refusal::NotAMember { .. } => ErrorCode::NotAMember,
        Refusal::PeerNotYours(_)
        | Refusal::PeerTaken(_)
        | Refusal::BadToken
        | Refusal::RelayNotYours(_) => ErrorCode::PermissionDenied,
        Refusal::SignalTooLarge { .. } => return RpcError::invalid_params("signal_data", words),
        Refusal::TooManyParties { .. }
        | Refusal::RegistryFull { .. }
        | Refusal::SignalsFull { .. }
        | Refusal::SignalQueueFull { .. } => ErrorCode::RateLimited,
    };
    RpcError::new(code, words)
}

/// An error whose message is of bearable length: it may quote what the client sent.
pub(super) fn shortened(mut error: RpcError) -> RpcError {
    if let Some((end, _)) = error.message.char_indices().nth(LONGEST_MESSAGE) {
        error.message.truncate(end);
        error.message.push('…');
    }
    error
}
