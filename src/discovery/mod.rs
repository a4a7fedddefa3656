//! Tells other programs of this machine which parties there are, and finds theirs.
//!
//! The discovery file is LANrage's: `{party_id: party}`. Several daemons, of several users, and
//! LANrage itself may share one, so that this daemon changes only the entries that are its own and
//! keeps all others as they are written ([`file`]). The [`Discovery`] actor holds what is to be
//! announced and does the file's work, one job at a time.
//!
//! Rules of the file:
//! - It is changed under an exclusive lock on its sibling `<file>.lock`, and replaced as a whole.
//!   LANrage locks nothing: a file that looks cut off is read again before it is called damaged, and
//!   one that was written since it was read is read again before it is replaced.
//! - An entry is ours if its party and host are those of a party that we hold, or those that
//!   `announced.json` in the state directory lists. That list is written before an entry goes in
//!   and shrunk after it has gone, so that no crash leaves an entry that nobody removes.
//! - Anyone else's entry stays, also where it keeps a party of ours with the same id out.
//! - Our members are alive as long as this daemon holds them: every write says that they were seen
//!   now, and the file is written again every so often while there are any, because LANrage takes
//!   a peer that was not seen for five minutes for gone.
//! - A damaged file is kept under a dated name; what could be read of it stays.

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

/// The parties to announce.
type Ours = BTreeMap<PartyId, Arc<Party>>;
