//! Two daemons and a server under random faults: in the end they agree, and no peer is lost or
//! brought back against the rules.

mod daemon;
mod judge;
mod moves;
mod server;

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use jiff::SignedDuration;
use lanrage_ipc::control::Inbound;
use lanrage_ipc::model::{Keepalive, Origin, Sync};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::*;
use crate::extent::cases;
use daemon::{Daemon, HEARTBEAT, REQUEST_TIMEOUT, enter};
use judge::Ledger;
use moves::{Move, PARTIES, PEERS, history};
use server::{Server, is_event, of_party};

/// Time after which a silent peer expires, the same on all machines.
const PATIENCE: Duration = Duration::from_secs(10);

fn daemon_rules() -> Rules {
    Rules { peer_timeout: PATIENCE, intents: 1000, receipts: 10_000, ..rules() }
}

/// Index of the server's machine; the daemons have the lower ones.
const SERVER: usize = 2;

struct Net {
    now: Now,
    /// Lead of each machine's wall clock.
    ahead: [SignedDuration; 3],
    /// True while the answers to a daemon's hellos are late, so that it sends them twice.
    answers_late: [bool; 2],
    server: Server,
    daemons: [Daemon; 2],
    /// Lost connections that the server still considers open, with their frames in flight.
    ghosts: Vec<(ConnectionId, VecDeque<Inbound>)>,
}

impl Net {
    fn new() -> Self {
        let now = Now { wall: timestamp("2025-06-01T12:00:00Z"), elapsed: 1000 * SECOND };
        let ledger = Rc::new(RefCell::new(Ledger::default()));
        let daemons = ['a', 'b'].map(|name| Daemon::new(name, ledger.clone(), now));
        let ahead = [SignedDuration::ZERO; 3];
        let (answers_late, ghosts) = ([false; 2], Vec::new());
        Self { now, ahead, answers_late, server: Server::new(ledger), daemons, ghosts }
    }

    /// Returns the time on a machine.
    fn now(&self, machine: usize) -> Now {
        Now { wall: self.now.wall + self.ahead[machine], ..self.now }
    }

