//! A daemon with a party, and a server that does as it should until it is made to lie.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use tungstenite::Message;

use super::trial::{PARTY, Trial};
use crate::harness::{
    BadServer, Behaviour, Change, Client, Ctl, FAST_REMOTE, Ledger, Lie, Random, SharedLedger,
    Step, announced, eventually, memory, peer,
};

/// Transport of the server's frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Ws,
    Http,
}

pub(super) struct Play {
    pub(super) trial: Trial,
    pub(super) server: BadServer,
    transport: Transport,
    pub(super) client: Client,
    pub(super) ledger: SharedLedger,
    /// The party of the daemon: an HTTP server chooses its id.
    pub(super) party_id: String,
    /// The daemon's memory at its start, in kilobytes.
    memory: u64,
}

impl Transport {
    /// The configuration of a daemon that speaks to such a server.
    fn config(self) -> String {
        match self {
            // All that the server sends may take longer than a request usually may.
            Self::Ws => FAST_REMOTE.replace("request_timeout = '10s'", "request_timeout = '10m'"),
            Self::Http => format!("{FAST_REMOTE}transport = 'http'\n"),
        }
    }

    /// Returns the behaviour of a server that follows a ledger.
    fn behaviour(self, ledger: &SharedLedger) -> Behaviour {
        let ledger = ledger.clone();
        match self {
            Self::Ws => {
                let answer = move |frame: &Value| lock(&ledger).messages(frame);
                Behaviour::UpgradeThen(vec![Step::answer_with(answer)])
            }
            Self::Http => Behaviour::Routes(Arc::new(move |request| {
                let mut ledger = lock(&ledger);
                ledger.respond(request)
            })),
        }
    }
}

fn lock(ledger: &SharedLedger) -> MutexGuard<'_, Ledger> {
    ledger.lock().expect("the ledger")
}

impl Play {
    pub(super) fn begin() -> Self {
        Self::lying(Box::new(|_, _| ()), "")
    }

    /// A server with a WebSocket whose answers go through `change`, and a daemon with more of a
    /// configuration.
    pub(super) fn lying(change: Change, config: &str) -> Self {
        Self::over(Transport::Ws, change, config)
    }

    /// The same over HTTP.
    pub(super) fn over_http(change: Change, config: &str) -> Self {
        Self::over(Transport::Http, change, config)
    }

    /// The same of a daemon that soon gives answers up.
    pub(super) fn impatient_over_http() -> Self {
        let http = Transport::Http;
        let config = http.config().replace("request_timeout = '10s'", "request_timeout = '1s'");
        Self::configured(http, Box::new(|_, _| ()), &config)
    }

    pub(super) fn over(transport: Transport, change: Change, config: &str) -> Self {
        Self::configured(transport, change, &format!("{}{config}", transport.config()))
    }

