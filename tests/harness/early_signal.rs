//! A signal to stop with the first thing that a program does.

use super::Setup;
use super::preload::library;

impl Setup {
    /// The same with SIGTERM in the first moment of a start. `None`, with a printed line, where no
    /// C compiler is installed.
    pub(crate) fn early_sigterm(self) -> Option<Self> {
        let shim = library("early_signal")?;
        Some(self.env("LD_PRELOAD", shim))
    }
}