    fn play(&mut self, next: &Move) {
        // Two runs of a program never begin at the same instant.
        self.pass(Duration::from_micros(1));
        match *next {
            Move::Enter { who: (daemon, peer), party, registers, port, keepalive } => {
                let peer = PeerInput { public_port: port, ..super::peer(PEERS[daemon][peer]) };
                let command = enter(registers, PARTIES[party], peer, keepalive);
                self.daemons[daemon].ask(command, self.now(daemon));
            }
            Move::Leave { who: (daemon, peer), party } => {
                let command = leave(PARTIES[party], PEERS[daemon][peer]);
                self.daemons[daemon].ask(command, self.now(daemon));
            }
            Move::Update { who: (daemon, peer), party, port } => {
                let peer = PeerInput { public_port: port, ..super::peer(PEERS[daemon][peer]) };
                self.daemons[daemon].ask(update(PARTIES[party], peer), self.now(daemon));
            }
            Move::Close((daemon, peer)) => {
                let now = self.now(daemon);
                self.daemons[daemon].close(&PEERS[daemon][peer].parse().unwrap(), now);
            }
            Move::Connect(daemon) => self.connect(daemon),
            Move::Deliver(daemon, count) => (0..count).for_each(|_| {
                self.deliver(daemon);
            }),
            Move::Hear(daemon, count) => (0..count).for_each(|_| {
                self.hear(daemon);
            }),
            // Requests with late answers are sent again.
            Move::Resend => self.pass(REQUEST_TIMEOUT * 2 / 5),
            Move::SlowCommits(daemon, are_slow) => {
                self.daemons[daemon].commits_are_slow = are_slow;
                let now = self.now(daemon);
                self.daemons[daemon].pump(now);
            }
            Move::LateAnswers(daemon, are_late) => self.answers_late[daemon] = are_late,
            Move::Busy(is_busy) => self.server.is_busy = is_busy,
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
            Move::Beat => self.pass(HEARTBEAT),
            Move::Displace(daemon) => self.displace(daemon),
            Move::Step(machine, by) => self.ahead[machine] += SignedDuration::from_millis(by),
            Move::Kill(daemon) => {
                self.hang_up(daemon, false);
                self.daemons[daemon].restart(self.now(daemon));
            }
            Move::Restart { keeps_state } => self.restart_server(keeps_state),
            Move::Pass(seconds) => self.pass(Duration::from_secs(seconds)),
            Move::Expire(daemon) => self.daemons[daemon].expire(self.now(daemon)),
            Move::ExpireServer => self.server.expire(self.now(SERVER)),
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
        for daemon in 0..2 {
            let now = self.now(daemon);
            self.daemons[daemon].time_out(now);
            self.take_given_up(daemon);
        }
    }

    /// Moves given-up connections aside: the server does not notice their end yet.
    fn take_given_up(&mut self, daemon: usize) {
        self.ghosts.append(&mut self.daemons[daemon].given_up);
    }

    fn connect(&mut self, daemon: usize) {
        if self.daemons[daemon].line.is_none() {
            let connection = self.server.open();
            let ahead = (self.ahead[SERVER] - self.ahead[daemon]).as_secs();
            self.daemons[daemon].connect(connection, ahead, self.now(daemon));
            if self.answers_late[daemon] {
                self.pass(REQUEST_TIMEOUT * 2 / 5);
            }
        }
    }

    /// Delivers a daemon's next request to the server. Returns true if there was one.
    fn deliver(&mut self, daemon: usize) -> bool {
        let now = self.now(SERVER);
        let Some(line) = &mut self.daemons[daemon].line else { return false };
        let Some(request) = line.to_server.pop_front() else { return false };
        self.server.take(line.connection, request, now);
        true
    }

    /// Delivers the next frame to a daemon. Returns true if there was one.
    fn hear(&mut self, daemon: usize) -> bool {
        let Some(line) = &self.daemons[daemon].line else { return false };
        let frame = self.server.sent(line.connection).and_then(|sent| sent.pop_front());
        let Some(frame) = frame else { return false };
        self.daemons[daemon].hear(frame, self.now(daemon));
        self.take_given_up(daemon);
        true
    }

    fn settle_one(&mut self, daemon: usize) {
        for round in 0.. {
            let heard = self.hear(daemon);
            if !heard && !self.deliver(daemon) {
                // Short waits are waited for.
                let due = self.daemons[daemon].timeout();
                let wait = due.map(|due| due.saturating_sub(self.now.elapsed));
                match wait.filter(|wait| *wait < SECOND / 10) {
                    Some(wait) => self.pass(wait),
                    None => return,
                }
            }
            assert!(round < 5000, "the network does not settle");
        }
    }

    /// Closes the daemon's end of a connection. Its frames in flight may still arrive until the
    /// server notices.
    fn hang_up(&mut self, daemon: usize, noticed: bool) {
        let now = self.now(SERVER);
        let Some(line) = &mut self.daemons[daemon].line else { return };
        match noticed {
            true => self.server.close(line.connection, now),
            false => self.ghosts.push((line.connection, std::mem::take(&mut line.to_server))),
        }
    }

    fn deliver_late(&mut self, count: usize) {
        let now = self.now(SERVER);
        for (connection, requests) in &mut self.ghosts {
            for request in requests.drain(..count.min(requests.len())) {
                self.server.take(*connection, request, now);
            }
        }
    }

    fn cut(&mut self, daemon: usize, noticed: bool) {
        self.hang_up(daemon, noticed);
        self.daemons[daemon].lose(self.now(daemon));
    }

    fn displace(&mut self, daemon: usize) {
        let copy = self.server.open();
        let greetings = self.daemons[daemon].greetings_of_a_copy();
        for request in greetings {
            self.server.take(copy, request, self.now(SERVER));
        }
        self.cut(daemon, true);
        self.ghosts.push((copy, VecDeque::new()));
    }

    fn notice(&mut self) {
        let now = self.now(SERVER);
        for (connection, _) in std::mem::take(&mut self.ghosts) {
            self.server.close(connection, now);
        }
    }

    fn lose(&mut self, daemon: usize, nth: usize) {
        let Some(line) = &self.daemons[daemon].line else { return };
        let Some(sent) = self.server.sent(line.connection) else { return };
        let events = sent.iter().enumerate().filter(|(_, frame)| is_event(frame));
        if let Some(place) = events.map(|(place, _)| place).nth(nth) {
            sent.remove(place);
        }
    }

    fn restart_server(&mut self, keeps_state: bool) {
        self.ghosts.clear();
        self.server.restart(keeps_state, self.now(SERVER));
        for daemon in 0..2 {
            self.daemons[daemon].lose(self.now(daemon));
        }
    }

    /// Reconnects both daemons, and delivers everything.
    fn come_to_rest(&mut self) {
        self.answers_late = [false; 2];
        self.server.is_busy = false;
        for round in 0..10 {
            for daemon in 0..2 {
                self.daemons[daemon].commits_are_slow = false;
                self.connect(daemon);
            }
            if round == 0 {
                self.deliver_late(usize::MAX);
                self.notice();
            }
            for daemon in [0, 1, 0] {
                self.settle_one(daemon);
            }
            // The answers to heartbeats reveal lost events.
            self.pass(HEARTBEAT);
        }
        for daemon in [0, 1, 0] {
            self.settle_one(daemon);
        }
    }

    #[track_caller]
    fn check(&self) {
        for (machine, daemon) in self.daemons.iter().enumerate() {
            let now = self.now(machine);
            let upstream = daemon.registry.upstream(&UpstreamPart::All);
            assert!(
                upstream.outbox.is_empty(),
                "intents are not sent: {:?}",
                daemon.registry.outbox
            );
            daemon.judge.check(&daemon.registry);
            for party in daemon.registry.parties(&Filter::default(), None, now) {
                assert_eq!((party.origin, party.sync), (Origin::Remote, Sync::Synced), "{party:?}");
                let there = self.server.registry.party(&party.party_id, self.now(SERVER));
                let there = there.unwrap_or_else(|_| panic!("not on the server: {party:?}"));
                // A peer without heartbeats gets no answers that reveal lost events.
                if daemon.live().iter().any(|(party_id, _)| *party_id == party.party_id) {
                    assert_eq!(bare(of_party(&party)), bare(of_party(&there)));
                }
            }
        }
        for party in self.server.registry.parties(&Filter::default(), None, self.now(SERVER)) {
            for peer_id in party.peers.keys() {
                let daemon = usize::from(peer_id.as_str().starts_with('b'));
                let is_there = self.daemons[daemon].judge.is_member(&party.party_id, peer_id);
                assert!(is_there, "{peer_id} is in {} on the server alone", party.party_id);
            }
        }
    }
}

/// Removes details that differ by observer: signs of life and connections.
fn bare(mut party: crate::core::reconcile::ServerParty) -> crate::core::reconcile::ServerParty {
    // Stated in the clock of each machine.
    party.created_at = Timestamp::UNIX_EPOCH;
    for member in party.members.values_mut() {
        (member.last_seen, member.connected) = (Timestamp::UNIX_EPOCH, true);
    }
    party
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(16, 2048)))]

    #[test]
    fn daemons_and_server_agree_in_the_end(history in history()) {
        let mut net = Net::new();
        net.play_all(&history);
        // Nothing is left to do: another reconnect changes nothing.
        let acts = net.server.acts;
        for daemon in 0..2 {
            net.cut(daemon, true);
        }
        net.come_to_rest();
        net.check();
        prop_assert_eq!(net.server.acts, acts);
    }
}

