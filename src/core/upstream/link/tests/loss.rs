//! Failed attempts and lost connections.

use super::*;
use Output::{Changed, Connect, Hangup};

#[test]
fn first_failure_schedules_another_attempt() {
    let mut bench = Bench::trying();
    bench.pass(secs(1));
    bench.close(lost("nobody listens"));
    let status = bench.link.status();
    assert_eq!((status.state, status.since), (ConnectionState::Reconnecting, bench.now));
    assert_eq!(status.attempt, 1);
    assert_eq!(status.last_error.as_deref(), Some("nobody listens"));
    assert_eq!(bench.wait(), millis(500), "half of the initial second");
    assert_eq!(bench.reach_deadline(), [Connect(LinkId(2)), Changed]);
    let status = bench.link.status();
    assert_eq!((status.state, status.retry_at), (ConnectionState::Reconnecting, None));
    assert_eq!(status.last_error.as_deref(), Some("nobody listens"));
    bench.welcome();
    assert_eq!(bench.link.status().last_error, None);
}

#[test]
fn link_stays_in_fallback_after_max_attempts() {
    for (max_attempts, failures) in [(0, 1), (1, 1), (2, 2), (7, 7)] {
        let mut bench = Bench::trying_with(LinkSettings { max_attempts, ..settings() });
        for failed in 1..failures {
            bench.close(lost("refused"));
            assert_eq!((bench.state(), bench.attempt()), (ConnectionState::Reconnecting, failed));
            bench.reach_deadline();
        }
        bench.close(lost("refused"));
        let since = bench.now;
        for failed in failures..failures + 50 {
            assert_eq!(bench.attempt(), failed);
            assert_eq!(bench.wait(), secs(300));
            bench.reach_deadline();
            let status = bench.link.status();
            assert_eq!((status.state, status.since), (ConnectionState::Fallback, since));
            assert_eq!(status.retry_at, None);
            bench.input(Input::Opened(bench.id()));
            assert_eq!(bench.state(), ConnectionState::Fallback);
            bench.close(lost("refused"));
        }
        bench.reach_deadline();
        bench.welcome();
    }
}

#[test]
fn attempt_without_an_open_transport_hangs_up() {
    let mut bench = Bench::trying();
    let begin = bench.now;
    assert_eq!(bench.reach_deadline(), [Hangup(LinkId(1)), Changed]);
    assert_eq!(bench.now - begin, secs(20));
    let status = bench.link.status();
    assert_eq!((status.state, status.attempt), (ConnectionState::Reconnecting, 1));
    assert_eq!(status.last_error.as_deref(), Some("no answer within 20 s"));
    let before = bench.link.clone();
    assert_eq!(bench.input(Input::Closed(LinkId(1), lost("late"))), [], "it was hung up");
    assert_eq!(bench.link, before);
}

#[test]
fn open_attempt_without_a_welcome_hangs_up() {
    let mut bench =
        Bench::trying_with(LinkSettings { connect_timeout: millis(1500), ..settings() });
    bench.pass(millis(1200));
    let opened = bench.now;
    bench.input(Input::Opened(LinkId(1)));
    bench.pass(millis(700));
    bench.input(Input::Opened(LinkId(1)));
    assert_eq!(bench.reach_deadline(), [Hangup(LinkId(1)), Changed]);
    assert_eq!(bench.now - opened, millis(1500), "only the first `Opened` counts");
    let error = bench.link.status().last_error;
    assert_eq!(error.as_deref(), Some("no answer within 1500 ms"));
}

#[test]
fn greeting_may_last_while_the_server_sends() {
    let mut bench =
        Bench::trying_with(LinkSettings { connect_timeout: millis(1500), ..settings() });
    let begin = bench.now;
    bench.receive_message();
    assert_eq!(
        bench.link.deadline(),
        Some(begin + secs(3)),
        "`Heard` does not count before `Opened`"
    );
    bench.input(Input::Opened(LinkId(1)));
    for _ in 0..20 {
        bench.pass(millis(1400));
        bench.receive_message();
    }
    assert_eq!(bench.attempt(), 0);
    let mut silent = Bench { link: bench.link.clone(), ..bench };
    silent.reach_deadline();
    assert_eq!(silent.now - bench.now, millis(1500));
    let error = silent.link.status().last_error;
    assert_eq!(error.as_deref(), Some("no answer within 1500 ms"));
    bench.input(Input::Welcomed(LinkId(1)));
    assert!(bench.link.is_online());
}

#[test]
fn attempt_without_a_welcome_ends_at_the_greeting_limit() {
    for (connect_timeout, limit, words) in [
        (secs(10), secs(120), "no welcome within 120 s"),
        (secs(200), secs(200), "no welcome within 200 s"),
    ] {
        let mut bench = Bench::trying_with(LinkSettings { connect_timeout, ..settings() });
        bench.input(Input::Opened(LinkId(1)));
        let opened = bench.now;
        while bench.link.deadline().is_some_and(|deadline| deadline > bench.now + secs(1)) {
            bench.pass(secs(1));
            bench.receive_message();
        }
        assert_eq!(bench.reach_deadline(), [Hangup(LinkId(1)), Changed]);
        assert_eq!(bench.now - opened, limit);
        assert_eq!(bench.link.status().last_error.as_deref(), Some(words));
    }
}

#[test]
fn connection_lost_at_once_counts_as_a_failed_attempt() {
    let mut bench = Bench::trying();
    let mut waits = Vec::new();
    for failed in 1..=4 {
        bench.welcome();
        bench.stay_up(secs(29));
        assert_eq!(bench.attempt(), failed - 1);
        bench.close(lost("dropped"));
        assert_eq!(bench.attempt(), failed);
        waits.push(bench.wait());
        bench.reach_deadline();
    }
    assert_eq!(waits, [millis(500), secs(1), secs(300), secs(300)]);
}

