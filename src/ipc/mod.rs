//! Frontend for local programs: JSON-RPC lines over a Unix socket or a Windows named pipe.
//!
//! A listener hands each connection to a session, which splits lines. The translator checks the
//! caller's role, and maps requests to the control plane. This module has no rules about parties.
//!
//! | file | |
//! |---|---|
//! | `listener`, `access`, `connection_limiter` | admission of connections, by role and user |
//! | `session`, `outgoing` | one connection: its loop, and its output buffer |
//! | `requests`, `subscriptions` | its requests in flight and its subscriptions |
//! | `translate`, `errors` | requests to calls, results to replies, failures to wire errors |
//! | `budget` | memory budget of replies and events that wait for clients |

mod access;
mod budget;
mod connection_limiter;
mod errors;
mod listener;
mod outgoing;
mod requests;
mod session;
mod subscriptions;
#[cfg(all(test, unix))]
mod tests;
mod translate;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Limits;
use crate::control_plane::{Connections, ControlPlane};
use crate::logging::{LASTING, Throttle};

pub(crate) use access::{Access, warn_of_missing_group};
pub(crate) use listener::serve;

/// State that all sessions share.
pub(crate) struct IpcServer {
    control_plane: ControlPlane,
    connections: Connections,
    /// Name of the program for clients.
    program: &'static str,
    clock: Clock,
    settings: RefCell<Rc<IpcSettings>>,
    limiter: connection_limiter::ConnectionLimiter,
    budget: budget::Budget,
    refused: Warnings,
    /// Throttle of the warnings about missing room for replies.
    starved: Throttle,
    /// Throttle of the warnings about missing room for announced parties.
    crowded: Throttle,
    /// Throttle of the errors about failed accepts.
    unaccepted: Throttle,
    /// Reason of the daemon's stop, after it began.
    stopping: watch::Receiver<Option<String>>,
}

/// Settings that a reload may change; a connection keeps those that it began with.
#[derive(Debug, Clone)]
pub(crate) struct IpcSettings {
    /// Limits of the connections and requests.
    pub(crate) limits: Limits,
    /// Rule that gives users their roles.
    pub(crate) access: Access,
    /// Interval of the checks of the socket's file.
    pub(crate) socket_check: Duration,
}

impl IpcServer {
    /// Creates the server in front of `control_plane`. Its connections share their numbers with
    /// those of the other frontends. It sends goaway and ends once `stopping` has a reason.
    pub(crate) fn new(
        program: &'static str,
        control_plane: ControlPlane,
        connections: Connections,
        clock: Clock,
        settings: IpcSettings,
        stopping: watch::Receiver<Option<String>>,
    ) -> Self {
        let settings = RefCell::new(Rc::new(settings));
        let limiter = connection_limiter::ConnectionLimiter::default();
        Self {
            control_plane,
            connections,
            program,
            clock,
            settings,
            limiter,
            budget: budget::Budget::default(),
            refused: Warnings::default(),
            starved: Throttle::new(LASTING),
            crowded: Throttle::new(LASTING),
            unaccepted: Throttle::new(LASTING),
            stopping,
        }
    }

    /// Replaces the settings, for connections from here on.
    pub(crate) fn set(&self, settings: IpcSettings) {
        *self.settings.borrow_mut() = Rc::new(settings);
    }

    fn settings(&self) -> Rc<IpcSettings> {
        self.settings.borrow().clone()
    }

    /// Returns the connection limits of each role, by the present settings.
    fn shares(&self) -> connection_limiter::RoleShares {
        let settings = self.settings.borrow();
        connection_limiter::RoleShares::new(&settings.limits, settings.access.is_system())
    }
}

/// Throttles of the warnings about refused connections, by cause: refused clients may retry at
/// once, forever.
struct Warnings {
    /// A user's share is full.
    user: Throttle,
    /// The share of all, or of a role, is full.
    all: Throttle,
    /// The daemon serves another user.
    stranger: Throttle,
}

impl Default for Warnings {
    fn default() -> Self {
        let [user, all, stranger] = [(); 3].map(|()| Throttle::new(LASTING));
        Self { user, all, stranger }
    }
}
