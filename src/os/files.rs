//! Opening of files. The programs open every file here, so that no path makes them wait, write
//! through a link, or trust another user.

use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::{describe, harden, link_owner, names, writers};

/// Limit of symbolic links on the way to a file, the same as Linux's.
const MOST_LINKS: usize = 40;

/// Trust rule for the files of one use. Every rule requires a regular file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// File in the program's own directories: owned by this user or the superuser, writable by its
    /// owner alone, and behind no symbolic link.
    Own,
    /// File that an operator names. As [`Rule::Own`], but symbolic links of this user or the
    /// superuser are followed: certificates are often behind them.
    Named,
    /// The rule of [`Rule::Named`], and not readable by everyone.
    Secret,
    /// File that programs of several users write. Its content is not trusted.
    Shared,
}

/// Refusal of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distrust {
    path: PathBuf,
    fault: Fault,
}

/// Fault of a file or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fault {
    NotRegular(&'static str),
    NotDirectory(&'static str),
    Foreign { owner: u32, own: u32, mode: u32 },
    Writable { owner: u32, mode: u32 },
    Readable { owner: u32, mode: u32 },
    ForeignLink { owner: u32 },
    Names(u64),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.path.display())?;
        match self.fault {
            Fault::NotRegular(kind) => {
                write!(f, "is {kind}, and must be a regular file: move it away or name another")
            }
            Fault::NotDirectory(kind) => {
                write!(f, "is {kind}, and must be a directory: move it away or name another")
            }
            Fault::Foreign { owner, own, mode } => write!(
                f,
                "belongs to uid {owner} (mode {mode:04o}), and must belong to uid {own} or to root: \
                 change its owner (chown {own})"
            ),
            Fault::Writable { owner, mode } => write!(
                f,
                "may be written by others than its owner (uid {owner}, mode {mode:04o}): \
                 take that right from them (chmod go-w)"
            ),
            Fault::Readable { owner, mode } => write!(
                f,
                "may be read by everyone (uid {owner}, mode {mode:04o}): \
                 take that right from them (chmod o-rwx)"
            ),
            Fault::ForeignLink { owner } => write!(
                f,
                "is a symbolic link of uid {owner}, who may have it lead elsewhere: \
                 name the file itself"
            ),
            Fault::Names(count) => write!(
                f,
                "has {count} names, and must have this one alone: move it away, or copy it and put \
                 the copy in its place"
            ),
        }
    }
}

impl std::error::Error for Distrust {}

impl Distrust {
    /// True if an error of opening a file is such a refusal.
    pub(crate) fn is_in(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|error| error.is::<Self>())
    }
}

fn distrust(path: &Path, fault: Fault) -> io::Error {
    io::Error::other(Distrust { path: path.to_owned(), fault })
}

/// Opens a file for reading.
///
/// # Errors
/// A [`Distrust`] within if the rule refuses the file, else the system's error.
pub(crate) fn open(path: &Path, rule: Rule) -> io::Result<File> {
    open_with(path, rule, OpenOptions::new().read(true))
}

/// Opens a file for writing.
///
/// # Errors
/// As those of [`open`].
pub(crate) fn open_to_write(path: &Path, rule: Rule) -> io::Result<File> {
    open_with(path, rule, OpenOptions::new().write(true))
}

/// Opens a file for writing without truncation; creates a missing one, within the umask. A file of
/// the program's own must have one name only: writes would change the other name's content, too.
///
/// # Errors
/// As those of [`open`].
pub(crate) fn open_or_create(path: &Path, rule: Rule, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = open_with(path, rule, with_mode(options.write(true).create(true), mode))?;
    if rule == Rule::Own {
        check_names(path, &file.metadata()?)?;
    }
    Ok(file)
}

/// Creates a file of exactly this mode for writing. The path must be free.
///
/// # Errors
/// The system's error.
pub(crate) fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = harden(with_mode(options.write(true).create_new(true), mode)).open(path)?;
    // The umask may have narrowed the mode.
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    Ok(file)
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// As those of [`open`], and [`ErrorKind::FileTooLarge`].
pub(crate) fn read(path: &Path, rule: Rule, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path, rule)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("{} is larger than {most} bytes", path.display());
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// Checks a file that a library opens by its path. A missing one is fine.
///
/// # Errors
/// As those of [`open`].
pub(crate) fn check(path: &Path, rule: Rule) -> io::Result<()> {
    metadata(path)?.map_or(Ok(()), |found| check_file(path, &found, rule))
}

