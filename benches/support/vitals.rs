//! The system's figures of a process; only on Linux.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use super::report;

/// Duration of the idle measurement.
const IDLE: Duration = Duration::from_secs(3);

struct Vitals {
    /// Memory in KiB.
    resident: u64,
    threads: usize,
    /// Context switches of all threads.
    switches: u64,
}

impl Vitals {
    fn of(id: u32) -> anyhow::Result<Self> {
        let (mut threads, mut switches) = (0, 0);
        for thread in fs::read_dir(format!("/proc/{id}/task"))? {
            let status = fs::read_to_string(thread?.path().join("status"))?;
            threads += 1;
            switches += field(&status, "voluntary_ctxt_switches");
            switches += field(&status, "nonvoluntary_ctxt_switches");
        }
        Ok(Self { resident: resident(id)?, threads, switches })
    }
}

/// The memory of a process, in KiB.
pub(crate) fn resident(id: u32) -> anyhow::Result<u64> {
    Ok(field(&fs::read_to_string(format!("/proc/{id}/status"))?, "VmRSS"))
}

/// Returns the number of a process's open files.
pub(crate) fn open_files(id: u32) -> anyhow::Result<usize> {
    Ok(fs::read_dir(format!("/proc/{id}/fd"))?.count())
}

/// Returns the CPU time of all threads of a process, in nanoseconds.
pub(crate) fn ran(id: u32) -> anyhow::Result<f64> {
    let mut ran = 0.0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let told = fs::read_to_string(thread?.path().join("schedstat"))?;
        ran += told.split(' ').next().unwrap_or_default().parse::<f64>()?;
    }
    Ok(ran)
}

/// Prints what two processes do while nobody asks them for anything.
pub(crate) fn print_rest(processes: &[(&str, u32); 2]) -> anyhow::Result<()> {
    let before = processes.map(|(_, id)| Vitals::of(id));
    sleep(IDLE);
    for ((name, id), before) in processes.iter().zip(before) {
        let (before, after) = (before?, Vitals::of(*id)?);
        let switches = after.switches.saturating_sub(before.switches);
        let Vitals { resident, threads, .. } = after;
        let told = format!("{resident} KiB, {threads} threads, {switches} switches in {IDLE:?}");
        report::fact(name, "idle", &told);
    }
    Ok(())
}

/// The number after a name.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
