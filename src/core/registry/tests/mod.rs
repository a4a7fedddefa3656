//! Tests of the registry: one for each rule, and random histories for all rules together.

mod addresses;
mod bounds;
mod counts;
mod expiry;
mod following;
mod history;
mod identities;
mod import;
mod keepalive;
mod limits;
mod membership;
mod offsets;
mod ownership;
mod pins;
mod principals;
mod queries;
mod reattachment;
mod receipts;
mod relays;
mod remote;
mod shares;
mod signals;
mod state;
mod undo;
mod upstream;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::{self, Address, Keepalive, NatType, PeerInput, SignalData};

use super::Registry;
use crate::core::{
    Alive, Applied, Caller, Claimed, Command, ConnectionId, Filter, Hold, Left, Now, Outcome,
    Principal, Refusal, RelayInput, RequestKey, Rules, Shares, TokenHash, UpstreamPart, User,
};

/// An address of clients.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const PEER_TIMEOUT: Duration = Duration::from_secs(300);
const RELAY_TIMEOUT: Duration = Duration::from_secs(600);
const SIGNAL_TTL: Duration = Duration::from_secs(200);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

const ANN: Caller = user(1000, false, 1);
const BEN: Caller = user(1001, false, 2);
const ROOT: Caller = user(0, true, 3);

const fn user(uid: u32, admin: bool, connection: u64) -> Caller {
    let principal = Principal::User { user: User(uid), admin };
    Caller { principal, connection: ConnectionId(connection), address: None }
}

/// Returns a caller that proves these peers.
fn peers<const N: usize>(ids: [&str; N], connection: u64) -> Caller {
    let own = ids.map(|id| id.parse().unwrap());
    Caller {
        principal: Principal::Peers(own.into()),
        connection: ConnectionId(connection),
        address: None,
    }
}

/// Returns the same caller at a known address.
fn at_home(caller: Caller) -> Caller {
    Caller { address: Some(HOME.into()), ..caller }
}

fn rules() -> Rules {
    Rules {
        peer_timeout: PEER_TIMEOUT,
        relay_timeout: RELAY_TIMEOUT,
        signal_ttl: SIGNAL_TTL,
        grace_until: Duration::ZERO,
        parties_per_peer: 64,
        peers_per_party: 64,
        parties: 100,
        relays: 100,
        tokens: 100,
        token_ttl: 24 * HOUR,
        receipts: 100,
        intents: 100,
        signal_bytes: 100,
        signals_per_peer: 10,
        signals_total_bytes: 1 << 20,
        shares: Shares { address: 1, user: 1 },
        copies_bytes: 1 << 20,
        hold_keys: false,
        subnet: "10.66.0.0/16".parse().unwrap(),
    }
}

/// A registry and its clocks. After each command it checks the indexes, and that a refusal changed
/// nothing.
struct World {
    registry: Registry,
    now: Now,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(adjust: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = rules();
        adjust(&mut rules);
        let now = Now { wall: "2025-06-01T12:00:00Z".parse().unwrap(), elapsed: 1000 * SECOND };
        Self { registry: Registry::new(rules, "epoch".parse().unwrap()), now }
    }

    /// Advances both clocks.
    fn pass(&mut self, time: Duration) {
        self.now.wall += time;
        self.now.elapsed += time;
    }

    fn apply(&mut self, caller: Caller, command: Command) -> Result<Applied, Refusal> {
        self.request(caller, None, command)
    }

    /// Applies a command, under an idempotency key if there is one.
    fn request(
        &mut self,
        caller: Caller,
        key: Option<&str>,
        command: Command,
    ) -> Result<Applied, Refusal> {
        let before = self.registry.clone();
        let now = self.now;
        let result = match key {
            Some(key) => {
                let key = RequestKey(key.into());
                self.registry.apply_once(key.into(), command.clone(), caller, now)
            }
            None => self.registry.apply(command.clone(), caller, now),
        };
        state::check_indexes(&self.registry);
        if let Err(refusal) = &result {
            assert_eq!(self.registry, before, "refused with {refusal:?}, but changed: {command:?}");
        }
        result
    }

    /// Applies a command that must succeed.
    #[track_caller]
    fn by(&mut self, caller: Caller, command: Command) -> Applied {
        self.apply(caller, command).expect("refused")
    }

    /// Applies a command of the first user that must succeed.
    #[track_caller]
    fn ann(&mut self, command: Command) -> Applied {
        self.by(ANN, command)
    }

    /// Applies a command that must be refused.
    #[track_caller]
    fn refused(&mut self, caller: Caller, command: Command) -> Refusal {
        self.apply(caller, command).expect_err("not refused")
    }

    #[track_caller]
    fn party(&self, id: &str) -> model::Party {
        self.registry.party(&id.parse().unwrap(), self.now).unwrap()
    }

    #[track_caller]
    fn peer(&self, party: &str, id: &str) -> model::Peer {
        self.registry.peer(&party.parse().unwrap(), &id.parse().unwrap(), self.now).unwrap()
    }

    fn parties(&self) -> Vec<model::Party> {
        self.registry.parties(&Filter::default(), None, self.now).collect()
    }

    /// Returns the ids of a party's members; empty if there is no such party.
    fn members(&self, party: &str) -> Vec<String> {
        let party = self.registry.party(&party.parse().unwrap(), self.now);
        party.map_or(Vec::new(), |party| party.peers.keys().map(ToString::to_string).collect())
    }

    fn address(&self, party: &str, id: &str) -> String {
        self.peer(party, id).virtual_ip.to_string()
    }
}

