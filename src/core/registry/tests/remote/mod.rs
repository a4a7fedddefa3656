//! Two daemons, one server, and all that can come between them: whatever happens, they agree in
//! the end, and nobody is lost or brought back against the rules.

mod daemon;
mod hearing;
mod judge;
mod link;
mod moves;
mod server;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lanrage_ipc::model::{Origin, Sync};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use daemon::{Daemon, enter};
use judge::Ledger;
use moves::{Move, PARTIES, PEERS, history};
use server::{Server, of_party};

/// How long a peer may be silent, by all of them.
const PATIENCE: Duration = Duration::from_secs(10);

fn daemon_rules() -> Rules {
    Rules { peer_timeout: PATIENCE, intents: 1000, receipts: 10_000, ..rules() }
}

struct Net {
    now: Now,
    server: Server,
    daemons: [Daemon; 2],
    /// Connections that are lost, and of which the server does not know it.
    ghosts: Vec<ConnectionId>,
}

impl Net {
    fn new() -> Self {
        let now = Now { wall: timestamp("2025-06-01T12:00:00Z"), elapsed: 1000 * SECOND };
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let daemons = ['a', 'b'].map(|name| Daemon::new(name, ledger.clone(), now));
        Self { now, server: Server::new(ledger), daemons, ghosts: Vec::new() }
    }

