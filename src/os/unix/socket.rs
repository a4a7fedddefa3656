//! The local socket.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::unix::local_socket::ListenerOptionsExt;
use interprocess::os::unix::uds_local_socket::tokio as uds;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{FileId, own_user};
use crate::core::User;
use crate::instance::Lock;
use crate::os::files;

/// Longest path of a socket: `sun_path` without its terminating zero.
const LONGEST_PATH: usize = 107;

/// Socket that accepts connections, and its file, which clients connect to.
#[derive(Debug)]
pub(crate) struct LocalSocket {
    listener: Listener,
    path: PathBuf,
    /// File of the socket when it was bound; `None` if this process can't see it.
    file: Option<FileId>,
    /// Set if this process bound the socket, not the service manager.
    bound: Option<Bound>,
    /// Last problem that was logged; only a change is logged again.
    reported: String,
}

/// Parameters for binding a socket, and for binding it again.
#[derive(Debug)]
struct Bound {
    open_to_all: bool,
    lock: Lock,
}

impl LocalSocket {
    /// Listens on `path`, under a lock. An abandoned socket is reclaimed; any other file stays.
    ///
    /// # Errors
    /// A message that names the path and the remedy.
    pub(crate) fn bind(path: &Path, open_to_all: bool) -> anyhow::Result<Self> {
        check_socket_path(path).map_err(anyhow::Error::msg)?;
        prepare_directory(path, open_to_all)?;
        let lock = lock(path)?;
        let (listener, file) = listen(path, open_to_all)?;
        let bound = Some(Bound { open_to_all, lock });
        Ok(Self { listener, path: path.into(), file: Some(file), bound, reported: String::new() })
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        self.listener.accept().await
    }

    /// Makes sure that clients still reach this socket by its path. Binds it again if its file was
    /// removed. A file of another program stays, and is logged.
    pub(crate) fn keep_reachable(&mut self) {
        if self.file.is_none() || self.file == FileId::at(&self.path) {
            self.reported.clear();
            return;
        }
        match self.bind_again() {
            Ok(()) => {
                log::warn!("socket bound again: its file was gone path={}", self.path.display())
            }
            Err(error) => {
                let problem = format!("clients can't reach the socket: {error:#}");
                if problem != self.reported {
                    log::warn!("{problem}");
                    self.reported = problem;
                }
            }
        }
    }

    fn bind_again(&mut self) -> anyhow::Result<()> {
        let path = &self.path;
        let Some(Bound { open_to_all, lock: held }) = &mut self.bound else {
            bail!(
                "{}, which the service manager bound, is gone: restart its socket unit",
                path.display()
            );
        };
        prepare_directory(path, *open_to_all)?;
        if !held.is_at(&lock_path(path)) {
            *held = lock(path)?;
        }
        let (listener, file) = listen(path, *open_to_all)?;
        self.listener = listener;
        self.file = Some(file);
        Ok(())
    }
}

impl Drop for LocalSocket {
    /// Removes the socket's file, unless another one has replaced it.
    fn drop(&mut self) {
        let is_own = self.bound.is_some() && self.file == FileId::at(&self.path);
        if is_own && let Err(error) = fs::remove_file(&self.path) {
            log::debug!("socket file not removed: {}: {error}", self.path.display());
        }
    }
}

/// Locks a socket.
fn lock(path: &Path) -> anyhow::Result<Lock> {
    let of_holder = match FileId::at(path) {
        None => " (its file was removed; that daemon binds it again at its next clean-up)",
        Some(_) => "",
    };
    Lock::acquire(&lock_path(path), &format!("the socket {}", path.display()), of_holder)
}

/// Listens on a locked path.
fn listen(path: &Path, open_to_all: bool) -> anyhow::Result<(Listener, FileId)> {
    reclaim(path)?;
    let name = path.to_fs_name::<GenericFilePath>()?;
    // `LocalSocket` removes the file, after a check of its identity.
    let options = ListenerOptions::new().name(name).mode(0o600).reclaim_name(false);
    let listener =
        options.create_tokio().with_context(|| format!("can't listen on {}", path.display()))?;
    if open_to_all {
        // Roles depend on the user, not on the file's mode. The umask would narrow a mode given at
        // the creation.
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))
            .with_context(|| format!("can't open {} to all", path.display()))?;
    }
    let file = FileId::at(path).with_context(|| format!("{} is gone at once", path.display()))?;
    Ok((listener, file))
}