fn peer(id: &str) -> PeerInput {
    PeerInput {
        peer_id: id.parse().unwrap(),
        name: id.parse().unwrap(),
        public_key: format!("key of {id}").parse().unwrap(),
        nat_type: NatType::FullCone,
        public_ip: Address::Unknown,
        public_port: 4000,
        local_ip: "192.168.0.2".parse().unwrap(),
        local_port: 5000,
    }
}

/// Returns the same peer at another port.
fn moved(id: &str) -> PeerInput {
    PeerInput { public_port: 4001, ..peer(id) }
}

/// Returns a registration. Like the functions below, it is for a peer with the keepalive `manual`.
fn register(party: &str, host: &str) -> Command {
    Command::Register {
        party_id: party.parse().unwrap(),
        name: party.parse().unwrap(),
        host: peer(host),
        keepalive: Keepalive::Manual,
        utc_offset: None,
    }
}

fn join(party: &str, id: &str) -> Command {
    join_as(party, peer(id), Keepalive::Manual)
}

fn join_as(party: &str, peer: PeerInput, keepalive: Keepalive) -> Command {
    Command::Join { party_id: party.parse().unwrap(), peer, keepalive, utc_offset: None }
}

fn leave(party: &str, id: &str) -> Command {
    Command::Leave { party_id: party.parse().unwrap(), peer_id: id.parse().unwrap() }
}

fn update(party: &str, peer: PeerInput) -> Command {
    Command::Update { party_id: party.parse().unwrap(), peer, utc_offset: None }
}

fn heartbeat(party: &str, id: &str) -> Command {
    Command::Heartbeat { party_id: party.parse().unwrap(), peer_id: id.parse().unwrap() }
}

fn send(party: &str, from: &str, to: &str, json: &str) -> Command {
    Command::SendSignal {
        party_id: party.parse().unwrap(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        data: signal_data(json),
    }
}

fn signal_data(json: &str) -> SignalData {
    serde_json::value::RawValue::from_string(json.to_owned()).unwrap().into()
}

fn poll(party: &str, id: &str) -> Command {
    Command::PollSignals {
        party_id: party.parse().unwrap(),
        peer_id: id.parse().unwrap(),
        room: usize::MAX,
    }
}

fn relay(id: &str, port: u16) -> Command {
    Command::RegisterRelay(relay_input(id, port))
}

fn relay_input(id: &str, port: u16) -> RelayInput {
    RelayInput {
        relay_id: id.parse().unwrap(),
        public_ip: "203.0.113.1".parse().unwrap(),
        port,
        region: "eu".parse().unwrap(),
        capacity: 100,
    }
}

/// Returns the events of a command, a line for each.
fn told(applied: &Applied) -> Vec<String> {
    applied.events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    match event {
        Event::PartyRegistered { party, seq, .. } => {
            format!("party.registered {} #{seq}", party.party_id)
        }
        Event::PartyRemoved { party_id, reason, seq, .. } => {
            format!("party.removed {party_id} {reason:?} #{seq}")
        }
        Event::PeerJoined { party_id, peer, seq, .. } => {
            format!("peer.joined {party_id} {} #{seq}", peer.info.peer_id)
        }
        Event::PeerUpdated { party_id, peer, seq, .. } => {
            format!("peer.updated {party_id} {} #{seq}", peer.info.peer_id)
        }
        Event::PeerLeft { party_id, peer_id, reason, seq, .. } => {
            format!("peer.left {party_id} {peer_id} {reason:?} #{seq}")
        }
        Event::SignalReceived { party_id, from_peer_id, to_peer_id } => {
            format!("signal.received {party_id} {from_peer_id} {to_peer_id}")
        }
        Event::RelayUpdated { relay } => format!("relay.updated {}", relay.relay_id),
        Event::RelayRemoved { relay_id } => format!("relay.removed {relay_id}"),
        Event::PartyUpdated { party, previous_party_id, seq, .. } => {
            let (origin, sync) = (party.origin, party.sync);
            let was = previous_party_id.as_ref().map(|id| format!(" was {id}"));
            let was = was.unwrap_or_default();
            format!("party.updated {}{was} {origin:?} {sync:?} #{seq}", party.party_id)
        }
        Event::ConnectionChanged(_) => panic!("the registry never publishes {event:?}"),
    }
}

/// Returns the payloads that a poll returned.
fn payloads(applied: &Applied) -> Vec<&str> {
    match &applied.outcome {
        Outcome::Signals(signals) => {
            signals.iter().map(|signal| signal.signal_data.as_json()).collect()
        }
        other => panic!("not the answer to a poll: {other:?}"),
    }
}

fn token(n: u64) -> TokenHash {
    let mut hash = [0x5a; 32];
    hash[..8].copy_from_slice(&n.to_be_bytes());
    TokenHash(hash)
}

/// Returns a claim by the connection, without a token.
fn claim(id: &str) -> Command {
    claim_with(id, None, None, true)
}

fn reattach(id: &str) -> Command {
    Command::Reattach { peer_id: id.parse().unwrap() }
}

fn release_member(party: &str, id: &str) -> Command {
    Command::ReleaseMember { party_id: party.parse().unwrap(), peer_id: id.parse().unwrap() }
}

fn claim_with(id: &str, proof: Option<u64>, issue: Option<u64>, hold: bool) -> Command {
    let (proof, issue) = (proof.map(token), issue.map(token));
    let hold = if hold { Hold::Shared } else { Hold::No };
    Command::Claim { peer_id: id.parse().unwrap(), proof, issue, hold, claim: None }
}

fn timestamp(text: &str) -> Timestamp {
    text.parse().unwrap()
}