    fn configured(transport: Transport, change: Change, config: &str) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::new(change)));
        let server = BadServer::start(transport.behaviour(&ledger));
        let trial = Trial::with(&server.url(), config);
        trial.comes_to("online", &[]);
        let memory = memory(trial.daemon.pid(), "VmRSS");
        let mut client = trial.daemon.client();
        let registered = client.register(PARTY, "h");
        let party_id = registered["party_id"].as_str().expect("an id").to_owned();
        client.join(&party_id, "g");
        Self { trial, server, transport, client, ledger, party_id, memory }
    }

    /// Has the server send that, and waits until the daemon has taken it in.
    pub(super) fn send(&mut self, junk: Vec<Message>) {
        lock(&self.ledger).junk = junk;
        self.cue(PARTY);
    }

    pub(super) fn send_frames(&mut self, frames: &[Value]) {
        self.send(frames.iter().map(|frame| Message::text(frame.to_string())).collect());
    }

    /// Has the daemon send a signal of `h` to `g`.
    fn cue(&mut self, party_id: &str) {
        let params = json!({"party_id": party_id, "from_peer_id": "h", "to_peer_id": "g",
            "signal_data": null});
        self.client.ask("signal.send", params).expect("an answer, not the end");
    }

    /// Has the server tell a lie, and sends the requests that it may answer with that lie, among
    /// them one for a party of `h` and `g`. Waits until the daemon has its answers, or has lost the
    /// connection.
    pub(super) fn tell(&mut self, party_id: &str, lie: &Lie, random: &mut Random) {
        match self.transport {
            Transport::Ws => {
                lock(&self.ledger).lie_by_ws(lie);
                self.cue(party_id);
            }
            Transport::Http => lock(&self.ledger).lie_by_http(lie),
        }
        for _ in 0..1 + random.below(3) {
            self.stir(party_id, random);
        }
    }

    /// Has the daemon ask the server for something.
    fn stir(&mut self, party_id: &str, random: &mut Random) {
        let about = |peer_id: &str| json!({"party_id": party_id, "peer_id": peer_id});
        let guest = json!({"party_id": party_id, "peer": peer("g")});
        let (method, params) = match random.below(6) {
            0 | 1 => ("party.join", guest),
            2 => ("peer.update", guest),
            3 => ("peer.heartbeat", about("h")),
            4 => ("relay.list", json!({})),
            _ => ("party.leave", about("g")),
        };
        self.client.ask(method, params).expect("an answer, not the end");
    }

    /// Waits until the daemon is online, however long the server wants to be left alone.
    pub(super) fn await_online(&mut self) {
        eventually("a connection", || {
            let connection = self.client.call("connection.get", json!({}));
            if connection["state"] == "online" {
                return Some(());
            }
            self.client.call("connection.retry", json!({}));
            None
        });
    }

    /// The members of the party and their addresses, as the daemon shows them.
    pub(super) fn members(&mut self) -> Vec<(String, String)> {
        let party = self.client.party(&self.party_id);
        let peers = party["peers"].as_object().expect("peers").iter();
        let member = |(id, peer): (&String, &Value)| {
            (id.clone(), peer["virtual_ip"].as_str().expect("an address").to_owned())
        };
        peers.map(member).collect()
    }

    /// The party is as it was, and the connection, too.
    #[track_caller]
    pub(super) fn nothing_changed(&mut self) {
        let addresses = [("g", "10.66.0.2"), ("h", "10.66.0.1")];
        assert_eq!(self.members(), addresses.map(|(id, ip)| (id.to_owned(), ip.to_owned())));
        assert_eq!(self.client.call("party.list", json!({}))["parties"][1], json!(null));
        assert_eq!(self.client.call("connection.get", json!({}))["state"], "online");
    }

    /// The connection went for such a reason, and comes back.
    #[track_caller]
    pub(super) fn lost(&mut self, words: &[&str]) -> Value {
        let lost = self.trial.is_lost(words);
        self.trial.comes_to("online", &[]);
        self.nothing_changed();
        lost
    }

    pub(super) fn another_client(&self) -> Client {
        self.trial.daemon.client()
    }

    pub(super) fn ctl(&self) -> Ctl {
        self.trial.daemon.ctl()
    }

    pub(super) fn discovery_file(&self) -> PathBuf {
        self.trial.daemon.setup.state_dir().join("discovery.json")
    }

    /// Memory that the daemon has taken at most since it began, in kilobytes.
    pub(super) fn growth(&self) -> u64 {
        memory(self.trial.daemon.pid(), "VmHWM").saturating_sub(self.memory)
    }

    /// Stops the daemon and starts it again, with more of a configuration.
    pub(super) fn restart(self, config: &str) -> Self {
        let play = self.restart_anyhow(config);
        play.trial.comes_to("online", &[]);
        play
    }

    /// The same while there is no server.
    pub(super) fn restart_alone(self, config: &str) -> Self {
        self.server.behave(Behaviour::AcceptAndDrop);
        let play = self.restart_anyhow(config);
        play.trial.comes_to("fallback", &[]);
        play
    }

    fn restart_anyhow(self, config: &str) -> Self {
        let Self { trial, client, .. } = self;
        drop(client);
        let trial = trial.restart(&format!("{}{config}", self.transport.config()));
        let client = trial.daemon.client();
        Self { trial, client, ..self }
    }

    pub(super) fn log(&self) -> String {
        self.trial.daemon.setup.log()
    }

    /// The warnings in the log.
    pub(super) fn warnings(&self) -> Vec<String> {
        let log = self.log();
        log.lines().filter(|line| line.contains(" WARN ")).map(str::to_owned).collect()
    }

    /// Number of requests to the server for the party.
    pub(super) fn syncs(&self) -> usize {
        self.asked("sync").len()
    }

    /// Returns the frames of that type that the server got, or the equivalent requests.
    pub(super) fn asked(&self, kind: &str) -> Vec<Value> {
        lock(&self.ledger).asked(kind)
    }

    pub(super) fn end(self) {
        self.trial.end();
    }
}

/// Server's party with these members, each at its address.
pub(super) fn party(seq: u64, host_id: &str, members: &[(&str, &str)]) -> Value {
    let mut frame = json!({
        "type": "party_update", "epoch": "epoch-1", "seq": seq,
        "party": {"party_id": PARTY, "name": "Quake", "host_id": host_id,
            "created_at": "2026-01-02T03:04:05.678901", "peers": {}},
        "virtual_ips": {}, "connected": {},
    });
    for (id, address) in members {
        frame["party"]["peers"][id] = announced(id);
        frame["virtual_ips"][id] = json!(address);
    }
    frame
}

/// Server's frame about a joined peer.
pub(super) fn joined(seq: u64, id: &str, address: &str) -> Value {
    let peer = announced(id);
    json!({"type": "peer_joined", "party_id": PARTY, "peer": peer, "epoch": "epoch-1",
        "seq": seq, "virtual_ips": {id: address}, "connected": {id: true}})
}

pub(super) const OURS: [(&str, &str); 2] = [("h", "10.66.0.1"), ("g", "10.66.0.2")];
