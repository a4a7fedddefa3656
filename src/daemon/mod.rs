//! Composition root of the daemon: opens the socket and the state, starts the engine, serves it,
//! and stops everything in order.

mod status;
mod tuning;

use std::path::Path;
use std::rc::Rc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{self, DaemonArgs, DaemonConfig, Environment, Remote};
use crate::control_plane::Connections;
use crate::core::{Caller, ConnectionId, Principal};
use crate::engine::{Engine, EngineContext, RemotePlane};
use crate::instance::Lock;
use crate::ipc::{self, Access, IpcServer, IpcSettings};
use crate::os::{self, LocalSocket, Signal, Signals, notify};
use crate::server_url::ServerUrl;
use crate::{import, service, store};

/// Runs the daemon until it is stopped.
///
/// # Errors
/// A message about the failed start, with its cause and remedy.
pub(crate) async fn run(
    args: DaemonArgs,
    config: DaemonConfig,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    let _state_lock = lock_state(&config.state_dir)?;
    let mut daemon = service::unless_stopped(&mut signals, start(config, clock)).await?;
    notify::ready(&daemon.status());
    let mut connection = daemon.remote.connection.clone();
    connection.mark_unchanged();
    let telling = actix::spawn(status::follow(daemon.place.clone(), connection));
    let reason = loop {
        match signals.next().await {
            Signal::Stop(reason) => break reason,
            Signal::Reload => daemon.reload(&args).await,
        }
    };
    log::info!("stopping: {reason}");
    actix::spawn(service::end_at_once(signals));
    telling.abort();
    notify::stopping();
    // Subscribers of the connection get its last change before the goodbye.
    daemon.remote.stop().await;
    daemon.stop.send_replace(Some(reason));
    daemon.serving.await?;
    daemon.watchdog.abort();
    daemon.engine.stop().await;
    log::info!("stopped");
    Ok(())
}

/// Opens the socket, and starts everything that serves it.
async fn start(configured: DaemonConfig, clock: Clock) -> anyhow::Result<Daemon> {
    let config = fitted(&configured)?;
    ipc::warn_of_missing_group(&config.access, config.system);
    let (socket, place) = listen(&config)?;
    let (stop, stopping) = watch::channel(None);
    let principal = Principal::User { user: os::own_user(), admin: true };
    let itself = Caller { principal, connection: ConnectionId(0), address: None };
    let engine =
        Engine::start(EngineContext::default(), clock, tuning::settings(&config), itself.clone())
            .await?;
    import::first_state(&config.state_dir, &engine.calls, itself.clone()).await?;
    let server = config.server.as_ref().map(ServerUrl::key);
    let mut vitals = engine.vitals.clone();
    let remote = tuning::remote(&config)?;
    let remote =
        RemotePlane::start(&engine, &mut vitals, clock, remote, server, itself.clone()).await?;
    let ipc_server = IpcServer::new(
        "lanragectl-d",
        remote.calls.clone(),
        Connections::default(),
        clock,
        settings(&config),
        stopping,
    );
    let ipc_server = Rc::new(ipc_server);
    let serving = actix::spawn(ipc::serve(ipc_server.clone(), socket));
    let watchdog = actix::spawn(service::feed_watchdog(vitals));
    log::info!("serving {place}");
    Ok(Daemon { config: configured, engine, remote, ipc_server, place, stop, serving, watchdog })
}

struct Daemon {
    /// The configured values; effective connections may be fewer.
    config: DaemonConfig,
    engine: Engine,
    remote: RemotePlane,
    ipc_server: Rc<IpcServer>,
    /// Address of the socket, in words.
    place: String,
    /// Gives the sessions the reason of the stop.
    stop: watch::Sender<Option<String>>,
    serving: JoinHandle<()>,
    watchdog: JoinHandle<()>,
}

impl Daemon {
    fn status(&self) -> String {
        status::words(&self.place, self.remote.connection.borrow().as_ref())
    }

    /// Reloads the configuration. Keys that need a restart are logged, and stay as they are; a bad
    /// file changes nothing.
    async fn reload(&mut self, args: &DaemonArgs) {
        notify::reloading();
        match config::load(args, &Environment::process()) {
            Err(error) => {
                for line in error.to_string().lines() {
                    log::error!("{line}");
                }
                log::error!("the configuration stays as it was");
            }
            Ok(config) => {
                for key in config::needs_restart(&self.config, &config) {
                    log::warn!("{key} changes with the next start");
                }
                self.take_on(config).await;
                log::info!("the configuration was read again");
            }
        }
        notify::ready(&self.status());
    }

    async fn take_on(&mut self, config: DaemonConfig) {
        self.config = DaemonConfig {
            socket: self.config.socket.clone(),
            state_dir: self.config.state_dir.clone(),
            discovery_file: self.config.discovery_file.clone(),
            server: self.config.server.clone(),
            addresses: self.config.addresses.clone(),
            remote: Remote {
                transport: self.config.remote.transport,
                ca_file: self.config.remote.ca_file.clone(),
                proxy: self.config.remote.proxy.clone(),
                ..config.remote
            },
            ..config
        };
        let (access, system) = (self.config.access.clone(), self.config.system);
        tokio::task::spawn_blocking(move || ipc::warn_of_missing_group(&access, system));
        match fitted(&self.config) {
            Ok(config) => self.ipc_server.set(settings(&config)),
            Err(error) => log::error!("the local socket's limits stay as they were: {error:#}"),
        }
        self.engine.tune(tuning::tuning(&self.config)).await;
        match tuning::remote(&self.config) {
            Ok(settings) => self.remote.tune(settings).await,
            Err(error) => log::error!("the link stays as it was: {error:#}"),
        }
    }
}

/// Checks the conditions of a start: the limit of open files, and the trusted certificates.
///
/// # Errors
/// Those of the start.
pub(crate) fn check(config: &DaemonConfig) -> anyhow::Result<()> {
    fitted(config)?;
    ipc::warn_of_missing_group(&config.access, config.system);
    tuning::remote(config)?;
    Ok(())
}

/// Returns the configuration with connections that fit the limit of open files; warns if they are
/// fewer.
fn fitted(config: &DaemonConfig) -> anyhow::Result<DaemonConfig> {
    let fitted = config::fit_daemon(config, os::raise_file_limit())?;
    if let Some(warning) = fitted.warning {
        log::warn!("{warning}");
    }
    Ok(fitted.config)
}

fn settings(config: &DaemonConfig) -> IpcSettings {
    let access = Access::of(&config.access, config.system, os::own_user());
    IpcSettings { limits: config.limits.clone(), access, socket_check: config.cleanup.interval }
}

fn lock_state(dir: &Path) -> anyhow::Result<Lock> {
    store::make_dir(dir)?;
    let what = format!("the state directory {}", dir.display());
    Lock::acquire(&dir.join("lanragectl-d.lock"), &what, "")
}

/// Returns the socket and its address, in words.
fn listen(config: &DaemonConfig) -> anyhow::Result<(LocalSocket, String)> {
    if let Some(socket) = os::inherited()? {
        return Ok((socket, "the socket that the service manager handed over".into()));
    }
    let socket = LocalSocket::bind(&config.socket, config.system)?;
    Ok((socket, config.socket.display().to_string()))
}
