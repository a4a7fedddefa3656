//! Announces parties to other programs of this machine, and discovers theirs.
//!
//! The discovery file has LANrage's format, `{party_id: party}`. Several daemons, of several users,
//! and LANrage itself may share it. This daemon changes only its own entries and keeps the text of
//! all others ([`file`]). The [`Discovery`] actor holds the announcements and works on the file,
//! one job at a time.
//!
//! Rules of the file:
//! - It is changed under an exclusive lock on its sibling `<file>.lock`, and replaced as a whole.
//!   LANrage does not lock: a file that seems truncated is read again before it counts as damaged,
//!   and a file that was written meanwhile is read again before it is replaced.
//! - An entry is ours if its party and host are those of a party that we hold, or are listed in
//!   `announced.json` in the state directory. An id is added to that list before its entry is
//!   written and removed after its entry is gone, so that no crash leaves an orphaned entry.
//! - Entries of others stay, even if they have the id of one of our parties.
//! - Our members count as alive: every write sets their `last_seen` to the present. The file is
//!   refreshed while there are any, because LANrage drops a peer five minutes after `last_seen`.
//! - A damaged file is kept under a dated name; its readable entries stay.

mod actor;
mod announced;
mod disk;
mod error;
mod file;
#[cfg(test)]
mod fixtures;
mod merge;
mod messages;

use std::collections::BTreeMap;
use std::sync::Arc;

use lanrage_ipc::model::{Party, PartyId};

pub(crate) use actor::{Config, Discovery};
pub(crate) use error::DiscoveryError;
pub(crate) use messages::{Announce, AnnounceAll, AnnouncedParties, Discover, Flush};

/// Parties to announce.
type Ours = BTreeMap<PartyId, Arc<Party>>;
