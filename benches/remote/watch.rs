//! Events of daemons to their subscribers, with their times.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use crate::support::client::request;
use crate::support::process::Server;

/// Longer than by default anything takes, a probe among them.
const PATIENCE: Duration = Duration::from_secs(180);

/// An event of a daemon.
pub(super) struct Told {
    /// The daemon's place among those that are watched.
    pub(super) who: usize,
    pub(super) at: Instant,
    pub(super) kind: String,
    pub(super) data: Value,
}

/// Subscribers of daemons, one each. What each says its connection is, is known.
pub(super) struct Watch {
    teller: Sender<Told>,
    told: Receiver<Told>,
    states: Vec<String>,
}

impl Watch {
    pub(super) fn new() -> Self {
        let (teller, told) = channel();
        Self { teller, told, states: Vec::new() }
    }

    /// The same of one daemon.
    pub(super) fn of(daemon: &Server) -> anyhow::Result<Self> {
        let mut watch = Self::new();
        watch.add(daemon)?;
        Ok(watch)
    }

    /// One more daemon. Its subscriber's thread ends with it.
    pub(super) fn add(&mut self, daemon: &Server) -> anyhow::Result<()> {
        let mut stream = UnixStream::connect(daemon.socket())?;
        let topics = json!({"topics": ["connection", "party"]});
        stream.write_all(request(1, "events.subscribe", &topics).as_bytes())?;
        let mut lines = BufReader::new(stream).lines();
        let reply: Value = serde_json::from_str(&lines.next().context("no reply")??)?;
        let state = &reply["result"]["snapshot"]["connection"]["state"];
        let who = self.states.len();
        self.states.push(state.as_str().context("no state of the connection")?.to_owned());
        let teller = self.teller.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let at = Instant::now();
                let mut event: Value = serde_json::from_str(&line).unwrap_or_default();
                let kind = event["params"]["kind"].as_str().unwrap_or_default().to_owned();
                let data = event["params"]["data"].take();
                if teller.send(Told { who, at, kind, data }).is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    /// The next event.
    pub(super) fn next(&mut self) -> anyhow::Result<Told> {
        let told = self.told.recv_timeout(PATIENCE).context("no event came")?;
        if told.kind == "connection.changed" {
            let state = told.data["state"].as_str().context("no state of the connection")?;
            state.clone_into(&mut self.states[told.who]);
        }
        Ok(told)
    }

    /// Waits until all daemons say of their connections what is wanted. Returns when each last
    /// said anything of it; those that said so before and nothing since have no time.
    pub(super) fn all(
        &mut self,
        is_wanted: impl Fn(&str) -> bool,
    ) -> anyhow::Result<Vec<Option<Instant>>> {
        let mut times = vec![None; self.states.len()];
        let until = Instant::now() + PATIENCE;
        while !self.states.iter().all(|state| is_wanted(state)) {
            ensure!(Instant::now() < until, "not all came so far: {:?}", self.states);
            let told = self.next()?;
            if told.kind == "connection.changed" {
                times[told.who] = Some(told.at);
            }
        }
        Ok(times)
    }

    /// Returns the time at which the only daemon first states a wanted connection state.
    pub(super) fn one(&mut self, is_wanted: impl Fn(&str) -> bool) -> anyhow::Result<Instant> {
        let times = self.all(is_wanted)?;
        Ok(times.into_iter().flatten().next().unwrap_or_else(Instant::now))
    }
}

/// Waits until a daemon is online, and its own parties are the server's.
pub(super) fn await_online(daemon: &Server) -> anyhow::Result<()> {
    let mut client = daemon.client()?;
    let until = Instant::now() + PATIENCE;
    while !client.ask(&request(1, "connection.get", &json!({})))?.contains(r#""online""#) {
        ensure!(Instant::now() < until, "a daemon does not come online");
        sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub(super) fn is_online(state: &str) -> bool {
    state == "online"
}

pub(super) fn is_away(state: &str) -> bool {
    state != "online"
}
