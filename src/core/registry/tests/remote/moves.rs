//! Random histories of two daemons and a server.

use lanrage_ipc::model::Keepalive;
use proptest::prelude::*;

/// Peers of each daemon.
pub(super) const PEERS: [[&str; 3]; 2] = [["a1", "a2", "a3"], ["b1", "b2", "b3"]];
pub(super) const PARTIES: [&str; 2] = ["p", "q"];
pub(super) const LONGEST: usize = 90;

/// A peer, by daemon and index in the list.
pub(super) type Who = (usize, usize);

#[derive(Debug, Clone)]
pub(super) enum Move {
    /// A program requests its peer's entry: a registration if its daemon does not know the party.
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
    /// The server reads frames of a daemon.
    Deliver(usize, usize),
    /// A daemon reads frames of the server.
    Hear(usize, usize),
    /// Answers are late: requests are sent again.
    Resend,
    /// A daemon's disk becomes slow, or normal again.
    SlowCommits(usize, bool),
    /// The answers to a daemon's hellos become late, or normal again.
    LateAnswers(usize, bool),
    /// The server starts to refuse each request for a reason unrelated to it, or stops to do so.
    Busy(bool),
    /// All frames in flight arrive.
    Settle(usize),
    /// A connection is lost; optionally unnoticed by the server, optionally after it read some
    /// frames.
    Cut {
        daemon: usize,
        delivered: usize,
        noticed: bool,
    },
    /// The server reads frames of lost connections.
    Late(usize),
    /// The server notices lost connections.
    Notice,
    /// An event in flight to a daemon is lost.
    Lose(usize, usize),
    Beat,
    /// A copy of a daemon connects with its tokens and disconnects, and the server ends the older
    /// connection.
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

/// Returns steps forward and back: a correction, a wrong clock, another time zone.
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