#[test]
fn loss_after_thirty_seconds_up_is_the_first_failure() {
    let mut bench = Bench::failed(2);
    bench.reach_deadline();
    bench.welcome();
    let begin = bench.now;
    bench.stay_up(secs(25));
    assert_eq!(bench.attempt(), 2);
    assert_eq!(bench.reach_deadline(), [Changed]);
    assert_eq!((bench.now - begin, bench.attempt()), (secs(30), 0));
    assert_eq!(bench.link.status().since, begin);
    bench.receive_message();
    bench.close(lost("dropped"));
    assert_eq!((bench.attempt(), bench.wait()), (1, millis(500)));
}

#[test]
fn loss_after_thirty_seconds_up_is_the_first_failure_despite_late_timer() {
    for (up, attempt) in [(secs(30) - NANO, 3), (secs(30), 1)] {
        let mut bench = Bench::failed(2);
        bench.reach_deadline();
        bench.welcome();
        bench.pass(secs(20));
        bench.receive_message();
        bench.pass(up - secs(20));
        bench.close(lost("dropped"));
        assert_eq!(bench.attempt(), attempt);
    }
    // After hours of sleep: the connection counts as up until 14 s after the last sign of life.
    for (heard, attempt) in [(secs(16) - NANO, 3), (secs(16), 1)] {
        let mut bench = Bench::failed(2);
        bench.reach_deadline();
        bench.welcome();
        bench.pass(heard);
        bench.receive_message();
        bench.pass(secs(10_000));
        bench.input(Input::Timer);
        assert_eq!((bench.link.link(), bench.attempt()), (None, attempt));
    }
}

#[test]
fn attempt_count_saturates() {
    let mut bench = Bench::trying_with(LinkSettings { max_attempts: u32::MAX, ..settings() });
    bench.link.set_attempt(u32::MAX - 1);
    for _ in 0..3 {
        bench.close(lost("refused"));
        assert_eq!((bench.attempt(), bench.state()), (u32::MAX, ConnectionState::Fallback));
        bench.reach_deadline();
    }
}

#[test]
fn retry_after_extends_the_wait() {
    let patient = |failed, retry_after| {
        let mut bench = Bench::failed(failed);
        bench.reach_deadline();
        bench.close(Loss { retry_after: Some(retry_after), ..lost("busy") });
        bench.wait()
    };
    assert_eq!(patient(1, secs(40)), secs(41), "and then at random up to 2 s");
    assert_eq!(patient(1, secs(100_000)), secs(3601), "an hour at most");
    assert_eq!(patient(4, secs(40)), secs(300), "the probe interval is longer");
    assert_eq!(patient(4, secs(400)), secs(400));
    assert_eq!(patient(4, Duration::MAX), secs(3600));
}

#[test]
fn new_settings_shorten_a_wait_and_never_extend_it() {
    let retime = |failed, other: LinkSettings| {
        let mut bench = Bench::failed(failed);
        bench.reach_deadline();
        bench.jitter = 0.999;
        bench.close(lost("refused"));
        let before = bench.wait();
        let outputs = bench.input(Input::Settings(other));
        let after = bench.wait();
        assert_eq!(outputs, if after == before { vec![] } else { vec![Changed] });
        after
    };
    let longer = LinkSettings { backoff_initial: secs(50), probe: secs(5000), ..settings() };
    assert_eq!(retime(1, longer.clone()), millis(1998), "the wait is unchanged");
    assert!(retime(3, longer) < secs(360), "the wait is unchanged");
    let shorter = LinkSettings { backoff_max: millis(700), probe: secs(10), ..settings() };
    assert_eq!(retime(1, shorter.clone()), millis(700));
    assert_eq!(retime(3, shorter), secs(12));
}

#[test]
fn new_settings_do_not_shorten_retry_after() {
    for (failed, latest) in [(1, millis(40_010)), (3, secs(500))] {
        let mut bench = Bench::failed(failed);
        bench.reach_deadline();
        let retry_after = Some(if failed == 1 { secs(40) } else { secs(500) });
        bench.close(Loss { retry_after, ..lost("busy") });
        let none = Duration::ZERO;
        let eager = LinkSettings { backoff_max: none, probe: none, ..settings() };
        bench.input(Input::Settings(eager));
        assert_eq!(bench.wait(), latest);
    }
}

#[test]
fn new_settings_apply_to_later_attempts() {
    let mut bench = Bench::trying();
    let other =
        LinkSettings { max_attempts: 1, probe: secs(7), connect_timeout: secs(3), ..settings() };
    let deadline = bench.link.deadline();
    assert_eq!(bench.input(Input::Settings(other)), []);
    assert_eq!(bench.link.deadline(), deadline, "this attempt has the old settings");
    bench.close(lost("refused"));
    assert_eq!((bench.state(), bench.wait()), (ConnectionState::Fallback, secs(7)));
    bench.reach_deadline();
    assert_eq!(bench.link.deadline(), Some(bench.now + secs(6)));
}

#[test]
fn displaced_connection_waits_for_a_probe() {
    let mut bench = Bench::trying();
    bench.welcome();
    bench.close(Loss { is_displaced: true, ..lost("displaced") });
    let status = bench.link.status();
    assert_eq!((status.state, status.attempt), (ConnectionState::Fallback, 1));
    assert_eq!(status.last_error.as_deref(), Some("displaced"));
    assert_eq!(bench.wait(), secs(300));
}
