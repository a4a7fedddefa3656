//! Requests that change the state.

use lanrage_ipc::model::{Name, PartyId};
use lanrage_ipc::params::*;
use lanrage_ipc::results::*;
use lanrage_ipc::{Reply, Request, RpcError};

use super::{Translator, internal, millis};
use crate::core::{RelayInput, Revoked, command};
use crate::random_id::random_party_id;

/// Defaults of an announced relay.
const RELAY_CAPACITY: u32 = 100;

impl Translator {
    pub(super) async fn command(&self, request: Request) -> Result<Reply, RpcError> {
        Ok(match request {
            Request::PartyRegister(PartyRegisterParams { party_id, name, host, keepalive }) => {
                let (party_id, utc_offset) = (party_id.map_or_else(new_party_id, Ok)?, None);
                let register = command!(Register { party_id, name, host, keepalive, utc_offset });
                Reply::PartyRegister(PartyResult { party: self.ask(register).await? })
            }
            Request::PartyJoin(PartyJoinParams { party_id, peer, keepalive }) => {
                let join = command!(Join { party_id, peer, keepalive, utc_offset: None });
                Reply::PartyJoin(PartyResult { party: self.ask(join).await? })
            }
            Request::PartyLeave(MemberParams { party_id, peer_id }) => {
                let left = self.ask(command!(Leave { party_id, peer_id })).await?;
                Reply::PartyLeave(LeaveResult {
                    status: match left.party_deleted {
                        true => LeaveStatus::PartyDeleted,
                        false => LeaveStatus::Left,
                    },
                })
            }
            Request::PeerUpdate(PeerUpdateParams { party_id, peer }) => {
                let update = command!(Update { party_id, peer, utc_offset: None });
                Reply::PeerUpdate(PeerResult { peer: self.ask(update).await? })
            }
            Request::PeerTrust(PeerTrustParams { party_id, peer_id, public_key }) => {
                let trust = command!(Trust { party_id, peer_id, public_key });
                Reply::PeerTrust(PeerResult { peer: self.ask(trust).await? })
            }
            Request::PeerHeartbeat(MemberParams { party_id, peer_id }) => {
                let alive = self.ask(command!(Heartbeat { party_id, peer_id })).await?;
                Reply::PeerHeartbeat(HeartbeatResult { expires_in_ms: millis(alive.expires_in) })
            }
            Request::PeerRelease(PeerParams { peer_id }) => {
                let Revoked { tokens, parties, connections } =
                    self.ask(command!(Release { peer_id })).await?;
                Reply::PeerRelease(PeerReleaseResult {
                    tokens: tokens as u64,
                    parties: parties as u64,
                    connections: connections as u64,
                })
            }
            Request::SignalSend(params) => {
                let (party_id, data) = (params.party_id, params.signal_data);
                let (from, to) = (params.from_peer_id, params.to_peer_id);
                self.ask(command!(SendSignal { party_id, from, to, data })).await?;
                Reply::SignalSend(SignalSendResult { queued: true })
            }
            Request::SignalPoll(MemberParams { party_id, peer_id }) => {
                let poll = command!(PollSignals { party_id, peer_id, room: self.room() });
                Reply::SignalPoll(SignalPollResult { signals: self.ask(poll).await? })
            }
            Request::RelayRegister(params) => {
                let RelayRegisterParams { relay_id, public_ip, port, region, capacity } = params;
                let region = region.map_or_else(unknown_region, Ok)?;
                let capacity = capacity.unwrap_or(RELAY_CAPACITY);
                let relay = RelayInput { relay_id, public_ip, port, region, capacity };
                let relay = self.ask(command!(RegisterRelay(relay))).await?;
                Reply::RelayRegister(RelayResult { relay })
            }
            other => return Err(internal(format_args!("{other:?} is no command"))),
        })
    }
}

fn new_party_id() -> Result<PartyId, RpcError> {
    random_party_id().map_err(internal)
}

fn unknown_region() -> Result<Name, RpcError> {
    "unknown".parse().map_err(internal)
}
