//! Failures of a request to a control plane.

use std::time::Duration;

use lanrage_ipc::ErrorCode;

use super::Refusal;

/// Reason why a control plane did not execute a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The registry refused it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state can't be written. Nothing was changed.
    #[error("the state could not be written: {0}")]
    Store(String),
    /// The discovery file can't be read.
    #[error("the announcements could not be read: {0}")]
    Discovery(String),
    /// The path of a backup is not acceptable.
    #[error("{0}")]
    BackupPath(String),
    /// The request needs the control server, which can't be reached now.
    #[error("{0}")]
    Offline(String),
    /// The control server refused it.
    #[error("the control server refused: {message}")]
    Rejected {
        /// Error code of the server.
        code: ErrorCode,
        /// Reason in the server's words.
        message: String,
    },
    /// The answer is too long. This was known before it was encoded.
    #[error("the reply has {least} bytes at least, and may have {room}")]
    TooLong {
        /// Lower bound of its length, in bytes.
        least: usize,
        /// Upper bound, in bytes.
        room: usize,
    },
    /// Too many bytes of long replies wait for clients that do not read. Nothing was done.
    #[error(
        "long replies of {limit} bytes wait already for clients of this address to read, the most that may (http.reply_bytes)"
    )]
    RepliesFull {
        /// Upper bound of the waiting bytes.
        limit: usize,
    },
    /// This program never has a connection to a control server.
    #[error("{0}")]
    NoLink(&'static str),
    /// The control plane did not answer in time. It may have executed the request.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The control plane is stopping.
    #[error("stopping")]
    Stopping,
    /// Internal error, with details in the log.
    #[error("internal error")]
    Mistake,
}

impl Failure {
    /// Error code, the same on every transport.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(refusal) => match refusal {
                Refusal::PartyNotFound(_) => ErrorCode::PartyNotFound,
                Refusal::PartyExists(_) => ErrorCode::PartyExists,
                Refusal::PartyFull { .. } => ErrorCode::PartyFull,
                Refusal::PeerNotFound { .. } => ErrorCode::PeerNotFound,
                Refusal::NotAMember { .. } => ErrorCode::NotAMember,
                Refusal::PeerNotYours(_)
                | Refusal::PeerTaken(_)
                | Refusal::BadToken
                | Refusal::RelayNotYours(_) => ErrorCode::PermissionDenied,
                Refusal::SignalTooLarge { .. } | Refusal::KeyReused | Refusal::KeyIsAnother(_) => {
                    ErrorCode::InvalidParams
                }
                Refusal::AddressRefused { .. }
                | Refusal::IdRefused { .. }
                | Refusal::HostRefused { .. }
                | Refusal::HostAbsent { .. }
                | Refusal::PartyUnstated { .. } => ErrorCode::ServerRejected,
                Refusal::TooManyParties { .. }
                | Refusal::RegistryFull { .. }
                | Refusal::ShareFull { .. }
                | Refusal::CopiesFull { .. }
                | Refusal::OutboxFull { .. }
                | Refusal::SignalsFull { .. }
                | Refusal::SignalQueueFull { .. } => ErrorCode::RateLimited,
            },
            Self::Store(_) | Self::Discovery(_) => ErrorCode::StoreUnavailable,
            Self::BackupPath(_) => ErrorCode::InvalidParams,
            Self::Offline(_) => ErrorCode::Offline,
            // The server's errors about a party count like the registry's own.
            Self::Rejected { code, .. } => match code {
                ErrorCode::PartyNotFound
                | ErrorCode::PartyExists
                | ErrorCode::PartyFull
                | ErrorCode::PeerNotFound
                | ErrorCode::NotAMember
                | ErrorCode::RateLimited
                | ErrorCode::StoreUnavailable
                | ErrorCode::Timeout => *code,
                _ => ErrorCode::ServerRejected,
            },
            Self::TooLong { .. } => ErrorCode::FrameTooLarge,
            Self::RepliesFull { .. } => ErrorCode::RateLimited,
            Self::NoLink(_) => ErrorCode::InvalidRequest,
            Self::TimedOut(_) => ErrorCode::Timeout,
            Self::Stopping => ErrorCode::ShuttingDown,
            Self::Mistake => ErrorCode::Internal,
        }
    }
}
