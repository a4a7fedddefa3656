//! Conditions that last for a whole history.

use std::process::{Child, Command};
use std::time::Duration;

use crate::harness::{Direction, Proxy, Setup, SlowDisk};

/// More than 2/5 of the daemons' `request_timeout` of 500 ms, after which a request is sent again.
const ONE_WAY_DELAY: Duration = Duration::from_millis(250);

/// Duration of each sync of the slow disk.
const SYNC: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(super) struct Conditions {
    disk: Option<SlowDisk>,
    delayed: Option<Direction>,
}

impl Conditions {
    /// All programs share a slow disk. `None` where it cannot be built.
    pub(super) fn slow_disk() -> Option<Self> {
        let disk = SlowDisk::new()?;
        disk.set_delay(SYNC);
        Some(Self { disk: Some(disk), delayed: None })
    }

    /// Bytes of one direction are late.
    pub(super) fn one_way_delay(direction: Direction) -> Self {
        Self { disk: None, delayed: Some(direction) }
    }

    /// Puts a program under these conditions.
    pub(super) fn setup(&self, setup: Setup) -> Setup {
        match &self.disk {
            Some(disk) => setup.slow_disk(disk),
            None => setup,
        }
    }

    /// Delays a proxy's bytes; again after each fault, which may have ended that.
    pub(super) fn delay(&self, proxy: &Proxy) {
        if let Some(direction) = self.delayed {
            proxy.delay_one_way(direction, ONE_WAY_DELAY);
        }
    }
}

/// Processes that use all of the CPU time they get, until dropped.
pub(super) struct BusyProcesses(Vec<Child>);

pub(super) fn busy_processes(count: usize) -> BusyProcesses {
    let start = |_| {
        // They also end when the test is killed.
        let mut command = Command::new("timeout");
        command.args(["600", "sh", "-c", "while :; do :; done"]);
        command.spawn().expect("run a busy process")
    };
    BusyProcesses((0..count).map(start).collect())
}

impl Drop for BusyProcesses {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // timeout passes this signal on, unlike SIGKILL.
            let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
            child.wait().ok();
        }
    }
}
