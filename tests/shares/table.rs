//! Run of a row of the table.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Daemon, PATIENCE, is_long_run};

/// Number of the honest client's requests, before and during the attack.
pub(super) const ASKED: usize = 20;

/// Between two attacks at the limit.
const PAUSE: Duration = Duration::from_millis(1);

/// Asks for something; true if the client got it.
pub(super) type Honest = Box<dyn FnMut() -> bool>;

/// A limit, the attack on it, and an honest client.
pub(super) struct Row {
    /// Keys of the limits that the attack reaches, or a name in brackets for a limit without a key.
    pub(super) limits: &'static [&'static str],
    /// The attack in words.
    pub(super) attack: &'static str,
    /// Starts the program with that configuration; none where this machine can't.
    pub(super) start: fn(&str) -> Option<Daemon>,
    /// Configuration that makes the limit small.
    pub(super) small: &'static str,
    /// True if the long run tries it at the default sizes, too.
    pub(super) at_default: bool,
    /// Attacks until it is told to stop, and tells when the limit is reached.
    pub(super) attacker: fn(&Daemon, &Attack),
    /// A client of the program.
    pub(super) honest: fn(&Daemon) -> Honest,
}

/// An attack that goes on.
pub(super) struct Attack {
    reached: mpsc::Sender<()>,
    stopped: AtomicBool,
}

impl Attack {
    /// The limit is reached.
    pub(super) fn reached(&self) {
        self.reached.send(()).ok();
    }

    pub(super) fn goes_on(&self) -> bool {
        !self.stopped.load(Ordering::Relaxed)
    }

    /// Does something again and again; it returns true once the limit is reached. From then on it
    /// pauses: the limit is tried, not the processor.
    pub(super) fn repeat(&self, mut act: impl FnMut() -> bool) {
        while self.goes_on() {
            if act() {
                self.reached();
                thread::sleep(PAUSE);
            }
        }
    }
}

/// Stops an attack, also where a test fails.
struct Stop<'a>(&'a Attack);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

/// Makes a test of each row.
macro_rules! rows {
    ($($name:ident: $row:expr;)*) => {
        /// The limits of these rows.
        pub(super) const LIMITS: &[&[&str]] = &[$($row.limits),*];

        $(#[test]
        fn $name() {
            $crate::shares::table::try_row(&$row);
        })*
    };
}
pub(super) use rows;

pub(super) fn try_row(row: &Row) {
    try_with(row, row.small);
    if row.at_default && !row.small.is_empty() && is_long_run() {
        try_with(row, "");
    }
}

fn try_with(row: &Row, config: &str) {
    let Some(program) = (row.start)(config) else { return };
    let mut honest = (row.honest)(&program);
    let quiet = ask(&mut honest);
    let (reached, is_reached) = mpsc::channel();
    let attack = Attack { reached, stopped: AtomicBool::new(false) };
    let attacked = thread::scope(|scope| {
        let stop = Stop(&attack);
        let attacker = scope.spawn(|| (row.attacker)(&program, &attack));
        let reached = is_reached.recv_timeout(PATIENCE);
        let attacked = reached.is_ok().then(|| ask(&mut honest));
        drop(stop);
        attacker.join().expect("the attacker");
        attacked.expect("the attack reaches the limit")
    });
    let (ratio, served) = (attacked.p99 / quiet.p99, attacked.served);
    let (limits, words) = (row.limits.join("`, `"), row.attack);
    let sizes = if config.is_empty() { "default" } else { "small" };
    eprintln!("| `{limits}` | {sizes} | {words} | {served} of {ASKED} | {ratio:.1} |");
    assert_eq!(quiet.served, ASKED, "served in quiet");
    assert_eq!(served, ASKED, "served under attack on {limits}: {words}");
}

/// Replies to an honest client.
struct Served {
    served: usize,
    /// In seconds.
    p99: f64,
}

fn ask(honest: &mut dyn FnMut() -> bool) -> Served {
    let mut took = Vec::new();
    let mut served = 0;
    for _ in 0..ASKED {
        let begun = Instant::now();
        served += usize::from(honest());
        took.push(begun.elapsed());
    }
    took.sort();
    let p99 = took[(took.len() * 99).div_ceil(100) - 1].max(Duration::from_micros(1));
    Served { served, p99: p99.as_secs_f64() }
}
