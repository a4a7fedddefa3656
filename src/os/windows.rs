//! Windows. The only file that calls its API, and the only one with unsafe code.
#![allow(unsafe_code)]

use std::fs::{self, Metadata, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;
use std::time::SystemTime;

use anyhow::{Context, ensure};
use interprocess::local_socket::tokio::{Listener, Stream};
use interprocess::local_socket::traits::tokio::Listener as _;
use interprocess::local_socket::{GenericFilePath, ListenerOptions, ToFsName};
use interprocess::os::windows::local_socket::ListenerOptionsExt;
use interprocess::os::windows::security_descriptor::SecurityDescriptor;
use tokio::signal::windows::{self, CtrlBreak, CtrlC, CtrlClose, CtrlShutdown};
use widestring::{U16CStr, U16CString};
use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::ConvertSidToStringSidW;
use windows_sys::Win32::Security::{GetTokenInformation, TOKEN_QUERY, TOKEN_USER, TokenUser};
use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;
use windows_sys::Win32::System::Pipes::DisconnectNamedPipe;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::Signal;
use super::files::{SUPERUSER, Writers};
use crate::core::User;

/// Identity of a file, as far as it is known without opening it: the time of its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    created: Option<SystemTime>,
}

impl FileId {
    /// Returns the identity of the file that the metadata belong to.
    pub(crate) fn new(found: &Metadata) -> Self {
        Self { created: found.created().ok() }
    }

    /// Returns the identity of a path's file, or of the symbolic link itself.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        fs::symlink_metadata(path).ok().as_ref().map(Self::new)
    }
}

/// Makes opening follow no link.
pub(super) fn harden(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
}

/// Names the kind of a file, with its article.
pub(super) fn describe(found: &Metadata) -> &'static str {
    match () {
        () if found.is_dir() => "a directory",
        () if found.is_symlink() => "a symbolic link",
        () => "a file",
    }
}

/// Returns `None`: links have no known owner.
pub(super) fn link_owner(_: &Metadata) -> Option<u32> {
    None
}

/// Returns the superuser alone: rights are inherited from the directory, and metadata do not show
/// them.
pub(super) fn writers(_: &Metadata) -> Writers {
    Writers { owner: SUPERUSER, own: own_user().0, mode: 0 }
}

/// Returns 1: metadata do not show the number of names.
pub(super) fn names(_: &Metadata) -> u64 {
    1
}

const PIPES: &str = r"\\.\pipe\";

/// Named pipe that accepts connections.
#[derive(Debug)]
pub(crate) struct LocalSocket(Listener);

impl LocalSocket {
    /// Listens on the pipe `path`, which admits this user alone. A pipe's name can be taken only
    /// once, and needs no lock.
    ///
    /// # Errors
    /// A message that names the pipe and the remedy.
    pub(crate) fn bind(path: &Path, _: bool) -> anyhow::Result<Self> {
        // interprocess panics on paths of other shapes.
        let name = path.to_str().and_then(|path| path.strip_prefix(PIPES));
        ensure!(
            name.is_some_and(|name| !name.is_empty() && !name.contains('\\')),
            r"{} is no name of a pipe: write --socket \\.\pipe\NAME",
            path.display(),
        );
        ListenerOptions::new()
            .name(path.to_fs_name::<GenericFilePath>()?)
            .security_descriptor(only(&user_sid()?)?)
            .create_tokio()
            .map(Self)
            .with_context(|| {
                format!("can't listen on {}: another daemon may have it", path.display())
            })
    }

    /// Accepts the next connection.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        self.0.accept().await
    }

    /// Does nothing: a served pipe can't be removed.
    pub(crate) fn keep_reachable(&mut self) {}
}

/// Returns `None`: no service manager passes pipes.
///
/// # Errors
/// Never.
pub(crate) fn inherited() -> anyhow::Result<Option<LocalSocket>> {
    Ok(None)
}

/// Returns this user: the pipe admits its owner alone.
///
/// # Errors
/// Never.
pub(crate) fn peer(_: &Stream) -> io::Result<User> {
    Ok(own_user())
}

/// Accepts every path: pipes are in no directory.
///
/// # Errors
/// None.
pub(crate) fn is_own_directory(_: &std::path::Path) -> std::io::Result<bool> {
    Ok(true)
}

/// Ends a connection. Otherwise unread data would keep the pipe open.
pub(crate) fn close(stream: Stream) {
    let Stream::NamedPipe(pipe) = &stream;
    // SAFETY: the handle is borrowed, so it is open during the call.
    let done = unsafe { DisconnectNamedPipe(pipe.inner().as_handle().as_raw_handle()) };
    if let Err(error) = check(done) {
        log::debug!("a pipe could not be disconnected: {error}");
    }
    pipe.inner().assume_flushed();
}

