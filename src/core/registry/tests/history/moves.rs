//! Random histories: small, so that a failing one shrinks to a readable one.

use lanrage_ipc::model::Keepalive;
use proptest::prelude::*;

use super::super::*;
use lanrage_ipc::lanrage::ImportedParty;

use crate::core::ImportMode;

const PARTIES: [&str; 4] = ["p0", "p1", "p2", "p3"];
/// Two peers of the first user, two of the second, and two that prove themselves.
pub(super) const PEERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const RELAYS: [&str; 2] = ["r0", "r1"];
pub(super) const KEYS: [&str; 3] = ["k0", "k1", "k2"];
/// A token that was never issued.
pub(super) const WRONG: u64 = u64::MAX;
/// Index of the group of peers' programs; users are groups 0 and 1, the administrator is last.
pub(super) const PROGRAMS: usize = 2;
pub(super) const ADMIN: usize = 3;
/// Upper bound of the moves of a history.
pub(super) const LONGEST: usize = 140;
const SIGNAL_BYTES: usize = 8;

/// Returns rules with timeouts of a few moves, and bounds that a few moves reach.
pub(super) fn tight_rules() -> Rules {
    Rules {
        peer_timeout: 10 * SECOND,
        relay_timeout: 15 * SECOND,
        signal_ttl: 12 * SECOND,
        grace_until: 1012 * SECOND,
        parties_per_peer: 2,
        peers_per_party: 3,
        parties: 3,
        relays: 1,
        tokens: 2,
        token_ttl: 30 * SECOND,
        intents: 100,
        receipts: 4,
        signal_bytes: SIGNAL_BYTES,
        signals_per_peer: 2,
        signals_total_bytes: 1 << 20,
        shares: Shares { address: 1, user: 1 },
        copies_bytes: 1 << 20,
        hold_keys: false,
        subnet: "192.0.2.0/24".parse().unwrap(),
    }
}

/// A command with its caller, and the pause before it.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) step: Step,
    pub(super) who: Who,
    /// Connection within the group; each group has three.
    pub(super) connection: usize,
    /// Idempotency key, by its index in the list.
    pub(super) key: Option<usize>,
    /// Pause in seconds.
    pub(super) pause: u64,
    pub(super) wall: Wall,
}

/// Step of a history. Parties, peers and relays are indexes into the lists above.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// Joins a party, or registers it if it does not exist. A program claims its peer first.
    Enter {
        party: usize,
        peer: usize,
        keepalive: Keepalive,
    },
    Register {
        party: usize,
        host: usize,
        keepalive: Keepalive,
    },
    Join {
        party: usize,
        peer: usize,
        port: u16,
        keepalive: Keepalive,
    },
    Leave {
        party: usize,
        peer: usize,
    },
    Update {
        party: usize,
        peer: usize,
        port: u16,
    },
    Heartbeat {
        party: usize,
        peer: usize,
    },
    Send {
        party: usize,
        from: usize,
        to: usize,
        length: usize,
    },
    Poll {
        party: usize,
        peer: usize,
    },
    Relay {
        relay: usize,
        port: u16,
    },
    Import {
        mode: ImportMode,
        parties: Vec<(usize, usize, Vec<usize>)>,
    },
    Claim {
        peer: usize,
        proof: Proof,
        issue: bool,
        hold: bool,
    },
    Reattach {
        peer: usize,
    },
    ReleaseMember {
        party: usize,
        peer: usize,
    },
    Disconnect {
        group: usize,
    },
    Expire,
}