/// Seed whose first 64 histories cover everything.
const SEED: u8 = 1;

/// Returns the same random histories in each run.
fn known_histories(count: u32) -> impl Iterator<Item = Vec<Move>> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[SEED; 32]);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    (0..count).map(move |_| history().new_tree(&mut runner).unwrap().current())
}

/// The known histories cover every event and every operation.
#[test]
fn histories_cover_every_event_and_outcome() {
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for history in known_histories(cases(64, 300)) {
        let mut net = Net::new();
        net.play_all(&history);
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
    let missing = expected.into_iter().filter(|kind| met.remove(*kind).is_none());
    assert_eq!(missing.collect::<Vec<_>>(), [""; 0]);
    assert!(met.is_empty(), "also met: {met:?}");
}

/// Returns the entry of a program of the second daemon into the first party.
fn comes(peer: usize, registers: bool, keepalive: Keepalive) -> Move {
    Move::Enter { who: (1, peer), party: 0, registers, port: 1, keepalive }
}

#[test]
fn frames_of_a_superseded_connection_are_refused() {
    use Keepalive::Connection;
    let leave = Move::Leave { who: (1, 0), party: 0 };
    let again =
        Move::Enter { who: (1, 0), party: 0, registers: true, port: 2, keepalive: Connection };
    let cut = || Move::Cut { daemon: 1, delivered: 0, noticed: false };
    let back = || [Move::Connect(1), Move::Settle(1)];
    // It leaves without an answer, and registers its party again.
    let mut left = vec![comes(0, true, Connection)];
    left.extend(back());
    left.extend([leave, cut(), again]);
    // It registers its party without an answer, and is killed.
    let mut killed = vec![Move::Connect(1), comes(1, true, Connection), Move::Settle(1)];
    killed.extend([comes(0, false, Connection), Move::Kill(1)]);
    for mut history in [left, killed] {
        history.extend(back());
        history.push(Move::Late(9));
        Net::new().play_all(&history);
    }
}

#[test]
fn repeated_hello_never_removes_a_guest() {
    use Keepalive::Daemon;
    let hosts = Move::Enter { who: (0, 0), party: 0, registers: true, port: 1, keepalive: Daemon };
    let begin = vec![hosts, Move::Connect(0), Move::Settle(0), Move::Connect(1), Move::Settle(1)];
    let begin = begin.into_iter().chain([comes(0, false, Daemon), Move::Settle(1)]);
    // The answer to its hello is late: the hello is sent twice.
    let returns =
        || [Move::Connect(1), Move::Deliver(1, 1), Move::Resend, Move::Hear(1, 9)].into_iter();
    let returns = || returns().chain([Move::Deliver(1, 9), Move::Settle(1)]);
    let is_wiped = [Move::Restart { keeps_state: false }].into_iter().chain(returns());
    let is_silent =
        [Move::Cut { daemon: 1, delivered: 0, noticed: true }, Move::Pass(11), Move::ExpireServer];
    // Its host was seen in the meantime.
    let is_expired = is_silent.into_iter().chain(returns());
    for end in [is_wiped.collect::<Vec<_>>(), is_expired.collect()] {
        let mut net = Net::new();
        net.play_all(&begin.clone().chain(end).collect::<Vec<_>>());
        let is_member =
            net.daemons[1].judge.is_member(&"p".parse().unwrap(), &"b1".parse().unwrap());
        assert!(is_member);
    }
}

#[test]
fn rejoin_after_lost_answers_keeps_the_member() {
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
fn join_with_a_lost_answer_is_followed_by_an_update() {
    let host = comes(0, true, Keepalive::Connection);
    let guest = || comes(2, false, Keepalive::Connection);
    let again = Move::Enter {
        who: (1, 2),
        party: 0,
        registers: false,
        port: 2,
        keepalive: Keepalive::Connection,
    };
    let begin = [host, guest(), Move::Connect(1), Move::Settle(1), again];
    let end = [Move::Resend, Move::Resend, Move::Deliver(1, 1)];
    Net::new().play_all(&begin.into_iter().chain(end).collect::<Vec<_>>());
}

#[test]
fn peer_let_in_by_a_forgotten_request_leaves_again() {
    let registers = || comes(0, true, Keepalive::Connection);
    let gone = [registers(), Move::Close((1, 0)), Move::Connect(1), Move::Settle(1)];
    let left = [Move::Pass(11), Move::Expire(1), registers(), Move::Deliver(1, 9), Move::Kill(1)];
    let history: Vec<_> = gone.into_iter().chain(left).collect();
    Net::new().play_all(&history);
}

#[test]
fn peer_that_expires_while_its_renamed_party_is_replayed_leaves_the_server() {
    let enter = |who, party| Move::Enter {
        who,
        party,
        registers: true,
        port: 1,
        keepalive: Keepalive::Connection,
    };
    let mut net = Net::new();
    net.play_all(&[
        enter((0, 2), 0),
        enter((0, 0), 1),
        Move::Connect(0),
        Move::Settle(0),
        enter((1, 0), 0),
        Move::Kill(1),
        Move::Connect(1),
        Move::Settle(1),
        Move::Pass(11),
        Move::Displace(0),
        Move::Busy(true),
        Move::Connect(0),
        Move::Settle(0),
        Move::Displace(0),
        Move::Expire(1),
        Move::Settle(1),
    ]);
}
