//! Pings and silence of an open connection.

use super::*;
use Output::{Changed, Hangup, Ping};

const ID: LinkId = LinkId(1);

#[test]
fn silent_connection_is_pinged_and_then_lost() {
    let mut bench = Bench::online();
    let begin = bench.now;
    assert_eq!(bench.reach_deadline(), [Ping(ID)]);
    assert_eq!(bench.now - begin, secs(9));
    assert_eq!(bench.input(Input::Timer), [], "once");
    assert_eq!(bench.reach_deadline(), [Hangup(ID), Changed]);
    assert_eq!(bench.now - begin, secs(14));
    let status = bench.link.status();
    assert_eq!((status.state, status.attempt), (ConnectionState::Reconnecting, 1));
    let words = "the server has not been heard for 14 s";
    assert_eq!(status.last_error.as_deref(), Some(words));
}

#[test]
fn sign_of_life_restarts_the_silence() {
    let mut bench = Bench::online();
    for _ in 0..10 {
        assert_eq!(bench.reach_deadline(), [Ping(ID)]);
        bench.pass(secs(5) - NANO);
        bench.receive_message();
        assert_eq!(bench.link.deadline(), Some(bench.now + secs(9)));
        bench.pass(secs(8));
        bench.receive_message();
        assert_eq!(bench.link.deadline(), Some(bench.now + secs(9)));
    }
    assert_eq!(bench.state(), ConnectionState::Online);
}

#[test]
fn late_timer_loses_a_silent_connection_without_a_ping() {
    for late in [secs(14), secs(15), secs(3 * 3600)] {
        let mut bench = Bench::online();
        bench.pass(late);
        assert_eq!(bench.input(Input::Timer), [Hangup(ID), Changed]);
        assert_eq!(bench.state(), ConnectionState::Reconnecting);
        assert!(bench.wait() <= secs(1));
    }
    let mut bench = Bench::online();
    bench.pass(secs(14) - NANO);
    assert_eq!(bench.input(Input::Timer), [Ping(ID)], "not yet");
    assert_eq!(bench.link.deadline(), Some(bench.now + NANO));
}

#[test]
fn ping_is_sent_when_the_connection_settles_at_that_instant() {
    let mut bench = Bench::failed(1);
    bench.reach_deadline();
    bench.welcome();
    let id = bench.id();
    bench.pass(secs(21));
    bench.receive_message();
    assert_eq!(bench.reach_deadline(), [Ping(id), Changed]);
    assert_eq!(bench.attempt(), 0);
    assert_eq!(bench.reach_deadline(), [Hangup(id), Changed]);
    assert_eq!(bench.attempt(), 1);
}
