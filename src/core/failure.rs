//! Failures of a request to a control plane.

use std::time::Duration;

use lanrage_ipc::ErrorCode;

use super::Refusal;

/// Why a control plane did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The rules are against it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The state can't be written: nothing was changed.
    #[error("the state could not be written: {0}")]
    Store(String),
    /// The discovery file can't be read.
    #[error("the announcements could not be read: {0}")]
    Discovery(String),
    /// The path of a backup won't do.
    #[error("{0}")]
    BackupPath(String),
    /// It takes the control server, which can't be reached now.
    #[error("{0}")]
    Offline(String),
    /// The control server will not do it.
    #[error("the control server refused: {message}")]
    Rejected {
        /// What it calls the reason.
        code: ErrorCode,
        /// The reason in its words.
        message: String,
    },
    /// The answer is too long: that was known before it was worked out.
    #[error("the reply has {least} bytes at least, and may have {room}")]
    TooLong {
        /// Lower bound of its length.
        least: usize,
        /// The most that it may have.
        room: usize,
    },
    /// Long replies wait already that their clients do not read. Nothing was done.
    #[error(
        "long replies of {limit} bytes wait already for clients of this address to read, the most that may (http.reply_bytes)"
    )]
    RepliesFull {
        /// The most bytes that may wait.
        limit: usize,
    },
    /// This program has no connection to a control server, and never will.
    #[error("{0}")]
    NoLink(&'static str),
    /// It did not answer in time. It may have done it all the same.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// It is stopping.
    #[error("stopping")]
    Stopping,
    /// It has a fault, which the log tells.
    #[error("the program made a mistake")]
    Mistake,
}

impl Failure {
    /// What programs know it by, wherever there are codes.
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
                | Refusal::PartyUntold { .. } => ErrorCode::ServerRejected,
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
            // What the server says of a party is as good as if it were known here.
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
