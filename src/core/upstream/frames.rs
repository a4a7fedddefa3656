//! Conversion between the wire's frames and the core's types.

pub(super) use crate::core::shown;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::{ClientFrame, PartyExtensions, ReqId, ServerFrame};
use lanrage_ipc::lanrage::input::PeerForm;
use lanrage_ipc::lanrage::{AnnouncedParty, AnnouncedPeer};
use lanrage_ipc::model::{CheckedText, PartyId, PeerId, PeerInput, RawJson, Relay, is_readable};

use super::message::{Acked, Message, PeerToken, RequestResult};
use super::requests::Rejection;
use crate::core::reconcile::{Change, MembershipOp, OpBody, Point, ServerMember, ServerParty};
use crate::core::{Command, RequestKey};

impl From<ServerFrame> for Message {
    /// Converts a frame. One that breaks a rule is [`Message::Garbage`].
    fn from(frame: ServerFrame) -> Self {
        read(frame).unwrap_or_else(Self::Garbage)
    }
}

/// Checks and converts a frame. An id that a URL can't carry is refused: no request could name it.
///
/// # Errors
/// The fault, in words.
fn read(frame: ServerFrame) -> Result<Message, String> {
    Ok(match frame {
        ServerFrame::Welcome { peer_id, token, token_expires_at, heartbeat_ms, epoch, .. } => {
            let peer_id = peer_id.map(|peer_id| checked("peer_id", peer_id)).transpose()?;
            let token = peer_id.zip(token).map(|(peer_id, token)| PeerToken {
                peer_id,
                token,
                expires_at: token_expires_at,
            });
            Message::Welcome { epoch, heartbeat: Duration::from_millis(heartbeat_ms), token }
        }
        ServerFrame::Ack { req_id, epoch, seq, result } => {
            let at = seq.map(|seq| Point { epoch, seq });
            Message::Answer { req_id, result: Ok(Acked { at, result: read_result(&result) }) }
        }
        ServerFrame::Error { message, code, req_id, retry_after_ms } => {
            let code = code.unwrap_or(ErrorCode::ServerRejected);
            let retry_after = retry_after_ms.map(Duration::from_millis);
            let rejection = Rejection { code, message: shown(&message), retry_after };
            match req_id {
                Some(req_id) => Message::Answer { req_id, result: Err(rejection) },
                None => Message::Complaint(rejection),
            }
        }
        ServerFrame::Goaway { retry_after_ms } => {
            Message::Goaway(Duration::from_millis(retry_after_ms))
        }
        ServerFrame::PartyUpdate { party, extensions } => {
            let at = point(extensions.as_ref())?;
            Message::Party(read_party(&party, extensions.as_ref())?, at)
        }
        ServerFrame::PeerJoined { party_id, peer, extensions }
        | ServerFrame::PeerUpdated { party_id, peer, extensions } => {
            let party_id = checked("party_id", party_id)?;
            let at = point(extensions.as_ref())?;
            let (peer_id, member) = read_member(&peer, extensions.as_ref())?;
            Message::Change { party_id, change: Change::Put(peer_id, member), at }
        }
        ServerFrame::PeerLeft { party_id, peer_id, extensions } => {
            let party_id = checked("party_id", party_id)?;
            let change = Change::Removed(checked("peer_id", peer_id)?);
            Message::Change { party_id, change, at: point(extensions.as_ref())? }
        }
        ServerFrame::PartyRemoved { party_id, reason, .. } => {
            Message::Removed(checked("party_id", party_id)?, reason)
        }
        ServerFrame::Signal { party_id, from_peer_id, to_peer_id, signal_data } => {
            Message::Signal {
                party_id: checked("party_id", party_id)?,
                from: checked("peer_id", from_peer_id)?,
                to: checked("peer_id", to_peer_id)?,
                data: signal_data,
            }
        }
    })
}

fn checked<T: CheckedText>(field: &str, id: T) -> Result<T, String> {
    id.check_new().map_err(|rule| format!("{field}: {rule}"))?;
    Ok(id)
}

