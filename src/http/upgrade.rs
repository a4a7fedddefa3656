//! Upgrade of a connection from HTTP to another protocol. After the answer 101 the connection
//! leaves the HTTP library, whose buffers are freed, and the task of the connection goes on with
//! the new protocol.

use std::cell::RefCell;
use std::rc::Rc;

use futures_util::future::LocalBoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use super::socket::AcceptedStream;

/// Stream of a connection, plain or TLS.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Unpin> Duplex for IO {}

/// Connection that left HTTP.
pub(crate) struct Upgraded {
    /// The connection.
    pub(crate) stream: Box<dyn Duplex>,
    /// Bytes that the client sent after its request.
    pub(crate) read: Vec<u8>,
}

/// Connection that can leave HTTP.
pub(super) trait Release {
    /// Removes the wrappers of the connection.
    fn release(self) -> Upgraded;
}

impl Release for AcceptedStream {
    fn release(self) -> Upgraded {
        Upgraded { stream: Box::new(self), read: Vec::new() }
    }
}

type Task = LocalBoxFuture<'static, ()>;
type Protocol = Box<dyn FnOnce(Upgraded) -> Task>;

/// Upgrade of one connection. Handlers find it with `HttpRequest::conn_data`.
#[derive(Clone, Default)]
pub(crate) struct Upgrade(Rc<RefCell<Progress>>);

#[derive(Default)]
enum Progress {
    #[default]
    None,
    /// A handler answers with 101.
    Wanted(Protocol),
    /// The connection left HTTP.
    Begun(Task),
}

impl Upgrade {
    /// Sets the protocol that the connection speaks after the answer 101.
    pub(crate) fn want<F: Future<Output = ()> + 'static>(
        &self,
        protocol: impl FnOnce(Upgraded) -> F + 'static,
    ) {
        let protocol: Protocol = Box::new(|upgraded| Box::pin(protocol(upgraded)));
        self.0.replace(Progress::Wanted(protocol));
    }

    /// True between [`Upgrade::want`] and [`Upgrade::begin`].
    pub(super) fn is_wanted(&self) -> bool {
        matches!(*self.0.borrow(), Progress::Wanted(_))
    }

    /// Begins the new protocol on the connection.
    pub(super) fn begin(&self, upgraded: Upgraded) {
        if let Progress::Wanted(protocol) = self.0.take() {
            self.0.replace(Progress::Begun(protocol(upgraded)));
        }
    }

    /// Returns the task of the new protocol, if it has begun.
    pub(super) fn take(&self) -> Option<Task> {
        match self.0.take() {
            Progress::Begun(task) => Some(task),
            _ => None,
        }
    }
}
