//! The face towards local programs: JSON-RPC lines over a Unix socket or a Windows named pipe.
//!
//! A listener hands each connection to a session; the session cuts lines, checks the caller's
//! role, and has the translator speak between the wire and the control plane. Nothing here knows
//! a rule about parties.

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

/// What all sessions share.
pub(crate) struct IpcServer {
    control_plane: ControlPlane,
    connections: Connections,
    /// What the program calls itself.
    program: &'static str,
    clock: Clock,
    settings: RefCell<Rc<IpcSettings>>,
    limiter: connection_limiter::ConnectionLimiter,
    budget: budget::Budget,
    refused: Warnings,
    /// Limits the warnings that replies found no room.
    starved: Throttle,
    /// Limits the warnings that announced parties found no room.
    crowded: Throttle,
    /// Limits the errors of connections that the system does not give.
    unaccepted: Throttle,
    /// Why the daemon stops, once it does.
    stopping: watch::Receiver<Option<String>>,
}

/// What may change while the daemon runs; a connection keeps those that it began with.
#[derive(Debug, Clone)]
pub(crate) struct IpcSettings {
    /// What is put up with.
    pub(crate) limits: Limits,
    /// Who may do what.
    pub(crate) access: Access,
    /// Pause between two looks at the socket's file.
    pub(crate) socket_check: Duration,
}

impl IpcServer {
    /// A face of `control_plane`. Its connections are numbered with those of other faces. When `stopping` gets a reason, it says goodbye and ends.
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

    /// Other settings, for the connections from here on.
    pub(crate) fn set(&self, settings: IpcSettings) {
        *self.settings.borrow_mut() = Rc::new(settings);
    }

    fn settings(&self) -> Rc<IpcSettings> {
        self.settings.borrow().clone()
    }

    /// Connections that each role may have, by the settings of now.
    fn shares(&self) -> connection_limiter::Shares {
        let settings = self.settings.borrow();
        connection_limiter::Shares::new(&settings.limits, settings.access.is_system())
    }
}

/// Limits the warnings of refused connections, by their cause: refused clients may try again at
/// once, for ever.
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
