//! Why a configuration was refused.

use crate::server_url::BadServerUrl;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why a configuration was refused. The text names the place, the setting and the way out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// The file is not one to go by.
    #[error("the configuration file can't be used: {error}")]
    Untrusted {
        /// The reason, with the file's path.
        #[source]
        error: io::Error,
    },
    /// The file is no file.
    #[error("{}: is a directory, not a configuration file", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// The file is too big to be a configuration.
    #[error("{}: is larger than {limit} bytes, the most a configuration file may have", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most it may have, in bytes.
        limit: u64,
    },
    /// The file has mistakes: all of them, one a line, in the order of the file.
    #[error("{}", Listing { path, mistakes })]
    Malformed {
        /// The file.
        path: PathBuf,
        /// At least one.
        mistakes: Vec<Mistake>,
    },
    /// A path that is not UTF-8 could not be shown, sent or written to a file.
    #[error("{by}: {path:?} is not UTF-8")]
    NotUtf8 {
        /// The path.
        path: PathBuf,
        /// The flag or variable that gave it.
        by: &'static str,
    },
    /// A path could not be made absolute.
    #[error("{by}: {path:?} cannot be made absolute: {error}")]
    BadPath {
        /// The path.
        path: PathBuf,
        /// The flag or variable that gave it.
        by: &'static str,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// The environment does not tell where the state directory is.
    #[error(
        "no place for the state directory: set {variables} to an absolute path, or give --state-dir"
    )]
    NoStateDir {
        /// The variables, one of which would tell.
        variables: &'static str,
    },
    /// What should be an address and a port is none.
    #[error("{by}: {value:?} {why}")]
    BadListen {
        /// The variable that gave it.
        by: &'static str,
        /// What it gave.
        value: String,
        /// What is wrong, going on from the value.
        why: &'static str,
    },
    /// What should be the address of a control server is none.
    #[error("{by}: {why}")]
    BadServer {
        /// The flag or variable that gave it.
        by: &'static str,
        /// The rule that it breaks. The value itself may have a password, and is left out.
        why: BadServerUrl,
    },
    /// The value names no proxy.
    #[error("{by}: {why}")]
    BadProxy {
        /// The flag or variable that gave it.
        by: &'static str,
        /// The rule that it breaks. The value itself may have a password, and is left out.
        why: String,
    },
    /// The control server would serve others than its own machine in clear text.
    #[error(
        "listen: {listen} is open to the network, and without TLS everybody on the way could read tokens: \
         give http.tls_cert and http.tls_key, or name the proxy that ends TLS in http.behind_proxy, \
         or allow it with http.insecure = true"
    )]
    Exposed {
        /// Where it would listen.
        listen: SocketAddr,
    },
    /// The limit of open files leaves hardly a connection.
    #[error(
        "the limit of open files is {limit}, which leaves too few for connections: raise it \
         (LimitNOFILE= of the unit, ulimit -Hn of a shell)"
    )]
    FewDescriptors {
        /// The limit.
        limit: usize,
    },
    /// The relays' key is in a file that can't be used.
    #[error("auth.relay_key_file: {}: {why}", path.display())]
    RelayKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without what is in it.
        why: String,
    },
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1, where the syntax is wrong.
    pub(crate) column: Option<usize>,
    /// What is wrong, beginning with the key where there is one.
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
