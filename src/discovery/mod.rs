//! Announces parties to other programs of this machine, and discovers theirs.
//!
//! The discovery file has LANrage's format, `{party_id: party}`. Several daemons, of several users,
//! and LANrage itself may share it. This daemon changes only its own entries and keeps the text of
//! all others ([`file`]). The [`Discovery`] actor learns the ids of changed parties from a dirty
//! set, reads these parties from the control plane and renders them ([`entries`]). The first change
//! after a quiet period is written at once, and later ones together ([`GATHER`]).
//!
//! Rules of the file:
//! - It is changed under an exclusive lock on its sibling `<file>.lock`, and replaced as a whole.
//!   LANrage does not lock: a file that seems truncated is read again before it counts as damaged,
//!   and a file that was written meanwhile is read again before it is replaced.
//! - An entry is ours if its party and host are those of a party that we hold, or are listed in
//!   `announced.json` in the state directory. An id is added to that list before its entry is
//!   written and removed after its entry is gone, so that no crash leaves an orphaned entry.
//! - Entries of others stay, even if they have the id of one of our parties.
//! - Our entries have a bound in bytes ([`entries::ROOM`]). The text of an entry is kept until its
//!   party changes, and that of the others until the file's version does, so that a change costs the
//!   rendering of its party and the writing of a bounded file.
//! - Our members count as alive: every write sets their `last_seen` to the present. The file is
//!   refreshed while there are any, because LANrage drops a peer five minutes after `last_seen`.
//! - A damaged file is kept under a dated name; its readable entries stay.

mod actor;
mod announced;
mod contents;
mod disk;
mod document;
mod entries;
mod error;
mod file;
#[cfg(test)]
mod fixtures;
mod messages;
mod source;

pub(crate) use actor::{Config, Discovery, GATHER};
pub(crate) use error::DiscoveryError;
pub(crate) use messages::{AnnouncedParties, Discover, Flush};
pub(crate) use source::Source;
