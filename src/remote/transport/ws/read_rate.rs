//! Bound on the rate at which a server's messages are read, beside that of their bytes.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::core::{Buckets, Rate};

/// Messages a second, and at once. Members of many full parties that all come back send fewer.
const MESSAGES: usize = 4000;
const BURST: usize = 20_000;

/// Pause of the reader while the server sends more.
const PAUSE: Duration = Duration::from_millis(20);

/// The messages that may be read on one connection.
pub(super) struct ReadRate {
    bucket: Buckets<()>,
    begun: Instant,
    /// True once the owner was told of a pause.
    is_told: bool,
}

impl ReadRate {
    pub(super) fn new() -> Self {
        let rate = Rate::new(MESSAGES, Duration::from_secs(1), BURST);
        Self { bucket: Buckets::new(rate, 1), begun: Instant::now(), is_told: false }
    }

    /// Counts a message, and waits until the next one may be read. Returns words for the owner at
    /// the first pause.
    pub(super) async fn admit(&mut self) -> Option<String> {
        let mut has_waited = false;
        while self.bucket.take((), self.begun.elapsed()).is_err() {
            has_waited = true;
            sleep(PAUSE).await;
        }
        let is_first = has_waited && !std::mem::replace(&mut self.is_told, true);
        is_first.then(|| {
            format!("it sends more than {MESSAGES} messages a second: they are read no faster")
        })
    }
}
