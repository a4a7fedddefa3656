//! The control server, beside a site that knows nothing. `cargo bench -- server fan_out` runs one of its parts.

mod fan_out;
mod heartbeats;
mod party;
mod plain;
mod returns;
mod routes;
mod sockets;

use crate::support::figures::{alternate, print_times, times};
use crate::support::process::Web;

pub(crate) fn run() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    type Part = (&'static str, fn() -> anyhow::Result<()>);
    let parts: [Part; 8] = [
        ("first", start),
        ("party", party::run),
        ("plain", plain::run),
        ("fan_out", fan_out::run),
        ("heartbeats", heartbeats::run),
        ("sockets", sockets::run),
        ("returns", returns::run),
        ("routes", routes::run),
    ];
    let is_named = |name: &str| args.iter().any(|arg| arg == name);
    let is_whole = !parts.iter().any(|(name, _)| is_named(name));
    for (name, run) in parts {
        if is_whole || is_named(name) {
            run()?;
        }
    }
    Ok(())
}

fn start() -> anyhow::Result<()> {
    let time = |start: fn() -> anyhow::Result<Web>, path: &'static str| {
        move || {
            let mut started = None;
            let taken = times(1, || {
                let web = started.insert(start()?);
                web.http()?.ask("GET", path, "", None).map(drop)
            });
            drop(started);
            taken
        }
    };
    let mut ours = time(Web::server, "/healthz");
    let mut limit = time(Web::site, "/15");
    print_times("first start to first answer", &alternate(10, &mut ours, &mut limit)?);
    Ok(())
}
