//! Random histories: small, so that a failing one shrinks to something to read.

use std::time::Duration;

use lanrage_ipc::model::Keepalive;
use proptest::prelude::*;

use super::super::*;
use lanrage_ipc::lanrage::ImportedParty;

use crate::core::ImportMode;

const PARTIES: [&str; 4] = ["p0", "p1", "p2", "p3"];
const PEERS: [&str; 4] = ["a", "b", "c", "d"];
const RELAYS: [&str; 2] = ["r0", "r1"];
/// The most moves of a history.
pub(super) const LONGEST: usize = 100;
const SIGNAL_BYTES: usize = 8;

/// Timeouts of some moves, and bounds that a few of them reach.
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
        tokens: 6,
        token_ttl: 30 * SECOND,
        receipts: 4,
        signal_bytes: SIGNAL_BYTES,
        signals_per_peer: 2,
        signals_total_bytes: 1 << 20,
        subnet: "192.0.2.0/24".parse().unwrap(),
    }
}

/// A command, by whom, and the time that passes before it.
#[derive(Debug, Clone)]
pub(super) struct Move {
    step: Step,
    who: Who,
    /// Each user has three connections.
    connection: usize,
    /// In seconds.
    pause: u64,
    wall: Wall,
}

/// Parties, peers and relays are named by their place in the lists above.
#[derive(Debug, Clone)]
enum Step {
    /// Joins, or registers what is not there.
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
    Disconnect,
    Expire,
}

#[derive(Debug, Clone, Copy)]
enum Who {
    /// The user who mostly acts for this peer or relay.
    Usual,
    /// The other.
    Other,
    Admin,
}

#[derive(Debug, Clone, Copy)]
enum Wall {
    Runs,
    BackAYear,
    AheadAYear,
}

pub(super) fn a_move() -> impl Strategy<Value = Move> {
    let who = prop_oneof![8 => Just(Who::Usual), 1 => Just(Who::Other), 1 => Just(Who::Admin)];
    let pause = prop_oneof![30 => Just(0), 6 => 1u64..4, 1 => Just(6), 1 => Just(11)];
    let wall = prop_oneof![
        10 => Just(Wall::Runs),
        1 => Just(Wall::BackAYear),
        1 => Just(Wall::AheadAYear),
    ];
    (step(), who, 0..3usize, pause, wall).prop_map(|(step, who, connection, pause, wall)| Move {
        step,
        who,
        connection,
        pause,
        wall,
    })
}

fn step() -> impl Strategy<Value = Step> {
    let party = || 0..PARTIES.len();
    let peer = || 0..PEERS.len();
    let port = || 1..3u16;
    let length = prop_oneof![9 => Just(1), 1 => Just(SIGNAL_BYTES), 1 => Just(SIGNAL_BYTES + 1)];
    let keepalive =
        || prop::sample::select(vec![Keepalive::Manual, Keepalive::Connection, Keepalive::Daemon]);
    // Half of the signals are for the same one, so that a queue gets full.
    let route = prop_oneof![(party(), peer(), peer()), Just((0, 0, 0))];
    let mode = || prop_oneof![5 => Just(ImportMode::Merge), 1 => Just(ImportMode::Replace)];
    let member = || (party(), peer());
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
        14 => (route.clone(), length).prop_map(|((party, from, to), length)| {
            Step::Send { party, from, to, length }
        }),
        3 => route.prop_map(|(party, _, peer)| Step::Poll { party, peer }),
        2 => (0..RELAYS.len(), port()).prop_map(|(relay, port)| Step::Relay { relay, port }),
        1 => (mode(), parties()).prop_map(|(mode, parties)| Step::Import { mode, parties }),
        2 => Just(Step::Disconnect),
        4 => Just(Step::Expire),
    ]
}

/// A history at work.
pub(super) struct Play {
    pub(super) world: World,
    /// The open ones, of each user. A closed one never comes back: another takes its place.
    connections: [[ConnectionId; 3]; 3],
    opened: u64,
    wall_runs_straight: bool,
}

/// What a move came to.
pub(super) struct Played {
    pub(super) command: Command,
    pub(super) caller: Caller,
    pub(super) result: Result<Applied, Refusal>,
}

impl Play {
    pub(super) fn new() -> Self {
        let mut opened = 0;
        let connections = [[(); 3]; 3].map(|user| {
            user.map(|()| {
                opened += 1;
                ConnectionId(opened)
            })
        });
        let world = World::with(|rules| *rules = tight_rules());
        Self { world, connections, opened, wall_runs_straight: false }
    }

    /// One whose wall clock nobody sets.
    pub(super) fn with_a_good_clock() -> Self {
        Self { wall_runs_straight: true, ..Self::new() }
    }

    pub(super) fn play(&mut self, next: &Move) -> Played {
        self.world.pass(Duration::from_secs(next.pause));
        match next.wall {
            _ if self.wall_runs_straight => {}
            Wall::Runs => {}
            Wall::BackAYear => self.world.now.wall -= YEAR,
            Wall::AheadAYear => self.world.now.wall += YEAR,
        }
        let user = match next.who {
            Who::Usual => next.step.usual_user(),
            Who::Other => 1 - next.step.usual_user(),
            Who::Admin => 2,
        };
        let connection = &mut self.connections[user][next.connection];
        let caller = Caller { connection: *connection, ..[ANN, BEN, ROOT][user].clone() };
        if let Step::Disconnect = next.step {
            self.opened += 1;
            *connection = ConnectionId(self.opened);
        }
        let command = next.step.command(&self.world.registry);
        let result = self.world.apply(caller.clone(), command.clone());
        Played { command, caller, result }
    }

    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.as_flattened().contains(&connection)
    }
}

impl Step {
    /// The first user has the first half of the peers, the second the others.
    fn usual_user(&self) -> usize {
        match self {
            Self::Enter { peer, .. }
            | Self::Register { host: peer, .. }
            | Self::Join { peer, .. }
            | Self::Leave { peer, .. }
            | Self::Update { peer, .. }
            | Self::Heartbeat { peer, .. }
            | Self::Send { from: peer, .. }
            | Self::Poll { peer, .. } => usize::from(*peer >= PEERS.len() / 2),
            Self::Relay { .. } | Self::Import { .. } | Self::Disconnect | Self::Expire => 0,
        }
    }

    fn command(&self, registry: &Registry) -> Command {
        let at = |peer: usize, port| PeerInput { public_port: port, ..peer_input(peer) };
        match *self {
            Self::Enter { party, peer, keepalive } => {
                match registry.parties.contains_key(PARTIES[party]) {
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
            Self::Disconnect => Command::Disconnect,
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
