//! Notice from the registry to the frontend that a connection has to end.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::core::Ended;

type End = Box<dyn Fn(&Ended) + Send + Sync>;

/// Ends connections that may no longer speak for a peer. A program whose clients come over the
/// network sets it once.
#[derive(Clone, Default)]
pub(crate) struct Ending(Arc<OnceLock<End>>);

impl Ending {
    /// Sets the function that ends connections.
    pub(crate) fn set(&self, end: impl Fn(&Ended) + Send + Sync + 'static) {
        self.0.set(Box::new(end)).ok();
    }

    /// Ends a connection. Without a function it does nothing: the program has no such connections.
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
