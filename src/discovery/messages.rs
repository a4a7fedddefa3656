use std::sync::Arc;

use actix::Message;
use lanrage_ipc::results::DiscoveredParty;

use super::DiscoveryError;

/// Parties that a discovery file announces.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct AnnouncedParties {
    /// This daemon's parties, by id.
    pub(crate) own: Vec<DiscoveredParty>,
    /// Parties of others, from the one with the fewest members on, then by id.
    pub(crate) others: Vec<DiscoveredParty>,
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
