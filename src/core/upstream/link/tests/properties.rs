//! Invariants under any sequence of inputs. [`World`](super::world::World) checks them after each
//! input.

use proptest::prelude::*;

use super::world::{Step, World, any_settings, steps};
use super::*;
use crate::extent::cases;

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(512, 4096), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn link_invariants_hold_after_any_inputs(settings in any_settings(), steps in steps(), seed: u64) {
        let mut world = World::new(settings, seed);
        for step in steps {
            world.take(step);
        }
    }

    #[test]
    fn link_recovers_from_any_state(
        settings in any_settings(),
        steps in steps(),
        seed: u64,
    ) {
        let mut world = World::new(settings.clone(), seed);
        let mut earlier = vec![settings];
        for step in steps {
            if let Step::Settings(settings) = &step {
                earlier.push(settings.clone());
            }
            if !matches!(step, Step::Stop) {
                world.take(step);
            }
        }
        world.recover(&earlier);
    }

    #[test]
    fn history_replays_from_its_seed(settings in any_settings(), steps in steps(), seed: u64) {
        let play = || {
            let mut world = World::new(settings.clone(), seed);
            for step in steps.clone() {
                world.take(step);
            }
            (world.said, world.link, world.now)
        };
        prop_assert_eq!(play(), play());
    }
}

#[test]
fn histories_reach_every_state() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let (mut states, mut pings, mut settled) = (Vec::new(), 0, 0);
    for seed in 0..2000 {
        let drawn = (any_settings(), steps()).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(drawn.0, seed);
        for step in drawn.1 {
            let before = world.link.status();
            world.take(step);
            let after = world.link.status();
            settled +=
                u32::from(before.attempt > 0 && after.attempt == 0 && world.link.is_online());
            states.push((after.state, world.link.link().is_some()));
        }
        pings += world.said.iter().filter(|output| matches!(output, Output::Ping(_))).count();
    }
    for place in [
        (ConnectionState::Local, false),
        (ConnectionState::Connecting, true),
        (ConnectionState::Online, true),
        (ConnectionState::Reconnecting, false),
        (ConnectionState::Reconnecting, true),
        (ConnectionState::Fallback, false),
        (ConnectionState::Fallback, true),
        (ConnectionState::AuthFailed, false),
        (ConnectionState::Stopping, false),
    ] {
        let times = states.iter().filter(|state| **state == place).count();
        assert!(times > 20, "{place:?} came {times} times");
    }
    assert!(pings > 20, "{pings} pings");
    assert!(settled > 5, "it settled {settled} times");
}
