//! What is done to a connection when it is accepted.

#[cfg(test)]
mod tests;

use std::any::Any;
use std::io;
use std::net::Shutdown;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};

/// How long what was sent may stay unacknowledged, or the client's window closed, before the
/// system gives the connection up.
pub const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// An accepted connection, for as long as it lasts: a second handle of its socket. Handlers find
/// it with `HttpRequest::conn_data`.
#[derive(Debug)]
pub struct Accepted(Arc<Socket>);

impl Accepted {
    /// What ends this connection from outside.
    pub fn hangup(&self) -> Hangup {
        Hangup(Arc::downgrade(&self.0))
    }
}

/// Ends a connection from outside of it: one that writes to a client that doesn't read is not
/// polled, so that it can't end itself. Keeping this keeps nothing open.
#[derive(Debug, Clone)]
pub struct Hangup(Weak<Socket>);

impl Hangup {
    /// Shuts the socket down in both directions. What was not sent yet is lost. Does nothing to a
    /// connection that has ended.
    pub fn now(&self) {
        let Some(socket) = self.0.upgrade() else { return };
        if let Err(error) = socket.shutdown(Shutdown::Both) {
            // Most often the client was faster.
            log::debug!("can't shut a connection down: {error}");
        }
    }
}

/// Prepares an accepted connection, plain or TLS, and puts its [`Accepted`] into its `extensions`;
/// for `HttpServer::on_connect`. Without one, as when the process has no more file descriptors,
/// nobody could end the connection.
pub fn on_connect(io: &dyn Any, extensions: &mut Extensions) {
    let tls = || io.downcast_ref::<TlsStream<TcpStream>>().map(|tls| tls.get_ref().0);
    let Some(stream) = io.downcast_ref::<TcpStream>().or_else(tls) else { return };
    match prepare(&SockRef::from(stream)) {
        Ok(accepted) => {
            extensions.insert(accepted);
        }
        Err(error) => log::warn!("can't prepare a connection: {error}"),
    }
}

fn prepare(socket: &Socket) -> io::Result<Accepted> {
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(Accepted(Arc::new(socket.try_clone()?)))
}

/// Lets this process have as many open files as it may: each connection has two.
pub fn raise_file_limit() {
    #[cfg(unix)]
    {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};

        let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| (soft, hard))
        });
        match raised {
            Ok((soft, hard)) => log::debug!("at most {hard} open files (before: {soft})"),
            Err(error) => log::debug!("can't raise the limit of open files: {error}"),
        }
    }
}
