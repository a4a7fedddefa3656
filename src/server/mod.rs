//! Composition root of the server: opens the state, the sockets and the certificates, starts the
//! engine and the frontends, and stops everything in order.

mod tuning;

use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::dev::{Server as HttpServerTask, ServerHandle};
use actix_web::{HttpRequest, HttpResponse, web};
use anyhow::Context as _;
use lanrage_ipc::model::Epoch;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::{self, Environment, ServerArgs, ServerConfig};
use crate::control_plane::{Ask, Connections};
use crate::core::{Caller, ConnectionId, Ended, Principal};
use crate::engine::{Engine, EngineContext};
use crate::http::metrics::Metrics;
use crate::http::tls::{self, Certificates};
use crate::http::{self, HttpConnectionLimiter, HttpState};
use crate::instance::Lock;
use crate::ipc;
use crate::os::{self, LocalSocket, Signal, Signals, notify};
use crate::{import, service, store, ws};

/// Name of the program for clients.
pub(crate) const PROGRAM: &str = "lanragectl-server";
/// Time limit of the control plane to return its epoch: it has nothing else to do yet.
const FIRST_ANSWER: Duration = Duration::from_secs(10);
/// Time limit of requests and connections at a stop, in seconds; then they are cut.
const GRACE_SECONDS: u64 = 5;
/// Runs the server until it is stopped.
///
/// # Errors
/// A message about the failed start, with its cause and remedy.
pub(crate) async fn run(
    args: ServerArgs,
    config: ServerConfig,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let clock = Clock::start();
    let _state_lock = lock_state(&config.state_dir)?;
    let mut server = service::unless_stopped(&mut signals, start(config, clock)).await?;
    notify::ready(&server.place);
    let reason = loop {
        match signals.next().await {
            Signal::Stop(reason) => break reason,
            Signal::Reload => server.reload(&args).await,
        }
    };
    log::info!("stopping: {reason}");
    actix::spawn(service::end_at_once(signals));
    notify::stopping();
    server.stop.send_replace(Some(reason));
    end_frontends(server.handle, server.tasks).await?;
    server.limiting.abort();
    server.watchdog.abort();
    server.engine.stop().await;
    log::info!("stopped");
    Ok(())
}

/// Opens the sockets and the certificates, and starts everything that serves clients.
async fn start(configured: ServerConfig, clock: Clock) -> anyhow::Result<Server> {
    let config = fitted(&configured)?;
    ipc::warn_of_missing_group(&config.access, config.system);
    let admin = listen_to_admins(&config)?;
    let certificates = certificates(&config)?;
    let (stop, stopping) = watch::channel(None);
    let principal = Principal::User { user: os::own_user(), admin: true };
    let itself = Caller { principal, connection: ConnectionId(0), address: None };
    // Clients get an answer while the state is read, which may take long.
    let context = EngineContext::default();
    let (http, sockets) =
        (http_state(&config, &context, clock, stopping.clone()), Sockets::default());
    let limiter = Arc::new(http.connection_limiter());
    let (server, address) = listen(&config, &http, &sockets, &limiter, certificates.as_ref())?;
    let (handle, serving) = (server.handle(), actix::spawn(server));
    let watched = limiter.clone();
    let limiting = actix::spawn(async move { watched.watch().await });
    let settings = tuning::settings(&config);
    let engine = Engine::start(context, clock, settings, itself.clone()).await?;
    import::first_state(&config.state_dir, &engine.calls, itself.clone()).await?;
    let epoch = epoch(&engine, itself).await?;
    let frontends = Frontends::new(&config, &engine, http, limiter, epoch, stopping);
    sockets.set(frontends.ws.clone());
    frontends.http.set_ready(true);
    let tasks = Tasks {
        serving,
        watching: actix::spawn(ws::watch(frontends.ws.clone())),
        admitting: admin.map(|socket| actix::spawn(ipc::serve(frontends.ipc.clone(), socket))),
    };
    let watchdog = actix::spawn(service::feed_watchdog(engine.vitals.clone()));
    let place = place(&config, address, tasks.admitting.is_some());
    log::info!("{place}");
    warn_of_public_names(&config);
    Ok(Server {
        config: configured,
        certificates,
        engine,
        frontends,
        place,
        stop,
        handle,
        tasks,
        limiting,
        watchdog,
    })
}

/// Frontends of the server.
struct Frontends {
    http: web::Data<HttpState>,
    /// Limits of the connections to `http`.
    connections: Arc<HttpConnectionLimiter>,
    ws: Arc<ws::WsServer>,
    ipc: Rc<ipc::IpcServer>,
}

