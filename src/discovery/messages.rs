use std::sync::Arc;

use actix::Message;
use jiff::tz::TimeZone;
use lanrage_ipc::lanrage::AnnouncedParty;
use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::results::DiscoveredParty;

use super::{DiscoveryError, Ours};

/// Changed parties in their present state; `None` for a removed one. The file is updated at once
/// after a quiet period, else soon.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Announce {
    /// Changes.
    pub(crate) changes: Vec<(PartyId, Option<Arc<Party>>)>,
}

/// All parties, in place of earlier announcements. Sent first after a start: before it, the
/// intended content of the file is unknown.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AnnounceAll {
    /// The parties.
    pub(crate) parties: Vec<Arc<Party>>,
}

/// Parties that a discovery file announces.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct AnnouncedParties {
    /// This daemon's parties, by id.
    pub(crate) own: Vec<DiscoveredParty>,
    /// Parties of others, from the one with the fewest members on, then by id.
    pub(crate) others: Vec<DiscoveredParty>,
}

impl AnnouncedParties {
    /// Sorts the parties of a file to which this daemon wrote `written`, with times in `zone`.
    /// Other programs can change this daemon's entries until its next update, so they are returned
    /// as it wrote them.
    pub(super) fn new(parties: Vec<DiscoveredParty>, written: &Ours, zone: &TimeZone) -> Self {
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for mut discovered in parties {
            let entry = &discovered.party;
            let party = written.get(entry.party_id.as_str());
            match party.filter(|party| party.host_id.as_str() == entry.host_id) {
                Some(party) => {
                    discovered.party = as_written(party, entry, zone);
                    own.push(discovered);
                }
                None => others.push(discovered),
            }
        }
        // None pushes out another by its size.
        others.sort_by_key(|discovered| discovered.party.peers.len());
        Self { own, others }
    }
}

/// Returns a party as announced in a file, with the entry's times of the members' last signs of
/// life.
fn as_written(party: &Party, entry: &AnnouncedParty, zone: &TimeZone) -> AnnouncedParty {
    let mut written = AnnouncedParty::new(party, zone);
    for (id, peer) in &mut written.peers {
        if let Some(found) = entry.peers.get(id) {
            peer.last_seen = found.last_seen;
        }
    }
    written
}

/// Requests the announcements in the file. The answer follows the writing of earlier changes, or
/// its failure. An unreadable file is an error; a missing one has no announcements.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<AnnouncedParties>, DiscoveryError>")]
pub(crate) struct Discover;

/// Flushes changes; answered when they are written, or a last attempt has failed. The file is not
/// touched again until the next announcement.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Flush;
