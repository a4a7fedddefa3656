//! Signals.

use std::io;

use tokio::signal::unix::{self, SignalKind};

use crate::os::Signal;

/// The signals that the daemon heeds.
#[derive(Debug)]
pub struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
}

impl Signals {
    /// From here on they are not deadly.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: unix::signal(SignalKind::terminate())?,
            interrupt: unix::signal(SignalKind::interrupt())?,
            hang_up: unix::signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop("SIGTERM".into()),
            _ = self.interrupt.recv() => Signal::Stop("SIGINT".into()),
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}
