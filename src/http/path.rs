//! Path parameters.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use lanrage_ipc::model::{Name, PartyId, PeerId};
use percent_encoding::percent_decode_str;

use super::problem::Problem;
use super::routes::Target;

/// Characters of an id that an error repeats: the length of the longest valid one.
const LONGEST_ID: usize = 128;

/// Decoded path parameters of a route.
#[derive(Debug, Clone, Default)]
pub(super) struct Params {
    party_id: String,
    peer_id: String,
    region: String,
}

impl Params {
    /// Returns the parameters of a path that has the form of a route's template. A slash, encoded
    /// or not, is no part of a parameter.
    pub(super) fn of(path: &str, template: &str) -> Option<Self> {
        let mut params = Self::default();
        let mut segments = path.split('/');
        for expected in template.split('/') {
            let segment = percent_decode_str(segments.next()?).decode_utf8_lossy();
            let param = match expected {
                "{party_id}" => &mut params.party_id,
                "{peer_id}" => &mut params.peer_id,
                "{region}" => &mut params.region,
                _ if expected == segment => continue,
                _ => return None,
            };
            if segment.is_empty() || segment.contains('/') {
                return None;
            }
            *param = segment.into_owned();
        }
        segments.next().is_none().then_some(params)
    }
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

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let params = request.extensions().get::<Target>().map(|target| target.params.clone());
        ready(params.ok_or_else(Problem::no_route))
    }
}

fn shortened(id: &str) -> String {
    id.chars().take(LONGEST_ID).collect()
}
