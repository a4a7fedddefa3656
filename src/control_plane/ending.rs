//! Notice from the registry to the frontends that a proof of a peer has ended.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::core::Ended;

type End = Box<dyn Fn(&Ended) + Send + Sync>;

/// Ends connections that may no longer speak for a peer, and forgets tokens. A program whose clients
/// come over the network sets it once.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<OnceLock<End>>);

impl Ending {
    /// Sets the function that is called for each ended proof.
    pub(crate) fn set(&self, end: impl Fn(&Ended) + Send + Sync + 'static) {
        self.0.set(Box::new(end)).ok();
    }

    /// Passes on an ended proof. Without a function it does nothing: the program has no such clients.
    pub(crate) fn end(&self, ended: &Ended) {
        if let Some(end) = self.0.get() {
            end(ended);
        }
    }
}

impl fmt::Debug for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ending").finish_non_exhaustive()
    }
}