/// Checks that a path is valid for a socket.
///
/// # Errors
/// A message that names the path and the remedy.
pub(crate) fn check_socket_path(path: &Path) -> Result<(), String> {
    match path.as_os_str().len() {
        0..=LONGEST_PATH => Ok(()),
        length => Err(format!(
            "the socket path {} has {length} bytes, and may have {LONGEST_PATH}: choose a shorter one with --socket",
            path.display(),
        )),
    }
}

/// Returns the path of the lock, beside the socket.
fn lock_path(socket: &Path) -> PathBuf {
    let mut name = socket.file_name().unwrap_or_default().to_owned();
    name.push(".lock");
    socket.with_file_name(name)
}

/// Creates the directory of a socket for its user alone, if it is missing. Refuses one in which
/// other users could replace the socket.
fn prepare_directory(path: &Path, open_to_all: bool) -> anyhow::Result<()> {
    let Some(directory) = path.parent() else { return Ok(()) };
    let mode = if open_to_all { 0o755 } else { 0o700 };
    fs::DirBuilder::new().recursive(true).mode(mode).create(directory).with_context(|| {
        format!(
            "can't make the socket's directory {}: choose another with --socket",
            directory.display()
        )
    })?;
    files::check_directory(directory, true).with_context(|| {
        format!(
            "others may put files into the socket's directory {}: make it yours and 0700, or choose another with --socket",
            directory.display()
        )
    })
}

/// True if this user owns a directory, and no other user can write to it.
///
/// # Errors
/// The directory is missing or unreadable.
pub(crate) fn is_own_directory(path: &Path) -> io::Result<bool> {
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
    match connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            log::info!("reclaiming the socket {}, which nobody listens on", path.display());
            fs::remove_file(path).with_context(|| format!("can't reclaim {}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            Err(error).with_context(|| format!("can't check for a listener on {}", path.display()))
        }
        Ok(()) => bail!(
            "another program listens on {}: stop it, or choose another path with --socket",
            path.display()
        ),
    }
}

/// Connects to the listener on a path. A listener with a full backlog counts as present, and is not
/// waited for.
fn connect(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}

/// Returns the socket that the service manager passed, if any: the descriptor `control`, or the
/// only one.
///
/// # Errors
/// The descriptor is no listening Unix socket.
pub(crate) fn inherited() -> anyhow::Result<Option<LocalSocket>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut handed = listenfd::ListenFd::from_env();
    // A socket unit without `FileDescriptorName` gives the descriptor the unit's name.
    let index = match (handed.len(), names.split(':').position(|name| name == "control")) {
        (0, _) => return Ok(None),
        (_, Some(index)) => index,
        (1, None) => 0,
        (count, None) => {
            log::warn!(
                "none of the {count} descriptors handed over is served, since none is called `control`: set FileDescriptorName=control names={names}"
            );
            return Ok(None);
        }
    };
    let socket = handed.take_unix_listener(index).with_context(|| {
        let name = names.split(':').nth(index).unwrap_or_default();
        format!("descriptor {name:?}, which was handed over, is no listening Unix socket")
    })?;
    let Some(socket) = socket else { return Ok(None) };
    let path = socket.local_addr()?.as_pathname().unwrap_or(Path::new("")).to_owned();
    let listener = uds::Listener::try_from(OwnedFd::from(socket))?.into();
    let file = FileId::at(&path);
    Ok(Some(LocalSocket { listener, path, file, bound: None, reported: String::new() }))
}

/// Returns the user at the other end.
///
/// # Errors
/// The system's error.
pub(crate) fn peer(stream: &Stream) -> io::Result<User> {
    // interprocess's own call refuses a peer with process id 0, which is outside of this process's
    // container. Its user is known all the same.
    let Stream::UdSocket(stream) = stream;
    stream.inner().peer_cred().map(|peer| User(peer.uid()))
}

/// Ends a connection.
pub(crate) fn close(stream: Stream) {
    drop(stream);
}
