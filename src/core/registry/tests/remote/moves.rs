//! Random histories of two daemons and a server.

use lanrage_ipc::model::Keepalive;
use proptest::prelude::*;

/// The peers of each daemon.
pub(super) const PEERS: [[&str; 3]; 2] = [["a1", "a2", "a3"], ["b1", "b2", "b3"]];
pub(super) const PARTIES: [&str; 2] = ["p", "q"];
pub(super) const LONGEST: usize = 90;

/// A peer, by its daemon and its place in the list.
pub(super) type Who = (usize, usize);

#[derive(Debug, Clone)]
pub(super) enum Move {
    /// A program asks for its peer to come in: registers what its daemon does not know.
    Enter {
        who: Who,
        party: usize,
        registers: bool,
        port: u16,
        keepalive: Keepalive,
    },
    Leave {
        who: Who,
        party: usize,
    },
    Update {
        who: Who,
        party: usize,
        port: u16,
    },
    /// A program ends.
    Close(Who),
    Connect(usize),
    /// The server reads what a daemon sent.
    Deliver(usize, usize),
    /// A daemon reads what the server sent.
    Hear(usize, usize),
    /// Answers are late: requests are sent again.
    Resend,
    /// From now on a daemon's session waits for the disk, or no longer.
    SlowCommits(usize, bool),
    /// From now on the answers to a daemon's hellos are late, or in time again.
    LateAnswers(usize, bool),
    /// From now on the server refuses each request for a reason that says nothing about it, or no
    /// longer.
    Busy(bool),
    /// All that is on its way arrives.
    Settle(usize),
    /// A connection is lost, perhaps without the server's noticing, perhaps after it read some.
    Cut {
        daemon: usize,
        delivered: usize,
        noticed: bool,
    },
    /// The server reads what a daemon sent on connections that are lost.
    Late(usize),
    /// The server notices what was lost.
    Notice,
    /// An event on its way to a daemon is lost.
    Lose(usize, usize),
    Beat,
    /// A copy of a daemon, with its tokens, comes on a connection of its own and goes again, and
    /// the server ends the older connection.
    Displace(usize),
    /// The wall clock of a machine steps by so many milliseconds.
    Step(usize, i64),
    Kill(usize),
    Restart {
        keeps_state: bool,
    },
    Pass(u64),
    Expire(usize),
    ExpireServer,
}

pub(super) fn history() -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(a_move(), 1..LONGEST)
}

/// Forwards or backwards: a correction, a bad clock, another time zone.
fn step() -> impl Strategy<Value = i64> {
    let by = prop_oneof![Just(500), Just(900_000), Just(3_600_000)];
    (by, any::<bool>()).prop_map(|(by, is_back): (i64, bool)| if is_back { -by } else { by })
}

fn a_move() -> impl Strategy<Value = Move> {
    let daemon = || 0..2usize;
    let who = || (daemon(), 0..3usize);
    let party = || prop_oneof![3 => Just(0), 1 => Just(1usize)];
    let port = || 1..4u16;
    let keepalive = || {
        prop_oneof![
            3 => Just(Keepalive::Connection),
            2 => Just(Keepalive::Daemon),
            1 => Just(Keepalive::Manual),
        ]
    };
    let cut = (daemon(), 0..4usize, any::<bool>());
    prop_oneof![
        18 => (who(), party(), any::<bool>(), port(), keepalive()).prop_map(
            |(who, party, registers, port, keepalive)| Move::Enter {
                who, party, registers, port, keepalive
            }
        ),
        8 => (who(), party()).prop_map(|(who, party)| Move::Leave { who, party }),
        8 => (who(), party(), port()).prop_map(|(who, party, port)| Move::Update { who, party, port }),
        3 => who().prop_map(Move::Close),
        10 => daemon().prop_map(Move::Connect),
        8 => (daemon(), 1..4usize).prop_map(|(daemon, n)| Move::Deliver(daemon, n)),
        8 => (daemon(), 1..4usize).prop_map(|(daemon, n)| Move::Hear(daemon, n)),
        4 => Just(Move::Resend),
        6 => (daemon(), any::<bool>()).prop_map(|(daemon, slow)| Move::SlowCommits(daemon, slow)),
        4 => (daemon(), any::<bool>()).prop_map(|(daemon, late)| Move::LateAnswers(daemon, late)),
        4 => any::<bool>().prop_map(Move::Busy),
        12 => daemon().prop_map(Move::Settle),
        7 => cut.prop_map(|(daemon, delivered, noticed)| Move::Cut { daemon, delivered, noticed }),
        6 => (1..4usize).prop_map(Move::Late),
        2 => Just(Move::Notice),
        4 => (daemon(), 0..3usize).prop_map(|(daemon, nth)| Move::Lose(daemon, nth)),
        3 => Just(Move::Beat),
        2 => daemon().prop_map(Move::Displace),
        3 => (0..3usize, step()).prop_map(|(machine, by)| Move::Step(machine, by)),
        3 => daemon().prop_map(Move::Kill),
        2 => any::<bool>().prop_map(|keeps_state| Move::Restart { keeps_state }),
        5 => prop_oneof![3 => 1..4u64, 2 => Just(11)].prop_map(Move::Pass),
        5 => daemon().prop_map(Move::Expire),
        3 => Just(Move::ExpireServer),
    ]
}
