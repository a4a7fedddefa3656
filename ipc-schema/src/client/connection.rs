//! Lines over a stream, and what can go wrong with them.

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

/// A stream of lines.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    decoder: LineDecoder,
    /// Nothing more can be sent or read: it ended, or it stands in the middle of a line.
    is_over: bool,
}

/// A line of the daemon.
pub(super) enum Received {
    /// The JSON texts of its `result` or `error`.
    Reply {
        id: Option<Id>,
        outcome: Result<String, String>,
    },
    Notification(Notification),
}

/// A notification, its `params` not yet decoded.
#[derive(Debug)]
pub(super) struct Notification {
    pub(super) method: String,
    /// The JSON text.
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
            // It may have said why before it closed: that is still to be read.
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

/// What can go wrong with a stream, before it is known what it was for.
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

/// Whether an error says that there is nobody at the other end any more.
fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected)
}

/// When patience ends; never, when that is too far away to be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub(super) fn after(patience: Duration) -> Self {
        Self(Instant::now().checked_add(patience))
    }

    pub(super) fn has_passed(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// How long that is from now; `None` for ever.
    pub(super) fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }
}
