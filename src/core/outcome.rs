//! Outcomes of commands, and the type that the outcome of each command has.

use std::marker::PhantomData;
use std::time::Duration;

use lanrage_ipc::model::{Party, PartyId, Peer, Relay, Signal, UtcOffset};

use super::command::{Command, Identity, ImportCounts, Reconciled, Revoked};
use super::reconcile::MembershipOp;
use super::record::Receipt;
use super::request::Idempotency;

/// Outcome of a command.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    /// Of `Register` and `Join`.
    Party(Party),
    /// Of `Leave`.
    Left(Left),
    /// Of `Update` and `Trust`.
    Peer(Peer),
    /// Of `Heartbeat`.
    Alive(Alive),
    /// Of `SendSignal`.
    Queued,
    /// Of `PollSignals`, oldest first.
    Signals(Vec<Signal>),
    /// Of `RegisterRelay`.
    Relay(Relay),
    /// Of `Import`.
    Imported(ImportCounts),
    /// Of `Claim`.
    Claimed(Claimed),
    /// Of `Revoke` and `Release`.
    Revoked(Revoked),
    /// Of `Return`: with the parties in which a connection is to keep the peer alive.
    Returned(Identity),
    /// Of `Reconcile`.
    Reconciled(Reconciled),
    /// Of `Refused`: requests that the server is to get now.
    Operations(Vec<MembershipOp>),
    /// Of a command under an idempotency key: also its outcome when it came the first time.
    Receipt(Receipt),
    /// Of a command that has nothing to tell.
    Done,
}

/// Names the commands that clients send, the type of their outcomes, and where [`Outcome`] has it.
macro_rules! outcomes {
    ($($($command:ident)* => $held:ty { $($outcome:pat => $value:expr),+ })+) => {
        $(impl TryFrom<Outcome> for $held {
            type Error = Outcome;

            fn try_from(outcome: Outcome) -> Result<Self, Outcome> {
                match outcome {
                    $($outcome => Ok($value),)+
                    other => Err(other),
                }
            }
        })+

        /// Type of the outcome of each command, by the command's name.
        pub(crate) mod outcome_of {
            use super::*;

            $($(pub(crate) type $command = $held;)*)+
        }
    };
}

pub(super) use outcomes;

/// Outcome of a leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// True if the party ended with it.
    pub(crate) party_deleted: bool,
}

/// Outcome of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alive {
    /// Time that the peer may be silent from now.
    pub(crate) expires_in: Duration,
    /// Number of the last change of its party.
    pub(crate) seq: u64,
    /// Offset of its program's wall clock, if that is known.
    pub(crate) utc_offset: Option<UtcOffset>,
}

/// Outcome of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The peer.
    pub(crate) identity: Identity,
    /// True if the token to issue is good; else the one that was shown is, and lasts longer where
    /// one was to be issued.
    pub(crate) is_issued: bool,
}

/// A command, perhaps under an idempotency key, with the type of its outcome. The macro `command!`
/// makes one.
pub(crate) struct CommandFor<T> {
    pub(crate) command: Command,
    pub(crate) key: Option<Idempotency>,
    outcome: PhantomData<fn() -> T>,
}

impl<T> CommandFor<T> {
    /// For `command!`, which knows the type.
    pub(crate) fn new(command: Command, key: Option<Idempotency>) -> Self {
        Self { command, key, outcome: PhantomData }
    }
}

impl CommandFor<Party> {
    /// To be done once under a key; the outcome is the party's id.
    pub(crate) fn once(self, key: Idempotency) -> CommandFor<PartyId> {
        CommandFor::new(self.command, Some(key))
    }
}

impl CommandFor<Left> {
    /// To be done once under a key.
    pub(crate) fn once(self, key: Option<Idempotency>) -> Self {
        Self { key, ..self }
    }
}

impl Command {
    /// To be done once under a key.
    pub(crate) fn once(self, key: Idempotency) -> CommandFor<Receipt> {
        CommandFor::new(self, Some(key))
    }
}

/// Makes a [`CommandFor`] of a command's name and fields.
macro_rules! command {
    ($name:ident $($fields:tt)?) => {
        $crate::core::CommandFor::<$crate::core::outcome_of::$name>::new(
            $crate::core::Command::$name $($fields)?,
            None,
        )
    };
}
pub(crate) use command;
