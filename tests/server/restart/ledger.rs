//! Record of the answers to a writer, kept outside of the server.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{Http, Random, announced};

/// Guests that a writer moves about at a time.
const GUESTS: usize = 3;

/// Something that is durable once it is answered. The numbers are ports, so that each act shows.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Claim(String),
    Register(u16),
    /// Of a member it is an update.
    Join(String, u16),
    Leave(String),
    Relay(u16),
}

/// Contents of an answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) token: Option<String>,
    pub(super) party_id: Option<String>,
    pub(super) virtual_ip: Option<String>,
    pub(super) seq: Option<u64>,
}

/// A party as far as it was told.
#[derive(Debug, Clone)]
struct Told {
    id: String,
    seq: u64,
    /// Each member's port, and its address if that was told.
    members: BTreeMap<String, (u16, Option<String>)>,
}

#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) host: String,
    pub(super) tokens: BTreeMap<String, String>,
    /// Those that come and go.
    pub(super) guests: Vec<String>,
    party: Option<Told>,
    /// The party of before.
    ended: Option<String>,
    relay: Option<u16>,
    /// Last request, while it is unanswered.
    pub(super) asked: Option<Act>,
    acts: u16,
}

impl Ledger {
    pub(super) fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            tokens: BTreeMap::new(),
            guests: Vec::new(),
            party: None,
            ended: None,
            relay: None,
            asked: None,
            acts: 0,
        }
    }

    pub(super) fn party_id(&self) -> Option<&str> {
        self.party.as_ref().map(|party| party.id.as_str())
    }

    pub(super) fn is_member(&self, peer: &str) -> bool {
        self.party.as_ref().is_some_and(|party| party.members.contains_key(peer))
    }

    /// Chooses the next act, and records it as unanswered.
    pub(super) fn next(&mut self, random: &mut Random) -> Act {
        self.acts += 1;
        let port = self.acts;
        let act = if !self.tokens.contains_key(&self.host) {
            Act::Claim(self.host.clone())
        } else if self.guests.len() < GUESTS || random.below(12) == 0 {
            // A claim whose answer was lost has an owner that nobody can be again.
            Act::Claim(format!("{}-{port}", self.host))
        } else if self.party.is_none() {
            Act::Register(port)
        } else {
            let guest = random.of(&self.guests).clone();
            match random.below(10) {
                0 => Act::Leave(self.host.clone()),
                1 => Act::Relay(port),
                2..5 if self.is_member(&guest) => Act::Leave(guest),
                _ => Act::Join(guest, port),
            }
        };
        self.asked = Some(act.clone());
        act
    }

    /// Notes the answer to a request.
    pub(super) fn note(&mut self, reply: Reply) {
        let act = self.asked.take().expect("something was asked");
        match &act {
            Act::Claim(peer) => {
                let token = reply.token.expect("a token");
                self.tokens.insert(peer.clone(), token);
                if *peer != self.host {
                    self.guests.push(peer.clone());
                }
                let gone = self.guests.len().saturating_sub(GUESTS);
                for guest in self.guests.drain(..gone).collect::<Vec<_>>() {
                    // It stays a member, and nobody moves it any more.
                    assert!(self.tokens.contains_key(&guest));
                }
            }
            Act::Relay(port) => self.relay = Some(*port),
            Act::Leave(peer) if *peer == self.host => {
                self.ended = self.party.take().map(|party| party.id);
            }
            act => {
                let mut party = self.after(act).expect("a party");
                party.id = reply.party_id.unwrap_or(party.id);
                if let Some(seq) = reply.seq {
                    assert!(seq > self.party.as_ref().map_or(0, |told| told.seq), "{act:?}: {seq}");
                    party.seq = seq;
                }
                let entered = match act {
                    Act::Register(_) => Some(self.host.as_str()),
                    Act::Join(peer, _) => Some(peer.as_str()),
                    _ => None,
                };
                if let Some((_, address)) = entered.and_then(|peer| party.members.get_mut(peer)) {
                    let before = address.take();
                    assert!(
                        before.is_none()
                            || reply.virtual_ip.is_none()
                            || before == reply.virtual_ip
                    );
                    *address = reply.virtual_ip.or(before);
                }
                self.party = Some(party);
            }
        }
    }

    /// Returns the expected state after an act.
    fn after(&self, act: &Act) -> Option<Told> {
        let mut party = self.party.clone();
        match act {
            Act::Register(port) => {
                let members = BTreeMap::from([(self.host.clone(), (*port, None))]);
                return Some(Told { id: String::new(), seq: 1, members });
            }
            Act::Join(peer, port) => {
                party.as_mut()?.members.entry(peer.clone()).or_default().0 = *port;
            }
            Act::Leave(peer) if *peer == self.host => return None,
            Act::Leave(peer) => drop(party.as_mut()?.members.remove(peer)),
            Act::Claim(_) | Act::Relay(_) => return party,
        }
        if let Some(party) = &mut party {
            party.seq += 1;
        }
        party
    }

    /// Compares with the state of a server after its kill. The last unanswered request may have
    /// been done or not; the server's state counts from here on.
    pub(super) fn check(&mut self, http: &mut Http, epoch: &Value) {
        for (peer, token) in &self.tokens {
            http.token = Some(token.clone());
            let answer = http.get("/parties/none");
            assert_eq!(answer.status, 404, "the token of {peer} is lost: {}", answer.text());
        }
        let asked = self.asked.take();
        self.check_relay(http, asked.as_ref());
        if let Some(ended) = &self.ended {
            assert_eq!(http.get(&format!("/parties/{ended}")).status, 404, "{ended} is back");
        }
        let Some(told) = &self.party else { return };
        let answer = http.get(&format!("/parties/{}", told.id));
        let mut found = None;
        if answer.status != 404 {
            let answer = answer.ok();
            assert_eq!(answer["epoch"], *epoch, "history was lost");
            found = Some(seen(&answer));
        }
        let is = |told: Option<&Told>| match (told, &found) {
            (Some(told), Some(found)) => is_kept(told, found),
            (told, found) => told.is_none() && found.is_none(),
        };
        let is_asked = asked.as_ref().is_some_and(|act| match act {
            // Of which nobody knows the id.
            Act::Register(_) => false,
            act => is(self.after(act).as_ref()),
        });
        let kept = is(Some(told)) || is_asked;
        assert!(kept, "told {told:?}\nasked {asked:?}\nfound {found:?}");
        if found.is_none() {
            self.ended = self.party.take().map(|party| party.id);
        }
        self.party = found;
    }

    fn check_relay(&mut self, http: &mut Http, asked: Option<&Act>) {
        let relays = http.get("/relays").ok();
        let mut relays = relays["relays"].as_array().expect("relays").iter();
        let found = relays.find(|relay| relay["relay_id"] == self.host);
        let found = found.map(|relay| relay["port"].as_u64().expect("a port") as u16);
        let is_asked = matches!(asked, Some(Act::Relay(port)) if found == Some(*port));
        assert!(found == self.relay || is_asked, "{:?}, {asked:?}, {found:?}", self.relay);
        self.relay = found;
    }
}

