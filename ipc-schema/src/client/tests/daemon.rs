//! Fake daemon that accepts one connection and runs a script.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

/// Daemon that listens, accepts one connection and passes it to a script.
pub(super) struct Daemon {
    pub(super) path: PathBuf,
    thread: JoinHandle<()>,
    #[cfg(unix)]
    _dir: tempfile::TempDir,
}

/// The daemon's end of the connection.
pub(super) struct Peer(BufReader<Box<dyn Duplex>>);

trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

impl Daemon {
    #[cfg(unix)]
    pub(super) fn start(script: impl FnOnce(Peer) + Send + 'static) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("control.sock");
        let listener = std::os::unix::net::UnixListener::bind(&path).expect("listens");
        let thread = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("a connection");
            script(Peer(BufReader::new(Box::new(stream))));
        });
        Self { path, thread, _dir: dir }
    }

    #[cfg(windows)]
    pub(super) fn start(script: impl FnOnce(Peer) + Send + 'static) -> Self {
        use std::sync::atomic::{AtomicU32, Ordering};

        use interprocess::local_socket::prelude::*;
        use interprocess::local_socket::{GenericFilePath, ListenerOptions};

        static LAST: AtomicU32 = AtomicU32::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let path = format!(r"\\.\pipe\lanrage-ipc-{}-{number}", std::process::id());
        let name = path.as_str().to_fs_name::<GenericFilePath>().expect("a pipe's path");
        let listener = ListenerOptions::new().name(name).create_sync().expect("listens");
        let thread = thread::spawn(move || {
            let stream = listener.accept().expect("a connection");
            script(Peer(BufReader::new(Box::new(stream))));
        });
        Self { path: path.into(), thread }
    }

    /// Waits for the end of the script, and fails if the script failed.
    pub(super) fn finish(self) {
        self.thread.join().expect("the script must not panic");
    }
}

impl Peer {
    /// Reads the next line, without its line break; empty at the end of the connection.
    pub(super) fn read(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line.trim_end_matches('\n').to_owned()
    }

    /// Reads some of the received bytes.
    pub(super) fn read_part(&mut self) {
        assert!(!self.0.fill_buf().expect("bytes").is_empty());
    }

    pub(super) fn write_part(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("written");
    }

    pub(super) fn write(&mut self, line: &str) {
        self.write_part(&format!("{line}\n"));
    }

    pub(super) fn answer(&mut self, id: u64, result: &str) {
        self.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#));
    }

    pub(super) fn refuse(&mut self, id: &str, error: &str) {
        self.write(&format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#));
    }

    /// Sends an event of subscription `s1`: a relay was removed.
    pub(super) fn event(&mut self, seq: u64) {
        let event = r#""kind":"relay.removed","data":{"relay_id":"r1"}"#;
        self.notify("event", &format!(r#"{{"subscription":"s1","seq":{seq},{event}}}"#));
    }

    pub(super) fn notify(&mut self, method: &str, params: &str) {
        self.write(&format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#));
    }
}
