//! A hostile control server in seeded combinations, and the invariants that hold against it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::lies::description;
use super::play::{Play, Transport};
use crate::harness::{
    BadServer, Behaviour, Random, Victim, announced, cases, eventually, json_file, peer,
};

/// The local peers of each party.
const OURS: [&str; 2] = ["h", "g"];

/// A party that the daemon took from a file, and its members: no server knows it.
const LOCAL: (&str, [&str; 2]) = ("mine", ["m", "n"]);

/// Bytes of copies that the daemon may keep.
const COPIES: usize = 262_144;

/// Parties that a peer may be in.
const PARTIES: usize = 12;

/// Limit of the growth of the daemon's memory, in kilobytes.
const MOST_GROWTH: u64 = 200 * 1024;

/// The keys of members from elsewhere as they were first seen, by party and peer.
type Pins = BTreeMap<(String, String), String>;

#[test]
fn random_frames_of_a_server_break_no_invariant() {
    play_seeds(Transport::Ws);
}

#[test]
fn random_answers_of_an_http_server_break_no_invariant() {
    play_seeds(Transport::Http);
}

/// History, with the state that the daemon has shown in it.
struct History {
    play: Play,
    is_held: bool,
    pins: Pins,
    /// Ids under which local peers registered parties.
    asked: BTreeSet<String>,
    /// The party that no server knows, as it was at first.
    local: Value,
    elsewhere: BadServer,
}

fn play_seeds(transport: Transport) {
    let long = match transport {
        Transport::Ws => (20, 4),
        // What is told on a WebSocket at once is asked for one after the other.
        Transport::Http => (12, 3),
    };
    let (seeds, rounds) = cases((2, 3), long);
    for seed in 1..=seeds {
        let policy = if seed % 2 == 0 { "hold" } else { "tell" };
        eprintln!("seed {seed}, {policy}, {transport:?}");
        let config = format!(
            "copies_bytes = {COPIES}\non_key_change = '{policy}'\n[limits]\nparties_per_peer = {PARTIES}\n"
        );
        let mut history = History::begin(transport, policy == "hold", &config);
        let mut random = Random(seed);
        for round in 0..rounds {
            history.play_round(round, &mut random);
            history.holds();
        }
        history.comes_back(&config);
    }
}

impl History {
    fn begin(transport: Transport, is_held: bool, config: &str) -> Self {
        let mut play = Play::over(transport, Box::new(|_, _| ()), config);
        let (party_id, [host, guest]) = LOCAL;
        let party = json!({"party_id": party_id, "name": "Mine", "host_id": host,
            "created_at": "2026-01-02T03:04:05.678901",
            "peers": {host: announced(host), guest: announced(guest)}});
        let state =
            json!({"parties": {party_id: party}, "my_peer_id": host, "my_party_id": party_id});
        play.client.call("state.import", json!({"state": state, "mode": "merge"}));
        let local = play.client.party(party_id);
        let (pins, asked) = (Pins::new(), BTreeSet::from([play.party_id.clone()]));
        let elsewhere = BadServer::start(Behaviour::polite());
        Self { play, is_held, pins, asked, local, elsewhere }
    }

    /// Has local peers in a party of their own, of which the server lies.
    fn play_round(&mut self, round: usize, random: &mut Random) {
        let play = &mut self.play;
        play.await_online();
        let mut party_id = format!("round-{round}");
        let register = json!({"party_id": party_id, "name": "Quake", "host": peer(OURS[0])});
        let registered = play.client.ask("party.register", register).expect("an answer");
        self.asked.insert(party_id.clone());
        if let Some(chosen) = registered["result"]["party"]["party_id"].as_str() {
            party_id = chosen.to_owned();
            self.asked.insert(party_id.clone());
        }
        let join = json!({"party_id": party_id, "peer": peer(OURS[1])});
        play.client.ask("party.join", join).expect("an answer");
        let url = self.elsewhere.url();
        let victim = Victim { party_id: &party_id, ours: OURS, local: LOCAL, elsewhere: &url };
        for lie in victim.lies(random) {
            play.await_online();
            play.tell(&party_id, &lie, random);
        }
    }