/// A party as a server shows it.
fn seen(answer: &Value) -> Told {
    let peers = answer["party"]["peers"].as_object().expect("peers").iter();
    let members = peers.map(|(id, peer)| {
        let address = answer["virtual_ips"][id].as_str().expect("an address").to_owned();
        let port = peer["public_port"].as_u64().expect("a port");
        (id.clone(), (u16::try_from(port).expect("a port"), Some(address)))
    });
    let id = answer["party"]["party_id"].as_str().expect("an id").to_owned();
    Told { id, seq: answer["seq"].as_u64().expect("a number"), members: members.collect() }
}

/// True if the found state equals the recorded one. Only its `seq` may be higher, because the start
/// and end of connections are changes, too.
fn is_kept(told: &Told, found: &Told) -> bool {
    let is_member = |(id, (port, address)): (&String, &(u16, Option<String>))| {
        found
            .members
            .get(id)
            .is_some_and(|(found, at)| found == port && (address.is_none() || at == address))
    };
    found.id == told.id
        && found.seq >= told.seq
        && found.members.len() == told.members.len()
        && told.members.iter().all(is_member)
}

/// A peer that says it is at that port.
pub(super) fn at_port(peer: &str, port: u16) -> Value {
    let mut peer = announced(peer);
    peer["public_port"] = json!(port);
    peer
}
