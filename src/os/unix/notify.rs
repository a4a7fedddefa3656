//! What systemd is told. Without systemd nobody is.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd could not be told: {error}");
    }
}

/// The socket is served.
pub(crate) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// What it does now, in words.
pub(crate) fn status(words: &str) {
    tell(&[NotifyState::Status(words)]);
}

/// The configuration is being read again; [`ready`] ends it.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("systemd could not be told: {error}"),
    }
}

/// No more requests are taken.
pub(crate) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// All is well.
pub(crate) fn watchdog() {
    tell(&[NotifyState::Watchdog]);
}

/// How long systemd waits for [`watchdog`] before it restarts the daemon, if it does.
pub(crate) fn watchdog_patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
