//! Acceptance of connections, and HTTP/1 on them.
//!
//! The framework's `HttpServer` takes only its own connections. This server has the same parts,
//! around [`ErrorBodies`], [`OldPosts`] and [`RequestGate`].

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::body::MessageBody;
use actix_http::error::DispatchError;
use actix_server::{GracefulShutdownSignal, Server};
use actix_service::{
    Service as _, ServiceFactory, ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::{AppConfig, Extensions, ServiceRequest, ServiceResponse};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connections::HttpConnectionLimiter;
use super::error_bodies::ErrorBodies;
use super::old_posts::OldPosts;
use super::pipelining::RequestGate;
use super::socket::{Accepted, AcceptedStream};
use super::upgrade::{Release, Upgraded};
use crate::config::{Http, closing_connections};

/// Backlog of unaccepted connections.
const BACKLOG: i32 = 1024;
/// Tick of the framework's clock for deadlines. A shorter deadline may have passed when it is set,
/// and then never fires.
const CLOCK_STEP: Duration = Duration::from_millis(500);
/// Time for a client to close its side after the last answer.
const DISCONNECT: Duration = Duration::from_secs(1);

/// Serves `app` at an address, with or without TLS, for the connections that `limiter` admits. A
/// stop waits `grace_seconds` for connections. Returns the bound address.
///
/// # Errors
/// The address can't be bound.
pub(crate) fn serve<T, B>(
    app: impl Fn() -> App<T> + Clone + Send + 'static,
    address: SocketAddr,
    tls: Option<ServerConfig>,
    http: &Http,
    limiter: &Arc<HttpConnectionLimiter>,
    grace_seconds: u64,
) -> io::Result<(Server, SocketAddr)>
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let listener = bind(address)?;
    let address = listener.local_addr()?;
    // The limiter sees all connections, and closes those beyond its bound. While the workers are
    // behind with that, none are accepted, because they would use up the descriptors.
    let most = http.connections + closing_connections(http.connections);
    let builder = Server::build()
        .workers(workers())
        .max_concurrent_connections(most.div_ceil(workers()))
        .shutdown_timeout(grace_seconds)
        .disable_signals();
    let timing = Timing {
        request: http.request_timeout + CLOCK_STEP,
        keep_alive: http.keep_alive + CLOCK_STEP,
        stop: builder.graceful_shutdown_signal(),
    };
    let limiter = limiter.clone();
    let builder = match tls {
        None => builder.listen("http", listener, move || {
            let limiter = limiter.clone();
            fn_service(move |tcp| {
                let stream = limiter.admit(tcp, false).map_err(DispatchError::Io);
                ready(stream.map(|stream| {
                    let peer = stream.peer();
                    (wrapped(stream), peer)
                }))
            })
            .and_then(timing.serve(app(), AcceptedStream::accepted))
        })?,
        Some(tls) => {
            let acceptor = TlsAcceptor::from(Arc::new(tls));
            builder.listen("https", listener, move || {
                let (limiter, acceptor) = (limiter.clone(), acceptor.clone());
                let stop = timing.stop.clone();
                fn_service(move |tcp| {
                    let (limiter, acceptor) = (limiter.clone(), acceptor.clone());
                    let stop = stop.clone();
                    async move {
                        let stopped = stop.notified();
                        let tls = tokio::select! {
                            tls = shake_hands(&limiter, acceptor, tcp) => tls,
                            () = stopped => Err(io::ErrorKind::ConnectionAborted.into()),
                        };
                        let tls = tls.map_err(DispatchError::Io)?;
                        let peer = tls.get_ref().0.peer();
                        Ok((wrapped(tls), peer))
                    }
                })
                .and_then(
                    timing
                        .serve(app(), |tls: &TlsStream<AcceptedStream>| tls.get_ref().0.accepted()),
                )
            })?
        }
    };
    Ok((builder.run(), address))
}

/// Returns the number of threads that serve connections.
pub(crate) fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Listens at an address, even while old connections of it linger.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    // Other systems behave so by default: `[::]` takes IPv4, too.
    #[cfg(windows)]
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Wrapped connection.
type Connection<IO> = RequestGate<ErrorBodies<OldPosts<IO>>>;

impl Release for TlsStream<AcceptedStream> {
    fn release(self) -> Upgraded {
        Upgraded { stream: Box::new(self), read: Vec::new() }
    }
}

fn wrapped<IO>(io: IO) -> Connection<IO> {
    RequestGate::new(ErrorBodies::new(OldPosts::new(io)))
}

/// Admits a connection and performs its TLS handshake, which has a deadline.
async fn shake_hands(
    limiter: &Arc<HttpConnectionLimiter>,
    acceptor: TlsAcceptor,
    tcp: TcpStream,
) -> io::Result<TlsStream<AcceptedStream>> {
    let stream = limiter.admit(tcp, true)?;
    let shaken = tokio::time::timeout(limiter.handshake_timeout(), acceptor.accept(stream)).await;
    let mut tls = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    tls.get_mut().0.end_handshake();
    Ok(tls)
}

/// Timeouts and end of the connections.
#[derive(Clone)]
struct Timing {
    /// Timeout of a request head.
    request: Duration,
    /// Timeout between two requests.
    keep_alive: Duration,
    stop: GracefulShutdownSignal,
}

impl Timing {
    /// Builds the service of the connections: HTTP/1 until an upgrade, then the other protocol.
    fn serve<IO, T, B>(
        &self,
        app: App<T>,
        accepted: fn(&IO) -> &Accepted,
    ) -> impl ServiceFactory<
        (Connection<IO>, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = DispatchError,
        InitError = (),
    > + use<IO, T, B>
    where
        IO: AsyncRead + AsyncWrite + Release + Unpin + 'static,
        T: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<B>,
                Error = Error,
                InitError = (),
            > + 'static,
        B: MessageBody + 'static,
    {
        let stop = self.stop.clone();
        let app = map_config(app, |()| AppConfig::default())
            .map_err(|error: Error| error.error_response());
        let h1 = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stop = stop.clone();
                async move { stop.notified().await }
            })
            .client_request_timeout(self.request)
            .keep_alive(self.keep_alive)
            .client_disconnect_timeout(DISCONNECT)
            .on_connect_ext(move |io: &Connection<IO>, extensions: &mut Extensions| {
                if let Some(io) = io.get_ref() {
                    extensions.insert(accepted(io.get_ref().get_ref()).clone());
                }
                extensions.insert(io.upgrade().clone());
            })
            .h1(app);
        apply_fn_factory(h1, |(io, peer): (Connection<IO>, _), h1: &_| {
            let upgrade = io.upgrade().clone();
            // Boxed, so that its memory is free after an upgrade.
            let http = Box::pin(h1.call((io, peer)));
            async move {
                let ended = http.await;
                let Some(task) = upgrade.take() else { return ended };
                task.await;
                Ok(())
            }
        })
    }
}
