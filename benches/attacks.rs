//! An honest client of servers with their default limits, in quiet and beside each attack.
//!
//! Attackers come from other addresses of this machine and take what the limits leave them. They
//! need processor time themselves, which a machine with few cores takes from the honest client.

mod local;
mod network;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::figures::Figures;
use crate::support::report;

/// Requests of the honest client in each phase: fewer than the rates of the limits allow.
const REQUESTS: usize = 150;
/// Requests before the first phase.
const WARM_UP: usize = 20;
/// Time that an attack has to reach its limit before the honest client is measured.
const HEAD_START: Duration = Duration::from_secs(3);

pub(crate) fn run() -> anyhow::Result<()> {
    network::run()?;
    local::run()
}

/// True while an attack goes on.
type GoesOn<'a> = &'a (dyn Fn() -> bool + Sync);

/// Prints what the honest client gets beside so many attackers, each with its number; the limit is
/// what it gets in quiet.
fn compare(
    name: &str,
    honest: &mut dyn FnMut() -> anyhow::Result<()>,
    attackers: usize,
    attack: &(dyn Fn(usize, GoesOn<'_>) + Sync),
) {
    // What was never done before takes longer.
    for _ in 0..WARM_UP {
        honest().ok();
    }
    let quiet = phase(honest);
    let stopped = AtomicBool::new(false);
    let goes_on = || !stopped.load(Ordering::Relaxed);
    let attacked = thread::scope(|scope| {
        for number in 0..attackers {
            let goes_on = &goes_on;
            scope.spawn(move || attack(number, goes_on));
        }
        thread::sleep(HEAD_START);
        let attacked = phase(honest);
        stopped.store(true, Ordering::Relaxed);
        attacked
    });
    for (quantile, share) in [("p50", 0.5), ("p99", 0.99)] {
        let [quiet, attacked] = [&quiet.0, &attacked.0].map(|times| times.quantile(share));
        report::row(name, quantile, [attacked, quiet], "us", "");
    }
    let told = format!("{} of {REQUESTS}, in quiet {}", attacked.1, quiet.1);
    report::fact(name, "served", &told);
}

/// Times of the honest client's requests, in microseconds, and how many were served.
fn phase(honest: &mut dyn FnMut() -> anyhow::Result<()>) -> (Figures, usize) {
    let mut served = 0;
    let time = |_| {
        let begun = Instant::now();
        served += usize::from(honest().is_ok());
        begun.elapsed().as_secs_f64() * 1e6
    };
    let times: Vec<_> = (0..REQUESTS).map(time).collect();
    (times.into(), served)
}
