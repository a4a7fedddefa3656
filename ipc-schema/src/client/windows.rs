//! A Windows named pipe with deadlines.
//!
//! A pipe has no timeouts, and a synchronous handle cannot write during a read. So the pipe is
//! opened for asynchronous use, with one blocking thread for each direction. The standard library
//! reads and writes such handles through two types: those of a child process's pipes.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::OwnedHandle;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::connection::Deadline;

const FILE_FLAG_OVERLAPPED: u32 = 0x4000_0000;
/// Impersonation level: the server may identify the client, but not act for it.
const SECURITY_IDENTIFICATION: u32 = 0x0001_0000;
const ERROR_PIPE_BUSY: i32 = 231;

#[derive(Debug)]
pub(super) struct Stream {
    /// Bytes for the writing thread.
    to_write: SyncSender<Vec<u8>>,
    written: Receiver<io::Result<()>>,
    /// Chunks from the reading thread; `None` once the stream is being dropped.
    chunks: Option<Receiver<io::Result<Vec<u8>>>>,
    chunk: Vec<u8>,
}

impl Stream {
    pub(super) fn connect(path: &Path, deadline: Deadline) -> io::Result<Self> {
        let handle = open(path, deadline)?;
        let reader = ChildStdout::from(handle.try_clone()?);
        let writer = ChildStdin::from(handle);
        let (to_write, requests) = sync_channel(1);
        let (acknowledge, written) = sync_channel(1);
        let (found, chunks) = sync_channel(16);
        let threads = thread::Builder::new;
        threads().name("lanrage-read".to_owned()).spawn(|| read_on(reader, found))?;
        threads()
            .name("lanrage-write".to_owned())
            .spawn(|| write_on(writer, requests, acknowledge))?;
        Ok(Self { to_write, written, chunks: Some(chunks), chunk: Vec::new() })
    }

    /// Reads the next bytes; empty at the end of the stream. After the deadline, it returns only
    /// bytes that have arrived already.
    pub(super) fn read(&mut self, deadline: Deadline) -> io::Result<&[u8]> {
        let Some(chunks) = &self.chunks else { return Ok(&[]) };
        self.chunk = match receive(chunks, deadline) {
            Ok(chunk) => chunk?,
            Err(RecvTimeoutError::Timeout) => return Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => Vec::new(),
        };
        Ok(&self.chunk)
    }

    pub(super) fn write_all(&mut self, bytes: &[u8], deadline: Deadline) -> io::Result<()> {
        let gone = io::ErrorKind::BrokenPipe;
        self.to_write.try_send(bytes.to_owned()).map_err(|_| gone)?;
        match receive(&self.written, deadline) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
            Err(RecvTimeoutError::Disconnected) => Err(gone.into()),
        }
    }
}

impl Drop for Stream {
    /// Sends a `ping` so that its reply wakes the reading thread, which holds the pipe open.
    fn drop(&mut self) {
        self.chunks = None;
        let ping = b"{\"jsonrpc\":\"2.0\",\"id\":\"bye\",\"method\":\"ping\"}\n";
        // If the `ping` cannot be sent, the daemon has closed the pipe or is about to.
        let _ = self.to_write.try_send(ping.to_vec());
    }
}

fn open(path: &Path, deadline: Deadline) -> io::Result<OwnedHandle> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(FILE_FLAG_OVERLAPPED);
    options.security_qos_flags(SECURITY_IDENTIFICATION);
    loop {
        match options.open(path) {
            Err(error) if error.raw_os_error() == Some(ERROR_PIPE_BUSY) => {
                if deadline.has_passed() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                // Windows has no event to wait for; the daemon creates a new instance soon.
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened.map(OwnedHandle::from),
        }
    }
}

fn receive<T>(receiver: &Receiver<T>, deadline: Deadline) -> Result<T, RecvTimeoutError> {
    receiver.recv_timeout(deadline.left().unwrap_or(Duration::MAX))
}

fn read_on(mut pipe: ChildStdout, found: SyncSender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let chunk = match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer[..length].to_vec()),
            Err(error) => Err(error),
        };
        let is_last = chunk.is_err();
        if found.send(chunk).is_err() || is_last {
            return;
        }
    }
}

fn write_on(
    mut pipe: ChildStdin,
    requests: Receiver<Vec<u8>>,
    acknowledge: SyncSender<io::Result<()>>,
) {
    for bytes in requests {
        let outcome = pipe.write_all(&bytes);
        let is_last = outcome.is_err();
        if acknowledge.send(outcome).is_err() || is_last {
            return;
        }
    }
}
