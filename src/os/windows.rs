//! Windows. The only file that speaks to its API, and the only one with unsafe code.
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

/// Identity of a file, as far as it is told without opening it: the time of its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    created: Option<SystemTime>,
}

impl FileId {
    /// Identity of the file that the metadata are of.
    pub(crate) fn new(found: &Metadata) -> Self {
        Self { created: found.created().ok() }
    }

    /// Identity of what is at a path, itself and not what a symbolic link leads to.
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

/// Links tell no owner.
pub(super) fn link_owner(_: &Metadata) -> Option<u32> {
    None
}

/// Rights are inherited from the directory, and no metadata tell them.
pub(super) fn writers(_: &Metadata) -> Writers {
    Writers { owner: SUPERUSER, own: own_user().0, mode: 0 }
}

/// No metadata tell how many names a file has.
pub(super) fn names(_: &Metadata) -> u64 {
    1
}

const PIPES: &str = r"\\.\pipe\";

/// Named pipe that takes connections.
#[derive(Debug)]
pub(crate) struct LocalSocket(Listener);

impl LocalSocket {
    /// Listens on the pipe `path`, which admits this user alone. A pipe's name is taken once, and
    /// needs no lock.
    ///
    /// # Errors
    /// In words that name the pipe and what to do.
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

    /// Takes the next connection.
    ///
    /// # Errors
    /// When the system has none to give.
    pub(crate) async fn accept(&self) -> io::Result<Stream> {
        self.0.accept().await
    }

    /// Does nothing: nobody can remove a pipe that is served.
    pub(crate) fn keep_reachable(&mut self) {}
}

/// Nobody hands a pipe over.
///
/// # Errors
/// Never.
pub(crate) fn inherited() -> anyhow::Result<Option<LocalSocket>> {
    Ok(None)
}

/// Who is at the other end: the pipe admits its owner alone.
///
/// # Errors
/// Never.
pub(crate) fn peer(_: &Stream) -> io::Result<User> {
    Ok(own_user())
}

/// Pipes are in no directory.
///
/// # Errors
/// None.
pub(crate) fn is_own_directory(_: &std::path::Path) -> std::io::Result<bool> {
    Ok(true)
}

/// Ends a connection. Without it, what the client has not read would keep the pipe open.
pub(crate) fn close(stream: Stream) {
    let Stream::NamedPipe(pipe) = &stream;
    // SAFETY: the handle is borrowed, so it is open during the call.
    let done = unsafe { DisconnectNamedPipe(pipe.inner().as_handle().as_raw_handle()) };
    if let Err(error) = check(done) {
        log::debug!("a pipe could not be disconnected: {error}");
    }
    pipe.inner().assume_flushed();
}

/// One number is enough for the one user there is.
pub(crate) fn own_user() -> User {
    User(0)
}

/// Returns no limit: the system has none.
pub(crate) fn raise_file_limit() -> Option<usize> {
    None
}

/// Does nothing: other users' programs can't read the memory of this one there.
pub(crate) fn guard_memory() {}

/// Accepts every path: a pipe's name is checked when it is bound.
///
/// # Errors
/// None.
pub(crate) fn check_socket_path(_: &Path) -> Result<(), String> {
    Ok(())
}

/// Roles by group are Unix's: no name is wrong.
pub(crate) fn has_group(_: &str) -> bool {
    true
}

/// Roles by group are Unix's.
pub(crate) fn in_group(_: User, _: &str) -> bool {
    false
}

/// Full access for one user and none for others; nothing is inherited.
fn only(sid: &str) -> io::Result<SecurityDescriptor> {
    let text = U16CString::from_str(format!("D:P(A;;GA;;;{sid})")).map_err(io::Error::other)?;
    SecurityDescriptor::deserialize(&text)
}

/// This user's security identifier. The pipe's owner would not do: for an elevated process that
/// is a group.
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

/// The console events that the daemon heeds.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: CtrlC,
    pause: CtrlBreak,
    close: CtrlClose,
    shutdown: CtrlShutdown,
}

impl Signals {
    /// From here on they are not deadly.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            interrupt: windows::ctrl_c()?,
            pause: windows::ctrl_break()?,
            close: windows::ctrl_close()?,
            shutdown: windows::ctrl_shutdown()?,
        })
    }

    /// The next signal to stop.
    pub(crate) async fn stop(&mut self) -> String {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C".into(),
            _ = self.pause.recv() => "Ctrl-Break".into(),
            _ = self.close.recv() => "the console closes".into(),
            _ = self.shutdown.recv() => "the machine shuts down".into(),
        }
    }

    /// The next one. There is none to ask for a reload.
    pub(crate) async fn next(&mut self) -> Signal {
        Signal::Stop(self.stop().await)
    }
}

/// What a service manager is told: there is none here.
pub(crate) mod notify {
    use std::time::Duration;

    /// The pipe is served.
    pub(crate) fn ready(_: &str) {}

    /// What it does now, in words.
    pub(crate) fn status(_: &str) {}

    /// The configuration is being read again.
    pub(crate) fn reloading() {}

    /// No more requests are taken.
    pub(crate) fn stopping() {}

    /// All is well.
    pub(crate) fn watchdog() {}

    /// Nobody waits for [`watchdog`].
    pub(crate) fn watchdog_patience() -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use interprocess::os::windows::security_descriptor::AsSecurityDescriptorExt;

    use super::*;

    /// The part of a descriptor that says who is let in.
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

/// Returns nothing: the interfaces' addresses are not looked up here.
pub(crate) fn networks() -> Vec<ipnet::Ipv4Net> {
    Vec::new()
}