/// Decodes the result of an answer by the keys that it has.
fn read_result(result: &RawJson) -> RequestResult {
    #[derive(serde::Deserialize)]
    struct Fields {
        status: Option<RawJson>,
        relays: Option<RawJson>,
    }
    match result.read() {
        Ok(Fields { relays: Some(relays), .. }) => {
            let relays = relays.read::<Vec<Relay>>().map_err(|error| shown(&error.to_string()));
            RequestResult::Relays(relays)
        }
        Ok(Fields { status: Some(status), .. }) => {
            let party_deleted = status.read::<String>().is_ok_and(|it| it == "party_deleted");
            RequestResult::Left { party_deleted }
        }
        _ => RequestResult::Done,
    }
}

fn read_party(
    party: &AnnouncedParty,
    extensions: Option<&PartyExtensions>,
) -> Result<ServerParty, String> {
    let named = |error: &dyn std::fmt::Display| format!("party {:?}: {error}", party.party_id);
    let mut members = BTreeMap::new();
    for announced in party.peers.values() {
        let (id, member) = read_member(announced, extensions).map_err(|error| named(&error))?;
        members.insert(id, member);
    }
    let party_id: PartyId = party.party_id.parse().map_err(|error| named(&error))?;
    let party_id = checked("party_id", party_id).map_err(|error| named(&error))?;
    let host_id: PeerId = party.host_id.parse().map_err(|error| named(&error))?;
    if !members.contains_key(&host_id) {
        return Err(named(&"its host is not among its peers"));
    }
    let created_at = TimeZone::UTC.to_timestamp(party.created_at).map_err(|error| named(&error))?;
    if !is_readable(created_at) {
        return Err(named(&"created_at must be in the years 1 to 9999"));
    }
    let name = party.name.parse().map_err(|error| named(&error))?;
    Ok(ServerParty { party_id, name, host_id, created_at, members })
}

fn read_member(
    announced: &AnnouncedPeer,
    extensions: Option<&PartyExtensions>,
) -> Result<(PeerId, ServerMember), String> {
    let (info, last_seen) = announced.check(&TimeZone::UTC).map_err(|error| error.to_string())?;
    let id = checked("peer_id", info.peer_id.clone())?;
    let virtual_ip = extensions.and_then(|extensions| extensions.virtual_ips.get(&id).copied());
    let connected =
        extensions.and_then(|extensions| extensions.connected.get(&id).copied()).unwrap_or(true);
    Ok((id, ServerMember { info, virtual_ip, last_seen, connected }))
}

/// Returns the position of a frame in its party's history.
fn point(extensions: Option<&PartyExtensions>) -> Result<Point, String> {
    let extensions = extensions.ok_or("a frame about a party without epoch and seq")?;
    Ok(Point { epoch: extensions.epoch.clone(), seq: extensions.seq })
}

/// Returns the frame of an operation.
pub(super) fn of_operation(operation: &MembershipOp) -> ClientFrame {
    let party_id = operation.party_id.clone();
    match operation.body.clone() {
        OpBody::Register { name, host } => {
            ClientFrame::RegisterParty { party_id: Some(party_id), name, host_peer: form(host) }
        }
        OpBody::Join(peer) => ClientFrame::JoinParty { party_id, peer: form(peer) },
        OpBody::Update(peer) => ClientFrame::UpdatePeer { party_id, peer: form(peer) },
        OpBody::Leave(peer_id) => ClientFrame::LeaveParty { party_id, peer_id },
    }
}

