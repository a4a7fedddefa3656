//! Conversion of failures to wire errors, the only place for it.

use lanrage_ipc::RpcError;

use crate::control_plane::Failure;
use crate::core::Refusal;

/// Hint for a snapshot above the frame limit.
pub(super) const SNAPSHOT_TOO_LONG: &str =
    "name a party_id, or take snapshot:false and page through party.list";
/// Hint for an export above the frame limit.
pub(super) const EXPORT_TOO_LONG: &str = "raise limits.frame_out, or use state.backup";

/// Longest message, in characters.
const LONGEST_MESSAGE: usize = 300;

/// Converts a failure to its wire error.
pub(super) fn wire(failure: &Failure) -> RpcError {
    let words = failure.to_string();
    match failure {
        Failure::Refused(Refusal::SignalTooLarge { .. }) => {
            RpcError::invalid_params("signal_data", words)
        }
        Failure::Refused(Refusal::KeyIsAnother(_)) => RpcError::invalid_params("public_key", words)
            .hint("look at the member again: `key_changed` has the key that is held"),
        Failure::Refused(Refusal::AddressRefused { .. }) => {
            RpcError::new(failure.code(), words).hint("set addresses.subnet to that of the server")
        }
        Failure::BackupPath(_) => RpcError::invalid_params("path", words),
        Failure::Discovery(_) => RpcError::new(failure.code(), words)
            .hint("repair the discovery file, or the disk that it is on"),
        Failure::NoLink(_) => RpcError::new(failure.code(), words)
            .hint("only a daemon follows a control server: connect to the daemon's socket"),
        Failure::Refused(refusal) => {
            let error = RpcError::new(failure.code(), words);
            match refusal.remedy() {
                Some(remedy) => error.hint(format!("wait until there is room, or {remedy}")),
                None => error,
            }
        }
        _ => RpcError::new(failure.code(), words),
    }
}

/// Shortens the message of an error, which may quote the client's input.
pub(super) fn shortened(mut error: RpcError) -> RpcError {
    if let Some((end, _)) = error.message.char_indices().nth(LONGEST_MESSAGE) {
        error.message.truncate(end);
        error.message.push('…');
    }
    error
}
