//! Line-based connection over a stream, and its failures.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

#[cfg(unix)]
use super::unix::Stream;
#[cfg(windows)]
use super::windows::Stream;
use crate::codec::{LineDecoder, LineError};
use crate::envelope::Id;
use crate::message::ServerLine;

/// Connection that sends and receives lines.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    decoder: LineDecoder,
    /// True once nothing more can be sent or read: the stream ended, or a line is incomplete.
    is_over: bool,
}

/// Line received from the daemon.
pub(super) enum Received {
    /// Reply, with the JSON text of its `result` or `error`.
    Reply {
        id: Option<Id>,
        outcome: Result<String, String>,
    },
    Notification(Notification),
}

/// Notification whose `params` are not decoded yet.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) method: String,
    /// JSON text of the params.
    pub(super) params: String,
}

impl Connection {
    pub(super) fn open(path: &Path, deadline: Deadline, max_line: usize) -> io::Result<Self> {
        let stream = Stream::connect(path, deadline)?;
        Ok(Self { stream, decoder: LineDecoder::new(max_line), is_over: false })
    }

    pub(super) fn send(&mut self, line: &str, deadline: Deadline) -> Result<(), Failure> {
        if self.is_over {
            return Err(Failure::Gone);
        }
        match self.stream.write_all(line.as_bytes(), deadline) {
            Ok(()) => Ok(()),
            // The daemon may have sent an error before it closed the connection; read it first.
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => {
                self.is_over = true;
                Err(Failure::of_io(error))
            }
        }
    }

    pub(super) fn receive(&mut self, deadline: Deadline) -> Result<Received, Failure> {
        loop {
            match self.decoder.next_line() {
                Some(Ok(line)) => return read_line(line),
                Some(Err(error)) => {
                    self.is_over |= matches!(error, LineError::TooLong { .. });
                    return Err(Failure::Protocol(error.to_string()));
                }
                None if self.is_over => return Err(Failure::Gone),
                None => {}
            }
            match self.stream.read(deadline) {
                Ok([]) => self.is_over = true,
                Ok(bytes) => self.decoder.push(bytes),
                Err(error) if is_gone(&error) => self.is_over = true,
                Err(error) => return Err(Failure::of_io(error)),
            }
        }
    }
}

fn read_line(line: &str) -> Result<Received, Failure> {
    match ServerLine::parse(line) {
        Ok(ServerLine::Reply { id, outcome }) => {
            let outcome = outcome.map(str::to_owned).map_err(str::to_owned);
            Ok(Received::Reply { id, outcome })
        }
        Ok(ServerLine::Notification { method, params }) => {
            Ok(Received::Notification(Notification { method, params: params.to_owned() }))
        }
        Err(error) => Err(Failure::Protocol(error.to_string())),
    }
}

/// Stream failure, before the operation in progress is added to it.
pub(super) enum Failure {
    TimedOut,
    Gone,
    Protocol(String),
    Io(io::Error),
}

impl Failure {
    fn of_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::Io(error),
        }
    }
}

/// True for an error that means that the peer closed the connection.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

/// Time at which a wait ends; `None` if it is too far away for an `Instant`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self(Instant::now().checked_add(patience))
    }

    pub(super) fn has_passed(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Time left until the deadline; `None` without a deadline.
    pub(super) fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }
}
