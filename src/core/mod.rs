//! The rules of the control plane, pure: no input or output, no clock, no actor.
//!
//! A [`Command`] and the time go into [`Registry::apply`]. Its results are the answer, the changes
//! to make durable and the events to publish. Whole histories replay from their commands.
//!
//! | file | |
//! |---|---|
//! | `command`, `caller`, `outcome`, `failure`, `refusal`, `request` | commands, their callers and results |
//! | `registry`, `rules`, `addresses` | the state machine, its bounds, addresses of the virtual LAN |
//! | `record` | rows to store |
//! | `reconcile`, `upstream` | replicas of a control server's parties, and the session with it |
//! | `shares`, `byte_shares`, `fair_set`, `address` | parts of tables and queues that a client may fill |
//! | `rate`, `refusal_counts` | token buckets, and counts of refusals for the log |
//! | `dirty_set`, `recent`, `clock_steps`, `shown` | dirty set, a bounded map, steps of the wall clock, safe text |

mod address;
mod addresses;
mod byte_shares;
mod caller;
mod clock_steps;
mod command;
mod dirty_set;
mod failure;
mod fair_set;
mod outcome;
mod rate;
mod recent;
pub(crate) mod reconcile;
mod record;
mod refusal;
mod refusal_counts;
mod registry;
mod request;
mod rules;
mod shares;
mod shown;
pub(crate) mod upstream;

pub(crate) use address::AddressKey;
pub(crate) use byte_shares::ByteShares;
pub(crate) use clock_steps::ClockSteps;
pub(crate) use command::outcome_of;
pub(crate) use command::{
    Caller, Command, ConnectionId, Hold, Identity, ImportMode, Membership, Now, Principal,
    ProvenPeer, Refusal, RelayInput, Revoked, Upstream, UpstreamPart,
};
#[cfg(test)]
pub(crate) use command::{ImportCounts, Reconciled, RequestKind};
pub(crate) use dirty_set::DirtySet;
#[cfg(test)]
pub(crate) use dirty_set::MOST_DIRTY;
pub(crate) use failure::Failure;
pub(crate) use fair_set::{Admission, FairSet, ShareBound, ShareLimits};
pub(crate) use outcome::{Alive, Claimed, Left, Outcome};
pub(crate) use outcome::{CommandFor, command};
pub(crate) use rate::{AddressBuckets, AddressTurns, Buckets, Rate, RetryAfter};
pub(crate) use recent::Recent;
pub(crate) use record::{
    ChoiceRecord, ClaimHash, CredentialRecord, Done, IntentRecord, MemberRecord, OpKind, Owner,
    PartyRecord, PinRecord, Proof, Receipt, ReceiptRecord, RelayRecord, RequestKey, Seen,
    ServerKey, TokenHash, TokenRecord, User, Write,
};
pub(crate) use refusal_counts::{RefusalCounts, RefusalReport};
pub(crate) use registry::{Applied, Change, Effect, Ended, Filter, Inverse, Registry, least_bytes};
pub(crate) use request::{Idempotency, Request};
pub(crate) use rules::Rules;
pub(crate) use shares::{Payer, Shares, Tally};
pub(crate) use shown::shown;
