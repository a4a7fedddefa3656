//! Requests that only read.

use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::params::PartyListParams;
use lanrage_ipc::results::{
    DiscoveredParty, PartyDiscoverResult, PartyListResult, PartyResult, PeerListResult, PeerResult,
    RelayListResult,
};
use lanrage_ipc::{Reply, Request, RpcError};
use serde::Serialize;

use super::{Told, Translator, bytes, unexpected};
use crate::control_plane::{Answer, Ask, Failure, Query};
use crate::core::least_bytes;
use crate::discovery::AnnouncedParties;
use crate::ipc::budget::Reserved;
use crate::ipc::errors::wire;

/// The page of `party.list` when its length is left open, and the longest there is.
const PAGE: u32 = 500;

impl Translator {
    /// Returns the announced parties: this daemon's, and others' as far as there is room. All who
    /// ask share them until the reply is worked out, so that room is reserved for as many as there
    /// are.
    pub(super) async fn discover(&self) -> (Result<Told, RpcError>, Option<Reserved>) {
        let announced = match self.ask(Ask::Discover).await {
            Ok(Answer::Discovered(announced)) => announced,
            Ok(other) => return (Err(unexpected(&other)), None),
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
                (Ok(reply.into()), Some(reserved))
            }
            Err(error) => (Err(error), None),
        }
    }

    /// The announced parties, by id. Those of others take half of a frame at most, so that no
    /// other program keeps a daemon's clients from those of the daemon.
    fn announced(
        &self,
        AnnouncedParties { own, others }: &AnnouncedParties,
    ) -> Vec<DiscoveredParty> {
        let used: usize = own.iter().map(length).sum();
        let room = self.room().saturating_sub(used).min(self.settings.limits.frame_out / 2);
        let fit = fitting(others, room);
        let left_out = others.len() - fit;
        if left_out > 0 {
            let level = self.face.crowded.level(log::Level::Warn);
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

    pub(super) async fn query(&self, request: Request) -> Result<Reply, RpcError> {
        let query = match &request {
            Request::PartyGet(params) => Query::Party(params.party_id.clone()),
            Request::PeerList(params) => Query::Party(params.party_id.clone()),
            Request::PeerDiscover(params) => {
                Query::Peer(params.party_id.clone(), params.peer_id.clone())
            }
            Request::RelayList(params) => Query::Relays(params.region.clone()),
            Request::PartyList(params) => page(params, self.room())?,
            other => return Err(unexpected(other)),
        };
        match (request, self.ask(Ask::Query(query)).await?) {
            (Request::PeerList(_), Answer::Party(party)) => {
                Ok(Reply::PeerList(PeerListResult { peers: party.peers }))
            }
            (_, Answer::Party(party)) => Ok(Reply::PartyGet(PartyResult { party })),
            (_, Answer::Peer(peer)) => Ok(Reply::PeerDiscover(PeerResult { peer })),
            (_, Answer::Relays(relays)) => Ok(Reply::RelayList(RelayListResult { relays })),
            (_, Answer::Parties { parties, more }) => {
                Ok(Reply::PartyList(shortened(parties, more, self.room())))
            }
            (_, other) => Err(unexpected(&other)),
        }
    }
}

fn page(params: &PartyListParams, room: usize) -> Result<Query, RpcError> {
    let limit = params.limit.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&limit) {
        return Err(RpcError::invalid_params("limit", format!("must be 1 to {PAGE}")));
    }
    if let Some(cursor) = &params.cursor
        && cursor.parse::<PartyId>().is_err()
    {
        return Err(RpcError::invalid_params("cursor", "must be the next_cursor of a page"));
    }
    Ok(Query::Parties { after: params.cursor.clone(), limit: limit as usize, room })
}

/// As much of a page as fits into `room` bytes, one party at least.
fn shortened(mut parties: Vec<Party>, more: bool, room: usize) -> PartyListResult {
    let fit = fitting(&parties, room).max(1);
    let cut = fit < parties.len();
    parties.truncate(fit);
    let last = parties.last().map(|party| party.party_id.to_string());
    PartyListResult { next_cursor: last.filter(|_| more || cut), parties }
}

/// Number of the first parties whose JSON fits into `room` bytes.
fn fitting<T: Serialize>(parties: &[T], room: usize) -> usize {
    let mut used = 0;
    let fit = parties.iter().take_while(|party| {
        used += length(*party);
        used <= room
    });
    fit.count()
}

/// Bytes of a party in a list.
fn length<T: Serialize>(party: &T) -> usize {
    serde_json::to_string(party).map_or(0, |text| text.len() + 1)
}

fn members(parties: &[DiscoveredParty]) -> usize {
    parties.iter().map(|discovered| discovered.party.peers.len()).sum()
}
