//! Errors of the client; each message suggests a remedy.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{ErrorCode, RpcError};

/// Error of a client operation. [`ClientError::kind`] classifies it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket does not exist.
    #[error(
        "nothing is at {path}: start lanragectl-d, or name the socket that it listens on",
        path = .0.display()
    )]
    NotStarted(PathBuf),
    /// The socket exists, but no process listens on it.
    #[error(
        "nobody listens at {path}: lanragectl-d has stopped or crashed, start it again",
        path = .0.display()
    )]
    NotListening(PathBuf),
    /// The caller has no permission to open the socket.
    #[error(
        "no permission to connect to {path}: act as the user whose daemon it is",
        path = .0.display()
    )]
    Denied(PathBuf),
    /// The operation timed out.
    #[error(
        "timed out after {after:?} {doing}: the daemon is busy or stuck; the request may still be done, so check before you repeat it"
    )]
    TimedOut {
        /// Operation in progress, such as `waiting for the reply to ping`.
        doing: String,
        /// Timeout that elapsed.
        after: Duration,
    },
    /// The daemon closed the connection.
    #[error(
        "the daemon went away while {doing}: connect again, and check before you repeat an unanswered request"
    )]
    Gone {
        /// Operation in progress.
        doing: String,
    },
    /// The peer does not speak this protocol.
    #[error(
        "not understood: {0}; the daemon is of another version than this program, or something else listens there"
    )]
    Protocol(String),
    /// The daemon refused the request.
    #[error("{0} ({hint})", hint = .0.data.hint)]
    Rpc(#[from] RpcError),
    /// The daemon refused the request with an error code that this crate does not know.
    #[error("{message} (error {number})")]
    NewerRpc {
        /// JSON-RPC error number.
        number: i32,
        /// Human-readable message.
        message: String,
    },
    /// The operating system returned an error.
    #[error("failed while {doing}: {source}")]
    Io {
        /// Operation in progress.
        doing: String,
        /// Error of the operating system.
        source: io::Error,
    },
}

/// Class of a [`ClientError`], for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No daemon listens at the path.
    NotRunning,
    /// The caller has no permission.
    NotAllowed,
    /// The operation timed out.
    TimedOut,
    /// The connection to the daemon was lost. Unanswered requests may or may not have been done.
    Gone,
    /// The peer has no protocol version in common with this crate.
    Protocol,
    /// Any other failure: the request was refused, or could not be made.
    Failed,
}

impl ClientError {
    /// Returns the class of the error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotStarted(_) | Self::NotListening(_) => ErrorKind::NotRunning,
            Self::Denied(_) => ErrorKind::NotAllowed,
            Self::TimedOut { .. } => ErrorKind::TimedOut,
            Self::Gone { .. } => ErrorKind::Gone,
            Self::Protocol(_) => ErrorKind::Protocol,
            Self::Rpc(error) => match error.data.code {
                ErrorCode::PermissionDenied => ErrorKind::NotAllowed,
                ErrorCode::Timeout => ErrorKind::TimedOut,
                ErrorCode::UnsupportedProtocol => ErrorKind::Protocol,
                _ => ErrorKind::Failed,
            },
            Self::NewerRpc { .. } | Self::Io { .. } => ErrorKind::Failed,
        }
    }

    /// Returns the error for a failed attempt to connect.
    pub(super) fn of_connecting(path: &Path, patience: Duration, error: io::Error) -> Self {
        let doing = || format!("connecting to {}", path.display());
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotStarted(path.to_owned()),
            io::ErrorKind::ConnectionRefused => Self::NotListening(path.to_owned()),
            io::ErrorKind::PermissionDenied => Self::Denied(path.to_owned()),
            io::ErrorKind::TimedOut => Self::TimedOut { doing: doing(), after: patience },
            _ => Self::Io { doing: doing(), source: error },
        }
    }

    /// Returns the error for the JSON text of a reply's `error`.
    pub(super) fn of_reply(error: &str) -> Self {
        /// Fields that every JSON-RPC error has.
        #[derive(Deserialize)]
        struct Any {
            code: i32,
            message: String,
        }

        if let Ok(error) = serde_json::from_str(error) {
            return Self::Rpc(error);
        }
        match serde_json::from_str(error) {
            Ok(Any { code, message }) => Self::NewerRpc { number: code, message },
            Err(error) => Self::Protocol(format!("the error of a reply: {error}")),
        }
    }
}
