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
    /// Outcome of `Register` and `Join`.
    Party(Party),
    /// Outcome of `Leave`.
    Left(Left),
    /// Outcome of `Update` and `Trust`.
    Peer(Peer),
    /// Outcome of `Heartbeat`.
    Alive(Alive),
    /// Outcome of `SendSignal`.
    Queued,
    /// Outcome of `PollSignals`, oldest first.
    Signals(Vec<Signal>),
    /// Outcome of `RegisterRelay`.
    Relay(Relay),
    /// Outcome of `Import`.
    Imported(ImportCounts),
    /// Outcome of `Claim`.
    Claimed(Claimed),
    /// Outcome of `Revoke` and `Release`.
    Revoked(Revoked),
    /// Outcome of `Return`, with the parties in which a connection is to keep the peer alive.
    Reattached(Identity),
    /// Outcome of `Reconcile`.
    Reconciled(Reconciled),
    /// Outcome of `Refused`: operations to send to the server now.
    Operations(Vec<MembershipOp>),
    /// Outcome of a command under an idempotency key, the same for each repetition.
    Receipt(Receipt),
    /// Outcome of a command without a result.
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
    /// True if the party ended with the leave.
    pub(crate) party_deleted: bool,
}

/// Outcome of a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alive {
    /// Time until the peer expires without another sign of life.
    pub(crate) expires_in: Duration,
    /// Number of the last change of its party.
    pub(crate) seq: u64,
    /// Wall clock offset of its program, if known.
    pub(crate) utc_offset: Option<UtcOffset>,
}

/// Outcome of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// The peer.
    pub(crate) identity: Identity,
    /// True if the fresh token was issued. Otherwise the token that was shown stays valid, and is
    /// extended if a fresh one was wanted.
    pub(crate) is_issued: bool,
}

/// A command, optionally under an idempotency key, with the type of its outcome. Made by the macro
/// `command!`.
pub(crate) struct CommandFor<T> {
    pub(crate) command: Command,
    pub(crate) key: Option<Idempotency>,
    outcome: PhantomData<fn() -> T>,
}

impl<T> CommandFor<T> {
    /// For `command!`, which infers the type.
    pub(crate) fn new(command: Command, key: Option<Idempotency>) -> Self {
        Self { command, key, outcome: PhantomData }
    }
}

impl CommandFor<Party> {
    /// Adds an idempotency key; the outcome is then the party's id.
    pub(crate) fn once(self, key: Idempotency) -> CommandFor<PartyId> {
        CommandFor::new(self.command, Some(key))
    }
}

impl CommandFor<Left> {
    /// Adds an idempotency key.
    pub(crate) fn once(self, key: Option<Idempotency>) -> Self {
        Self { key, ..self }
    }
}

impl Command {
    /// Adds an idempotency key.
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
