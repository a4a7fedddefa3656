//! The pace of frames, the window of requests in flight, and the priority of lanes.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};

use crate::clock::Clock;
use crate::core::{Buckets, Rate};

/// Frames a second, and at once: half of what a server puts up with by its defaults.
const ALL: (usize, usize) = (100, 200);

/// Of these the part that nobody waits for: the rest is left for who asks.
const BACKGROUND: (usize, usize) = (80, 150);

/// Background requests that wait for their answers at the same time. A server answers one after
/// the other: more would only wait there, and a user's request behind them.
const WINDOW: usize = 8;

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
    window: Semaphore,
    is_over: Cell<bool>,
}

/// A place among the requests in flight, until it is dropped.
pub(super) type Place<'a> = Option<SemaphorePermit<'a>>;

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
            window: Semaphore::new(WINDOW),
            is_over: Cell::new(false),
        }
    }

    /// Keeps nobody waiting from now on: nothing is sent any more.
    pub(super) fn end(&self) {
        self.is_over.set(true);
        self.window.close();
    }

    /// Waits for a place among the requests in flight. Nobody keeps a user's request waiting.
    pub(super) async fn enter(&self, lane: Lane) -> Place<'_> {
        match lane {
            Lane::Asked => None,
            // Closed once nothing is sent any more.
            Lane::Background => self.window.acquire().await.ok(),
        }
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