impl Frontends {
    fn new(
        config: &ServerConfig,
        engine: &Engine,
        http: web::Data<HttpState>,
        limiter: Arc<HttpConnectionLimiter>,
        epoch: Epoch,
        stopping: watch::Receiver<Option<String>>,
    ) -> Self {
        let (calls, connections, clock) = (&engine.calls, Connections::default(), http.clock);
        let ws = ws::WsServer::new(http.clone(), epoch, tuning::ws(config), connections.clone());
        let ws = Arc::new(ws);
        let (of_http, of_ws) = (http.clone(), ws.clone());
        engine.ending.set(move |ended| match ended {
            Ended::Connection { peer_id, connection } => of_ws.end(peer_id, *connection),
            Ended::Token(hash) => of_http.end_token(hash),
        });
        let settings = tuning::ipc(config);
        let ipc =
            ipc::IpcServer::new(PROGRAM, calls.clone(), connections, clock, settings, stopping);
        Self { http, connections: limiter, ws, ipc: Rc::new(ipc) }
    }
}

struct Server {
    /// The configured values; effective connections may be fewer.
    config: ServerConfig,
    certificates: Option<Arc<Certificates>>,
    engine: Engine,
    frontends: Frontends,
    /// Addresses of the server, in words.
    place: String,
    /// Gives the frontends the reason of the stop.
    stop: watch::Sender<Option<String>>,
    handle: ServerHandle,
    tasks: Tasks,
    /// Closes connections at their deadlines.
    limiting: JoinHandle<()>,
    watchdog: JoinHandle<()>,
}

/// Tasks that serve clients.
struct Tasks {
    serving: JoinHandle<std::io::Result<()>>,
    watching: JoinHandle<()>,
    admitting: Option<JoinHandle<()>>,
}

impl Server {
    /// Reloads the configuration and the certificates. Keys that need a restart are logged, and
    /// stay as they are; bad files change nothing.
    async fn reload(&mut self, args: &ServerArgs) {
        notify::reloading();
        match config::load_server(args, &Environment::process()) {
            Err(error) => {
                error.to_string().lines().for_each(|line| log::error!("{line}"));
                log::error!("the configuration stays as it was");
            }
            Ok(config) => {
                for key in config::server_needs_restart(&self.config, &config) {
                    log::warn!("{key} changes with the next start");
                }
                self.take_on(config).await;
                warn_of_public_names(&self.config);
                log::info!("the configuration was read again");
            }
        }
        if let Some(Err(error)) = self.certificates.as_ref().map(|files| files.reload()) {
            log::error!("{error:#}");
            log::error!("the certificate stays as it was");
        }
        notify::ready(&self.place);
    }

    async fn take_on(&mut self, config: ServerConfig) {
        let before = &self.config;
        let http = config::Http {
            tls: before.http.tls.clone(),
            request_timeout: before.http.request_timeout,
            keep_alive: before.http.keep_alive,
            connections: before.http.connections,
            ..config.http
        };
        self.config = ServerConfig {
            listen: before.listen,
            socket: before.socket.clone(),
            state_dir: before.state_dir.clone(),
            addresses: before.addresses.clone(),
            http,
            ..config
        };
        let (access, system) = (self.config.access.clone(), self.config.system);
        tokio::task::spawn_blocking(move || ipc::warn_of_missing_group(&access, system));
        let config = match fitted(&self.config) {
            Ok(config) => config,
            Err(error) => return log::error!("the limits stay as they were: {error:#}"),
        };
        self.frontends.http.set(tuning::http(&config));
        self.frontends.connections.set(&config.http);
        self.frontends.ws.set(tuning::ws(&config));
        self.frontends.ipc.set(tuning::ipc(&config));
        self.engine.tune(tuning::tuning(&config)).await;
    }
}

/// Checks the conditions of a start: the limit of open files, and the certificate.
///
/// # Errors
/// Those of the start.
pub(crate) fn check(config: &ServerConfig) -> anyhow::Result<()> {
    fitted(config)?;
    ipc::warn_of_missing_group(&config.access, config.system);
    certificates(config)?;
    Ok(())
}

/// Returns the configuration with connections that fit the limit of open files; warns if they are
/// fewer.
fn fitted(config: &ServerConfig) -> anyhow::Result<ServerConfig> {
    let fitted = config::fit_server(config, os::raise_file_limit(), http::workers())?;
    if let Some(warning) = fitted.warning {
        log::warn!("{warning}");
    }
    Ok(fitted.config)
}

