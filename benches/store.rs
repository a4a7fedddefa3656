//! Changes that are acknowledged when they are on the disk, beside the bare disk; and what a
//! change costs beside many parties that it does not touch.

use std::fs::File;
use std::io::Write;
use std::thread;

use serde_json::json;

use crate::support::client::{Client, join, leave, register, request};
use crate::support::figures::{alternate, print_rates, print_times, rate, times};
use crate::support::process::{Server, disk};

/// The pages of the database that a change appends to its log.
const PAGES: [u8; 8192] = [7; 8192];

pub(crate) fn run() -> anyhow::Result<()> {
    durable(1)?;
    durable(32)?;
    among(10, 1000)
}

/// Clients that each join and leave, one at a time.
fn durable(clients: usize) -> anyhow::Result<()> {
    const GOES: usize = 10;
    const APPENDS: usize = 40;
    let daemon = Server::daemon()?;
    let mut setup = daemon.client()?;
    for number in 0..4 {
        setup.ask(&register(100, &format!("p{number}")))?;
    }
    let mut members = Vec::new();
    for number in 0..clients {
        let (party, peer) = (format!("p{}", number % 4), format!("peer-{number}"));
        let mut client = daemon.client()?;
        let lines = [join(100, &party, &peer), leave(100, &party, &peer)];
        for line in &lines {
            client.ask(line)?;
        }
        members.push((client, lines));
    }
    let go = |(client, lines): &mut (Client, [String; 2])| -> anyhow::Result<()> {
        for _ in 0..GOES {
            for line in &*lines {
                client.exchange(line, 1)?;
            }
        }
        Ok(())
    };
    let mut all_go = || {
        thread::scope(|scope| {
            let threads: Vec<_> =
                members.iter_mut().map(|member| scope.spawn(move || go(member))).collect();
            threads.into_iter().try_for_each(|thread| match thread.join() {
                Ok(went) => went,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    };
    let mut file = tempfile::tempfile_in(disk())?;
    let mut ours = || {
        let taken = rate(2 * GOES * clients, &mut all_go)?;
        settle(&mut setup)?;
        Ok(taken)
    };
    let mut limit = || rate(APPENDS, || (0..APPENDS).try_for_each(|_| append(&mut file)));
    let figures = alternate(10, &mut ours, &mut limit)?;
    print_rates(&format!("joins and leaves of {clients}, limit fdatasync"), &figures);
    Ok(())
}

fn append(file: &mut File) -> anyhow::Result<()> {
    file.write_all(&PAGES)?;
    Ok(file.sync_data()?)
}

/// Joins and leaves, where there are many parties and where there are few.
fn among(few: usize, many: usize) -> anyhow::Result<()> {
    let connect = |parties| -> anyhow::Result<_> {
        let daemon = Server::daemon()?;
        let mut client = daemon.client()?;
        fill(&mut client, parties)?;
        Ok((daemon, client))
    };
    let ((_daemon, mut ours), (_other, mut limit)) = (connect(many)?, connect(few)?);
    let figures = alternate(8, &mut || come_and_go(&mut ours), &mut || come_and_go(&mut limit))?;
    print_times(&format!("join and leave, {many} parties, limit {few}"), &figures);
    Ok(())
}

fn come_and_go(client: &mut Client) -> anyhow::Result<Vec<f64>> {
    let [join, leave] = [join(100, "p0", "newcomer"), leave(100, "p0", "newcomer")];
    let taken = times(20, || {
        client.exchange(&join, 1)?;
        client.exchange(&leave, 1).map(drop)
    });
    settle(client)?;
    taken
}

/// Waits for what follows changes in the background, which must not meet what is measured next:
/// the discovery file is read when it is written. The list may be too long to be sent; nobody
/// looks at it.
fn settle(client: &mut Client) -> anyhow::Result<()> {
    client.exchange(&request(100, "party.discover", &json!({})), 1).map(drop)
}

/// Registers so many parties of eight, many at a time.
fn fill(client: &mut Client, parties: usize) -> anyhow::Result<()> {
    const IN_FLIGHT: usize = 30;
    let names: Vec<String> = (0..parties).map(|number| format!("p{number}")).collect();
    for names in names.chunks(IN_FLIGHT) {
        let all = |line: &dyn Fn(usize, &str) -> String| -> String {
            names.iter().zip(100..).map(|(name, id)| line(id, name)).collect()
        };
        client.exchange(&all(&register), names.len())?;
        for peer in 1..8 {
            let lines = all(&|id, name| join(id, name, &format!("{name}-{peer}")));
            client.exchange(&lines, names.len())?;
        }
    }
    Ok(())
}
