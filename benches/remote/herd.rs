//! Many daemons whose server restarts: how soon each is back, and whether they come all at once.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;

use super::watch::{Watch, await_online, is_away, is_online};
use super::{argument, load, ms};
use crate::support::client::register;
use crate::support::figures::{Figures, print_spans};
use crate::support::port::Port;
use crate::support::process::{Home, NO_LIMITS, Server, Web};
use crate::support::relay::Relay;
use crate::support::report;
use crate::support::vitals::{open_files, resident};

/// After so long online a loss is the first again.
const SETTLED: Duration = Duration::from_secs(31);

/// Daemons, each with a party of its own, behind a relay that counts their attempts to connect.
struct Herd {
    daemons: Vec<Server>,
    watch: Watch,
    relay: Relay,
    port: Port,
    server: Option<Web>,
}

/// Result of one restart.
struct Restart {
    /// Time of each daemon to reconnect after the server's return, in milliseconds.
    spans: Vec<f64>,
    /// Times of the attempts to connect, from the loss on.
    attempts: Vec<Instant>,
}

pub(super) fn run() -> anyhow::Result<()> {
    let (daemons, restarts) = (argument("daemons", 200)?, argument("restarts", 20)?);
    let mut herd = Herd::start(daemons)?;
    herd.print_size("at first")?;
    let mut taken = [Vec::new(), Vec::new()];
    for number in 0..restarts {
        sleep(SETTLED);
        let by = [Signal::SIGTERM, Signal::SIGKILL][number % 2];
        taken[number % 2].push(herd.restart(by, is_away)?);
    }
    for (name, restarts) in ["server stops", "server is killed"].iter().zip(&taken) {
        print(name, daemons, restarts);
    }
    herd.print_size("after the restarts")?;
    sleep(SETTLED);
    let restart = herd.restart(Signal::SIGKILL, |state| state == "fallback")?;
    print("server is away until all probe", daemons, &[restart]);
    herd.print_size("at last")?;
    herd.daemons.iter().for_each(Server::terminate);
    Ok(())
}

impl Herd {
    fn start(count: usize) -> anyhow::Result<Self> {
        // Each daemon takes three files here.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        let port = Port::reserve();
        let server = Some(Web::server_in(Home::new()?, port.address(), NO_LIMITS)?);
        let relay = Relay::to(port.address())?;
        let (mut daemons, mut watch) = (Vec::new(), Watch::new());
        for number in 0..count {
            let daemon = Server::remote(&relay.url(), "")?;
            await_online(&daemon)?;
            daemon.client()?.ask(&register(1, &format!("p{number}")))?;
            watch.add(&daemon)?;
            daemons.push(daemon);
        }
        watch.all(is_online)?;
        Ok(Self { daemons, watch, relay, port, server })
    }

    /// The server ends, and is there again as soon as all daemons are `lost`.
    fn restart(&mut self, by: Signal, lost: fn(&str) -> bool) -> anyhow::Result<Restart> {
        let Some(server) = self.server.take() else { anyhow::bail!("there is no server") };
        let begun = Instant::now();
        let home = server.end(by)?;
        self.watch.all(lost)?;
        self.server = Some(Web::server_in(home, self.port.address(), NO_LIMITS)?);
        let back = Instant::now();
        let times = self.watch.all(is_online)?;
        let spans = times.into_iter().flatten();
        let spans = spans.map(|at| ms(at.saturating_duration_since(back))).collect();
        Ok(Restart { spans, attempts: self.relay.accepted_since(begun) })
    }

    fn print_size(&self, when: &str) -> anyhow::Result<()> {
        let sizes = self.daemons.iter().map(|daemon| Ok(resident(daemon.id())? as f64));
        let sizes = Figures::from(sizes.collect::<anyhow::Result<Vec<_>>>()?);
        let files = self.daemons.iter().map(|daemon| Ok(open_files(daemon.id())? as f64));
        let files = Figures::from(files.collect::<anyhow::Result<Vec<_>>>()?);
        let server = self.server.as_ref().map_or(0, Web::id);
        let told = format!(
            "daemon {:.0} KiB (most {:.0}), {:.0} files (most {:.0}); server {} KiB, {} files; load {}",
            sizes.quantile(0.5),
            sizes.quantile(1.0),
            files.quantile(0.5),
            files.quantile(1.0),
            resident(server)?,
            open_files(server)?,
            load()
        );
        report::fact(&format!("{} daemons {when}", self.daemons.len()), "size", &told);
        Ok(())
    }
}

fn print(name: &str, daemons: usize, restarts: &[Restart]) {
    if restarts.is_empty() {
        return;
    }
    let spans = restarts.iter().flat_map(|restart| restart.spans.iter().copied()).collect();
    print_spans(&format!("{name}, each is back after"), spans);
    let all: Vec<f64> = restarts.iter().filter_map(Restart::slowest).collect();
    print_spans(&format!("{name}, all are back after"), all);
    for (span, words) in [(100, "100 ms"), (1_000, "1 s")] {
        let peaks = restarts.iter().map(|one| one.peak(Duration::from_millis(span)) as f64);
        let peaks = Figures::from(peaks.collect::<Vec<_>>());
        let (median, most) = (peaks.quantile(0.5), peaks.quantile(1.0));
        let work = format!("{name}, attempts in the busiest {words}");
        report::row(&work, "median, limit is all", [median, daemons as f64], "", "");
        report::row(&work, "most, limit is all", [most, daemons as f64], "", "");
    }
    let attempts: usize = restarts.iter().map(|restart| restart.attempts.len()).sum();
    let each = attempts as f64 / (daemons * restarts.len()) as f64;
    report::fact(name, "attempts of a daemon in a restart", &format!("{each:.2}"));
}

impl Restart {
    fn slowest(&self) -> Option<f64> {
        self.spans.iter().copied().max_by(f64::total_cmp)
    }

    /// Most attempts within so long, wherever it begins.
    fn peak(&self, span: Duration) -> usize {
        let mut first = 0;
        let within = |(last, at): (usize, &Instant)| {
            while at.duration_since(self.attempts[first]) >= span {
                first += 1;
            }
            last + 1 - first
        };
        self.attempts.iter().enumerate().map(within).max().unwrap_or_default()
    }
}