/// Returns the frame of a command; `None` for a command that is never sent to a control server.
pub(super) fn of_command(command: &Command) -> Option<ClientFrame> {
    Some(match command.clone() {
        Command::Register { party_id, name, host, .. } => {
            ClientFrame::RegisterParty { party_id: Some(party_id), name, host_peer: form(host) }
        }
        Command::Join { party_id, peer, .. } => {
            ClientFrame::JoinParty { party_id, peer: form(peer) }
        }
        Command::Leave { party_id, peer_id } => ClientFrame::LeaveParty { party_id, peer_id },
        Command::Update { party_id, peer, .. } => {
            ClientFrame::UpdatePeer { party_id, peer: form(peer) }
        }
        Command::Heartbeat { party_id, peer_id } => ClientFrame::Heartbeat { party_id, peer_id },
        Command::SendSignal { party_id, from, to, data } => {
            ClientFrame::Signal { party_id, from_peer_id: from, to_peer_id: to, signal_data: data }
        }
        _ => return None,
    })
}

/// Returns the `req_id` of an idempotency key.
pub(super) fn req_id(key: &RequestKey) -> ReqId {
    ReqId::Text(key.0.as_ref().into())
}

fn form(info: PeerInput) -> PeerForm {
    PeerForm { info, last_seen: None }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn message(frame: &Value) -> Message {
        let frame = ServerFrame::decode(&frame.to_string()).expect("a frame");
        frame.expect("of a known type").into()
    }

    fn result(result: Value) -> RequestResult {
        let ack = json!({"type": "ack", "req_id": "r", "epoch": "e", "seq": null,
            "result": result});
        let Message::Answer { result: Ok(acked), .. } = message(&ack) else { panic!("no answer") };
        acked.result
    }

    #[test]
    fn ack_has_the_result_that_its_keys_tell() {
        for (status, expected) in [("party_deleted", true), ("left", false), ("new", false)] {
            let result = result(json!({"status": status}));
            let RequestResult::Left { party_deleted } = result else { panic!("{result:?}") };
            assert_eq!(party_deleted, expected, "{status}");
        }
        let entered = json!({"party_id": "p", "virtual_ip": "10.66.0.1"});
        for done in [entered, json!({}), json!(null), json!([5]), json!("x")] {
            assert!(matches!(result(done), RequestResult::Done));
        }
        let relay = json!({"relay_id": "r", "public_ip": "203.0.113.5", "port": 5, "region": "eu",
            "capacity": 9, "registered_at": "2026-11-22T12:00:00Z"});
        let RequestResult::Relays(relays) = result(json!({"relays": [relay]})) else { panic!() };
        assert_eq!(relays.map(|relays| relays.len()), Ok(1));
        let RequestResult::Relays(relays) = result(json!({"relays": [{}]})) else { panic!() };
        assert!(relays.unwrap_err().contains("missing field"));
    }

    #[test]
    fn frame_with_an_id_that_urls_lose_is_garbage() {
        let at = json!({"epoch": "e", "seq": 1});
        for (mut frame, field) in [
            (json!({"type": "peer_left", "party_id": "..", "peer_id": "ann"}), "party_id"),
            (json!({"type": "peer_left", "party_id": "p", "peer_id": "."}), "peer_id"),
            (json!({"type": "party_removed", "party_id": "..", "reason": "removed"}), "party_id"),
            (
                json!({"type": "signal", "party_id": "p", "from_peer_id": "ann",
                    "to_peer_id": "..", "signal_data": 1}),
                "peer_id",
            ),
            (
                json!({"type": "welcome", "session": "s", "token": "t", "peer_id": "..",
                    "heartbeat_ms": 1}),
                "peer_id",
            ),
        ] {
            frame["epoch"] = at["epoch"].clone();
            frame["seq"] = at["seq"].clone();
            let Message::Garbage(reason) = message(&frame) else { panic!("{frame}") };
            assert!(reason.starts_with(field), "{frame}: {reason}");
        }
    }

    #[test]
    fn frame_about_a_party_without_a_position_is_garbage() {
        let left = json!({"type": "peer_left", "party_id": "p", "peer_id": "ann"});
        let Message::Garbage(reason) = message(&left) else { panic!("no garbage") };
        assert!(reason.contains("without epoch and seq"), "{reason}");
    }
}