/// Token that a program shows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Proof {
    Nothing,
    /// The last token that the program got for this peer, if any.
    Own,
    /// Any issued token, perhaps of another peer.
    Anybodys(usize),
    Wrong,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Who {
    /// The group that usually acts for this peer or relay.
    Usual,
    /// The next group except the administrator.
    Other,
    Admin,
    /// A program that shows the relay key in place of a token.
    RelayKey,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Wall {
    Runs,
    BackAYear,
    AheadAYear,
}

pub(super) fn a_move() -> impl Strategy<Value = Move> {
    let who = prop_oneof![
        24 => Just(Who::Usual),
        2 => Just(Who::Other),
        2 => Just(Who::Admin),
        1 => Just(Who::RelayKey),
    ];
    let key = prop_oneof![3 => Just(None), 2 => (0..KEYS.len()).prop_map(Some)];
    let pause = prop_oneof![30 => Just(0), 6 => 1u64..4, 1 => Just(6), 1 => Just(11)];
    let wall = prop_oneof![
        40 => Just(Wall::Runs),
        1 => Just(Wall::BackAYear),
        1 => Just(Wall::AheadAYear),
    ];
    (step(), who, 0..3usize, key, pause, wall).prop_map(
        |(step, who, connection, key, pause, wall)| Move {
            step,
            who,
            connection,
            key,
            pause,
            wall,
        },
    )
}

fn a_claim() -> impl Strategy<Value = Step> {
    let proof = prop_oneof![
        3 => Just(Proof::Nothing),
        4 => Just(Proof::Own),
        2 => (0..100usize).prop_map(Proof::Anybodys),
        1 => Just(Proof::Wrong),
    ];
    // Mostly the programs' own peers.
    let peer = prop_oneof![9 => 4..PEERS.len(), 1 => 0..PEERS.len()];
    (peer, proof, any::<bool>(), any::<bool>()).prop_map(|(peer, proof, issue, hold)| Step::Claim {
        peer,
        proof,
        issue,
        hold,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let party = || 0..PARTIES.len();
    // One peer gets more steps, of all kinds that a program can make.
    let peer = || prop_oneof![2 => 0..PEERS.len(), 1 => Just(PROGRAMS * 2)];
    let port = || 1..3u16;
    let length = prop_oneof![9 => Just(1), 1 => Just(SIGNAL_BYTES), 1 => Just(SIGNAL_BYTES + 1)];
    let keepalive = || {
        prop_oneof![
            1 => Just(Keepalive::Manual),
            2 => Just(Keepalive::Connection),
            1 => Just(Keepalive::Daemon),
        ]
    };
    // Half of the signals have the same target, so that its queue fills up.
    let route = prop_oneof![(party(), peer(), peer()), Just((0, 0, 0))];
    let mode = || prop_oneof![5 => Just(ImportMode::Merge), 1 => Just(ImportMode::Replace)];
    let member = || (party(), peer());
    let group = prop_oneof![1 => 0..PROGRAMS, 2 => Just(PROGRAMS)];
    let parties = || {
        let peers = prop::collection::vec(peer(), 0..4);
        prop::collection::vec((party(), peer(), peers), 0..3)
    };
    prop_oneof![
        20 => (member(), keepalive()).prop_map(|((party, peer), keepalive)| {
            Step::Enter { party, peer, keepalive }
        }),
        2 => (member(), keepalive()).prop_map(|((party, host), keepalive)| {
            Step::Register { party, host, keepalive }
        }),
        4 => (member(), port(), keepalive()).prop_map(|((party, peer), port, keepalive)| {
            Step::Join { party, peer, port, keepalive }
        }),
        2 => member().prop_map(|(party, peer)| Step::Leave { party, peer }),
        3 => (member(), port()).prop_map(|((party, peer), port)| {
            Step::Update { party, peer, port }
        }),
        3 => member().prop_map(|(party, peer)| Step::Heartbeat { party, peer }),
        20 => (route.clone(), length).prop_map(|((party, from, to), length)| {
            Step::Send { party, from, to, length }
        }),
        3 => route.prop_map(|(party, _, peer)| Step::Poll { party, peer }),
        2 => (0..RELAYS.len(), port()).prop_map(|(relay, port)| Step::Relay { relay, port }),
        1 => (mode(), parties()).prop_map(|(mode, parties)| Step::Import { mode, parties }),
        10 => a_claim(),
        6 => peer().prop_map(|peer| Step::Reattach { peer }),
        1 => member().prop_map(|(party, peer)| Step::ReleaseMember { party, peer }),
        4 => group.prop_map(|group| Step::Disconnect { group }),
        4 => Just(Step::Expire),
    ]
}

impl Step {
    /// Returns the peer of the step, by its index in the list.
    pub(super) fn peer(&self) -> Option<usize> {
        match *self {
            Self::Enter { peer, .. }
            | Self::Register { host: peer, .. }
            | Self::Join { peer, .. }
            | Self::Leave { peer, .. }
            | Self::Update { peer, .. }
            | Self::Heartbeat { peer, .. }
            | Self::Send { from: peer, .. }
            | Self::Poll { peer, .. }
            | Self::Claim { peer, .. }
            | Self::Reattach { peer }
            | Self::ReleaseMember { peer, .. } => Some(peer),
            Self::Relay { .. } | Self::Import { .. } | Self::Disconnect { .. } | Self::Expire => {
                None
            }
        }
    }

    pub(super) fn usual_group(&self) -> usize {
        match *self {
            Self::Claim { .. } | Self::Reattach { .. } => PROGRAMS,
            Self::Disconnect { group } => group,
            _ => self.peer().map_or(0, |peer| peer / 2),
        }
    }

    pub(super) fn command(&self, registry: &Registry) -> Command {
        let at = |peer: usize, port| PeerInput { public_port: port, ..peer_input(peer) };
        match *self {
            Self::Enter { party, peer, keepalive } => {
                match registry.parties.keys().any(|id| id.as_str() == PARTIES[party]) {
                    true => Self::Join { party, peer, port: 1, keepalive },
                    false => Self::Register { party, host: peer, keepalive },
                }
                .command(registry)
            }
            Self::Register { party, host, keepalive } => Command::Register {
                party_id: PARTIES[party].parse().unwrap(),
                name: PARTIES[party].parse().unwrap(),
                host: peer_input(host),
                keepalive,
                utc_offset: None,
            },
            Self::Join { party, peer, port, keepalive } => {
                join_as(PARTIES[party], at(peer, port), keepalive)
            }
            Self::Leave { party, peer } => leave(PARTIES[party], PEERS[peer]),
            Self::Update { party, peer, port } => update(PARTIES[party], at(peer, port)),
            Self::Heartbeat { party, peer } => heartbeat(PARTIES[party], PEERS[peer]),
            Self::Send { party, from, to, length } => {
                send(PARTIES[party], PEERS[from], PEERS[to], &"1".repeat(length))
            }
            Self::Poll { party, peer } => poll(PARTIES[party], PEERS[peer]),
            Self::Relay { relay: id, port } => relay(RELAYS[id], port),
            Self::Import { mode, ref parties } => {
                let parties = parties.iter().map(imported).collect();
                Command::Import { parties, mode }
            }
            Self::Claim { .. } => unreachable!("it takes more than the registry"),
            Self::Reattach { peer } => reattach(PEERS[peer]),
            Self::ReleaseMember { party, peer } => release_member(PARTIES[party], PEERS[peer]),
            Self::Disconnect { .. } => Command::Disconnect,
            Self::Expire => Command::Expire,
        }
    }
}

fn peer_input(index: usize) -> PeerInput {
    PeerInput { public_port: 1, ..peer(PEERS[index]) }
}

fn imported((party, host, peers): &(usize, usize, Vec<usize>)) -> ImportedParty {
    let created_at = timestamp("2020-01-01T00:00:00Z");
    ImportedParty {
        party_id: PARTIES[*party].parse().unwrap(),
        name: PARTIES[*party].parse().unwrap(),
        host_id: PEERS[*host].parse().unwrap(),
        created_at,
        peers: peers.iter().map(|peer| (peer_input(*peer), created_at)).collect(),
    }
}
