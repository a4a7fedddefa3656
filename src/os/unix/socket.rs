//! The local socket.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket::tokio as uds;

use super::own_user;
use crate::core::User;
use crate::instance::Lock;

/// The longest path that the system takes for a socket: `sun_path` less its closing zero.
const LONGEST_PATH: usize = 107;
const SUPERUSER: u32 = 0;

/// Listens on `path`, under a lock that goes with it. A socket that nobody listens on any more is
/// reclaimed; anything else that is there stays.
///
/// # Errors
/// In words that name the path and what to do.
pub fn bind(path: &Path, open_to_all: bool) -> anyhow::Result<(Listener, Option<Lock>)> {
    let length = path.as_os_str().len();
    ensure!(
        fits_socket(path),
        "the socket path {} has {length} bytes, and may have {LONGEST_PATH}: choose a shorter one with --socket",
        path.display(),
    );
    prepare_directory(path, open_to_all)?;
    let lock = Lock::acquire(&lock_path(path), &format!("the socket {}", path.display()))?;
    reclaim(path)?;
    let name = path.to_fs_name::<GenericFilePath>()?;
    let listener = ListenerOptions::new().name(name).mode(0o600).create_tokio();
    let listener = listener.with_context(|| format!("can't listen on {}", path.display()))?;
    if open_to_all {
        // Who may do what is decided by who they are, not by the file's mode. A mode given at the
        // creation would be narrowed by the umask.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))
            .with_context(|| format!("can't open {} to all", path.display()))?;
    }
    Ok((listener, Some(lock)))
}

/// Whether the system takes a path for a socket.
pub fn fits_socket(path: &Path) -> bool {
    path.as_os_str().len() <= LONGEST_PATH
}

/// Beside the socket.
fn lock_path(socket: &Path) -> PathBuf {
    let mut name = socket.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    socket.with_file_name(name)
}

/// Makes the directory of a socket, for its user alone where it is not there, and refuses one in
/// which others could put a socket in this one's place.
fn prepare_directory(path: &Path, open_to_all: bool) -> anyhow::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let mode = if open_to_all { 0o755 } else { 0o700 };
    fs::DirBuilder::new().recursive(true).mode(mode).create(directory).with_context(|| {
        format!(
            "can't make the socket's directory {}: choose another with --socket",
            directory.display()
        )
    })?;
    let found = fs::metadata(directory)?;
    // Who made a symbolic link can have it lead elsewhere.
    let owners = [found.uid(), fs::symlink_metadata(directory)?.uid()];
    let own = owners.iter().all(|owner| [own_user().0, SUPERUSER].contains(owner));
    let (mode, sticky) = (found.mode(), found.mode() & 0o1000 != 0);
    ensure!(
        own && (mode & 0o002 == 0 || sticky),
        "others may put files into the socket's directory {}: make it yours and 0700, or choose another with --socket",
        directory.display(),
    );
    if mode & 0o020 != 0 && !sticky {
        log::warn!(
            "the group of {} may put another socket in this one's place",
            directory.display()
        );
    }
    Ok(())
}

/// Whether a directory is this user's, and nobody else can put anything into it.
///
/// # Errors
/// When it is not there, or can't be looked at.
pub fn is_own_directory(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)?;
    Ok(found.is_dir() && found.uid() == own_user().0 && found.mode() & 0o022 == 0)
}

fn reclaim(path: &Path) -> anyhow::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("can't look at {}", path.display()))?,
    };
    if !found.file_type().is_socket() {
        bail!(
            "{} is there and is no socket: move it away, or choose another path with --socket",
            path.display()
        );
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            log::info!("reclaiming the socket {}, which nobody listens on", path.display());
            fs::remove_file(path).with_context(|| format!("can't reclaim {}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("can't tell who listens on {}", path.display()))
        }
        Ok(_) => bail!(
            "another program listens on {}: stop it, or choose another path with --socket",
            path.display()
        ),
    }
}

/// The listener that systemd handed over under the name `control`, if it did.
///
/// # Errors
/// When what was handed over is no listening Unix socket.
pub fn inherited() -> anyhow::Result<Option<Listener>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut handed = listenfd::ListenFd::from_env();
    // Without names there is one socket, and it is this one.
    let index = names.split(':').position(|name| name == "control");
    let index = if names.is_empty() { Some(0) } else { index };
    let Some(index) = index.filter(|_| handed.len() > 0) else { return Ok(None) };
    let socket = handed
        .take_unix_listener(index)
        .context("what systemd handed over as `control` is no listening Unix socket")?;
    let Some(socket) = socket else { return Ok(None) };
    let listener = uds::Listener::try_from(OwnedFd::from(socket))?;
    Ok(Some(listener.into()))
}

/// Who is at the other end.
///
/// # Errors
/// When the system doesn't tell.
pub fn peer(stream: &Stream) -> io::Result<User> {
    // Not interprocess's own, which refuses a peer whose process id reads 0: one that is outside
    // of this process's container. Its user is known all the same.
    let Stream::UdSocket(stream) = stream;
    stream.inner().peer_cred().map(|peer| User(peer.uid()))
}

/// Ends a connection.
pub fn close(stream: Stream) {
    drop(stream);
}
