//! Notifications for systemd; no-ops without it.

use std::time::Duration;

use sd_notify::NotifyState;

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        log::warn!("systemd not notified: {error}");
    }
}

/// Reports that the socket is served.
pub(crate) fn ready(status: &str) {
    send(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports a status in words.
pub(crate) fn status(words: &str) {
    send(&[NotifyState::Status(words)]);
}

/// Reports a reload, which [`ready`] ends.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => log::warn!("systemd not notified: {error}"),
    }
}

/// Reports that the program stops.
pub(crate) fn stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// Reports that the program works.
pub(crate) fn watchdog() {
    send(&[NotifyState::Watchdog]);
}

/// Returns the time without [`watchdog`] after which systemd restarts the program, if it does.
pub(crate) fn watchdog_patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}
