//! Requests that change something.

use lanrage_ipc::model::{Name, PartyId};
use lanrage_ipc::results::*;
use lanrage_ipc::{Reply, Request, RpcError};

use super::{Translator, millis, unexpected};
use crate::control_plane::{Answer, Ask};
use crate::core::{Command, Outcome, Revoked};
use crate::random_id::random_party_id;

/// What an announced relay has when it doesn't say.
const RELAY_CAPACITY: u32 = 100;

impl Translator {
    pub(super) async fn command(&self, request: Request) -> Result<Reply, RpcError> {
        let is_register = matches!(request, Request::PartyRegister(_));
        let is_trust = matches!(request, Request::PeerTrust(_));
        match self.ask(Ask::Command(command(request, self.room())?)).await? {
            Answer::Outcome(outcome) => match outcome {
                Outcome::Party(party) if is_register => {
                    Ok(Reply::PartyRegister(PartyResult { party }))
                }
                Outcome::Party(party) => Ok(Reply::PartyJoin(PartyResult { party })),
                Outcome::Left { party_deleted } => Ok(Reply::PartyLeave(LeaveResult {
                    status: match party_deleted {
                        true => LeaveStatus::PartyDeleted,
                        false => LeaveStatus::Left,
                    },
                })),
                Outcome::Peer(peer) if is_trust => Ok(Reply::PeerTrust(PeerResult { peer })),
                Outcome::Peer(peer) => Ok(Reply::PeerUpdate(PeerResult { peer })),
                Outcome::Alive { expires_in, .. } => {
                    Ok(Reply::PeerHeartbeat(HeartbeatResult { expires_in_ms: millis(expires_in) }))
                }
                Outcome::Revoked(Revoked { tokens, parties, connections }) => {
                    Ok(Reply::PeerRelease(PeerReleaseResult {
                        tokens: tokens as u64,
                        parties: parties as u64,
                        connections: connections as u64,
                    }))
                }
                Outcome::Queued => Ok(Reply::SignalSend(SignalSendResult { queued: true })),
                Outcome::Signals(signals) => Ok(Reply::SignalPoll(SignalPollResult { signals })),
                Outcome::Relay(relay) => Ok(Reply::RelayRegister(RelayResult { relay })),
                other @ (Outcome::Imported(_)
                | Outcome::Claimed { .. }
                | Outcome::Returned(_)
                | Outcome::Receipt(_)
                | Outcome::Operations(_)
                | Outcome::Done) => Err(unexpected(&other)),
            },
            other => Err(unexpected(&other)),
        }
    }
}

/// A request that changes something, as the registry's command. A list in its answer has `room`.
fn command(request: Request, room: usize) -> Result<Command, RpcError> {
    Ok(match request {
        Request::PartyRegister(params) => Command::Register {
            party_id: params.party_id.map_or_else(new_party_id, Ok)?,
            name: params.name,
            host: params.host,
            keepalive: params.keepalive,
            utc_offset: None,
        },
        Request::PartyJoin(params) => Command::Join {
            party_id: params.party_id,
            peer: params.peer,
            keepalive: params.keepalive,
            utc_offset: None,
        },
        Request::PartyLeave(params) => {
            Command::Leave { party_id: params.party_id, peer_id: params.peer_id }
        }
        Request::PeerUpdate(params) => {
            Command::Update { party_id: params.party_id, peer: params.peer, utc_offset: None }
        }
        Request::PeerTrust(params) => Command::Trust {
            party_id: params.party_id,
            peer_id: params.peer_id,
            public_key: params.public_key,
        },
        Request::PeerHeartbeat(params) => {
            Command::Heartbeat { party_id: params.party_id, peer_id: params.peer_id }
        }
        Request::PeerRelease(params) => Command::Release { peer_id: params.peer_id },
        Request::SignalSend(params) => Command::SendSignal {
            party_id: params.party_id,
            from: params.from_peer_id,
            to: params.to_peer_id,
            data: params.signal_data,
        },
        Request::SignalPoll(params) => {
            Command::PollSignals { party_id: params.party_id, peer_id: params.peer_id, room }
        }
        Request::RelayRegister(params) => Command::RegisterRelay {
            relay_id: params.relay_id,
            public_ip: params.public_ip,
            port: params.port,
            region: params.region.map_or_else(unknown_region, Ok)?,
            capacity: params.capacity.unwrap_or(RELAY_CAPACITY),
        },
        other => return Err(unexpected(&other)),
    })
}

fn new_party_id() -> Result<PartyId, RpcError> {
    random_party_id().map_err(|error| unexpected(&error))
}

fn unknown_region() -> Result<Name, RpcError> {
    "unknown".parse().map_err(|error| unexpected(&error))
}
