//! A server that is unreachable for a very long time.

use super::world::Chance;
use super::*;

#[test]
fn link_still_probes_in_constant_memory_after_ten_thousand_hours() {
    let mut link = LinkMachine::new(settings());
    let (mut chance, mut now) = (Chance(7), Duration::ZERO);
    let mut input =
        |link: &mut LinkMachine, input, now| link.handle(input, now, &mut || chance.next());
    input(&mut link, Input::Start, now);
    let (mut tried_at, mut probes, mut most) = (now, 0_u32, 0);
    while now < secs(10_000 * 3600) {
        // Some attempts are refused, the others get no answer.
        if probes.is_multiple_of(2) {
            let id = link.link().expect("an attempt");
            input(&mut link, Input::Closed(id, lost("refused")), now);
        } else {
            now = link.deadline().expect("a deadline");
            input(&mut link, Input::Timer, now);
        }
        assert_eq!(link.link(), None);
        now = link.deadline().expect("a deadline");
        let outputs = input(&mut link, Input::Timer, now);
        assert!(matches!(outputs[..], [Output::Connect(_), Output::Changed]), "{outputs:?}");
        assert!(now - tried_at <= secs(360 + 20), "{:?} without an attempt", now - tried_at);
        tried_at = now;
        probes += 1;
        if probes > 2 {
            assert_eq!(link.status().state, ConnectionState::Fallback);
        }
        if probes == 100 {
            most = format!("{link:?}").len() + 40;
        }
    }
    assert!(probes > 90_000, "{probes} attempts");
    assert_eq!(link.status().attempt, probes);
    assert!(format!("{link:?}").len() <= most, "the link has grown: {link:?}");
    let id = link.link().expect("an attempt");
    input(&mut link, Input::Welcomed(id), now);
    assert!(link.is_online());
}

#[test]
fn daemons_that_lose_a_server_together_reconnect_spread_out() {
    for (failed, spread) in [(1, secs(1)), (3, secs(120))] {
        let mut waits: Vec<_> = (0..100)
            .map(|seed| {
                let mut bench = Bench::failed(failed);
                bench.reach_deadline();
                bench.jitter = Chance(seed).next();
                bench.close(lost("restart"));
                bench.wait()
            })
            .collect();
        waits.sort();
        assert!(waits[99] - waits[0] > spread * 3 / 4, "{waits:?}");
        assert!(waits.windows(2).all(|pair| pair[1] - pair[0] < spread / 5), "{waits:?}");
    }
}