/// Warns of a proxy on this machine whose requests would be refused.
fn warn_of_public_names(config: &ServerConfig) {
    let config::Http { behind_proxy, public_names, .. } = &config.http;
    let is_local = config.listen.ip().to_canonical().is_loopback();
    if is_local && !behind_proxy.is_empty() && public_names.is_empty() {
        log::warn!(
            "http.public_names is empty: requests for a name that the proxy passes on are refused; \
             add the names under which clients reach the proxy"
        );
    }
}

fn lock_state(dir: &Path) -> anyhow::Result<Lock> {
    store::make_dir(dir)?;
    let what = format!("the state directory {}", dir.display());
    Lock::acquire(&dir.join("lanragectl-server.lock"), &what, "")
}

/// Opens the administrators' socket. Without an explicit path, the server runs without it if the
/// state directory's path is too long.
fn listen_to_admins(config: &ServerConfig) -> anyhow::Result<Option<LocalSocket>> {
    let path = &config.socket;
    if path.starts_with(&config.state_dir)
        && let Err(reason) = os::check_socket_path(path)
    {
        log::warn!("{reason}");
        return Ok(None);
    }
    LocalSocket::bind(path, config.system).map(Some)
}

fn certificates(config: &ServerConfig) -> anyhow::Result<Option<Arc<Certificates>>> {
    let files = config.http.tls.clone();
    files.map(|files| Certificates::load(files.cert, files.key).map(Arc::new)).transpose()
}

async fn epoch(engine: &Engine, caller: Caller) -> anyhow::Result<Epoch> {
    Ok(engine.calls.ask_within(FIRST_ANSWER, caller, Ask::Status).await?.epoch)
}

/// WebSocket server, once there is one.
#[derive(Clone, Default)]
struct Sockets(Arc<OnceLock<Arc<ws::WsServer>>>);

impl Sockets {
    fn set(&self, server: Arc<ws::WsServer>) {
        self.0.set(server).ok();
    }
}

impl http::Sockets for Sockets {
    fn upgrade(self: Arc<Self>, request: &HttpRequest) -> Result<HttpResponse, http::Problem> {
        match self.0.get() {
            Some(server) => server.clone().upgrade(request),
            None => Err(http::Problem::starting()),
        }
    }

    fn open(&self) -> usize {
        self.0.get().map_or(0, |server| server.open())
    }

    fn queued(&self) -> usize {
        self.0.get().map_or(0, |server| server.queued())
    }
}

/// Returns the state of a server that takes no requests yet.
fn http_state(
    config: &ServerConfig,
    context: &EngineContext,
    clock: Clock,
    stopping: watch::Receiver<Option<String>>,
) -> web::Data<HttpState> {
    let (calls, metrics) = (context.calls.clone(), Arc::new(Metrics::new()));
    let http = HttpState::new(calls, clock, tuning::http(config), metrics, stopping);
    http.set_ready(false);
    web::Data::new(http)
}

/// Listens for HTTP. Returns the bound address, too.
fn listen(
    config: &ServerConfig,
    state: &web::Data<HttpState>,
    sockets: &Sockets,
    limiter: &Arc<HttpConnectionLimiter>,
    certificates: Option<&Arc<Certificates>>,
) -> anyhow::Result<(HttpServerTask, SocketAddr)> {
    let (state, sockets) = (state.clone(), Arc::new(sockets.clone()));
    let app = move || http::app(state.clone(), sockets.clone());
    let tls = certificates.map(|files| tls::server_config(files.clone()));
    http::serve(app, config.listen, tls, &config.http, limiter, GRACE_SECONDS).with_context(|| {
        format!("can't listen on {}: choose another address with --listen", config.listen)
    })
}

fn place(config: &ServerConfig, address: SocketAddr, has_admins: bool) -> String {
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    match has_admins {
        true => format!("serving {scheme}://{address} and {}", config.socket.display()),
        false => format!("serving {scheme}://{address}"),
    }
}

/// Waits until all clients of the frontends are gone, which were told to leave.
async fn end_frontends(http: ServerHandle, tasks: Tasks) -> anyhow::Result<()> {
    let Tasks { serving, watching, admitting } = tasks;
    http.pause().await;
    // WebSockets come first: the framework checks its connections only once a second.
    let grace = Duration::from_secs(GRACE_SECONDS);
    if tokio::time::timeout(grace, watching).await.is_err() {
        log::warn!("some WebSockets did not end in time");
    }
    http.stop(true).await;
    serving.await??;
    if let Some(admitting) = admitting {
        admitting.await?;
    }
    Ok(())
}
