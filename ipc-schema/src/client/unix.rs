//! A Unix socket with deadlines.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use super::connection::Deadline;

#[derive(Debug)]
pub(super) struct Stream {
    socket: UnixStream,
    buffer: Box<[u8]>,
}

impl Stream {
    pub(super) fn connect(path: &Path, deadline: Deadline) -> io::Result<Self> {
        // `connect` blocks without a timeout while the daemon's backlog is full.
        let (sender, receiver) = sync_channel(1);
        let path = path.to_owned();
        let connect = move || drop(sender.send(UnixStream::connect(path)));
        thread::Builder::new().name("lanrage-connect".to_owned()).spawn(connect)?;
        let patience = deadline.left().unwrap_or(Duration::MAX);
        let socket = receiver.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => io::ErrorKind::TimedOut,
            RecvTimeoutError::Disconnected => io::ErrorKind::Other,
        })??;
        Ok(Self { socket, buffer: vec![0; 64 * 1024].into() })
    }

    /// Reads the next bytes; empty at the end of the stream. After the deadline, it returns only
    /// bytes that have arrived already.
    pub(super) fn read(&mut self, deadline: Deadline) -> io::Result<&[u8]> {
        loop {
            let left = deadline.left();
            let is_poll = left.is_some_and(|left| left.is_zero());
            if is_poll {
                self.socket.set_nonblocking(true)?;
            } else {
                self.socket.set_read_timeout(left)?;
            }
            let result = self.socket.read(&mut self.buffer);
            if is_poll {
                self.socket.set_nonblocking(false)?;
            }
            match result {
                Ok(length) => return Ok(&self.buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
    }

    pub(super) fn write_all(&mut self, mut bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        while !bytes.is_empty() {
            let left = deadline.left();
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_write_timeout(left)?;
            match self.socket.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(timed_out(error)),
            }
        }
        Ok(())
    }
}

/// Maps `WouldBlock`, the socket's timeout, to `TimedOut`.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}
