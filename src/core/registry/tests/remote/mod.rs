//! Two daemons, one server, and all that can come between them: whatever happens, they agree in
//! the end, and nobody is lost or brought back against the rules.

mod daemon;
mod hearing;
mod judge;
mod link;
mod moves;
mod server;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use lanrage_ipc::model::{Keepalive, Origin, Sync};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use daemon::{Daemon, enter};
use judge::Ledger;
use moves::{Move, PARTIES, PEERS, history};
use server::{Request, Server, of_party};

/// How long a peer may be silent, by all of them.
const PATIENCE: Duration = Duration::from_secs(10);

fn daemon_rules() -> Rules {
    Rules { peer_timeout: PATIENCE, intents: 1000, receipts: 10_000, ..rules() }
}

struct Net {
    now: Now,
    server: Server,
    daemons: [Daemon; 2],
    /// Connections that are lost, and of which the server does not know it, with what is on its
    /// way there.
    ghosts: Vec<(ConnectionId, VecDeque<Request>)>,
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
            Move::Late(count) => self.deliver_late(count),
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

    #[track_caller]
    fn play_all(&mut self, history: &[Move]) {
        history.iter().for_each(|next| self.play(next));
        self.come_to_rest();
        self.check();
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

    /// The daemon's end of a connection goes. What it sent may still come, as long as the server
    /// does not notice.
    fn hang_up(&mut self, daemon: usize, noticed: bool) {
        let Some(link) = &mut self.daemons[daemon].link else { return };
        match noticed {
            true => self.server.close(link.connection, self.now),
            false => self.ghosts.push((link.connection, std::mem::take(&mut link.to_server))),
        }
    }

    fn deliver_late(&mut self, count: usize) {
        for (connection, requests) in &mut self.ghosts {
            for request in requests.drain(..count.min(requests.len())) {
                self.server.take(*connection, request, self.now);
            }
        }
    }

    fn cut(&mut self, daemon: usize, noticed: bool) {
        self.hang_up(daemon, noticed);
        self.daemons[daemon].lose(self.now);
    }

    fn notice(&mut self) {
        for (connection, _) in std::mem::take(&mut self.ghosts) {
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
        for daemon in 0..2 {
            self.connect(daemon);
        }
        self.deliver_late(usize::MAX);
        self.notice();
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
            let upstream = daemon.registry.upstream(&UpstreamPart::All);
            assert!(upstream.outbox.is_empty(), "it is not told: {:?}", daemon.registry.outbox);
            daemon.judge.check(&daemon.registry);
            for party in daemon.registry.parties(&Filter::default(), None, now) {
                assert_eq!((party.origin, party.sync), (Origin::Remote, Sync::Synced), "{party:?}");
                let there = self.server.registry.party(&party.party_id, now);
                let there = there.unwrap_or_else(|_| panic!("not on the server: {party:?}"));
                // Who gives no sign of life gets no answer that tells what was missed.
                if daemon.live().iter().any(|(party_id, _)| *party_id == party.party_id) {
                    assert_eq!(bare(of_party(&party)), bare(of_party(&there)));
                }
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
        net.play_all(&history);
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

/// A program of the second daemon enters the first party.
fn comes(peer: usize, registers: bool, keepalive: Keepalive) -> Move {
    Move::Enter { who: (1, peer), party: 0, registers, port: 1, keepalive }
}

#[test]
fn what_a_daemon_sent_before_it_came_on_another_connection_is_not_done() {
    use Keepalive::Connection;
    let leave = Move::Leave { who: (1, 0), party: 0 };
    let again =
        Move::Enter { who: (1, 0), party: 0, registers: true, port: 2, keepalive: Connection };
    let cut = || Move::Cut { daemon: 1, delivered: 0, noticed: false };
    let back = || [Move::Connect(1), Move::Settle(1)];
    // It leaves, which is not answered, and registers its party anew.
    let mut left = vec![comes(0, true, Connection)];
    left.extend(back());
    left.extend([leave, cut(), again]);
    // It registers its party, which is not answered, and is killed.
    let mut killed = vec![Move::Connect(1), comes(1, true, Connection), Move::Settle(1)];
    killed.extend([comes(0, false, Connection), Move::Kill(1)]);
    for mut history in [left, killed] {
        history.extend(back());
        history.push(Move::Late(9));
        Net::new().play_all(&history);
    }
}

#[test]
fn who_left_without_an_answer_and_came_back_without_one_counts_as_here() {
    let (joins, leaves) = (comes(0, false, Keepalive::Connection), Move::Expire(1));
    let mut net = Net::new();
    net.play_all(&[
        comes(1, true, Keepalive::Connection),
        Move::Connect(1),
        comes(0, false, Keepalive::Manual),
        Move::Pass(11),
        Move::Settle(1),
        leaves,
        joins,
        Move::Update { who: (1, 0), party: 1, port: 1 },
        Move::Restart { keeps_state: false },
    ]);
    assert!(net.daemons[1].judge.is_member(&"p".parse().unwrap(), &"b1".parse().unwrap()));
}

#[test]
fn who_left_and_was_let_in_again_under_a_request_that_is_forgotten_leaves_again() {
    let registers = || comes(0, true, Keepalive::Connection);
    let gone = [registers(), Move::Close((1, 0)), Move::Connect(1), Move::Settle(1)];
    let left = [Move::Pass(11), Move::Expire(1), registers(), Move::Deliver(1, 9), Move::Kill(1)];
    let history: Vec<_> = gone.into_iter().chain(left).collect();
    Net::new().play_all(&history);
}
