//! Rate of requests to the control server, and the window of those in flight.

use std::time::Duration;

use crate::core::{Buckets, Rate, RetryAfter};

/// Requests a second, and at once: half of what a server permits by its defaults.
const ALL: (usize, usize) = (100, 200);

/// Share of background requests in [`ALL`]. The rest is reserved for clients.
const BACKGROUND: (usize, usize) = (80, 150);

/// Background requests in flight. A server answers in order: more would only wait there, and a
/// client's request behind them.
const WINDOW: usize = 8;

/// Priority of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A client waits for the answer.
    Asked,
    /// Keepalives, and changes that are told later.
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

    /// Gives a place in the window back.
    pub(super) fn leave_window(&mut self) {
        self.in_window -= 1;
    }

    /// Takes the place of one request.
    ///
    /// # Errors
    /// The wait until there is one.
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
