//! Upper bound of the messages that are read a second, in addition to that of bytes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::{Buckets, Rate};

/// Messages a second. The return of all members of many full parties causes fewer.
const MESSAGES: usize = 4000;

/// Messages that are read at once before [`MESSAGES`] applies.
const BURST: usize = 20_000;

/// Interval at which a throttled reader tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// Message rate of one connection.
pub(super) struct ReadRate {
    bucket: Buckets<()>,
    started: Instant,
    /// True once the owner has been warned of the rate.
    has_warned: bool,
}

impl ReadRate {
    pub(super) fn new() -> Self {
        let rate = Rate::new(MESSAGES, Duration::from_secs(1), BURST);
        Self { bucket: Buckets::new(rate, 1), started: Instant::now(), has_warned: false }
    }

    /// Counts a message, and waits until the next one may be read. Returns a warning for the owner
    /// at the first pause.
    pub(super) async fn admit(&mut self) -> Option<String> {
        let mut has_waited = false;
        while self.bucket.take((), self.started.elapsed()).is_err() {
            has_waited = true;
            sleep(PAUSE).await;
        }
        let is_first = has_waited && !std::mem::replace(&mut self.has_warned, true);
        is_first.then(|| {
            format!("it sends more than {MESSAGES} messages a second: they are read no faster")
        })
    }
}
