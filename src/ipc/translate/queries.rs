//! Requests that only read.

use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::params::PartyListParams;
use lanrage_ipc::results::{DiscoveredParty, PartyDiscoverResult, PartyListResult};
use lanrage_ipc::{Reply, RpcError};
use serde::Serialize;

use super::{Response, Translator, bytes};
use crate::control_plane::{Ask, Failure, Query};
use crate::core::least_bytes;
use crate::discovery::AnnouncedParties;
use crate::ipc::budget::Reserved;
use crate::ipc::errors::wire;

/// Default and maximum page length of `party.list`.
const PAGE: u32 = 500;

impl Translator {
    /// Returns the announced parties: this daemon's, and those of others as far as there is room.
    /// Concurrent callers share them until the reply is encoded, so room is reserved for all.
    pub(super) async fn discover(&self) -> (Result<Response, RpcError>, Option<Reserved>) {
        let announced = match self.ask(Ask::Discover).await {
            Ok(announced) => announced,
            Err(error) => return (Err(error), None),
        };
        let AnnouncedParties { own, others } = &*announced;
        let (least, room) = (least_bytes(own.len(), members(own)), self.settings.limits.frame_out);
        if least > room {
            return (Err(wire(&Failure::TooLong { least, room })), None);
        }
        let all = bytes(own.len() + others.len(), members(own) + members(others));
        match self.reserve_turn(|_| all).await {
            Ok(reserved) => {
                let parties = self.announced(&announced);
                let reply = Reply::PartyDiscover(PartyDiscoverResult { parties });
                (self.encoded(reply).await, Some(reserved))
            }
            Err(error) => (Err(error), None),
        }
    }

    /// Returns the announced parties, by id. Parties of other programs take half of a frame at
    /// most, so that they can't crowd out the daemon's own.
    fn announced(
        &self,
        AnnouncedParties { own, others }: &AnnouncedParties,
    ) -> Vec<DiscoveredParty> {
        let used: usize = own.iter().map(length).sum();
        let room = self.room().saturating_sub(used).min(self.settings.limits.frame_out / 2);
        let fit = fitting(others, room);
        let left_out = others.len() - fit;
        if left_out > 0 {
            let level = self.server.crowded.level(log::Level::Warn);
            log::log!(
                level,
                "party.discover leaves out parties that others announce: left_out={left_out} \
                 (remove entries from the discovery file, or raise limits.frame_out)"
            );
        }
        let mut parties: Vec<_> = own.iter().chain(&others[..fit]).cloned().collect();
        parties.sort_by(|a, b| a.party.party_id.cmp(&b.party.party_id));
        parties
    }

    pub(super) async fn party(&self, party_id: PartyId) -> Result<Party, RpcError> {
        self.ask(|reply| Query::Party(party_id, reply)).await
    }

    pub(super) async fn page(&self, params: PartyListParams) -> Result<PartyListResult, RpcError> {
        let PartyListParams { cursor: after, limit } = params;
        let (limit, room) = (limit.unwrap_or(PAGE), self.room());
        if !(1..=PAGE).contains(&limit) {
            return Err(RpcError::invalid_params("limit", format!("must be 1 to {PAGE}")));
        }
        if after.as_ref().is_some_and(|cursor| cursor.parse::<PartyId>().is_err()) {
            return Err(RpcError::invalid_params("cursor", "must be the next_cursor of a page"));
        }
        let (limit, mut left) = (limit as usize, room);
        let (mut parties, mut cursor) = (Vec::new(), after);
        loop {
            let slice = self.slice(cursor, limit - parties.len(), left).await?;
            let (mut next, more) = (slice.parties, slice.more);
            // A page has one party at least.
            let fit = fitting(&next, left).max(usize::from(parties.is_empty()));
            let is_cut = fit < next.len();
            next.truncate(fit);
            left = left.saturating_sub(next.iter().map(length).sum());
            parties.append(&mut next);
            cursor = parties.last().map(|party| party.party_id.to_string());
            if is_cut || !more || parties.len() == limit {
                let next_cursor = cursor.filter(|_| more || is_cut);
                return Ok(PartyListResult { parties, next_cursor });
            }
        }
    }
}

/// Returns the number of leading parties whose JSON fits into `room` bytes.
fn fitting<T: Serialize>(parties: &[T], room: usize) -> usize {
    let mut used = 0;
    let fit = parties.iter().take_while(|party| {
        used += length(*party);
        used <= room
    });
    fit.count()
}

/// Returns the bytes of a party in a list.
fn length<T: Serialize>(party: &T) -> usize {
    serde_json::to_string(party).map_or(0, |text| text.len() + 1)
}

fn members(parties: &[DiscoveredParty]) -> usize {
    parties.iter().map(|discovered| discovered.party.peers.len()).sum()
}
