//! Errors of a configuration.

use crate::server_url::BadServerUrl;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Refusal of a configuration. The text names the place, the setting and the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The file is not trusted.
    #[error("the configuration file can't be used: {error}")]
    Untrusted {
        /// Reason, with the file's path.
        #[source]
        error: io::Error,
    },
    /// The path is a directory.
    #[error("{}: is a directory, not a configuration file", path.display())]
    Directory {
        /// Path of the directory.
        path: PathBuf,
    },
    /// The file is too big to be a configuration.
    #[error("{}: is larger than {limit} bytes, the most a configuration file may have", path.display())]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
        /// Limit in bytes.
        limit: u64,
    },
    /// The file has mistakes: all of them, one a line, in the order of the file.
    #[error("{}", Listing { path, mistakes })]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// At least one.
        mistakes: Vec<Mistake>,
    },
    /// The path is not UTF-8, so that it can't be shown, sent or written to a file.
    #[error("{by}: {path:?} is not UTF-8")]
    NotUtf8 {
        /// Path.
        path: PathBuf,
        /// Flag or variable that gave it.
        by: &'static str,
    },
    /// The path could not be made absolute.
    #[error("{by}: {path:?} cannot be made absolute: {error}")]
    BadPath {
        /// Path.
        path: PathBuf,
        /// Flag or variable that gave it.
        by: &'static str,
        /// Error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The environment does not determine the state directory.
    #[error(
        "no place for the state directory: set {variables} to an absolute path, or give --state-dir"
    )]
    NoStateDir {
        /// Variables, one of which is needed.
        variables: &'static str,
    },
    /// The value is no address with a port.
    #[error("{by}: {value:?} {why}")]
    BadListen {
        /// Variable that gave it.
        by: &'static str,
        /// Value of the variable.
        value: String,
        /// Fault, as a continuation of the value.
        why: &'static str,
    },
    /// The value is no address of a control server.
    #[error("{by}: {why}")]
    BadServer {
        /// Flag or variable that gave it.
        by: &'static str,
        /// Broken rule. The value itself may have a password, and is left out.
        why: BadServerUrl,
    },
    /// The value names no proxy.
    #[error("{by}: {why}")]
    BadProxy {
        /// Flag or variable that gave it.
        by: &'static str,
        /// Broken rule. The value itself may have a password, and is left out.
        why: String,
    },
    /// The control server would serve other machines in clear text.
    #[error(
        "listen: {listen} is open to the network, and without TLS everybody on the way could read tokens: \
         give http.tls_cert and http.tls_key, or name the proxy that ends TLS in http.behind_proxy, \
         or allow it with http.insecure = true"
    )]
    Exposed {
        /// Address to listen on.
        listen: SocketAddr,
    },
    /// The limit of open files leaves too few connections.
    #[error(
        "the limit of open files is {limit}, which leaves too few for connections: raise it \
         (LimitNOFILE= of the unit, ulimit -Hn of a shell)"
    )]
    FewDescriptors {
        /// Limit of open files.
        limit: usize,
    },
    /// The file of the relays' key is unusable.
    #[error("auth.relay_key_file: {}: {why}", path.display())]
    RelayKeyFile {
        /// Path of the file.
        path: PathBuf,
        /// Fault, without the file's content.
        why: String,
    },
}

/// Mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1, of a syntax error.
    pub(crate) column: Option<usize>,
    /// Message, beginning with the key if there is one.
    pub(crate) message: String,
}

struct Listing<'a> {
    path: &'a Path,
    mistakes: &'a [Mistake],
}

impl fmt::Display for Listing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}:{}:", self.path.display(), mistake.line)?;
            if let Some(column) = mistake.column {
                write!(f, "{column}:")?;
            }
            write!(f, " {}", mistake.message)?;
        }
        Ok(())
    }
}
