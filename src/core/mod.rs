//! The rules of the control plane, pure: no input or output, no clock, no actor.
//!
//! A [`Command`] and the time go into [`Registry::apply`]; out come the answer, the changes to
//! make durable and the events to tell. Whole histories replay from their commands.

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
pub mod reconcile;
mod record;
mod refusal;
mod refusal_counts;
mod registry;
mod request;
mod rules;
mod shares;
mod shown;
pub mod upstream;

pub use address::AddressKey;
pub use byte_shares::ByteShares;
pub use clock_steps::ClockSteps;
pub(crate) use command::outcome_of;
pub use command::{
    Caller, Command, ConnectionId, Hold, Identity, ImportCounts, ImportMode, Membership, Now,
    Principal, Reconciled, Refusal, RelayInput, RequestKind, Revoked, Upstream, UpstreamPart,
};
pub use dirty_set::{DirtySet, MOST_DIRTY};
pub use failure::Failure;
pub use fair_set::{Admission, FairSet, ShareBound, ShareLimits};
pub use outcome::{Alive, Claimed, Left, Outcome};
pub(crate) use outcome::{CommandFor, command};
pub use rate::{AddressBuckets, AddressTurns, Buckets, Rate, RetryAfter, Turns};
pub use recent::Recent;
pub use record::{
    ChoiceRecord, ClaimHash, CredentialRecord, Done, IntentRecord, MemberRecord, OpKind, Owner,
    PartyRecord, PinRecord, Proof, Receipt, ReceiptRecord, RelayRecord, RequestKey, Seen,
    ServerKey, TokenHash, TokenRecord, User, Write,
};
pub use refusal_counts::{RefusalCounts, RefusalReport};
pub use registry::{Applied, Change, Effect, Ended, Filter, HoldProof, Registry, least_bytes};
pub use request::{Idempotency, Request};
pub use rules::Rules;
pub use shares::{Payer, Shares, Tally};
pub use shown::shown;
