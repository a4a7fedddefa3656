use proptest::prelude::*;

use super::*;

fn rate(requests: u32, per: Duration, burst: u32) -> Rate {
    let some = |number| NonZeroU32::new(number).unwrap();
    Rate { requests: some(requests), per, burst: some(burst) }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_burst_passes_and_the_next_waits_for_one_token() {
    let mut buckets = Buckets::new(rate(4, SECOND, 3), 10);
    for _ in 0..3 {
        assert_eq!(buckets.take("a", SECOND), Ok(()));
    }
    let quarter = Duration::from_millis(250);
    assert_eq!(buckets.take("a", SECOND), Err(RetryAfter(quarter)));
    assert_eq!(buckets.take("b", SECOND), Ok(()), "another key has its own bucket");
    assert!(buckets.take("a", SECOND + quarter - Duration::from_nanos(1)).is_err());
    assert_eq!(buckets.take("a", SECOND + quarter), Ok(()));
}

#[test]
fn seconds_are_rounded_up_and_never_none() {
    for (wait, seconds) in [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (2500, 3)] {
        assert_eq!(RetryAfter(Duration::from_millis(wait)).seconds(), seconds, "{wait} ms");
    }
    assert_eq!(RetryAfter(Duration::MAX).seconds(), u64::MAX);
}

#[test]
fn full_buckets_are_evicted_first() {
    let mut buckets = Buckets::new(rate(1, SECOND, 2), 3);
    for key in ["spent", "spent", "light", "other"] {
        buckets.take(key, Duration::ZERO).unwrap();
    }
    // `light` and `other` are full again, `spent` is not.
    buckets.take("new", SECOND).unwrap();
    assert_eq!(buckets.full_at.len(), 2);
    assert!(buckets.full_at.contains_key("spent") && buckets.full_at.contains_key("new"));
}

#[test]
fn flood_of_keys_does_not_evict_an_empty_bucket() {
    let mut buckets = Buckets::new(rate(1, SECOND, 5), 100);
    for _ in 0..5 {
        buckets.take(0, Duration::ZERO).unwrap();
    }
    for key in 1..10_000 {
        buckets.take(key, Duration::ZERO).unwrap();
        assert!(buckets.full_at.len() <= 100 && buckets.soonest.len() <= 100);
    }
    assert!(buckets.take(0, Duration::ZERO).is_err());
}

#[test]
fn each_new_key_evicts_full_buckets() {
    let mut buckets = Buckets::new(rate(1, SECOND, 1), 1000);
    for key in 0..1000 {
        buckets.take(key, Duration::ZERO).unwrap();
    }
    for key in 1000..2000 {
        buckets.take(key, SECOND * key).unwrap();
    }
    assert_eq!(buckets.full_at.len(), 1);
}

#[test]
fn request_given_back_can_be_taken_again() {
    let mut buckets = Buckets::new(rate(1, SECOND, 2), 10);
    for _ in 0..100 {
        buckets.take("a", SECOND).unwrap();
        buckets.give_back(&"a");
        buckets.give_back(&"unknown");
    }
    buckets.take("a", SECOND).unwrap();
    buckets.take("a", SECOND).unwrap();
    assert!(buckets.take("a", SECOND).is_err(), "no bucket holds more than its burst");
}

#[test]
fn extreme_rates_do_not_overflow() {
    let mut buckets = Buckets::new(rate(u32::MAX, Duration::MAX, u32::MAX), 0);
    assert_eq!(buckets.take(0, Duration::MAX), Ok(()));
    assert_eq!(buckets.take(0, Duration::MAX), Ok(()));
    let mut buckets = Buckets::new(rate(1, Duration::MAX, 1), 0);
    assert_eq!(buckets.take(0, Duration::MAX), Ok(()));
    assert!(buckets.take(0, Duration::MAX).is_err());
}

#[test]
fn rate_with_a_zero_period_never_refuses() {
    let mut buckets = Buckets::new(rate(1, Duration::ZERO, 1), 1);
    assert!((0..100).all(|_| buckets.take(0, Duration::ZERO).is_ok()));
}

fn any_rate() -> impl Strategy<Value = Rate> {
    (1..1000u32, 1..100_000_000_000u64, 1..50u32)
        .prop_map(|(requests, per, burst)| rate(requests, Duration::from_nanos(per), burst))
}

/// Time for one request at a rate, rounded up.
fn interval(rate: Rate) -> Duration {
    let nanos = rate.per.as_nanos().div_ceil(u128::from(rate.requests.get()));
    Duration::from_nanos(u64::try_from(nanos).unwrap())
}

proptest! {
    #[test]
    fn never_more_than_the_burst_and_the_rate(
        rate in any_rate(),
        // Pauses in hundredths of the interval.
        pauses in prop::collection::vec(0..300u32, 1..300),
    ) {
        let mut buckets = Buckets::new(rate, 10);
        let (mut now, mut admitted) = (SECOND, 0u128);
        for pause in pauses {
            now += interval(rate) * pause / 100;
            admitted += u128::from(buckets.take((), now).is_ok());
            let passed = (now - SECOND).as_nanos() * u128::from(rate.requests.get());
            let most = u128::from(rate.burst.get()) + passed / rate.per.as_nanos();
            prop_assert!(admitted <= most, "{admitted} of {most}");
        }
    }

    #[test]
    fn requests_slower_than_the_rate_are_never_refused(
        rate in any_rate(),
        // Additional pauses in hundredths of the interval.
        pauses in prop::collection::vec(0..100u32, 1..300),
    ) {
        let mut buckets = Buckets::new(rate, 10);
        let mut now = Duration::ZERO;
        for pause in pauses {
            prop_assert_eq!(buckets.take((), now), Ok(()));
            now += interval(rate) + interval(rate) * pause / 100;
        }
    }

    #[test]
    fn request_passes_after_the_stated_wait_and_not_before(
        rate in any_rate(),
        impatience in 1..100u32,
        pauses in prop::collection::vec(0..100u32, 1..300),
    ) {
        let mut buckets = Buckets::new(rate, 10);
        let mut now = Duration::ZERO;
        for pause in pauses {
            now += interval(rate) * pause / 100;
            if let Err(RetryAfter(wait)) = buckets.take((), now) {
                prop_assert!(wait > Duration::ZERO && wait <= interval(rate));
                let early = wait * impatience / 101;
                if early < wait {
                    prop_assert!(buckets.take((), now + early).is_err());
                }
                now += wait;
                prop_assert_eq!(buckets.take((), now), Ok(()));
            }
        }
    }

    #[test]
    fn keys_do_not_affect_each_other_while_there_is_room(
        rate in any_rate(),
        calls in prop::collection::vec((0..20u8, 0..100u32), 1..300),
    ) {
        let mut together = Buckets::new(rate, 20);
        let mut alone: Vec<_> = (0..20).map(|_| Buckets::new(rate, 1)).collect();
        let mut now = Duration::ZERO;
        for (key, pause) in calls {
            now += interval(rate) * pause / 100;
            prop_assert_eq!(together.take(key, now), alone[usize::from(key)].take((), now));
        }
    }

    #[test]
    fn map_is_bounded_and_the_heap_has_each_key_once(
        rate in any_rate(),
        calls in prop::collection::vec((any::<u8>(), 0..100u32), 1..500),
    ) {
        let mut buckets = Buckets::new(rate, 16);
        let mut now = Duration::ZERO;
        for (key, pause) in calls {
            now += interval(rate) * pause / 100;
            let _ = buckets.take(key, now);
            if pause % 3 == 0 {
                buckets.give_back(&key);
            }
            prop_assert!(buckets.full_at.len() <= 16);
            let mut keys: Vec<_> = buckets.soonest.iter().map(|Reverse((_, key))| *key).collect();
            keys.sort_unstable();
            let mut known: Vec<_> = buckets.full_at.keys().copied().collect();
            known.sort_unstable();
            prop_assert_eq!(keys, known);
        }
    }
}
