//! A daemon with a difficult server, and a subscriber that watches it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::prober::Prober;
use crate::harness::{Client, Daemon, FAST_REMOTE, PATIENCE, Setup, assert_error, peer};

/// [`FAST_REMOTE`] with short timeouts, for servers that keep the daemon waiting.
pub(super) const HASTY: &str = "[remote]\nheartbeat = '1s'\nconnect_timeout = '150ms'\n\
    request_timeout = '150ms'\nbackoff_initial = '20ms'\nbackoff_max = '40ms'\nmax_attempts = 3\n\
    probe = '200ms'\n";

/// Time limit of any request that needs an unresponsive server: two attempts, and the commit of the
/// result.
const BOUND: Duration = Duration::from_secs(10);

/// The party that is probed.
pub(super) const PARTY: &str = "p";

pub(super) struct Trial {
    pub(super) daemon: Daemon,
    prober: Prober,
    /// Subscriber to the connection's state.
    watcher: Client,
    /// Last published state of the connection.
    told: Value,
}

impl Trial {
    pub(super) fn of(url: &str) -> Self {
        Self::with(url, FAST_REMOTE)
    }

    pub(super) fn with(url: &str, config: &str) -> Self {
        Self::over(Setup::new().server_url(url).config(config).start())
    }

    fn over(daemon: Daemon) -> Self {
        let prober = Prober::of(&daemon, PARTY);
        let mut watcher = daemon.client();
        let subscribed = watcher.call("events.subscribe", json!({"topics": ["connection"]}));
        let told = subscribed["snapshot"]["connection"].clone();
        Self { daemon, prober, watcher, told }
    }

    /// Waits until the connection is in that state, and its error says all that.
    #[track_caller]
    pub(super) fn comes_to(&self, state: &str, words: &[&str]) -> Value {
        let connection = self.daemon.await_state(state);
        let told = connection["last_error"].as_str().unwrap_or_default();
        for word in words {
            assert!(told.contains(word), "{word:?} is not in {connection}");
        }
        connection
    }

    /// Waits until the connection is told to be lost, and for such a reason.
    #[track_caller]
    pub(super) fn is_lost(&mut self, words: &[&str]) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let connection = std::mem::take(&mut self.told);
            let told = connection["last_error"].as_str().unwrap_or_default();
            if words.iter().all(|word| told.contains(word)) && connection["state"] != "online" {
                return connection;
            }
            assert!(Instant::now() < until, "never {words:?}, but {connection}");
            self.told = self.watcher.event().1;
        }
    }

    /// Everything that changes something gets an answer in time, and one that helps. What the
    /// server does not refuse is done.
    #[track_caller]
    pub(super) fn answers_all(&self) {
        let mut client = self.daemon.client();
        let mut changed = peer("h");
        changed["public_port"] = json!(7);
        let asks = [
            ("party.register", json!({"party_id": PARTY, "name": "Quake", "host": peer("h")})),
            ("party.join", json!({"party_id": PARTY, "peer": peer("g")})),
            ("party.join", json!({"party_id": "unknown", "peer": peer("g")})),
            ("peer.update", json!({"party_id": PARTY, "peer": changed})),
            ("peer.heartbeat", json!({"party_id": PARTY, "peer_id": "h"})),
            ("party.leave", json!({"party_id": PARTY, "peer_id": "g"})),
            ("party.leave", json!({"party_id": PARTY, "peer_id": "h"})),
        ];
        for (method, params) in asks {
            let asked = Instant::now();
            let answer = client.ask(method, params).expect("an answer, not the end");
            assert!(asked.elapsed() < BOUND, "{method} took {:?}", asked.elapsed());
            if let Some(error) = answer.get("error") {
                let code = error["data"]["code"].as_str().expect("a code");
                assert_error(error, code);
                assert_ne!(code, "internal", "{error}");
            }
        }
    }

    /// Checks the same for a daemon that can't ask its server: it does alone as much as it can.
    #[track_caller]
    pub(super) fn goes_on_alone(&self) {
        let mut client = self.daemon.client();
        let party = client.register(PARTY, "h");
        assert_eq!((&party["sync"], &party["origin"]), (&json!("pending"), &json!("local")));
        let mut changed = peer("h");
        changed["public_port"] = json!(7);
        client.call("peer.update", json!({"party_id": PARTY, "peer": changed}));
        assert_eq!(client.join(PARTY, "g")["sync"], "pending");
        let params = json!({"party_id": "unknown", "peer": peer("g")});
        assert_error(&client.error("party.join", params), "offline");
        for (peer_id, status) in [("g", "left"), ("h", "party_deleted")] {
            let left = client.call("party.leave", json!({"party_id": PARTY, "peer_id": peer_id}));
            assert_eq!(left["status"], status);
        }
    }

    /// Stops the daemon, and starts it again with a configuration.
    #[track_caller]
    pub(super) fn restart(self, config: &str) -> Self {
        self.prober.finish();
        drop(self.watcher);
        let (setup, status) = self.daemon.stop();
        assert!(status.success(), "{}", setup.log());
        Self::over(setup.config(config).start())
    }

    /// It has answered all the while, nothing panicked, and it stops when it is told to.
    #[track_caller]
    pub(super) fn end(self) {
        self.prober.finish();
        drop(self.watcher);
        let log = self.daemon.setup.log();
        assert!(!log.contains("panicked"), "{log}");
        let (setup, status) = self.daemon.stop();
        assert!(status.success(), "{}", setup.log());
    }
}
