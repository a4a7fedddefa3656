//! Requests under an idempotency key, and their comparison.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lanrage_ipc::model::PartyId;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::command::{Command, RequestKind};
use super::record::RequestKey;

/// Idempotency key of a request, with the rules of its transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Idempotency {
    /// Name of the request, chosen by the client.
    pub(crate) key: RequestKey,
    /// False where the server chose the id of the party that the request registers.
    pub(crate) names_party: bool,
    /// True where a key of an earlier request with another body is refused; else the request is
    /// executed.
    pub(crate) refuses_reuse: bool,
}

impl From<RequestKey> for Idempotency {
    fn from(key: RequestKey) -> Self {
        Self { key, names_party: true, refuses_reuse: false }
    }
}

/// Identity of a request for its receipt: kind, party and body, on any transport.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    /// Its kind.
    pub(crate) kind: RequestKind,
    /// Party of the request. A registration may leave the id to the server.
    pub(crate) party_id: Option<PartyId>,
    /// SHA-256 of the parsed body, in base64.
    pub(crate) body: Box<str>,
}

/// Relation of a request to an earlier request under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Likeness {
    /// The same request.
    Same,
    /// The same kind and party, with another body.
    OtherBody,
    /// A request of another kind, or about another party.
    OtherRequest,
}

impl Request {
    /// Returns the request of a command; `None` for a command that leaves no receipt.
    pub(super) fn of(command: &Command, names_party: bool) -> Option<Self> {
        let (kind, body) = command.receipt()?;
        let is_named = names_party || kind != RequestKind::Register;
        let party_id = command.party_id().filter(|_| is_named).cloned();
        Some(Self { kind, party_id, body })
    }

    /// Compares it with an earlier request. A registration without a party id matches a
    /// registration with one: clients change between transports.
    pub(super) fn likeness(&self, earlier: &Self) -> Likeness {
        let names_another = match (&self.party_id, &earlier.party_id) {
            (Some(own), Some(other)) => own != other,
            _ => false,
        };
        if self.kind != earlier.kind || names_another {
            Likeness::OtherRequest
        } else if self.body != earlier.body {
            Likeness::OtherBody
        } else {
            Likeness::Same
        }
    }
}

pub(super) fn digest(body: &impl Serialize) -> Box<str> {
    // These types always encode.
    let json = serde_json::to_vec(body).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(Sha256::digest(json)).into()
}
