//! A disk whose syncs take as long as a test says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::NamedTempFile;

use super::Setup;

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

/// The library to preload, compiled once per run.
pub(super) fn shim() -> Option<&'static Path> {
    static SHIM: OnceLock<Option<PathBuf>> = OnceLock::new();
    SHIM.get_or_init(compile).as_deref()
}

fn compile() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/harness/slow_disk.c");
    // Runs may overlap: none loads a half-written library of another.
    let (fresh, shim) =
        (dir.join(format!("slow_disk.{}", process::id())), dir.join("slow_disk.so"));
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&fresh).arg(source).arg("-ldl");
    let Ok(status) = compiler.status() else {
        eprintln!("skipped: a slow disk needs a C compiler (cc)");
        return None;
    };
    assert!(status.success(), "cc: {status}");
    fs::rename(&fresh, &shim).expect("install the shim");
    Some(shim)
}
