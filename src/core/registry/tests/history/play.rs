//! Execution of histories: the caller of each move, its connection and its result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::model::PeerId;

use super::super::*;
use super::moves::{
    ADMIN, KEYS, Move, PEERS, PROGRAMS, Proof, Step, WRONG, Wall, Who, tight_rules,
};

/// Execution of a history.
pub(super) struct Play {
    pub(super) world: World,
    /// Open connections of each group. A closed one is replaced by another.
    connections: [[ConnectionId; 3]; 4],
    opened: u64,
    /// Tokens of each program, from all its connections.
    tokens: [Vec<(PeerId, u64)>; 3],
    given: u64,
    claims: BTreeSet<(ConnectionId, PeerId)>,
    wall_runs_straight: bool,
}

/// Result of a move.
pub(super) struct Played {
    pub(super) command: Command,
    pub(super) key: Option<&'static str>,
    pub(super) caller: Caller,
    pub(super) result: Result<Applied, Refusal>,
}

impl Played {
    /// Returns the effects, unless the move was refused or answered by a receipt.
    pub(super) fn done(&self) -> Option<&Applied> {
        let applied = self.result.as_ref().ok()?;
        let known = matches!(applied.outcome, Outcome::Receipt(_)) && applied.changes.is_empty();
        (!known).then_some(applied)
    }
}

impl Play {
    pub(super) fn new() -> Self {
        let mut opened = 0;
        let connections = [[(); 3]; 4].map(|group| {
            group.map(|()| {
                opened += 1;
                ConnectionId(opened)
            })
        });
        let world = World::with(|rules| *rules = tight_rules());
        Self {
            world,
            connections,
            opened,
            tokens: Default::default(),
            given: 0,
            claims: BTreeSet::new(),
            wall_runs_straight: false,
        }
    }

    /// Starts an execution in which the wall clock never steps.
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
        let usual = next.step.usual_group();
        let group = match next.who {
            Who::Usual => usual,
            Who::Other => (usual + 1) % ADMIN,
            Who::Admin => ADMIN,
            Who::RelayKey => PROGRAMS,
        };
        // Each of the programs' peers has its own program. The third program only claims their
        // peers, or reattaches to them.
        let place = match (&next.step, next.step.peer()) {
            (Step::Claim { .. } | Step::Reattach { .. } | Step::ReleaseMember { .. }, _)
                if next.connection == 2 =>
            {
                2
            }
            (_, Some(peer)) if group == PROGRAMS => peer % 2,
            _ => next.connection,
        };
        let connection = self.connections[group][place];
        let principal = match next.who {
            Who::RelayKey => Principal::RelayKey,
            _ if group == PROGRAMS => Principal::Peers(self.shown(place)),
            _ => [ANN, BEN, peers([], 0), ROOT][group].principal.clone(),
        };
        let step = match next.step {
            Step::Enter { peer, .. } if group == PROGRAMS && !self.holds(connection, peer) => {
                // A third of the connections keeps no token.
                let issue = next.connection > 0;
                Step::Claim { peer, proof: Proof::Own, issue, hold: true }
            }
            ref step => step.clone(),
        };
        let caller = Caller { principal, connection, address: Some(HOME.into()) };
        let command = self.command(&step, place);
        let key = next.key.map(|key| KEYS[key]);
        let result = self.world.request(caller.clone(), key, command.clone());
        if let Step::Disconnect { .. } = next.step {
            self.opened += 1;
            self.connections[group][place] = ConnectionId(self.opened);
        }
        if let (Ok(_), Command::Claim { peer_id, issue, hold, .. }) = (&result, &command) {
            if issue.is_some() {
                self.tokens[place].push((peer_id.clone(), self.given));
            }
            if *hold != Hold::No {
                self.claims.insert((connection, peer_id.clone()));
            }
        }
        Played { command, key, caller, result }
    }

    fn holds(&self, connection: ConnectionId, peer: usize) -> bool {
        self.claims.contains(&(connection, PEERS[peer].parse().unwrap()))
    }

    /// Returns the peers that a program proves, by the claims of its connection and by its tokens.
    fn shown(&mut self, program: usize) -> Arc<[PeerId]> {
        let connection = self.connections[PROGRAMS][program];
        let claimed = self.claims.iter().filter(|(by, _)| *by == connection);
        let claimed = claimed.map(|(_, peer_id)| peer_id.clone());
        let (registry, now) = (&mut self.world.registry, self.world.now);
        let proven = self.tokens[program].iter().filter_map(|(_, n)| {
            registry.authenticate(&token(*n), now).ok().map(|identity| identity.peer_id)
        });
        claimed.chain(proven).collect()
    }

    fn command(&mut self, step: &Step, program: usize) -> Command {
        let Step::Claim { peer, proof, issue, hold } = *step else {
            return step.command(&self.world.registry);
        };
        let all: Vec<u64> = self.tokens.iter().flatten().map(|(_, n)| *n).collect();
        let proof = match proof {
            Proof::Nothing => None,
            Proof::Own => {
                let mut own = self.tokens[program].iter().rev();
                own.find(|(peer_id, _)| peer_id.as_str() == PEERS[peer]).map(|(_, n)| *n)
            }
            Proof::Anybodys(n) => all.get(n % all.len().max(1)).copied(),
            Proof::Wrong => Some(WRONG),
        };
        self.given += u64::from(issue);
        claim_with(PEERS[peer], proof, issue.then_some(self.given), hold)
    }

    pub(super) fn is_open(&self, connection: ConnectionId) -> bool {
        self.connections.as_flattened().contains(&connection)
    }
}