    fn play(&mut self, next: &Move) {
        // Two runs of a program never begin at the same instant.
        self.pass(Duration::from_micros(1));
        let now = self.now;
        match *next {
            Move::Enter { who: (daemon, peer), party, registers, port, keepalive } => {
                let peer = PeerInput { public_port: port, ..super::peer(PEERS[daemon][peer]) };
                let command = enter(registers, PARTIES[party], peer, keepalive);
                self.daemons[daemon].ask(command, now);
            }
            Move::Leave { who: (daemon, peer), party } => {
                self.daemons[daemon].ask(leave(PARTIES[party], PEERS[daemon][peer]), now);
            }
            Move::Update { who: (daemon, peer), party, port } => {
                let peer = PeerInput { public_port: port, ..super::peer(PEERS[daemon][peer]) };
                self.daemons[daemon].ask(update(PARTIES[party], peer), now);
            }
            Move::Close((daemon, peer)) => {
                self.daemons[daemon].close(&PEERS[daemon][peer].parse().unwrap(), now);
            }
            Move::Connect(daemon) => self.connect(daemon),
            Move::Deliver(daemon, count) => (0..count).for_each(|_| {
                self.deliver(daemon);
            }),
            Move::Hear(daemon, count) => (0..count).for_each(|_| {
                self.hear(daemon);
            }),
            Move::Settle(daemon) => self.settle_one(daemon),
            Move::Cut { daemon, delivered, noticed } => {
                (0..delivered).for_each(|_| {
                    self.deliver(daemon);
                });
                self.cut(daemon, noticed);
            }
            Move::Notice => self.notice(),
            Move::Lose(daemon, nth) => self.lose(daemon, nth),
            Move::Beat(daemon) => self.daemons[daemon].beat(),
            Move::Kill(daemon) => {
                self.hang_up(daemon, false);
                self.daemons[daemon].restart(now);
            }
            Move::Restart { keeps_state } => self.restart_server(keeps_state),
            Move::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
            Move::Expire(daemon) => self.daemons[daemon].expire(now),
            Move::ExpireServer => self.server.expire(now),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.wall += time;
        self.now.elapsed += time;
    }

    fn connect(&mut self, daemon: usize) {
        if self.daemons[daemon].link.is_none() {
            let connection = self.server.open();
            self.daemons[daemon].connect(connection, self.now);
        }
    }

    /// The server takes a daemon's next request. Returns whether there was one.
    fn deliver(&mut self, daemon: usize) -> bool {
        let Some(link) = &mut self.daemons[daemon].link else { return false };
        let Some(request) = link.to_server.pop_front() else { return false };
        self.server.take(link.connection, request, self.now);
        true
    }

    /// A daemon hears the next frame. Returns whether there was one.
    fn hear(&mut self, daemon: usize) -> bool {
        let Some(link) = &self.daemons[daemon].link else { return false };
        let frame = self.server.sent(link.connection).and_then(|sent| sent.pop_front());
        let Some(frame) = frame else { return false };
        self.daemons[daemon].hear(frame, self.now);
        true
    }

    fn settle_one(&mut self, daemon: usize) {
        for round in 0.. {
            let heard = self.hear(daemon);
            if !heard && !self.deliver(daemon) {
                return;
            }
            assert!(round < 2000, "it does not come to rest");
        }
    }

    /// The daemon's end of a connection goes; whatever was on its way with it.
    fn hang_up(&mut self, daemon: usize, noticed: bool) {
        let Some(link) = &self.daemons[daemon].link else { return };
        match noticed {
            true => self.server.close(link.connection, self.now),
            false => self.ghosts.push(link.connection),
        }
    }

    fn cut(&mut self, daemon: usize, noticed: bool) {
        self.hang_up(daemon, noticed);
        self.daemons[daemon].lose(self.now);
    }

    fn notice(&mut self) {
        for connection in std::mem::take(&mut self.ghosts) {
            self.server.close(connection, self.now);
        }
    }

    fn lose(&mut self, daemon: usize, nth: usize) {
        let Some(link) = &self.daemons[daemon].link else { return };
        let Some(sent) = self.server.sent(link.connection) else { return };
        let events = sent.iter().enumerate().filter(|(_, frame)| frame.is_event());
        if let Some(place) = events.map(|(place, _)| place).nth(nth) {
            sent.remove(place);
        }
    }

    fn restart_server(&mut self, keeps_state: bool) {
        self.ghosts.clear();
        self.server.restart(keeps_state, self.now);
        self.daemons.iter_mut().for_each(|daemon| daemon.lose(self.now));
    }

    /// Both daemons come back, and all is told.
    fn come_to_rest(&mut self) {
        self.notice();
        for daemon in 0..2 {
            self.connect(daemon);
        }
        for round in 0..8 {
            for daemon in [0, 1, 0] {
                self.settle_one(daemon);
            }
            for daemon in &mut self.daemons {
                // Its answers tell what was missed.
                daemon.beat();
                if let Some(link) = &mut daemon.link {
                    link.is_forgiving &= round < 4;
                }
                daemon.come_back(self.now);
            }
        }
        for daemon in [0, 1, 0] {
            self.settle_one(daemon);
        }
    }

    #[track_caller]
    fn check(&self) {
        let now = self.now;
        for daemon in &self.daemons {
            let upstream = daemon.registry.upstream();
            assert!(upstream.outbox.is_empty(), "it is not told: {:?}", daemon.registry.outbox);
            daemon.judge.check(&daemon.registry);
            for party in daemon.registry.parties(&Filter::default(), None, now) {
                assert_eq!((party.origin, party.sync), (Origin::Remote, Sync::Synced), "{party:?}");
                let there = self.server.registry.party(&party.party_id, now);
                let there = there.unwrap_or_else(|_| panic!("not on the server: {party:?}"));
                assert_eq!(bare(of_party(&party)), bare(of_party(&there)));
            }
        }
        for party in self.server.registry.parties(&Filter::default(), None, now) {
            for peer_id in party.peers.keys() {
                let daemon = usize::from(peer_id.as_str().starts_with('b'));
                let is_there = self.daemons[daemon].judge.is_member(&party.party_id, peer_id);
                assert!(is_there, "{peer_id} is in {} on the server alone", party.party_id);
            }
        }
    }
}

/// Without what each sees in its own way: signs of life, and connections.
fn bare(mut party: crate::core::reconcile::ServerParty) -> crate::core::reconcile::ServerParty {
    for member in party.members.values_mut() {
        (member.last_seen, member.connected) = (Timestamp::UNIX_EPOCH, true);
    }
    party
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn all_agree_in_the_end(history in history()) {
        let mut net = Net::new();
        history.iter().for_each(|next| net.play(next));
        net.come_to_rest();
        net.check();
        // There is nothing left to do: to come back once more changes nothing.
        let acts = net.server.acts;
        for daemon in 0..2 {
            net.cut(daemon, true);
        }
        net.come_to_rest();
        net.check();
        prop_assert_eq!(net.server.acts, acts);
    }
}

/// The histories are worth something: they meet all that a daemon can tell of its parties, and ask
/// the server for all that it can be asked.
#[test]
fn the_histories_come_by_everything() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..200 {
        let mut net = Net::new();
        history().new_tree(&mut runner).unwrap().current().iter().for_each(|next| net.play(next));
        net.come_to_rest();
        for (kind, count) in net.daemons.into_iter().flat_map(|daemon| daemon.met) {
            *met.entry(kind).or_default() += count;
        }
    }
    let expected = [
        "another id",
        "asks to Join",
        "asks to Leave",
        "asks to Register",
        "asks to Update",
        "party.registered",
        "party.removed Expired",
        "party.removed HostLeft",
        "party.removed Removed",
        "party.updated",
        "peer.joined",
        "peer.left Expired",
        "peer.left HostLeft",
        "peer.left Left",
        "peer.left Removed",
        "peer.updated",
    ];
    let rare = expected.into_iter().filter(|kind| met.remove(*kind).unwrap_or_default() < 3);
    assert_eq!(rare.collect::<Vec<_>>(), [""; 0]);
    assert!(met.is_empty(), "also met: {met:?}");
}
