//! Counters of a proxy, with waiting.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use super::Direction;
use crate::harness::daemon::PATIENCE;

#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Times at which connections were accepted.
    pub(super) accepted: Vec<Instant>,
    pub(super) open: usize,
    /// Number of forwarded bytes, by direction.
    pub(super) bytes: [usize; 2],
}

/// Shared counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<(Mutex<Counts>, Condvar)>);

/// An open connection, for as long as it is.
pub(super) struct Seat(Tally);

impl Tally {
    pub(super) fn read<T>(&self, read: impl FnOnce(&Counts) -> T) -> T {
        read(&self.0.0.lock().expect("the counts"))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        let changed = change(&mut self.0.0.lock().expect("the counts"));
        self.0.1.notify_all();
        changed
    }

    #[track_caller]
    pub(super) fn wait(&self, what: &str, is_there: impl Fn(&Counts) -> bool) {
        let counts = self.0.0.lock().expect("the counts");
        let waited = self.0.1.wait_timeout_while(counts, PATIENCE, |counts| !is_there(counts));
        let (counts, timeout) = waited.expect("the counts");
        assert!(!timeout.timed_out(), "not that many {what}: {counts:?}");
    }

    /// Counts a connection: its number.
    pub(super) fn accepted(&self) -> usize {
        self.change(|counts| {
            counts.accepted.push(Instant::now());
            counts.accepted.len() - 1
        })
    }

    pub(super) fn seat(&self) -> Seat {
        self.change(|counts| counts.open += 1);
        Seat(self.clone())
    }
}

impl Seat {
    pub(super) fn went(&self, direction: Direction, bytes: usize) {
        self.0.change(|counts| counts.bytes[direction as usize] += bytes);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.change(|counts| counts.open -= 1);
    }
}
