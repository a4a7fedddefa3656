//! Another user.

use std::fs;
use std::io::{IoSliceMut, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

use super::{Client, Daemon, Setup, has_root};

/// Uid of the unprivileged user `nobody`.
pub(crate) const NOBODY: u32 = 65534;

/// Connects to the path given, says so, and passes bytes on between there and its standard
/// input, which is a socket.
const RELAY: &str = "
import socket, sys, threading
near, far = socket.socket(fileno=0), socket.socket(socket.AF_UNIX)
far.connect(sys.argv[1])
near.sendall(b'+')
def carry(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)
threading.Thread(target=carry, args=(near, far), daemon=True).start()
carry(far, near)
";

/// Connects under the uid given, once for each byte that it reads from its standard input, which is
/// a socket, and passes the connections on through it.
const CROWD: &str = "
import os, socket, sys
near, path, uid = socket.socket(fileno=0), sys.argv[1], int(sys.argv[2])
os.setegid(uid)
os.seteuid(uid)
while near.recv(1):
    far = socket.socket(socket.AF_UNIX)
    far.connect(path)
    socket.send_fds(near, [b'+'], [far.fileno()])
    far.close()
";

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A client whose process runs as [`NOBODY`]; only the superuser can have one. `None` when it
/// may not even connect.
pub(crate) fn stranger(socket: &Path) -> Option<Client> {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    // The first of a path may be a user's own.
    let python = ["/usr/bin/python3", "python3"].into_iter().find(|path| {
        Command::new(path).arg("--version").uid(NOBODY).output().is_ok_and(|o| o.status.success())
    });
    let mut relay = Command::new(python.expect("a Python for everyone"))
        .args(["-I", "-c", RELAY])
        .arg(socket)
        .stdin(Stdio::from(OwnedFd::from(far)))
        .stderr(Stdio::null())
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY)
        .spawn()
        .expect("start the relay");
    std::thread::spawn(move || relay.wait());
    let mut connected = [0; 1];
    match std::io::Read::read(&mut &near, &mut connected) {
        Ok(1) => Some(Client::over(near)),
        _ => None,
    }
}

/// Client of another user, for any number of connections. Only the superuser can have one.
pub(crate) struct OtherUser {
    near: UnixStream,
    program: Child,
}

impl OtherUser {
    pub(crate) fn new(socket: &Path, uid: u32) -> Self {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let program = Command::new("python3")
            .args(["-I", "-c", CROWD])
            .arg(socket)
            .arg(uid.to_string())
            .stdin(Stdio::from(OwnedFd::from(far)))
            .current_dir("/")
            .spawn()
            .expect("start another user's program");
        Self { near, program }
    }

    pub(crate) fn connect(&self) -> Client {
        (&self.near).write_all(b"+").expect("its program runs");
        Client::over(received(&self.near))
    }
}

impl Drop for OtherUser {
    fn drop(&mut self) {
        self.near.shutdown(Shutdown::Both).ok();
        self.program.wait().ok();
    }
}

/// Connections of another user. Only the superuser can have them.
pub(crate) fn crowd(socket: &Path, uid: u32, count: usize) -> Vec<Client> {
    let user = OtherUser::new(socket, uid);
    (0..count).map(|_| user.connect()).collect()
}

/// A daemon of the system's that every user can reach; none where there is no other user.
pub(crate) fn system_daemon(operators: &[u32], config: &str) -> Option<Daemon> {
    system_setup(operators, config).map(Setup::start)
}

/// Returns the setup of such a daemon.
pub(crate) fn system_setup(operators: &[u32], config: &str) -> Option<Setup> {
    if !has_root("to connect as other users") {
        return None;
    }
    let mut setup = Setup::new().config(&format!("access.operators = {operators:?}\n{config}"));
    setup.args.push("--system".into());
    let everyone = fs::Permissions::from_mode(0o755);
    fs::set_permissions(setup.dir.path(), everyone).expect("open the directory");
    Some(setup)
}

/// The connection that the next message carries.
#[expect(unsafe_code, reason = "only so a descriptor that was received becomes a file")]
fn received(near: &UnixStream) -> UnixStream {
    let (mut byte, mut space) = ([0], nix::cmsg_space!(RawFd));
    let mut parts = [IoSliceMut::new(&mut byte)];
    let message = recvmsg::<()>(near.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::empty())
        .expect("a message");
    let carried = message.cmsgs().expect("its descriptors").next();
    let Some(ControlMessageOwned::ScmRights(descriptors)) = carried else {
        panic!("no connection came");
    };
    // SAFETY: the descriptor is fresh and nobody else has it.
    unsafe { UnixStream::from_raw_fd(descriptors[0]) }
}
