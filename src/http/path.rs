//! Path parameters.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use lanrage_ipc::model::{Name, PartyId, PeerId};
use serde::Deserialize;

use super::problem::Problem;

/// Characters of an id that an error repeats: the length of the longest valid one.
const LONGEST_ID: usize = 128;

/// Decoded path parameters of a route.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    party_id: String,
    peer_id: String,
    region: String,
}

impl Params {
    /// Returns the party id.
    ///
    /// # Errors
    /// 404 for an invalid id, which no party can have.
    pub(super) fn party(&self) -> Result<PartyId, Problem> {
        self.party_id.parse().map_err(|_| Problem::no_party(shortened(&self.party_id)))
    }

    /// Returns the peer id.
    ///
    /// # Errors
    /// 404 for an invalid id, which no peer can have.
    pub(super) fn peer(&self) -> Result<PeerId, Problem> {
        self.peer_id.parse().map_err(|_| Problem::no_peer(shortened(&self.peer_id)))
    }

    /// Returns the region; `None` for an invalid one.
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
        // A slash, encoded or not, is no part of a parameter.
        let params = params.filter(|params| {
            ![&params.party_id, &params.peer_id, &params.region]
                .into_iter()
                .any(|p| p.contains('/'))
        });
        ready(params.ok_or_else(Problem::no_route))
    }
}

/// Returns the party of a request for the log, where only valid ids are written.
pub(super) fn logged_party(request: &HttpRequest) -> Option<PartyId> {
    request.match_info().get("party_id")?.parse().ok()
}

fn shortened(id: &str) -> String {
    id.chars().take(LONGEST_ID).collect()
}
