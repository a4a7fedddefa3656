//! The local control plane: the actor around the registry, with group commit.
//!
//! ```text
//! Call -> apply -> nothing durable changed: answered at once
//!               '-> waits -> commit -> announcements, events, replies, in the order of the calls
//!                               '-> failed: all changes that wait are undone, newest first
//! ```
//!
//! One commit is in flight at a time; calls that arrive meanwhile join the next one. Reads are
//! answered after the changes before them, so that clients see durable state only. The queue of
//! waiting calls is bounded: further calls are refused as if their commit had failed.
//!
//! | file | |
//! |---|---|
//! | `actor`, `messages` | the actor, and its messages beside calls |
//! | `applying`, `reading` | commands and queries |
//! | `waiting` | the queue of calls that wait for the disk |
//! | `durability` | commits, and the rollback of a failed one |
//! | `notifications` | notices to the event hub, dirty set of the discovery actor |
//! | `bounds` | log of the tables that are full |

mod actor;
mod applying;
mod bounds;
mod durability;
mod messages;
mod notifications;
mod reading;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use actor::{Announcer, Collaborators, LocalControlPlane};
pub(crate) use messages::{SetRules, Stop};
