use std::sync::Arc;

use actix::Message;
use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::results::DiscoveredParty;

use super::DiscoveryError;

/// Parties as they are now, or `None` where they are no more. The file follows: at once
/// after some quiet, else soon.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Announce {
    /// What changed.
    pub changes: Vec<(PartyId, Option<Arc<Party>>)>,
}

/// All parties that there are, in place of whatever was announced before. Comes first after a
/// start: until then nothing is known of what the file should hold.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct AnnounceAll {
    /// The parties.
    pub parties: Vec<Arc<Party>>,
}

/// The parties that a discovery file announces.
#[derive(Debug, Default, PartialEq)]
pub struct AnnouncedParties {
    /// This daemon's, by id.
    pub own: Vec<DiscoveredParty>,
    /// Others', from the one with the fewest members on, then by id.
    pub others: Vec<DiscoveredParty>,
}

/// Asks what the file announces. Answered after the changes that came
/// before have been written, or could not be. A file that can't be read is an error, one that
/// is not there holds nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<AnnouncedParties>, DiscoveryError>")]
pub struct Discover;

/// Answered when all changes are written, or could not be even now. Until something is announced
/// anew, the file is not touched again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;
