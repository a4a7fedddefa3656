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

/// Asks what the file announces, ours and others', by id. Answered after the changes that came
/// before have been written, or could not be. A file that can't be read is an error, one that
/// is not there holds nothing.
#[derive(Debug, Message)]
#[rtype(result = "Result<Arc<[DiscoveredParty]>, DiscoveryError>")]
pub struct Discover;

/// Answered when all changes are written, or could not be even now. Until something is announced
/// anew, the file is not touched again.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub struct Flush;
