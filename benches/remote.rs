//! The daemon in remote mode. `cargo bench --bench main -- remote herd` runs one of its parts, and
//! `herd daemons=50 restarts=4` a smaller herd.

mod herd;
mod latency;
mod loss;
mod memory;
mod watch;
mod wire;

use std::time::Duration;

use crate::support::report;

pub(crate) fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    type Part = (&'static str, fn() -> anyhow::Result<()>);
    let parts: [Part; 5] = [
        ("latency", latency::run),
        ("loss", loss::run),
        ("memory", memory::run),
        ("wire", wire::run),
        ("herd", herd::run),
    ];
    let is_named = |name: &str| args.iter().any(|arg| arg == name);
    let is_whole = !parts.iter().any(|(name, _)| is_named(name));
    for (name, run) in parts {
        if is_whole || is_named(name) {
            report::fact(name, "the machine's load", &load());
            run()?;
        }
    }
    Ok(())
}

/// Returns the value of `name=number`.
fn argument(name: &str, default: usize) -> anyhow::Result<usize> {
    let given = std::env::args().find_map(|arg| {
        let (key, value) = arg.split_once('=')?;
        (key == name).then(|| value.parse())
    });
    Ok(given.transpose()?.unwrap_or(default))
}

/// In the last minute, as Linux tells it.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
