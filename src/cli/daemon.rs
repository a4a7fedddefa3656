//! Connection to the daemon.

use std::io;
use std::path::Path;
use std::time::Duration;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::client::{Client, ClientError, Options};
use lanrage_ipc::method::Method;
use lanrage_ipc::params::{Agent, HelloParams, ProtocolRange};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::exit::{Exit, Failure};
use super::output::{Output, Page};
use crate::config::{self, CliArgs, CliConfig, Environment};
use crate::{os, server};

/// Default time limit of an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of a reply, in bytes: far more than a daemon's `limits.frame_out` is likely to be.
const LONGEST_REPLY: usize = 256 * 1024 * 1024;

/// Address of the daemon, time limit, and output for its answers.
#[derive(Debug)]
pub(super) struct Daemon {
    /// Socket of the daemon.
    pub(super) config: CliConfig,
    /// Arguments about the socket.
    pub(super) place: CliArgs,
    /// Time limit of the command line.
    pub(super) timeout: Option<Duration>,
    pub(super) output: Output,
}

impl Daemon {
    /// Connects, and checks the protocol version.
    pub(super) fn connect(&self) -> Result<DaemonSession<'_>, Failure> {
        let timeout = self.timeout.unwrap_or(TIMEOUT);
        let (client, program) = self.reach(timeout).map_err(|error| self.failure(error))?;
        Ok(DaemonSession { client, program, daemon: self })
    }

    /// Connects as [`Daemon::connect`] does, with unprocessed errors. Also returns the program that
    /// answers.
    pub(super) fn reach(&self, timeout: Duration) -> Result<(Client, Program), ClientError> {
        let options = Options {
            connect_timeout: timeout,
            timeout,
            max_line: LONGEST_REPLY,
            ..Options::default()
        };
        os::check_socket_path(&self.config.socket).map_err(|reason| self.unusable(reason))?;
        self.check_place()?;
        let mut client = Client::connect_with(&self.config.socket, &options)?;
        let hello = client.hello(&HelloParams {
            client: Some(Agent {
                name: "lanragectl".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            }),
            protocol: ProtocolRange::default(),
            features: Vec::new(),
        })?;
        let program = match hello.server.name == server::PROGRAM {
            true => Program::Server,
            false => Program::Daemon,
        };
        Ok((client, program))
    }

    /// Checks that a socket directory under the temporary one belongs to this user alone.
    fn check_place(&self) -> Result<(), ClientError> {
        let socket = &self.config.socket;
        match socket.parent() {
            Some(directory)
                if config::is_makeshift(socket, &Environment::process())
                    && matches!(os::is_own_directory(directory), Ok(false)) =>
            {
                Err(self.unusable(format!("{} is not yours alone", directory.display())))
            }
            _ => Ok(()),
        }
    }

    /// Returns the failure of a refused or impossible connection.
    fn unusable(&self, reason: String) -> ClientError {
        let doing = format!("connecting to {}", self.config.socket.display());
        let source = io::Error::new(io::ErrorKind::InvalidInput, reason);
        ClientError::Io { doing, source }
    }

    /// Returns the failure for an error, with the socket it belongs to.
    pub(super) fn failure(&self, error: ClientError) -> Failure {
        match error {
            ClientError::NotStarted(path) => self.not_started(&path),
            ClientError::NotListening(path) if path.is_file() || path.is_dir() => {
                let message = format!("{} is no socket", path.display());
                let hint = "name the socket that lanragectl-d serves: --socket PATH";
                Failure::new(Exit::Unreachable, "no_socket", message, hint)
            }
            ClientError::NotListening(path) => {
                let message = format!(
                    "the daemon has stopped or crashed: nobody listens at {}",
                    path.display()
                );
                let hint =
                    format!("see why in its log, and start it again: `{}`", self.start_command());
                Failure::new(Exit::Unreachable, "not_listening", message, hint)
            }
            ClientError::Denied(path) => {
                let message = format!("you may not connect to {}", path.display());
                let hint = match self.place.system {
                    true => "ask the superuser to add you to the group lanrage",
                    false => {
                        "act as the user whose daemon it is, or use the machine's with --system"
                    }
                };
                Failure::new(Exit::Denied, ErrorCode::PermissionDenied.as_str(), message, hint)
            }
            ClientError::TimedOut { doing, after } => {
                let message = format!("the daemon gave no answer in {after:?}, {doing}");
                let hint = "it may be busy, and may still do it: look before you repeat it; --timeout waits longer";
                Failure::new(Exit::TimedOut, ErrorCode::Timeout.as_str(), message, hint)
            }
            ClientError::Gone { doing } => {
                let message = format!("the daemon went away while {doing}");
                let hint =
                    "see its log for the cause; check before you repeat an unanswered request";
                Failure::new(Exit::Unreachable, "gone", message, hint)
            }
            ClientError::Protocol(why) => {
                let message = format!("the daemon was not understood: {why}");
                let hint =
                    "it is of another version than this program, or something else listens there";
                Failure::new(Exit::Protocol, "protocol_mismatch", message, hint)
            }
            ClientError::Rpc(error) => error.into(),
            ClientError::NewerRpc { number, message } => {
                let message = format!("{message} (error {number})");
                let hint = "the error is newer than this program: update lanragectl";
                Failure::new(Exit::Failed, "unknown", message, hint)
            }
            ClientError::Io { doing, source } => {
                let message = format!("the daemon can't be reached: {source}, while {doing}");
                Failure::new(Exit::Unreachable, "io", message, "is --socket the path of a socket?")
            }
        }
    }

    fn not_started(&self, socket: &Path) -> Failure {
        let message =
            format!("the daemon is not started: there is no socket at {}", socket.display());
        let start = self.start_command();
        let hint = match self.place.system {
            true => format!("start it: `systemctl start lanragectl-d.socket`, or `{start}`"),
            false => format!("start it: `{start}`; or use the machine's with --system"),
        };
        Failure::new(Exit::Unreachable, "not_started", message, hint)
    }

    /// Returns the command that starts the daemon.
    pub(super) fn start_command(&self) -> String {
        let socket = self.config.socket.display();
        match (&self.place, &self.config.config_file) {
            (CliArgs { socket: None, system: true, .. }, _) => "lanragectl-d --system".to_owned(),
            // The daemon looks for its socket in the same place as this program.
            (CliArgs { socket: None, .. }, None) => "lanragectl-d".to_owned(),
            _ => format!("lanragectl-d --socket {socket}"),
        }
    }
}