    /// Checks the invariants of everything that the daemon shows.
    fn holds(&mut self) {
        self.of_all_parties();
        // No copy: it is as its program gave it, whatever the server says.
        let mine = self.play.client.party(LOCAL.0);
        for field in ["origin", "host_id", "name", "seq"] {
            assert_eq!(mine[field], self.local[field], "{field} of {mine}");
        }
        for peer_id in LOCAL.1 {
            let [now, before] = [&mine, &self.local].map(|party| &party["peers"][peer_id]);
            assert_eq!(description(now), description(before), "{mine}");
            assert_eq!(now["virtual_ip"], before["virtual_ip"], "{mine}");
        }
        assert_eq!(mine["peers"].as_object().map(serde_json::Map::len), Some(2), "{mine}");
        let file = self.play.discovery_file();
        eventually("the machine's own party in the discovery file", || {
            assert!(std::fs::metadata(&file).ok()?.len() < 16 << 20);
            json_file(&file)[LOCAL.0].is_object().then_some(())
        });
        let growth = self.play.growth();
        assert!(growth < MOST_GROWTH, "the daemon has grown by {growth} KiB");
        let log = self.play.log();
        assert!(!log.contains('\u{1b}'), "a control character in the log");
        let shown: usize = log.lines().filter(|line| !line.contains(" DEBUG ")).map(str::len).sum();
        assert!(shown < 128 * 1024, "the log has {shown} bytes without debug");
        assert_eq!(self.elsewhere.requests().len(), 0, "a redirection was followed");
    }

    fn of_all_parties(&mut self) {
        let (is_held, pins) = (self.is_held, &mut self.pins);
        let parties = self.play.client.call("party.list", json!({}))["parties"].clone();
        let parties = parties.as_array().expect("parties");
        let (mut members, mut of_host) = (0, 0);
        for party in parties {
            let id = party["party_id"].as_str().expect("an id");
            // A server may take an id from a party that is registered, which then gets another.
            let is_ours = self.asked.contains(id) || party["host_id"] == OURS[0] || id == LOCAL.0;
            assert!(is_ours, "nobody asked for {party}");
            let peers = party["peers"].as_object().expect("peers");
            members += peers.len();
            of_host += usize::from(peers.contains_key(OURS[0]));
            let addresses: BTreeSet<Ipv4Addr> = peers.values().map(address).collect();
            assert_eq!(addresses.len(), peers.len(), "an address twice: {party}");
            let networks: BTreeSet<_> =
                addresses.iter().map(|one| one.octets()[..2].to_vec()).collect();
            for address in addresses {
                let [first, second, ..] = address.octets();
                let is_carriers = first == 100 && (64..128).contains(&second);
                assert!(address.is_private() || is_carriers, "{address} in {party}");
            }
            assert!(networks.len() <= 2, "more than the subnet and another network: {party}");
            for (peer_id, shown) in peers {
                if OURS.contains(&peer_id.as_str()) {
                    assert_eq!(description(shown), description(&peer(peer_id)), "{shown}");
                } else {
                    key_is_continuous(id, peer_id, shown, is_held, pins);
                }
            }
        }
        // A party that has ended here has no pins any more.
        let live: BTreeSet<_> =
            parties.iter().filter_map(|party| party["party_id"].as_str()).collect();
        pins.retain(|(party_id, _), _| live.contains(party_id.as_str()));
        assert!(of_host <= PARTIES, "{} is in {of_host} parties", OURS[0]);
        assert!(members * 1024 <= COPIES + 64 * 1024, "{members} members");
    }

    /// Checks that lies from before the daemon's restart are gone, and that it stops on request.
    fn comes_back(mut self, config: &str) {
        let before = shown(&mut self.play);
        self.play = self.play.restart_alone(config);
        let after = shown(&mut self.play);
        assert!(after.is_subset(&before), "{:?}", after.difference(&before).collect::<Vec<_>>());
        self.holds();
        self.play.end();
    }
}

/// Each member that the daemon shows: its party, its id, its key and its address.
fn shown(play: &mut Play) -> BTreeSet<[String; 4]> {
    let parties = play.client.call("party.list", json!({}))["parties"].clone();
    let mut shown = BTreeSet::new();
    for party in parties.as_array().expect("parties") {
        for (id, peer) in party["peers"].as_object().expect("peers") {
            let fields = [&party["party_id"], &json!(id), &peer["public_key"], &peer["virtual_ip"]];
            shown.insert(fields.map(Value::to_string));
        }
    }
    shown
}

fn address(peer: &Value) -> Ipv4Addr {
    peer["virtual_ip"].as_str().expect("an address").parse().expect("an address")
}

fn key_is_continuous(party_id: &str, peer_id: &str, shown: &Value, is_held: bool, pins: &mut Pins) {
    let key = shown["public_key"].as_str().expect("a key").to_owned();
    let pinned = match shown["key_changed"]["previous"].as_str() {
        Some(previous) => previous.to_owned(),
        None => key.clone(),
    };
    let first = pins.entry((party_id.to_owned(), peer_id.to_owned())).or_insert(pinned.clone());
    // A party that ended and came back within one round is another party.
    if is_held {
        assert_eq!(key, pinned, "a key in force that nobody accepted: {shown}");
    }
    if *first != pinned {
        *first = pinned;
    }
}
