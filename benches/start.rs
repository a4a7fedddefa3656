//! Costs of the daemon's start and of an idle daemon, beside the bare runtime.

use serde_json::json;

use crate::support::client::request;
use crate::support::echo::Purpose;
use crate::support::figures::{alternate, print_times, times};
use crate::support::process::Server;
use crate::support::vitals::print_rest;

pub(crate) fn run() -> anyhow::Result<()> {
    // They have done what a start leaves to be done by the time the others have started.
    let idle = [("the daemon", Server::daemon()?), ("limit", Server::echo()?)];
    let ping = request(100, "ping", &json!({}));
    let figures = alternate(
        10,
        &mut || {
            let mut started = None;
            let taken = times(1, || {
                let daemon = started.insert(Server::daemon()?);
                daemon.client()?.ask(&ping).map(drop)
            });
            drop(started);
            taken
        },
        &mut || {
            let mut started = None;
            let taken = times(1, || {
                let echo = started.insert(Server::echo()?);
                Purpose::Ask.of(echo.client()?, 2)?.exchange("\n", 1).map(drop)
            });
            drop(started);
            taken
        },
    )?;
    print_times("first start to first answer", &figures);
    print_rest(&idle.each_ref().map(|(name, server)| (*name, server.id())))
}
