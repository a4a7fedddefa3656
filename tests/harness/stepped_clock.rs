//! A wall clock that steps, and a machine that sleeps, when a test says.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::Setup;
use super::preload::library;

const SHIM: &str = "stepped_clock";

/// The clocks of the programs started with [`Setup::stepped_clock`].
pub(crate) struct SteppedClock {
    file: NamedTempFile,
}

impl SteppedClock {
    /// Clocks that are right. `None`, with a printed line, where no C compiler is installed.
    pub(crate) fn new() -> Option<Self> {
        library(SHIM)?;
        let clock = Self { file: NamedTempFile::new().expect("a file for the clocks") };
        clock.set_offset_ms(0);
        clock.sleep(Duration::ZERO);
        Some(clock)
    }

    /// Steps the wall clock: from now on it is so many milliseconds ahead of the right time.
    pub(crate) fn set_offset_ms(&self, offset: i64) {
        self.write(0, offset);
    }

    /// Lets so much time pass since the clocks were made, as in a sleep of the machine: the wall clock and the one that
    /// counts sleep are that much ahead, and no timer has run.
    pub(crate) fn sleep(&self, slept: Duration) {
        self.write(8, i64::try_from(slept.as_millis()).expect("milliseconds"));
    }

    fn write(&self, place: u64, millis: i64) {
        self.file.as_file().write_all_at(&millis.to_ne_bytes(), place).expect("write the file");
    }
}

impl Setup {
    /// The same on clocks that step, which must outlive the program.
    pub(crate) fn stepped_clock(self, clock: &SteppedClock) -> Self {
        let shim = library(SHIM).expect("a clock has a shim");
        self.env("LD_PRELOAD", shim).env("STEPPED_CLOCK", clock.file.path())
    }
}
