//! What the programs have in common that a service manager runs.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::health::Vitals;
use crate::logging;
use crate::os::{Signal, Signals, guard_memory, notify};
use crate::terminal::visible_toml;

/// The configuration can't be used.
const BAD_CONFIG: u8 = 2;
/// As of a Rust program that panics.
const PANICKED: i32 = 101;

/// Task of a program, once it has its configuration.
pub enum Task<Run> {
    /// To run to its end.
    Run(Run),
    /// To print the effective configuration, unless a start with it would fail.
    Check(anyhow::Result<String>),
}

/// A program from its configuration to its exit code.
pub fn main<Config, Run>(
    load: impl FnOnce() -> Result<Config, ConfigError>,
    start: impl FnOnce(Config) -> Task<Run>,
) -> ExitCode
where
    Run: Future<Output = anyhow::Result<()>>,
{
    logging::init();
    guard_memory();
    let started = match load() {
        Ok(config) => start(config),
        Err(error) => {
            error.to_string().lines().for_each(|line| log::error!("{line}"));
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let run = match started {
        Task::Run(run) => run,
        Task::Check(Err(error)) => {
            log::error!("{error:#}");
            return ExitCode::from(BAD_CONFIG);
        }
        Task::Check(Ok(text)) => {
            return match io::stdout().write_all(visible_toml(&text).as_bytes()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                    log::error!("standard output: {error}");
                    ExitCode::FAILURE
                }
                _ => ExitCode::SUCCESS,
            };
        }
    };
    // A half-dead program is worse than a dead one, which the service manager starts anew.
    std::panic::set_hook(Box::new(|panic| {
        log::error!("{panic}");
        std::process::exit(PANICKED);
    }));
    let system = actix::System::new();
    let ended = system.block_on(run);
    // Dropped, the actors that are left would run once more, outside of any runtime, and panic.
    std::mem::forget(system);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Waits for a start, unless a signal to stop comes first: then the program ends at once, whatever
/// a thread waits for. What it holds, it holds to its end, so that no other program finds the
/// state half made; what was begun goes on with the next start.
///
/// # Errors
/// Those of the start.
pub(crate) async fn unless_stopped<T>(
    signals: &mut Signals,
    start: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    let reason = tokio::select! {
        biased;
        reason = signals.stop() => reason,
        started = start => return started,
    };
    log::info!("stopping before the start is done: {reason}");
    notify::stopping();
    std::process::exit(0)
}

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
