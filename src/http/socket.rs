//! Accepted connections, as the rest of the program sees them.

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::ConnectionPermit;

/// How long what was sent may stay unacknowledged, or the client's window closed, before the
/// system gives the connection up.
pub const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// An accepted connection, for as long as it lasts: a second handle of its socket. Handlers find
/// it with `HttpRequest::conn_data`.
#[derive(Debug, Clone)]
pub struct Accepted(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    socket: Socket,
    permit: ConnectionPermit,
}

impl Accepted {
    /// Prepares a connection. Without a second handle, as when the process has no more file
    /// descriptors, nobody could end the connection.
    pub(super) fn prepare(tcp: &TcpStream, permit: ConnectionPermit) -> io::Result<Self> {
        let socket = SockRef::from(tcp);
        socket.set_tcp_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        let socket = socket.try_clone()?;
        Ok(Self(Arc::new(Connection { socket, permit })))
    }

    /// What ends this connection from outside.
    pub fn hangup(&self) -> Hangup {
        Hangup(Arc::downgrade(&self.0))
    }

    /// Notes that a request is under way, until the result is dropped.
    pub(super) fn begin_request(&self) -> RequestUnderWay {
        self.0.permit.begin_request();
        RequestUnderWay(Some(self.clone()))
    }

    /// Notes that the client showed a valid token.
    pub(super) fn note_token(&self) {
        self.0.permit.note_token();
    }
}

/// A request of a connection that is not answered yet.
#[derive(Debug)]
pub(super) struct RequestUnderWay(Option<Accepted>);

impl RequestUnderWay {
    /// Notes that the connection is a WebSocket from now on: it is never idle again.
    pub(super) fn upgrade(&mut self) {
        self.0 = None;
    }
}

impl Drop for RequestUnderWay {
    fn drop(&mut self) {
        if let Some(Accepted(connection)) = &self.0 {
            connection.permit.end_request();
        }
    }
}

/// The stream of an accepted connection.
#[derive(Debug)]
pub(super) struct AcceptedStream {
    tcp: TcpStream,
    accepted: Accepted,
    is_in_handshake: bool,
}

impl AcceptedStream {
    /// Returns a stream, which begins with a TLS handshake or without.
    pub(super) fn new(tcp: TcpStream, accepted: Accepted, is_in_handshake: bool) -> Self {
        Self { tcp, accepted, is_in_handshake }
    }

    /// Returns the connection.
    pub(super) fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Returns the address of the other end.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.tcp.peer_addr().ok()
    }

    /// Notes that the TLS handshake is done.
    pub(super) fn end_handshake(&mut self) {
        self.is_in_handshake = false;
        self.accepted.0.permit.end_handshake();
    }
}

impl AsyncRead for AcceptedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { tcp, accepted, is_in_handshake } = self.get_mut();
        let before = buffer.filled().len();
        ready!(Pin::new(tcp).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            accepted.0.permit.note_input(*is_in_handshake);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AcceptedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(context, buffer)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(context)
    }
}

/// Ends a connection from outside of it: one that writes to a client that doesn't read is not
/// polled, so that it can't end itself. Keeping this keeps nothing open.
#[derive(Debug, Clone)]
pub struct Hangup(Weak<Connection>);

impl Hangup {
    /// Shuts the socket down in both directions. What was not sent yet is lost. Does nothing to a
    /// connection that has ended.
    pub fn now(&self) {
        let Some(connection) = self.0.upgrade() else { return };
        if let Err(error) = connection.socket.shutdown(Shutdown::Both) {
            // Most often the client was faster.
            log::debug!("can't shut a connection down: {error}");
        }
    }
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
