//! Rate limit of requests to the control server, and the window of those in flight.

use std::time::Duration;

use crate::core::{Buckets, Rate, RetryAfter};

/// Requests a second, and burst: half of a server's default limits.
const ALL: (usize, usize) = (100, 200);

/// Part of [`ALL`] for background requests. The rest is reserved for clients.
const BACKGROUND: (usize, usize) = (80, 150);

/// Upper bound of background requests in flight. A server answers in order, so more of them would
/// only delay client requests.
const WINDOW: usize = 8;

/// Priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client waits for the answer.
    Asked,
    /// Keepalives, and changes that were deferred.
    Background,
}

/// Rate limit and window of a connection.
#[derive(Debug)]
pub(super) struct Pace {
    all: Buckets<()>,
    background: Buckets<()>,
    in_window: usize,
}

impl Pace {
    pub(super) fn new() -> Self {
        let buckets =
            |(a_second, burst)| Buckets::new(Rate::new(a_second, Duration::from_secs(1), burst), 1);
        Self { all: buckets(ALL), background: buckets(BACKGROUND), in_window: 0 }
    }

    /// Takes a place in the window of background requests. Returns false if it is full.
    pub(super) fn enter_window(&mut self) -> bool {
        let has_room = self.in_window < WINDOW;
        self.in_window += usize::from(has_room);
        has_room
    }

    /// Returns a place in the window.
    pub(super) fn leave_window(&mut self) {
        self.in_window -= 1;
    }

    /// Takes one request from the rate limit.
    ///
    /// # Errors
    /// The wait until one is permitted.
    pub(super) fn take(&mut self, lane: Lane, now: Duration) -> Result<(), RetryAfter> {
        match lane {
            Lane::Asked => self.all.take((), now),
            Lane::Background => {
                self.background.take((), now)?;
                self.all.take((), now).inspect_err(|_| self.background.give_back(&()))
            }
        }
    }
}
