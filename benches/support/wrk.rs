//! Load over HTTP: 16 connections of one thread, each of which has one request under way.

use std::process::Command;

use anyhow::{Context as _, ensure};

use super::figures::{Figures, in_turn, print_quantile, print_rates};
use super::process::Web;
use super::vitals::ran;

/// Script of wrk: `*` in a path is a number that is new in each request.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/support/wrk.lua");
/// In seconds, so that a pause of the machine meets few rounds.
const DURATION: &str = "1s";
const ROUNDS: usize = 7;

/// Request of the measurement.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: String,
    /// Bearer token.
    pub(crate) token: &'a str,
}

struct Load {
    /// Answers in a second.
    rate: f64,
    /// In microseconds.
    p50: f64,
    p99: f64,
    /// CPU time of the server per answer, in microseconds. Where wrk or the system limits the rate,
    /// this figure alone distinguishes servers.
    cost: f64,
}

/// Prints what two servers bear. Of each round's request there is another.
pub(crate) fn compare<'a>(
    name: &str,
    servers: [&Web; 2],
    requests: [&dyn Fn(usize) -> Request<'a>; 2],
) -> anyhow::Result<()> {
    let [mut ours, mut limit] = [0, 1].map(|at: usize| {
        let mut round = 0;
        move || {
            round += 1;
            Ok(vec![load(servers[at], &requests[at](round))?])
        }
    });
    let taken = in_turn(ROUNDS, &mut ours, &mut limit)?;
    let figures = |of: fn(&Load) -> f64| {
        taken.each_ref().map(|loads| Figures::from(loads.iter().map(of).collect::<Vec<_>>()))
    };
    print_rates(name, &figures(|load| load.rate));
    print_quantile(name, "p50", &figures(|load| load.p50));
    print_quantile(name, "p99", &figures(|load| load.p99));
    print_quantile(name, "CPU", &figures(|load| load.cost));
    Ok(())
}

/// Asks the same again and again. Every answer has to be a success.
fn load(server: &Web, request: &Request<'_>) -> anyhow::Result<Load> {
    let Request { method, path, token } = request;
    let before = ran(server.id())?;
    let address = server.address;
    let output = Command::new("wrk")
        .args(["-t1", "-c16", "-d", DURATION, "-s", SCRIPT, &format!("http://{address}")])
        .args(["--", *method, path, token])
        .output()
        .context("these figures need wrk: install it, as with `apt-get install wrk`")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("load "));
    let line =
        line.with_context(|| format!("{method} {path}: wrk ended without figures: {text}"))?;
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let &[answers, micros, p50, p99, failed] = numbers.as_slice() else {
        anyhow::bail!("wrk's figures are {line:?}");
    };
    ensure!(failed == 0.0, "{method} {path}: {failed} requests of {answers} failed");
    let cost = (ran(server.id())? - before) / 1e3 / answers;
    Ok(Load { rate: answers / micros * 1e6, p50, p99, cost })
}
