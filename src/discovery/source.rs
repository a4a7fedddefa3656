//! The parties to announce, read from the control plane.

use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use lanrage_ipc::model::{Party, PartyId};

use super::DiscoveryError;
use super::entries::Entries;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::{ControlPlane, Failure, Query};
use crate::core::{Caller, DirtySet, Refusal};

/// Time limit of an answer of the control plane. Its reads wait for the disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bounds of the parties that are read at once.
const PAGE: usize = 64;
const PAGE_BYTES: usize = 256 * 1024;

/// Control plane with the dirty set of its parties.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Control plane that has the parties.
    pub(crate) parties: ControlPlane,
    /// Caller of the requests.
    pub(crate) itself: Caller,
    /// Parties that were changed, registered or removed.
    pub(crate) changed: Arc<DirtyParties>,
}

impl Source {
    /// Brings the entries up to date with the stale parties, in their durable state.
    pub(super) async fn refresh(
        &self,
        entries: &mut Entries,
        stale: &DirtySet,
        zone: &TimeZone,
    ) -> Result<(), DiscoveryError> {
        match stale {
            DirtySet::Some(ids) => {
                for party_id in ids {
                    set(entries, party_id, self.party(party_id).await?.as_ref(), zone)?;
                }
            }
            DirtySet::Any => {
                entries.clear();
                let mut after = None;
                loop {
                    let read =
                        |reply| Query::Parties { after, limit: PAGE, room: PAGE_BYTES, reply };
                    let asked = self.parties.ask_within(PATIENCE, self.itself.clone(), read);
                    let page = asked.await.map_err(unread)?;
                    for party in &page.parties {
                        set(entries, &party.party_id, Some(party), zone)?;
                    }
                    let last = page.parties.last().map(|party| party.party_id.to_string());
                    match last.filter(|_| page.more) {
                        Some(last) => after = Some(last),
                        None => break,
                    }
                }
            }
        }
        Ok(())
    }

    async fn party(&self, party_id: &PartyId) -> Result<Option<Party>, DiscoveryError> {
        let read = |reply| Query::Party(party_id.clone(), reply);
        match self.parties.ask_within(PATIENCE, self.itself.clone(), read).await {
            Ok(party) => Ok(Some(party)),
            Err(Failure::Refused(Refusal::PartyNotFound(_))) => Ok(None),
            Err(failure) => Err(unread(failure)),
        }
    }
}

fn set(
    entries: &mut Entries,
    party_id: &PartyId,
    party: Option<&Party>,
    zone: &TimeZone,
) -> Result<(), DiscoveryError> {
    entries.set(party_id, party, zone).map_err(unread)
}

fn unread(error: impl ToString) -> DiscoveryError {
    DiscoveryError::Unread(error.to_string())
}
