//! Lengths of the waits.

use proptest::prelude::*;

use super::*;

const ALMOST_ONE: f64 = 1.0 - f64::EPSILON;

#[test]
fn backoff_limit_doubles_up_to_the_maximum() {
    let limits =
        |settings: &LinkSettings| (1..=8).map(|n| settings.longest_backoff(n)).collect::<Vec<_>>();
    assert_eq!(limits(&settings()), [1, 2, 4, 8, 16, 32, 60, 60].map(secs));
    let upside_down = LinkSettings { backoff_initial: secs(90), ..settings() };
    assert_eq!(limits(&upside_down), [60; 8].map(secs));
    assert_eq!(settings().longest_backoff(u32::MAX), secs(60));
}

#[test]
fn backoff_wait_covers_zero_to_the_limit() {
    assert_eq!(settings().backoff_wait(3, 0.0), millis(50));
    assert_eq!(settings().backoff_wait(3, 0.25), secs(1));
    assert_eq!(settings().backoff_wait(3, 0.5), secs(2));
    assert_eq!(settings().backoff_wait(3, ALMOST_ONE), secs(4));
}

#[test]
fn backoff_wait_has_a_lower_bound() {
    let initially =
        |initial| LinkSettings { backoff_initial: initial, ..settings() }.backoff_wait(1, 0.0);
    assert_eq!(initially(secs(5)), millis(50));
    assert_eq!(initially(millis(200)), millis(20));
    assert_eq!(initially(Duration::ZERO), millis(1));
    let none = Duration::ZERO;
    let eager = LinkSettings {
        backoff_initial: none,
        backoff_max: none,
        max_attempts: 0,
        probe: none,
        connect_timeout: none,
    };
    assert_eq!(eager.backoff_wait(9, 0.0), millis(1));
    assert_eq!(eager.probe_wait(0.0), millis(8));
    assert_eq!(eager.connect_timeout(), millis(10));
}

#[test]
fn probe_wait_varies_by_a_fifth() {
    assert_eq!(settings().probe_wait(0.0), secs(240));
    assert_eq!(settings().probe_wait(0.5), secs(300));
    assert_eq!(settings().probe_wait(ALMOST_ONE), secs(360));
    assert_eq!(settings().longest_probe(), secs(360));
}

fn spans() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..100_000_u64).prop_map(millis),
        any::<u64>().prop_map(Duration::from_secs),
        Just(Duration::MAX),
    ]
}

proptest! {
    #[test]
    fn every_wait_is_within_its_bounds(
        (backoff_initial, backoff_max, probe) in (spans(), spans(), spans()),
        attempt in prop_oneof![1..100_u32, Just(u32::MAX)],
        jitter in prop_oneof![0.0..1.0, Just(f64::NAN), any::<f64>()],
    ) {
        let settings = LinkSettings { backoff_initial, backoff_max, probe, ..settings() };
        let longest = settings.longest_backoff(attempt);
        prop_assert!(longest <= backoff_max.max(millis(10)));
        prop_assert!(longest >= settings.longest_backoff(attempt.saturating_sub(1).max(1)));
        let wait = settings.backoff_wait(attempt, jitter);
        prop_assert!(wait >= millis(1) && wait <= longest);
        let probe_wait = settings.probe_wait(jitter);
        prop_assert!(probe_wait >= millis(8) && probe_wait <= settings.longest_probe());
        prop_assert_eq!(settings.backoff_wait(attempt, jitter), wait, "no jitter but the given");
    }
}
