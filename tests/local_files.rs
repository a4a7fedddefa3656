//! Files that others planted or may change: the programs refuse them clearly, overwrite
//! nothing, and never hang at the start.

mod backups;
mod commands;
mod directories;
mod starts;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::has_root;

/// A user that is nobody's here.
const STRANGER: u32 = 12_345;

/// Text that no program may change or show.
const PRECIOUS: &str = "precious = 'do not touch'\n";

/// Fault of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Symlink,
    Pipe,
    Directory,
    WorldWritable,
    GroupWritable,
    Foreign,
    /// Not one for files that are only read.
    SecondName,
}

/// Faults of any file.
const FAULTS: [Fault; 6] = [
    Fault::Symlink,
    Fault::Pipe,
    Fault::Directory,
    Fault::WorldWritable,
    Fault::GroupWritable,
    Fault::Foreign,
];

impl Fault {
    /// Puts a file with this fault in the place of the one at `path`, or where none is, with
    /// [`PRECIOUS`] in it. False, with a printed line, where that takes the superuser.
    fn plant(self, path: &Path) -> bool {
        let is_there = fs::symlink_metadata(path).is_ok();
        let target = target_of(path);
        let fresh = |path: &Path| {
            if !is_there {
                fs::write(path, PRECIOUS).expect("write a file");
            }
        };
        match self {
            Self::Symlink => {
                fresh(path);
                fs::rename(path, &target).expect("move the file");
                symlink(&target, path).expect("make a link");
            }
            Self::Pipe => {
                fs::remove_file(path).ok();
                let made = Command::new("mkfifo").arg(path).status().expect("run mkfifo");
                assert!(made.success());
            }
            Self::Directory => {
                fs::remove_file(path).ok();
                fs::create_dir(path).expect("make a directory");
            }
            Self::WorldWritable => {
                fresh(path);
                set_mode(path, 0o606);
            }
            Self::GroupWritable => {
                fresh(path);
                set_mode(path, 0o660);
            }
            Self::Foreign if !has_root("to have another user's file") => return false,
            Self::Foreign => {
                fresh(path);
                chown(path, Some(STRANGER), None).expect("give it away");
            }
            Self::SecondName => {
                fresh(path);
                fs::hard_link(path, &target).expect("link the file");
            }
        }
        true
    }

    /// Text of the refusal.
    fn words(self) -> &'static str {
        match self {
            Self::Symlink => "is a symbolic link",
            Self::Pipe => "is a pipe",
            Self::Directory => "is a directory",
            Self::WorldWritable | Self::GroupWritable => "may be written by others than its owner",
            Self::Foreign => "belongs to uid 12345",
            Self::SecondName => "has 2 names, and must have this one alone",
        }
    }
}

/// Path of the file to which a planted link leads, or of its second name.
fn target_of(path: &Path) -> PathBuf {
    path.with_extension("target")
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("set the mode");
}

/// State that must not change: kind, owner, mode and content of a file and of a link's target.
fn look(path: &Path) -> Vec<(u32, u32, Vec<u8>)> {
    let look = |path: &Path| {
        let found = fs::symlink_metadata(path).ok()?;
        let content = if found.is_file() { fs::read(path).ok()? } else { Vec::new() };
        Some((found.mode(), found.uid(), content))
    };
    [path, &target_of(path)].into_iter().filter_map(look).collect()
}
