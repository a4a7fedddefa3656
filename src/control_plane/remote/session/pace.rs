//! How fast frames are sent, and who goes first.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::clock::Clock;
use crate::core::{Buckets, Rate};

/// Frames a second, and at once: half of what a server puts up with by its defaults.
const ALL: (usize, usize) = (100, 200);

/// Of these the part that nobody waits for: the rest is left for who asks.
const BACKGROUND: (usize, usize) = (80, 150);

/// For whom a frame is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Lane {
    /// Somebody waits for the answer.
    Asked,
    /// Nobody does: signs of life, and what is told later.
    Background,
}

/// The pace of a connection. In each lane frames go in the order in which they came.
#[derive(Debug)]
pub(super) struct Pace {
    all: RefCell<Buckets<()>>,
    background: RefCell<Buckets<()>>,
    asked_queue: Mutex<()>,
    background_queue: Mutex<()>,
    is_over: Cell<bool>,
}

impl Pace {
    pub(super) fn new() -> Self {
        let buckets = |(a_second, burst)| {
            RefCell::new(Buckets::new(Rate::new(a_second, Duration::from_secs(1), burst), 1))
        };
        Self {
            all: buckets(ALL),
            background: buckets(BACKGROUND),
            asked_queue: Mutex::default(),
            background_queue: Mutex::default(),
            is_over: Cell::new(false),
        }
    }

    /// Keeps nobody waiting from now on: nothing is sent any more.
    pub(super) fn end(&self) {
        self.is_over.set(true);
    }

    /// Waits until a frame may be sent.
    pub(super) async fn admit(&self, lane: Lane, clock: Clock) {
        let _turn = match lane {
            Lane::Asked => self.asked_queue.lock().await,
            Lane::Background => {
                let turn = self.background_queue.lock().await;
                self.take(&self.background, clock).await;
                turn
            }
        };
        self.take(&self.all, clock).await;
    }

    async fn take(&self, buckets: &RefCell<Buckets<()>>, clock: Clock) {
        while !self.is_over.get() {
            let taken = buckets.borrow_mut().take((), clock.elapsed());
            match taken {
                Ok(()) => return,
                Err(retry) => tokio::time::sleep(retry.0).await,
            }
        }
    }
}