/// Program that serves a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// A daemon, which may follow a control server.
    Daemon,
    /// A control server, at its administrators' socket.
    Server,
}

/// A connection to the daemon.
#[derive(Debug)]
pub(super) struct DaemonSession<'a> {
    pub(super) client: Client,
    pub(super) program: Program,
    daemon: &'a Daemon,
}

impl DaemonSession<'_> {
    /// Calls a method, and prints the result: unchanged as JSON, or by `page`.
    pub(super) fn show<M: Method>(
        &mut self,
        params: &M::Params,
        page: impl FnOnce(&mut Page, &M::Result),
    ) -> Result<(), Failure> {
        let raw = self.ask::<M>(params)?;
        if self.daemon.output.json {
            return self.daemon.output.print_json(raw.get());
        }
        let result = self.decode::<M>(&raw)?;
        self.daemon.output.page(|out| page(out, &result))
    }

    /// Calls a method, and returns its result.
    pub(super) fn call<M: Method>(&mut self, params: &M::Params) -> Result<M::Result, Failure> {
        let raw = self.ask::<M>(params)?;
        self.decode::<M>(&raw)
    }

    /// Calls a method, and returns the unchanged result.
    pub(super) fn ask<M: Method>(&mut self, params: &M::Params) -> Result<Box<RawValue>, Failure> {
        self.client.call_for_text::<M>(params).map_err(|error| self.daemon.failure(error))
    }

    /// Calls any method, as [`DaemonSession::ask`] does.
    pub(super) fn ask_raw(&mut self, method: &str, params: &str) -> Result<Box<RawValue>, Failure> {
        self.client.call_raw(method, params).map_err(|error| self.daemon.failure(error))
    }

    /// Decodes a result.
    pub(super) fn decode<M: Method>(&self, raw: &RawValue) -> Result<M::Result, Failure> {
        self.read(M::NAME, raw)
    }

    /// Decodes a result of `method`, or a part of it.
    pub(super) fn read<'a, T: Deserialize<'a>>(
        &self,
        method: &str,
        raw: &'a RawValue,
    ) -> Result<T, Failure> {
        serde_json::from_str(raw.get()).map_err(|error| {
            let why = format!("the result of {method}: {error}");
            self.daemon.failure(ClientError::Protocol(why))
        })
    }
}
