//! State transitions by input.

use super::*;
use Output::{Changed, Connect, Hangup};

#[test]
fn inputs_before_start_have_no_effect() {
    let mut bench = Bench::new(settings());
    let before = bench.link.clone();
    for input in [Input::Timer, Input::Retry, Input::Detach, Input::Settings(settings())] {
        assert_eq!(bench.input(input), []);
    }
    assert_eq!(bench.link, before);
    let status = bench.link.status();
    assert_eq!((status.state, status.since), (ConnectionState::Local, Duration::ZERO));
    assert_eq!(bench.link.deadline(), None);
}

#[test]
fn welcome_brings_the_link_online() {
    let mut bench = Bench::new(settings());
    assert_eq!(bench.input(Input::Start), [Connect(LinkId(1)), Changed]);
    assert_eq!(bench.state(), ConnectionState::Connecting);
    assert_eq!(bench.link.status().since, bench.now);
    assert_eq!(bench.input(Input::Start), [], "it has been started");

    bench.pass(secs(2));
    assert_eq!(bench.input(Input::Opened(LinkId(1))), []);
    assert_eq!(bench.state(), ConnectionState::Connecting);
    assert!(!bench.link.is_online());

    bench.pass(secs(2));
    assert_eq!(bench.input(Input::Welcomed(LinkId(1))), [Changed]);
    assert!(bench.link.is_online());
    let status = bench.link.status();
    let online = ConnectionState::Online;
    assert_eq!((status.state, status.since, status.attempt), (online, bench.now, 0));
    assert_eq!(bench.input(Input::Welcomed(LinkId(1))), [], "once is enough");
}

#[test]
fn inputs_about_another_connection_are_ignored() {
    let mut bench = Bench::failed(1);
    bench.reach_deadline();
    assert_eq!(bench.id(), LinkId(2));
    for online in [false, true] {
        if online {
            bench.welcome();
        }
        let before = bench.link.clone();
        for id in [LinkId(0), LinkId(1), LinkId(3)] {
            bench.pass(millis(1));
            assert_eq!(bench.input(Input::Opened(id)), []);
            assert_eq!(bench.input(Input::Welcomed(id)), []);
            assert_eq!(bench.input(Input::Heard(id)), []);
            assert_eq!(bench.input(Input::Closed(id, refused("late"))), []);
        }
        assert_eq!(bench.link, before);
    }
}

#[test]
fn retry_connects_at_once_and_keeps_the_attempt_count() {
    for (failed, state) in [(1, ConnectionState::Reconnecting), (5, ConnectionState::Fallback)] {
        let mut bench = Bench::failed(failed);
        let since = bench.link.status().since;
        bench.pass(millis(1));
        let next = LinkId(u64::from(failed) + 1);
        assert_eq!(bench.input(Input::Retry), [Connect(next), Changed]);
        let status = bench.link.status();
        assert_eq!((status.state, status.since), (state, since));
        assert_eq!((status.attempt, status.retry_at), (failed, None));
        assert_eq!(bench.input(Input::Retry), [], "an attempt is under way");
    }
    let mut bench = Bench::online();
    assert_eq!(bench.input(Input::Retry), []);
}

#[test]
fn refused_link_waits_for_start_or_retry() {
    for told in [Input::Retry, Input::Start] {
        let mut bench = Bench::failed(1);
        bench.reach_deadline();
        bench.close(Loss { retry_after: Some(secs(5)), ..refused("the token is unknown") });
        assert_eq!(bench.state(), ConnectionState::AuthFailed);
        assert_eq!(bench.attempt(), 2);
        assert_eq!(bench.link.status().retry_at, None);
        assert_eq!(bench.link.deadline(), None);
        bench.pass(secs(100_000));
        assert_eq!(bench.input(Input::Timer), []);

        assert_eq!(bench.input(told), [Connect(LinkId(3)), Changed]);
        let status = bench.link.status();
        assert_eq!((status.state, status.attempt), (ConnectionState::Connecting, 2));
        assert_eq!(status.last_error.as_deref(), Some("the token is unknown"));
        bench.close(lost("refused"));
        assert_eq!(bench.state(), ConnectionState::Fallback, "the third failed");
    }
    let mut bench = Bench::online();
    bench.close(refused("the token was revoked"));
    assert_eq!(bench.state(), ConnectionState::AuthFailed);
}

/// Returns a link in each state, with its connection.
fn everywhere() -> Vec<(Bench, ConnectionState, Option<LinkId>)> {
    let mut refused_one = Bench::trying();
    refused_one.close(refused("no"));
    let mut retrying = Bench::failed(1);
    retrying.reach_deadline();
    let mut probing = Bench::failed(3);
    probing.reach_deadline();
    vec![
        (Bench::new(settings()), ConnectionState::Local, None),
        (Bench::trying(), ConnectionState::Connecting, Some(LinkId(1))),
        (Bench::online(), ConnectionState::Online, Some(LinkId(1))),
        (Bench::failed(1), ConnectionState::Reconnecting, None),
        (retrying, ConnectionState::Reconnecting, Some(LinkId(2))),
        (Bench::failed(3), ConnectionState::Fallback, None),
        (probing, ConnectionState::Fallback, Some(LinkId(4))),
        (refused_one, ConnectionState::AuthFailed, None),
    ]
}

#[test]
fn stopped_link_ignores_all_inputs() {
    for (mut bench, state, id) in everywhere() {
        assert_eq!((bench.state(), bench.link.link()), (state, id));
        bench.pass(secs(1));
        let outputs: Vec<_> = id.map(Hangup).into_iter().chain([Changed]).collect();
        assert_eq!(bench.input(Input::Stop), outputs, "{state:?}");
        let status = bench.link.status();
        assert_eq!((status.state, status.since), (ConnectionState::Stopping, bench.now));
        assert_eq!(status.retry_at, None);
        assert_eq!((bench.link.link(), bench.link.deadline()), (None, None));

        let before = bench.link.clone();
        let id = LinkId(1);
        let other = LinkSettings { max_attempts: 9, ..settings() };
        for input in [
            Input::Start,
            Input::Opened(id),
            Input::Welcomed(id),
            Input::Heard(id),
            Input::Closed(id, lost("gone")),
            Input::Renewed(id),
            Input::Timer,
            Input::Retry,
            Input::Settings(other),
            Input::Detach,
            Input::Stop,
        ] {
            bench.pass(secs(100));
            assert_eq!(bench.input(input), [], "{state:?}");
        }
        assert_eq!(bench.link, before);
    }
}

#[test]
fn detached_link_is_reset_and_can_start_again() {
    for (mut bench, state, id) in everywhere() {
        let last = bench.link.link().map_or(0, |id| id.0);
        bench.pass(secs(1));
        let changed = (state != ConnectionState::Local).then_some(Changed);
        let outputs: Vec<_> = id.map(Hangup).into_iter().chain(changed).collect();
        assert_eq!(bench.input(Input::Detach), outputs, "{state:?}");
        let status = bench.link.status();
        assert_eq!(status.state, ConnectionState::Local);
        assert_eq!((status.attempt, status.last_error), (0, None));
        assert_eq!((bench.link.link(), bench.link.deadline()), (None, None));

        bench.pass(secs(1));
        let outputs = bench.input(Input::Start);
        assert_eq!(outputs, [Connect(bench.id()), Changed]);
        assert!(bench.id().0 > last, "{state:?}: a number that was there before");
        assert_eq!(bench.state(), ConnectionState::Connecting);
    }
}
