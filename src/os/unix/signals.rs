//! Signals.

use std::io;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::os;

/// Signals that the program handles.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
    /// Never read. With a handler the signal does not kill the program, and a write beyond the file
    /// size limit fails like one on a full disk.
    _file_size: unix::Signal,
}

impl Signals {
    /// Handles the signals from here on, so that they do not kill the program.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hang_up: unix::signal(SignalKind::hangup())?,
            _file_size: unix::signal(SignalKind::from_raw(Signal::SIGXFSZ as i32))?,
        })
    }

    /// Returns the next request to stop. Other signals stay pending.
    pub(crate) async fn stop(&mut self) -> String {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM".into(),
            _ = self.interrupt.recv() => "SIGINT".into(),
        }
    }

    /// Returns the next request.
    pub(crate) async fn next(&mut self) -> os::Signal {
        tokio::select! {
            _ = self.terminate.recv() => os::Signal::Stop("SIGTERM".into()),
            _ = self.interrupt.recv() => os::Signal::Stop("SIGINT".into()),
            _ = self.hang_up.recv() => os::Signal::Reload,
        }
    }
}
