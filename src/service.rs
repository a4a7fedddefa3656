//! Common parts of the programs that a service manager runs.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;

use crate::config::{ConfigError, Environment};
use crate::health::Vitals;
use crate::logging;
use crate::os::{Signal, Signals, guard_memory, notify};
use crate::terminal::visible_toml;

/// Exit code for an unusable configuration.
const BAD_CONFIG: u8 = 2;
/// Exit code of a Rust program that panics.
const PANICKED: i32 = 101;

/// Program that a service manager runs.
pub(crate) trait Program {
    /// Its command line.
    type Args: Parser + Clone + Send + 'static;
    /// Its resolved configuration.
    type Config: Send + 'static;

    /// Resolves the configuration.
    ///
    /// # Errors
    /// The mistakes in it.
    fn load(args: &Self::Args, env: &Environment) -> Result<Self::Config, ConfigError>;

    /// True if the configuration is only to be checked and printed.
    fn is_check(args: &Self::Args) -> bool;

    /// Returns the effective configuration as text.
    ///
    /// # Errors
    /// The fault that would make a start fail.
    fn check(config: &Self::Config) -> anyhow::Result<String>;

    /// Runs until a signal to stop comes.
    fn run(
        args: Self::Args,
        config: Self::Config,
        signals: Signals,
    ) -> impl Future<Output = anyhow::Result<()>>;
}

/// Runs a program from its arguments to its exit code. Signal handlers are installed before
/// anything else.
pub(crate) fn main<P: Program>() -> ExitCode {
    let system = actix::System::new();
    let code = system.block_on(async {
        let signals = Signals::install();
        let args = P::Args::parse();
        logging::init();
        guard_memory();
        // A program with a dead part is worse than a dead one, which the service manager restarts.
        std::panic::set_hook(Box::new(|panic| {
            log::error!("{panic}");
            std::process::exit(PANICKED);
        }));
        match signals {
            Ok(signals) => run::<P>(args, signals).await,
            Err(error) => failure(&error.into()),
        }
    });
    // Dropping the runtime would run the remaining actors once more outside of it, and panic.
    std::mem::forget(system);
    code
}

async fn run<P: Program>(args: P::Args, mut signals: Signals) -> ExitCode {
    let given = args.clone();
    let loaded = blocking(move || Ok(P::load(&given, &Environment::process())));
    let config = match unless_stopped(&mut signals, loaded).await {
        Ok(Ok(config)) => config,
        Ok(Err(error)) => {
            error.to_string().lines().for_each(|line| log::error!("{line}"));
            return ExitCode::from(BAD_CONFIG);
        }
        Err(error) => return failure(&error),
    };
    if P::is_check(&args) {
        let checked = blocking(move || P::check(&config));
        return match unless_stopped(&mut signals, checked).await {
            Ok(text) => print(&text),
            Err(error) => {
                log::error!("{error:#}");
                ExitCode::from(BAD_CONFIG)
            }
        };
    }
    match P::run(args, config, signals).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure(&error),
    }
}

/// Runs a function that may wait for a disk on a thread of its own.
async fn blocking<T: Send + 'static>(
    task: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(task).await?
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(visible_toml(text).as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            log::error!("standard output: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn failure(error: &anyhow::Error) -> ExitCode {
    log::error!("{error:#}");
    ExitCode::FAILURE
}

/// Waits for a start, unless a signal to stop comes first. Then the program ends at once, although
/// a thread still waits. It holds its locks to the end, so that no other program finds a half-made
/// state. The next start continues the work.
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

/// Exits on a second signal to stop, for example during a hanging disk access. Acknowledged changes
/// are durable all the same.
pub(crate) async fn end_at_once(mut signals: Signals) {
    loop {
        if let Signal::Stop(reason) = signals.next().await {
            log::warn!("stopping at once: {reason} again");
            std::process::exit(1);
        }
    }
}

/// Feeds systemd's watchdog while the program works.
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
