//! State that outlives the connections of a run of the program.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt::Arguments;
use std::rc::Rc;
use std::time::Duration;

use ipnet::Ipv4Net;
use lanrage_ipc::control::Secret;
use lanrage_ipc::model::{PartyId, PeerId, SignalData};

use crate::core::{Buckets, Rate, RequestKey};

/// Upper bound of the remembered signals, newest first: as many as wait for sixteen peers.
const MOST_SIGNALS: usize = 4096;

/// Burst of warnings. After it one is logged each [`WARNING_EVERY`].
const MOST_WARNINGS: usize = 50;

/// Interval of warnings after a burst.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// Random ids and facts of the machine, supplied by the driver.
pub(crate) trait Machine: std::fmt::Debug {
    /// Returns a fresh claim secret.
    ///
    /// # Errors
    /// The reason in words if the system supplies no random numbers.
    fn claim(&self) -> Result<Secret, String>;

    /// Returns an unused party id; `None` if the system supplies no random numbers.
    fn party_id(&self) -> Option<PartyId>;

    /// Returns the addresses of the machine's interfaces, with their networks.
    fn networks(&self) -> Vec<Ipv4Net>;
}

/// Generator of idempotency keys. Clones share the counter.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    run: Rc<str>,
    next: Rc<Cell<u64>>,
}

impl Keys {
    /// Returns a generator whose keys begin with the id of this run of the program.
    pub(crate) fn new(run: &str) -> Self {
        Self { run: run.into(), next: Rc::default() }
    }

    /// Returns a key that no request had before.
    pub(crate) fn next(&self) -> RequestKey {
        self.next.set(self.next.get() + 1);
        RequestKey(format!("{}.{}", self.run, self.next.get()).into())
    }
}

/// Fingerprint of a signal: party, sender, target, and the checksum of its payload.
type Signal = (PartyId, PeerId, PeerId, u64);

/// State that outlives a connection. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Signals between two local peers that were sent to the server, oldest first. The server may
    /// return them late.
    signals: RefCell<VecDeque<Signal>>,
    /// Budget of logged warnings: a hostile server could fill the disk.
    warnings: RefCell<Buckets<()>>,
    /// True after the log stated that warnings are left out.
    has_announced_limit: Cell<bool>,
}

impl Default for Memory {
    fn default() -> Self {
        let rate = Rate::new(1, WARNING_EVERY, MOST_WARNINGS);
        let (signals, has_announced_limit) = Default::default();
        Self(Rc::new(Inner {
            signals,
            warnings: RefCell::new(Buckets::new(rate, 1)),
            has_announced_limit,
        }))
    }
}

impl Memory {
    /// Remembers a sent signal.
    pub(super) fn note_signal(
        &self,
        party_id: &PartyId,
        from: &PeerId,
        to: &PeerId,
        data: &SignalData,
    ) {
        let mut signals = self.0.signals.borrow_mut();
        if signals.len() == MOST_SIGNALS {
            signals.pop_front();
        }
        signals.push_back((party_id.clone(), from.clone(), to.clone(), checksum(data)));
    }

    /// Returns true for a sent signal, once for each time that it was sent.
    pub(super) fn take_signal(
        &self,
        party_id: &PartyId,
        from: &PeerId,
        to: &PeerId,
        data: &SignalData,
    ) -> bool {
        let signal = (party_id.clone(), from.clone(), to.clone(), checksum(data));
        let mut signals = self.0.signals.borrow_mut();
        let place = signals.iter().position(|one| *one == signal);
        place.and_then(|place| signals.remove(place)).is_some()
    }

    /// Logs a warning about the server's conduct. Warnings over the rate are logged at debug level,
    /// and one line says so. `now` is elapsed time.
    pub(super) fn warn(&self, now: Duration, words: Arguments<'_>) {
        let is_admitted = self.0.warnings.borrow_mut().take((), now).is_ok();
        let had_announced_limit = self.0.has_announced_limit.replace(!is_admitted);
        if !is_admitted && !had_announced_limit {
            log::warn!(
                "{MOST_WARNINGS} warnings of the control server: the rest are logged at debug, but for one a minute"
            );
        }
        let level = if is_admitted { log::Level::Warn } else { log::Level::Debug };
        log::log!(level, "{words}");
    }
}

/// Returns the checksum of the payload's value: a server may format its JSON differently.
fn checksum(data: &SignalData) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    match serde_json::from_str::<serde_json::Value>(data.as_json()) {
        Ok(value) => value.to_string().hash(&mut hasher),
        Err(_) => data.as_json().hash(&mut hasher),
    }
    hasher.finish()
}
