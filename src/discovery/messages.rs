use std::sync::Arc;

use actix::Message;
use jiff::tz::TimeZone;
use lanrage_ipc::lanrage::AnnouncedParty;
use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::results::DiscoveredParty;

use super::{DiscoveryError, Ours};

/// Parties as they are now, or `None` where they are no more. The file follows: at once
/// after some quiet, else soon.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Announce {
    /// Changes.
    pub(crate) changes: Vec<(PartyId, Option<Arc<Party>>)>,
}

/// All parties that there are, in place of whatever was announced before. Comes first after a
/// start: until then nothing is known of what the file should hold.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct AnnounceAll {
    /// The parties.
    pub(crate) parties: Vec<Arc<Party>>,
}

/// The parties that a discovery file announces.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct AnnouncedParties {
    /// This daemon's, by id.
    pub(crate) own: Vec<DiscoveredParty>,
    /// Others', from the one with the fewest members on, then by id.
    pub(crate) others: Vec<DiscoveredParty>,
}

impl AnnouncedParties {
    /// Sorts the parties of a file to which this daemon wrote `written`, with times in `zone`. Every
    /// program can change the entries of this daemon until its next update: they are told as it
    /// wrote them.
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

/// The announcement of a party in a file; its entry there tells when its members were seen.
fn as_written(party: &Party, entry: &AnnouncedParty, zone: &TimeZone) -> AnnouncedParty {
    let mut written = AnnouncedParty::new(party, zone);
    for (id, peer) in &mut written.peers {
        if let Some(found) = entry.peers.get(id) {
            peer.last_seen = found.last_seen;
        }
    }
    written
}

/// Asks what the file announces. Answered after the changes that came
/// before have been written, or could not be. A file that can't be read is an error, one that
/// is not there holds nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<AnnouncedParties>, DiscoveryError>")]
pub(crate) struct Discover;

/// Answered when all changes are written, or could not be even now. Until something is announced
/// anew, the file is not touched again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Flush;
