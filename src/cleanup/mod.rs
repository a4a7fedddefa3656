//! Actor that sends commands by the clock: expiry of everything silent, and backups.

use std::time::Duration;

use actix::prelude::*;

use crate::control_plane::ControlPlane;
use crate::core::{Caller, Command};
use crate::store::RotateBackups;

/// Actor of the clean-up.
#[derive(Debug)]
pub(crate) struct Cleanup {
    routine: Routine,
    caller: Caller,
    control_plane: ControlPlane,
    archive: Recipient<RotateBackups>,
    ticks: Vec<SpawnHandle>,
}

/// Intervals of the clean-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub(crate) struct Routine {
    /// Interval of the expiry.
    pub(crate) expire: Duration,
    /// Interval of backups.
    pub(crate) backup: Duration,
    /// Number of backups to keep.
    pub(crate) backups_kept: usize,
}

impl Cleanup {
    /// Creates the actor, which sends its commands as `caller`.
    pub(crate) fn new(
        routine: Routine,
        caller: Caller,
        control_plane: ControlPlane,
        archive: Recipient<RotateBackups>,
    ) -> Self {
        Self { routine, caller, control_plane, archive, ticks: Vec::new() }
    }

    fn arm(&mut self, ctx: &mut Context<Self>) {
        for tick in self.ticks.drain(..) {
            ctx.cancel_future(tick);
        }
        self.ticks = vec![
            ctx.run_interval(self.routine.expire, |this, _| this.expire()),
            ctx.run_interval(self.routine.backup, |this, _| this.backup()),
        ];
    }

    /// A control plane too busy to take it is asked again at the next tick.
    fn expire(&self) {
        if !self.control_plane.try_command(self.caller.clone(), Command::Expire) {
            log::warn!("clean-up put off to the next tick: the mailbox is full");
        }
    }

    fn backup(&self) {
        if let Err(error) = self.archive.try_send(RotateBackups { kept: self.routine.backups_kept })
        {
            log::warn!("backup put off to the next tick: {error}");
        }
    }
}

impl Actor for Cleanup {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.arm(ctx);
        self.backup();
    }
}

crate::health::answers_ping!(Cleanup);

impl Handler<Routine> for Cleanup {
    type Result = ();

    fn handle(&mut self, routine: Routine, ctx: &mut Self::Context) {
        if routine != self.routine {
            self.routine = routine;
            self.arm(ctx);
        }
    }
}
