//! The parameters of a path.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use lanrage_ipc::model::{Name, PartyId, PeerId};
use serde::Deserialize;

use super::problem::Problem;

/// How much of an id is told again, in characters: the longest one that there can be.
const LONGEST_ID: usize = 128;

/// The parameters of a path, decoded, as far as its route has them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    party_id: String,
    peer_id: String,
    region: String,
}

impl Params {
    /// The party.
    ///
    /// # Errors
    /// What breaks the rule for ids names no party that there could be.
    pub(super) fn party(&self) -> Result<PartyId, Problem> {
        self.party_id.parse().map_err(|_| Problem::no_party(shortened(&self.party_id)))
    }

    /// The peer.
    ///
    /// # Errors
    /// What breaks the rule for ids names no peer that there could be.
    pub(super) fn peer(&self) -> Result<PeerId, Problem> {
        self.peer_id.parse().map_err(|_| Problem::no_peer(shortened(&self.peer_id)))
    }

    /// The region; none if no region can be called so.
    pub(super) fn region(&self) -> Option<Name> {
        self.region.parse().ok()
    }
}

impl FromRequest for Params {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let params = web::Path::<Self>::from_request(request, payload).into_inner();
        let params = params.ok().map(web::Path::into_inner);
        // A slash is no part of a parameter, however it is written.
        let params = params.filter(|params| {
            ![&params.party_id, &params.peer_id, &params.region]
                .into_iter()
                .any(|p| p.contains('/'))
        });
        ready(params.ok_or_else(Problem::no_route))
    }
}

/// The party that a request is about, for the log: there only what is an id may be written.
pub(super) fn logged_party(request: &HttpRequest) -> Option<PartyId> {
    request.match_info().get("party_id")?.parse().ok()
}

fn shortened(id: &str) -> String {
    id.chars().take(LONGEST_ID).collect()
}
