//! What the programs have in common that a service manager runs.

use crate::health::Vitals;
use crate::os::{Signal, Signals, notify};

/// Who asks a second time does not want to wait for a disk that hangs, say. What was acknowledged
/// is durable all the same.
pub(crate) async fn end_at_once(mut signals: Signals) {
    loop {
        if let Signal::Stop(reason) = signals.next().await {
            log::warn!("stopping at once: {reason} again");
            std::process::exit(1);
        }
    }
}

/// Tells systemd that all is well, for as long as it is.
pub(crate) async fn feed_watchdog(vitals: Vitals) {
    let Some(patience) = notify::watchdog_patience() else { return };
    let interval = patience / 2;
    loop {
        match vitals.check(interval / 2).await {
            Ok(()) => notify::watchdog(),
            Err(actor) => log::error!("{actor} does not answer: the watchdog is not fed"),
        }
        tokio::time::sleep(interval).await;
    }
}
