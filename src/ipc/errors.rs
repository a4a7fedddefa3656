//! The one place where a failure becomes an error on the wire.

use lanrage_ipc::RpcError;

use crate::control_plane::Failure;
use crate::core::Refusal;

/// The way out for whom a snapshot is too long.
pub(super) const SNAPSHOT_TOO_LONG: &str =
    "name a party_id, or take snapshot:false and page through party.list";
/// The way out for whom an export is too long.
pub(super) const EXPORT_TOO_LONG: &str = "raise limits.frame_out, or use state.backup";

/// The longest message, in characters.
const LONGEST_MESSAGE: usize = 300;

/// A failure as the wire has it.
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
        Failure::Discovery(_) => {
            RpcError::new(failure.code(), words).hint("mend the discovery file, or what it is on")
        }
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

/// An error whose message is of bearable length: it may quote what the client sent.
pub(super) fn shortened(mut error: RpcError) -> RpcError {
    if let Some((end, _)) = error.message.char_indices().nth(LONGEST_MESSAGE) {
        error.message.truncate(end);
        error.message.push('…');
    }
    error
}
