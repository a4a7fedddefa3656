//! WebSockets on which nothing happens, beside bare ones of the framework.

use std::ops::Range;
use std::thread;

use crate::support::process::Web;
use crate::support::report;
use crate::support::vitals::{open_files, print_rest, resident};
use crate::support::ws::Ws;

/// While these rest, it is counted how often a server wakes.
const RESTING: usize = 100;
/// All that are opened.
const SOCKETS: usize = 2_000;
/// Opened at once: fewer than the system holds until they are accepted.
const AT_ONCE: usize = 100;

pub(super) fn run() -> anyhow::Result<()> {
    let (server, site) = (Web::server()?, Web::site()?);
    let mut ours = crowd(&server, 0..RESTING, welcomed)?;
    let mut limit = crowd(&site, 0..RESTING, |_| Ok(()))?;
    let ids = [server.id(), site.id()];
    let name = format!("{RESTING} WebSockets");
    print_rest(&[(&name, ids[0]), (&format!("limit, {name}"), ids[1])])?;

    // What the first needed is no part of what one more needs.
    let before = [resident(ids[0])?, resident(ids[1])?];
    let files = open_files(ids[0])?;
    ours.extend(crowd(&server, RESTING..SOCKETS, welcomed)?);
    limit.extend(crowd(&site, RESTING..SOCKETS, |_| Ok(()))?);
    let after = [resident(ids[0])?, resident(ids[1])?];
    let files = open_files(ids[0])?.saturating_sub(files) as f64 / (SOCKETS - RESTING) as f64;
    let told = format!("{files:.2}");
    report::fact(&format!("one of {SOCKETS} idle WebSockets"), "descriptors", &told);
    let each = [0, 1].map(|at: usize| {
        let grown = after[at].saturating_sub(before[at]) * 1024;
        grown as f64 / (SOCKETS - RESTING) as f64
    });
    report::row(&format!("one of {SOCKETS} idle WebSockets"), "memory", each, "bytes", "");
    drop((limit, site));
    stop(server, ours)
}

/// From the signal to the end of the process, while all clients answer its close.
fn stop(server: Web, mut sockets: Vec<Ws>) -> anyhow::Result<()> {
    let (took, answered) = thread::scope(|scope| {
        let sockets = &mut sockets;
        let answering = scope
            .spawn(move || sockets.iter_mut().map(Ws::answer_close).filter(Result::is_ok).count());
        (server.stop(), answering.join())
    });
    let answered = answered.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    let ms = took?.as_secs_f64() * 1e3;
    let told = format!("{ms:.1} ms, {answered} closes answered");
    report::fact(&format!("stop with {SOCKETS} WebSockets"), "time", &told);
    Ok(())
}

/// Opens WebSockets with these numbers, and has something done with many at a time.
fn crowd(
    web: &Web,
    numbers: Range<usize>,
    and: fn(&mut [(usize, Ws)]) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Ws>> {
    let mut crowd = Vec::new();
    let numbers: Vec<usize> = numbers.collect();
    for numbers in numbers.chunks(AT_ONCE) {
        let open = |&number: &usize| Ok((number, Ws::connect(web.address)?));
        let mut opened = numbers.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
        and(&mut opened)?;
        crowd.extend(opened.into_iter().map(|(_, ws)| ws));
    }
    Ok(crowd)
}

/// Each speaks for a peer, and hears that it may.
fn welcomed(opened: &mut [(usize, Ws)]) -> anyhow::Result<()> {
    opened.iter_mut().try_for_each(|(number, ws)| ws.greet(&format!("idle-{number}")))?;
    opened.iter_mut().try_for_each(|(_, ws)| ws.hear(1, r#"{"type":"welcome""#).map(drop))
}
