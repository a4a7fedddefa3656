//! Conversion between the wire's types and the core's.

pub(super) use crate::core::shown;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use lanrage_ipc::control::{Beside, ClientFrame, ReqId, ServerFrame};
use lanrage_ipc::lanrage::input::PeerForm;
use lanrage_ipc::lanrage::{AnnouncedParty, AnnouncedPeer};
use lanrage_ipc::model::{CheckedText, PartyId, PeerId, PeerInput, is_readable};

use crate::core::reconcile::{MembershipOp, OpBody, Point, ServerMember, ServerParty};
use crate::core::{Command, RequestKey};

/// Upper bound of the members of a server's party: many times more than any game's.
pub(super) const MOST_MEMBERS: usize = 1024;

/// Difference in seconds below which two clocks show the same time.
const SAME: i64 = 2;

/// Conversion of the server's times to this machine's clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// Current time of this machine.
    pub(super) now: Timestamp,
    /// Lead of the server's clock, in seconds.
    pub(super) ahead: i64,
}

impl Times {
    fn ours(self, theirs: Timestamp) -> Timestamp {
        let ahead = if self.ahead.abs() < SAME { 0 } else { self.ahead };
        let shifted = theirs.checked_sub(SignedDuration::from_secs(ahead)).ok();
        // A stored time must be readable again, whatever the server's clock shows.
        shifted.filter(|time| is_readable(*time)).unwrap_or(theirs).min(self.now)
    }
}

/// Checks the ids in a frame outside of parties and members. An id that a URL can't carry is
/// refused: no request could name it.
///
/// # Errors
/// The field and its rule.
pub(super) fn check_ids(frame: &ServerFrame) -> Result<(), String> {
    let (party_id, peers) = match frame {
        ServerFrame::PeerJoined { party_id, .. }
        | ServerFrame::PeerUpdated { party_id, .. }
        | ServerFrame::PartyRemoved { party_id, .. } => (Some(party_id), [None, None]),
        ServerFrame::PeerLeft { party_id, peer_id, .. } => (Some(party_id), [Some(peer_id), None]),
        ServerFrame::Signal { party_id, from_peer_id, to_peer_id, .. } => {
            (Some(party_id), [Some(from_peer_id), Some(to_peer_id)])
        }
        ServerFrame::Welcome { peer_id, .. } => (None, [peer_id.as_ref(), None]),
        _ => (None, [None, None]),
    };
    party_id.map_or(Ok(()), |party_id| check_id("party_id", party_id))?;
    peers.into_iter().flatten().try_for_each(|peer_id| check_id("peer_id", peer_id))
}

fn check_id(field: &str, id: &impl CheckedText) -> Result<(), String> {
    id.check_new().map_err(|rule| format!("{field}: {rule}"))
}

/// Checks a party that the server stated.
///
/// # Errors
/// The fault, in words.
pub(super) fn party(
    party: &AnnouncedParty,
    beside: Option<&Beside>,
    times: Times,
) -> Result<ServerParty, String> {
    let named = |error: &dyn std::fmt::Display| format!("party {:?}: {error}", party.party_id);
    if party.peers.len() > MOST_MEMBERS {
        return Err(named(&format!("more than {MOST_MEMBERS} members")));
    }
    let mut members = std::collections::BTreeMap::new();
    for announced in party.peers.values() {
        let (id, member) = member(announced, beside, times).map_err(|error| named(&error))?;
        members.insert(id, member);
    }
    let party_id: PartyId = party.party_id.parse().map_err(|error| named(&error))?;
    check_id("party_id", &party_id).map_err(|error| named(&error))?;
    let host_id: PeerId = party.host_id.parse().map_err(|error| named(&error))?;
    if !members.contains_key(&host_id) {
        return Err(named(&"its host is not among its peers"));
    }
    let created_at = TimeZone::UTC.to_timestamp(party.created_at).map_err(|error| named(&error))?;
    if !is_readable(created_at) {
        return Err(named(&"created_at must be in the years 1 to 9999"));
    }
    Ok(ServerParty {
        party_id,
        name: party.name.parse().map_err(|error| named(&error))?,
        host_id,
        created_at: times.ours(created_at),
        members,
    })
}

/// Checks a member that the server stated.
///
/// # Errors
/// The fault, in words.
pub(super) fn member(
    announced: &AnnouncedPeer,
    beside: Option<&Beside>,
    times: Times,
) -> Result<(PeerId, ServerMember), String> {
    let (info, last_seen) = announced.check(&TimeZone::UTC).map_err(|error| error.to_string())?;
    let id = info.peer_id.clone();
    check_id("peer_id", &id)?;
    let virtual_ip = beside.and_then(|beside| beside.virtual_ips.get(&id).copied());
    let connected = beside.and_then(|beside| beside.connected.get(&id).copied()).unwrap_or(true);
    let last_seen = times.ours(last_seen);
    Ok((id, ServerMember { info, virtual_ip, last_seen, connected }))
}

/// Returns the position of a frame in its party's history.
///
/// # Errors
/// An error if the frame has no position.
pub(super) fn point(beside: Option<&Beside>) -> Result<Point, String> {
    let beside = beside.ok_or("a frame about a party without epoch and seq")?;
    Ok(Point { epoch: beside.epoch.clone(), seq: beside.seq })
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