/// Checks a file of the program's own that a library writes by its path, as [`open_or_create`]
/// does. A missing one is fine.
///
/// # Errors
/// As those of [`open`].
pub(crate) fn check_to_write(path: &Path) -> io::Result<()> {
    let Some(found) = metadata(path)? else { return Ok(()) };
    check_file(path, &found, Rule::Own)?;
    check_names(path, &found)
}

/// Checks that only this user and the superuser control the names in a directory. In a `sticky`
/// directory other users may have their own files. That suffices for uses that open no existing
/// file.
///
/// # Errors
/// A [`Distrust`] within if other users do, else the system's error.
pub(crate) fn check_directory(path: &Path, may_be_sticky: bool) -> io::Result<()> {
    let found = fs::metadata(path)?;
    if !found.is_dir() {
        return Err(distrust(path, Fault::NotDirectory(describe(&found))));
    }
    // The owner of a symbolic link can change its target.
    if let Some(owner) = link_owner(&fs::symlink_metadata(path)?) {
        return Err(distrust(path, Fault::ForeignLink { owner }));
    }
    check_writers(path, &found, may_be_sticky)
}

/// Waits until the names in a directory are on the disk.
///
/// # Errors
/// The system's error.
#[cfg(unix)]
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    // The dot makes the call fail for a file, and follow a link to a directory.
    harden(OpenOptions::new().read(true)).open(path.join("."))?.sync_all()
}

/// Does nothing: Windows flushes names with their files.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub(crate) fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

fn open_with(path: &Path, rule: Rule, options: &mut OpenOptions) -> io::Result<File> {
    let path = match rule {
        Rule::Named | Rule::Secret => &follow(path)?,
        Rule::Own | Rule::Shared => path,
    };
    // Opening a device can have side effects.
    check(path, rule)?;
    let file = harden(options).open(path)?;
    check_file(path, &file.metadata()?, rule)?;
    Ok(file)
}

/// Returns the path at the end of symbolic links, which may be free.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        let Some(found) = metadata(&path)? else { return Ok(path) };
        if !found.is_symlink() {
            return Ok(path);
        }
        if let Some(owner) = link_owner(&found) {
            return Err(distrust(&path, Fault::ForeignLink { owner }));
        }
        // A link of /proc may lead to a pipe, which has no path.
        match fs::metadata(&path) {
            Ok(target) if !target.is_file() => {
                return Err(distrust(&path, Fault::NotRegular(describe(&target))));
            }
            _ => {}
        }
        let target = fs::read_link(&path)?;
        path = path.parent().unwrap_or(&path).join(target);
    }
    Err(io::Error::other(format!("{} is a loop of symbolic links", path.display())))
}

/// Returns the metadata of a path, if something is there.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

fn check_file(path: &Path, found: &Metadata, rule: Rule) -> io::Result<()> {
    if !found.is_file() {
        return Err(distrust(path, Fault::NotRegular(describe(found))));
    }
    match rule {
        Rule::Shared => Ok(()),
        Rule::Own | Rule::Named => check_writers(path, found, false),
        Rule::Secret => {
            check_writers(path, found, false)?;
            let writers = writers(found);
            match writers.mode & 0o007 {
                0 => Ok(()),
                _ => {
                    let (owner, mode) = (writers.owner, writers.mode);
                    Err(distrust(path, Fault::Readable { owner, mode }))
                }
            }
        }
    }
}

/// Checks that a file has no second name, by which another program could write it.
fn check_names(path: &Path, found: &Metadata) -> io::Result<()> {
    match names(found) {
        0 | 1 => Ok(()),
        count => Err(distrust(path, Fault::Names(count))),
    }
}

fn check_writers(path: &Path, found: &Metadata, may_be_sticky: bool) -> io::Result<()> {
    let Writers { owner, own, mode } = writers(found);
    if ![own, SUPERUSER].contains(&owner) {
        return Err(distrust(path, Fault::Foreign { owner, own, mode }));
    }
    let is_sticky = mode & 0o1000 != 0;
    if mode & 0o022 != 0 && !(is_sticky && may_be_sticky) {
        return Err(distrust(path, Fault::Writable { owner, mode }));
    }
    Ok(())
}

/// Uid of the superuser.
pub(super) const SUPERUSER: u32 = 0;

/// Users that may change a file, according to its metadata.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writers {
    /// Uid of its owner.
    pub(super) owner: u32,
    /// Uid of this process.
    pub(super) own: u32,
    /// Permission bits.
    pub(super) mode: u32,
}

#[cfg(unix)]
fn with_mode(options: &mut OpenOptions, mode: u32) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, mode)
}

#[cfg(not(unix))]
fn with_mode(options: &mut OpenOptions, _: u32) -> &mut OpenOptions {
    options
}

#[cfg(all(test, unix))]
mod tests;
