//! Accepted connections, as the rest of the program sees them.

#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connections::HttpConnectionPermit;

/// Time after which the system drops a connection with unacknowledged data or a closed window.
pub(crate) const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Accepted connection, for its lifetime. Handlers find it with `HttpRequest::conn_data`.
#[derive(Debug, Clone)]
pub(crate) struct Accepted(Arc<Connection>);

#[derive(Debug)]
struct Connection {
    tcp: TcpStream,
    permit: HttpConnectionPermit,
}

impl Accepted {
    /// Prepares a connection.
    pub(super) fn prepare(tcp: TcpStream, permit: HttpConnectionPermit) -> io::Result<Self> {
        let socket = SockRef::from(&tcp);
        socket.set_tcp_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
        Ok(Self(Arc::new(Connection { tcp, permit })))
    }

    /// Returns the handle that ends this connection from outside.
    pub(crate) fn hangup(&self) -> Hangup {
        Hangup(Arc::downgrade(&self.0))
    }

    /// Notes that a request is in flight, until the result is dropped.
    pub(super) fn begin_request(&self) -> RequestUnderWay {
        self.0.permit.begin_request();
        RequestUnderWay(Some(self.clone()))
    }

    /// Notes that the client showed a valid token.
    pub(super) fn note_token(&self) {
        self.0.permit.note_token();
    }
}

/// Request in flight of a connection.
#[derive(Debug)]
pub(super) struct RequestUnderWay(Option<Accepted>);

impl RequestUnderWay {
    /// Notes that the connection became a WebSocket: it is never idle again.
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

/// Stream of an accepted connection: the only reader and writer of its socket.
#[derive(Debug)]
pub(super) struct AcceptedStream {
    accepted: Accepted,
    is_in_handshake: bool,
}

impl AcceptedStream {
    /// Creates a stream, which begins with a TLS handshake or without.
    pub(super) fn new(accepted: Accepted, is_in_handshake: bool) -> Self {
        Self { accepted, is_in_handshake }
    }

    /// Returns the connection.
    pub(super) fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Returns the address of the other end.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.tcp().peer_addr().ok()
    }

    /// Notes that the TLS handshake is done.
    pub(super) fn end_handshake(&mut self) {
        self.is_in_handshake = false;
        self.accepted.0.permit.end_handshake();
    }

    fn tcp(&self) -> &TcpStream {
        &self.accepted.0.tcp
    }
}

impl AsyncRead for AcceptedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.tcp().poll_read_ready(context))?;
            match self.tcp().try_read_buf(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
                Ok(length) => {
                    if length > 0 {
                        self.accepted.0.permit.note_input(self.is_in_handshake);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl AsyncWrite for AcceptedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.tcp().poll_write_ready(context))?;
            match self.tcp().try_write(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(self.tcp()).shutdown(Shutdown::Write))
    }
}

/// Handle that ends a connection from outside. A connection that writes to a client that does not
/// read is not polled, so that it can't end itself. The handle keeps nothing open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hangup(Weak<Connection>);

impl Hangup {
    /// Shuts the socket down in both directions. Unsent data is lost. Does nothing after the end of
    /// the connection.
    pub(crate) fn now(&self) {
        let Some(connection) = self.0.upgrade() else { return };
        if let Err(error) = SockRef::from(&connection.tcp).shutdown(Shutdown::Both) {
            // Usually the client closed first.
            log::debug!("can't shut a connection down: {error}");
        }
    }
}