/// Returns one number for the only user.
pub(crate) fn own_user() -> User {
    User(0)
}

/// Returns no limit: the system has none.
pub(crate) fn raise_file_limit() -> Option<usize> {
    None
}

/// Does nothing: other users' programs can't read this one's memory.
pub(crate) fn guard_memory() {}

/// Accepts every path: a pipe's name is checked when it is bound.
///
/// # Errors
/// None.
pub(crate) fn check_socket_path(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Accepts every name: groups have roles on Unix only.
pub(crate) fn has_group(_: &str) -> bool {
    true
}

/// Returns `false`: groups have roles on Unix only.
pub(crate) fn in_group(_: User, _: &str) -> bool {
    false
}

/// Returns a descriptor with full access for one user and none for others, without inheritance.
fn only(sid: &str) -> io::Result<SecurityDescriptor> {
    let text = U16CString::from_str(format!("D:P(A;;GA;;;{sid})")).map_err(io::Error::other)?;
    SecurityDescriptor::deserialize(&text)
}

/// Returns this user's security identifier. The pipe's owner would not do: for an elevated process
/// that is a group.
fn user_sid() -> io::Result<String> {
    let mut token = ptr::null_mut();
    // SAFETY: the pseudo handle is always valid, and `token` is writable.
    check(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &mut token) })?;
    // SAFETY: it was just opened, and nothing else owns it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Room for a TOKEN_USER of 16 bytes and the identifier that it points to, of at most 68.
    let mut info = [0_u64; 16];
    let mut length = size_of_val(&info) as u32;
    let buffer = info.as_mut_ptr().cast();
    let token = token.as_raw_handle();
    // SAFETY: `buffer` is writable for `length` bytes.
    check(unsafe { GetTokenInformation(token, TokenUser, buffer, length, &mut length) })?;
    let mut text = ptr::null_mut();
    // SAFETY: the call above put a TOKEN_USER at the start of `info`, which is still there.
    check(unsafe { ConvertSidToStringSidW((*buffer.cast::<TOKEN_USER>()).User.Sid, &mut text) })?;
    // SAFETY: `text` is a string that ends in NUL, was allocated for us, and is freed once.
    unsafe {
        let sid = U16CStr::from_ptr_str(text).to_string_lossy();
        LocalFree(text.cast());
        Ok(sid)
    }
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Console events that the program handles.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// Handles the events from here on, so that they do not kill the program.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            pause: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// Returns the next request to stop.
    pub(crate) async fn stop(&mut self) -> String {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C".into(),
            _ = self.pause.recv() => "Ctrl-Break".into(),
            _ = self.close.recv() => "the console closes".into(),
            _ = self.shutdown.recv() => "the machine shuts down".into(),
        }
    }

    /// Returns the next request. No event asks for a reload.
    pub(crate) async fn next(&mut self) -> Signal {
        Signal::Stop(self.stop().await)
    }
}

/// Notifications for a service manager, which does not exist here.
pub(crate) mod notify {
    use std::time::Duration;

    /// Does nothing on a start.
    pub(crate) fn ready(_: &str) {}

    /// Does nothing on a status.
    pub(crate) fn status(_: &str) {}

    /// Does nothing on a reload.
    pub(crate) fn reloading() {}

    /// Does nothing on a stop.
    pub(crate) fn stopping() {}

    /// Does nothing while the program works.
    pub(crate) fn watchdog() {}

    /// Returns `None`: no service manager waits for [`watchdog`].
    pub(crate) fn watchdog_patience() -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use interprocess::os::windows::security_descriptor::AsSecurityDescriptorExt;

    use super::*;

    /// Flag of the part of a descriptor with the access rights.
    const DACL_SECURITY_INFORMATION: u32 = 4;

    #[test]
    fn the_descriptor_admits_this_user_alone() {
        let sid = user_sid().expect("a user");
        let read_back = only(&sid)
            .expect("a descriptor")
            .serialize(DACL_SECURITY_INFORMATION, |text| text.to_string_lossy())
            .expect("its text");
        assert_eq!(read_back, format!("D:P(A;;GA;;;{sid})"));
    }

    #[test]
    fn only_pipes_are_listened_on() {
        for path in ["control.sock", r"\\.\pipe\", r"\\.\pipe\a\b", r"\\host\pipe\a"] {
            let error = LocalSocket::bind(Path::new(path), false).expect_err(path);
            assert!(error.to_string().contains("is no name of a pipe"), "{error}");
        }
    }
}

/// Returns no networks: interface addresses are not looked up here.
pub(crate) fn networks() -> Vec<ipnet::Ipv4Net> {
    Vec::new()
}
