//! A disk whose syncs take as long as a test says.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::Setup;
use super::preload::library;

/// The delay of `fsync` and `fdatasync` in the programs started with [`Setup::slow_disk`].
pub(crate) struct SlowDisk {
    delay: NamedTempFile,
}

impl SlowDisk {
    /// A disk without a delay. `None`, with a printed line, where no C compiler is installed.
    pub(crate) fn new() -> Option<Self> {
        shim()?;
        let delay = NamedTempFile::new().expect("a file for the delay");
        let disk = Self { delay };
        disk.set_delay(Duration::ZERO);
        Some(disk)
    }

    /// Sets how long each sync takes from now on; a sync that waits already obeys, too. A long
    /// delay stalls the disk until a shorter one releases it.
    pub(crate) fn set_delay(&self, delay: Duration) {
        let millis = i64::try_from(delay.as_millis()).expect("a short delay");
        let file: &File = self.delay.as_file();
        file.write_all_at(&millis.to_ne_bytes(), 0).expect("write the delay");
    }
}

impl Setup {
    /// The same on a slow disk, which must outlive the program.
    pub(crate) fn slow_disk(self, disk: &SlowDisk) -> Self {
        let shim = shim().expect("a disk has a shim");
        self.env("LD_PRELOAD", shim).env("SLOW_DISK_DELAY", disk.delay.path())
    }
}

/// The library to preload.
pub(super) fn shim() -> Option<PathBuf> {
    library("slow_disk")
}
