//! Rules for new values. They came after the first release, so that stored values may break them.

use crate::error::RpcError;
use crate::method::Request;
use crate::model::{CheckedText as _, InvalidText, PeerInput};

impl Request {
    /// Checks the values that the request brings in. Values that only name something pass.
    ///
    /// # Errors
    /// `invalid_params` naming the field.
    pub(crate) fn check_new(self) -> Result<Self, RpcError> {
        match &self {
            Self::PartyRegister(params) => {
                check("name", params.name.check_new())?;
                check_peer("host", &params.host)?;
                if let Some(party_id) = &params.party_id {
                    check("party_id", party_id.check_new())?;
                }
            }
            Self::PartyJoin(params) => check_peer("peer", &params.peer)?,
            Self::PeerUpdate(params) => check_peer("peer", &params.peer)?,
            Self::RelayRegister(params) => {
                check("relay_id", params.relay_id.check_new())?;
                if let Some(region) = &params.region {
                    check("region", region.check_new())?;
                }
            }
            _ => {}
        }
        Ok(self)
    }
}

fn check(field: &str, rule: Result<(), InvalidText>) -> Result<(), RpcError> {
    rule.map_err(|rule| RpcError::invalid_params(field, rule.to_string()))
}

fn check_peer(place: &str, peer: &PeerInput) -> Result<(), RpcError> {
    peer.check_new().map_err(|(field, rule)| {
        RpcError::invalid_params(format!("{place}.{field}"), rule.to_string())
    })
}
