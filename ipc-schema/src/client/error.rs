//! Why a client could not do what it was asked to, and what mends it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::error::{ErrorCode, RpcError};

/// What went wrong. [`ClientError::kind`] sorts it.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// There is no socket.
    #[error(
        "nothing is at {path}: start lanragectl-d, or name the socket that it listens on",
        path = .0.display()
    )]
    NotStarted(PathBuf),
    /// There is a socket, but nobody behind it.
    #[error(
        "nobody listens at {path}: lanragectl-d has stopped or crashed, start it again",
        path = .0.display()
    )]
    NotListening(PathBuf),
    /// The socket may not be opened.
    #[error(
        "no permission to connect to {path}: act as the user whose daemon it is",
        path = .0.display()
    )]
    Denied(PathBuf),
    /// It took too long.
    #[error(
        "timed out after {after:?} {doing}: the daemon is busy or stuck; what it was asked may still be done, so look before you repeat it"
    )]
    TimedOut {
        /// What was going on, such as `waiting for the reply to ping`.
        doing: String,
        /// How long it was waited.
        after: Duration,
    },
    /// The daemon closed the connection.
    #[error(
        "the daemon went away while {doing}: connect again, and look before you repeat what was not answered"
    )]
    Gone {
        /// What was going on.
        doing: String,
    },
    /// The other side does not speak this protocol.
    #[error(
        "not understood: {0}; the daemon is of another version than this program, or something else listens there"
    )]
    Protocol(String),
    /// The daemon refused the request.
    #[error("{0} ({hint})", hint = .0.data.hint)]
    Rpc(#[from] RpcError),
    /// The daemon refused the request for a reason that is newer than this crate.
    #[error("{message} (error {number})")]
    NewerRpc {
        /// The JSON-RPC number.
        number: i32,
        /// What happened, for people.
        message: String,
    },
    /// The operating system refused.
    #[error("failed while {doing}: {source}")]
    Io {
        /// What was going on.
        doing: String,
        /// Why.
        source: io::Error,
    },
}

/// What a program tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No daemon runs there.
    NotRunning,
    /// The caller may not do this.
    NotAllowed,
    /// It took too long.
    TimedOut,
    /// The daemon went away: what was not answered may or may not have been done.
    Gone,
    /// No common protocol.
    Protocol,
    /// The request was refused, or could not be made, for a reason of its own.
    Failed,
}

impl ClientError {
    /// Sorts it.
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

    /// Of a connection that did not come about.
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

    /// Of the JSON text of a reply's `error`.
    pub(super) fn of_reply(error: &str) -> Self {
        /// What every JSON-RPC error has.
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
