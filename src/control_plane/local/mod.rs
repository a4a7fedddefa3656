//! The local control plane: the registry, and the order in which what it did leaves it.
//!
//! ```text
//! Call -> apply -> nothing durable changed: answered at once
//!               '-> waits -> commit -> announced, told, answered, in the order of the calls
//!                               '-> failed: all that waits is undone, newest first, and refused
//! ```
//!
//! One commit is under way at a time; what is asked for meanwhile goes into the next. Whoever
//! reads while something waits is answered after it, so that nobody ever sees what is not durable.
//! The queue of waiting calls is bounded: beyond that, calls are refused as if their commit had failed.

mod actor;
mod applying;
mod bounds;
mod durability;
mod messages;
mod reading;
mod telling;
#[cfg(test)]
mod tests;
mod waiting;

pub(crate) use actor::{Announcer, Collaborators, LocalControlPlane};
pub(crate) use messages::{SetRules, Stop};
