//! Record of the replies to a daemon's clients, kept outside of the daemon.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::harness::{Client, Random, peer};

/// Errors that say that nothing was done, nor will be.
const NOTHING_DONE: [&str; 6] = [
    "party_exists",
    "party_not_found",
    "peer_not_found",
    "not_a_member",
    "party_full",
    "permission_denied",
];

/// A request of one of a daemon's peers.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Register(String, String, u16),
    Join(String, String, u16),
    Update(String, String, u16),
    Leave(String, String),
}

/// Presence of a peer in a party, with its port, by the daemon's last reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    In(u16),
    Out,
    /// Nobody was told.
    Unknown,
}

/// Replies about the peers of all daemons.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Keys are party and peer.
    places: BTreeMap<(String, String), Place>,
    /// Parties that their hosts left, or wanted to: others may have gone with them.
    ended: BTreeSet<String>,
    port: u16,
}

/// The party of a daemon's host.
pub(super) fn party_of(host: &str) -> String {
    format!("p-{host}")
}

fn host_of(party_id: &str) -> &str {
    party_id.trim_start_matches("p-")
}

impl Act {
    /// The request.
    pub(super) fn request(&self) -> (&'static str, Value) {
        let at = |id: &str, port: u16| {
            let mut peer = peer(id);
            peer["public_port"] = json!(port);
            peer
        };
        match self {
            Self::Register(party_id, id, port) => (
                "party.register",
                json!({"party_id": party_id, "name": "Quake", "host": at(id, *port),
                    "keepalive": "daemon"}),
            ),
            Self::Join(party_id, id, port) => (
                "party.join",
                json!({"party_id": party_id, "peer": at(id, *port), "keepalive": "daemon"}),
            ),
            Self::Update(party_id, id, port) => {
                ("peer.update", json!({"party_id": party_id, "peer": at(id, *port)}))
            }
            Self::Leave(party_id, id) => {
                ("party.leave", json!({"party_id": party_id, "peer_id": id}))
            }
        }
    }

    fn subject(&self) -> (&str, &str) {
        match self {
            Self::Register(party_id, id, _)
            | Self::Join(party_id, id, _)
            | Self::Update(party_id, id, _)
            | Self::Leave(party_id, id) => (party_id, id),
        }
    }
}

impl Ledger {
    /// Something for one of `own` peers to do, in a party of one of `hosts`.
    pub(super) fn choose(&mut self, random: &mut Random, own: &[String], hosts: &[String]) -> Act {
        self.port += 1;
        let (id, host) = (random.of(own).clone(), random.of(hosts).clone());
        let (party_id, own_party) = (party_of(&host), party_of(&id));
        match random.below(12) {
            0..3 if hosts.contains(&id) => Act::Register(own_party, id, self.port),
            3 if hosts.contains(&id) => Act::Leave(own_party, id),
            4 | 5 if id != host => Act::Leave(party_id, id),
            6 | 7 => Act::Update(party_id, id, self.port),
            _ if id != host => Act::Join(party_id, id, self.port),
            _ => Act::Update(party_id, id, self.port),
        }
    }

    /// Executes the step, and notes the reply.
    pub(super) fn act(&mut self, client: &mut Client, act: &Act) -> String {
        let (method, params) = act.request();
        let answer = client.ask(method, params).expect("an answer, not the end");
        let code = answer["error"]["data"]["code"].as_str().map(str::to_owned);
        match &code {
            None => self.note(act, Some(())),
            Some(code) if NOTHING_DONE.contains(&code.as_str()) => {}
            Some(_) => self.note(act, None),
        }
        code.unwrap_or_else(|| "done".into())
    }

    /// Notes that something was done; or perhaps, where nobody was told.
    pub(super) fn note(&mut self, act: &Act, told: Option<()>) {
        let (party_id, id) = act.subject();
        let (party_id, id) = (party_id.to_owned(), id.to_owned());
        if matches!(act, Act::Leave(..)) && id == host_of(&party_id) {
            self.ended.insert(party_id.clone());
        }
        let place = match act {
            _ if told.is_none() => Place::Unknown,
            Act::Register(.., port) | Act::Join(.., port) | Act::Update(.., port) => {
                Place::In(*port)
            }
            Act::Leave(..) => Place::Out,
        };
        self.places.insert((party_id, id), place);
    }

    /// Returns the faults of the final state; `members` are those of all parties, with their ports.
    pub(super) fn broken(&self, members: &BTreeMap<(String, String), u16>) -> Vec<String> {
        let mut broken = Vec::new();
        for ((party_id, id), place) in &self.places {
            let found = members.get(&(party_id.clone(), id.clone()));
            let is_host = id == host_of(party_id);
            // A party that nobody ended has all who were told that they are in it.
            let stays = is_host || !self.ended.contains(party_id);
            match (place, found) {
                (Place::Out, Some(_)) => broken.push(format!("{id} is back in {party_id}")),
                (Place::In(_), None) if stays => broken.push(format!("{id} is lost in {party_id}")),
                (Place::In(port), Some(found)) if port != found => {
                    broken.push(format!("{id} is at {found} in {party_id}, and not at {port}"));
                }
                _ => {}
            }
        }
        broken
    }
}
