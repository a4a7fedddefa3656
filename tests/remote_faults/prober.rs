//! Response times of the local socket, for any behaviour of the server.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Client, Daemon, Setup};

/// Longest response time on an idle machine.
const LIMIT: Duration = Duration::from_millis(100);

/// Pause between two rounds.
const PAUSE: Duration = Duration::from_millis(5);

/// Sends a daemon requests that need no server, over and over, and in the same rounds another
/// daemon that has none: a slow machine is slow for both.
pub(super) struct Prober {
    stop: Sender<()>,
    thread: JoinHandle<Option<[Vec<Duration>; 2]>>,
    /// The daemon to compare with.
    _local: Daemon,
}

impl Prober {
    /// Probes `daemon`; its party of that id, too, be it there or not.
    pub(super) fn of(daemon: &Daemon, party_id: &str) -> Self {
        let local = Setup::new().start();
        let sockets = [daemon.setup.socket(), local.setup.socket()];
        let (party_id, (stop, stopped)) = (party_id.to_owned(), channel());
        let thread = std::thread::spawn(move || probe(&sockets, &party_id, &stopped));
        Self { stop, thread, _local: local }
    }

    /// Asserts that nearly all answers came soon.
    #[track_caller]
    pub(super) fn finish(self) {
        drop(self.stop);
        let times = self.thread.join().expect("the prober");
        let [of_remote, of_local] = times.expect("daemons that live");
        for (percent, limit) in [(50, LIMIT), (95, LIMIT * 5)] {
            let [remote, local] = [&of_remote, &of_local].map(|times| within(times, percent));
            let limit = limit.max(local * 4);
            assert!(remote < limit, "{percent} % in {remote:?}; without a server {local:?}");
        }
    }
}

/// Until it is told to stop; `None` when a daemon is gone before that.
fn probe(
    sockets: &[impl AsRef<Path>; 2],
    party_id: &str,
    stop: &Receiver<()>,
) -> Option<[Vec<Duration>; 2]> {
    let mut clients = sockets.each_ref().map(|socket| Client::connect(socket.as_ref()));
    let asks = [
        ("ping", json!({})),
        ("connection.get", json!({})),
        ("party.list", json!({})),
        ("party.get", json!({"party_id": party_id})),
        ("status.get", json!({})),
    ];
    let mut times = [Vec::new(), Vec::new()];
    loop {
        for (method, params) in &asks {
            for (client, times) in clients.iter_mut().zip(&mut times) {
                times.push(time(client, method, params)?);
            }
        }
        let goes_on = matches!(stop.recv_timeout(PAUSE), Err(RecvTimeoutError::Timeout));
        // Of fewer a single one would decide.
        if !goes_on && times[0].len() >= 200 {
            return Some(times);
        }
    }
}

/// Time until the answer; `None` when the daemon is gone.
fn time(client: &mut Client, method: &str, params: &Value) -> Option<Duration> {
    let asked = Instant::now();
    client.ask(method, params.clone())?;
    Some(asked.elapsed())
}

/// The time within which so many of 100 answers came.
fn within(times: &[Duration], percent: usize) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() * percent / 100]
}
