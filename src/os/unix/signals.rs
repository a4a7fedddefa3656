//! Signals.

use std::io;

use nix::sys::signal::Signal;
use tokio::signal::unix::{self, SignalKind};

use crate::os;

/// The signals that the daemon heeds.
#[derive(Debug)]
pub(crate) struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
    /// Never read. With a handler the signal is not deadly, and a write beyond the limit on the
    /// size of files fails like one on a full disk.
    _file_size: unix::Signal,
}

impl Signals {
    /// From here on they are not deadly.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hang_up: unix::signal(SignalKind::hangup())?,
            _file_size: unix::signal(SignalKind::from_raw(Signal::SIGXFSZ as i32))?,
        })
    }

    /// The next signal to stop. The others wait.
    pub(crate) async fn stop(&mut self) -> String {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM".into(),
            _ = self.interrupt.recv() => "SIGINT".into(),
        }
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> os::Signal {
        tokio::select! {
            _ = self.terminate.recv() => os::Signal::Stop("SIGTERM".into()),
            _ = self.interrupt.recv() => os::Signal::Stop("SIGINT".into()),
            _ = self.hang_up.recv() => os::Signal::Reload,
        }
    }
}
