//! The control server, beside a site that knows nothing.

mod party;
mod routes;
mod sockets;

use crate::support::figures::{alternate, print_times, times};
use crate::support::process::Web;

pub(crate) fn run() -> anyhow::Result<()> {
    start()?;
    party::run()?;
    sockets::run()?;
    routes::run()
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
