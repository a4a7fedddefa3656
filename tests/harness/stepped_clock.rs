//! A wall clock that steps when a test says.

use std::os::unix::fs::FileExt;

use tempfile::NamedTempFile;

use super::Setup;
use super::preload::library;

const SHIM: &str = "stepped_clock";

/// The wall clock of the programs started with [`Setup::stepped_clock`].
pub(crate) struct SteppedClock {
    offset: NamedTempFile,
}

impl SteppedClock {
    /// A clock that is right. `None`, with a printed line, where no C compiler is installed.
    pub(crate) fn new() -> Option<Self> {
        library(SHIM)?;
        let clock = Self { offset: NamedTempFile::new().expect("a file for the offset") };
        clock.set_offset_ms(0);
        Some(clock)
    }

    /// Steps the clock: from now on it is so many milliseconds ahead of the right time.
    pub(crate) fn set_offset_ms(&self, offset: i64) {
        let file = self.offset.as_file();
        file.write_all_at(&offset.to_ne_bytes(), 0).expect("write the offset");
    }
}

impl Setup {
    /// The same on a clock that steps, which must outlive the program.
    pub(crate) fn stepped_clock(self, clock: &SteppedClock) -> Self {
        let shim = library(SHIM).expect("a clock has a shim");
        self.env("LD_PRELOAD", shim).env("STEPPED_CLOCK_OFFSET", clock.offset.path())
    }
}
