//! Parties that are polled: their last states, and the times of the next polls. It does no IO and
//! reads no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use jiff::Timestamp;
use lanrage_ipc::control::{Bookmark, ClientFrame};
use lanrage_ipc::http::answers::{PartyAnswer, PeersAnswer};
use lanrage_ipc::lanrage::ImportedParty;
use lanrage_ipc::model::{Epoch, PartyId, PeerId, PeerInput};
use tokio::time::Instant;

use super::wall_clock::WallClock;
use crate::core::reconcile::{Point, ServerMember, ServerParty};

/// Epoch of parties whose server numbers no changes, as LANrage's own.
const SYNTHETIC_EPOCH: &str = "lanrage";

/// Parties that have local peers.
#[derive(Debug)]
pub(super) struct PolledParties {
    /// Longest interval of the polls of a party.
    longest_interval: Duration,
    parties: BTreeMap<PartyId, PolledParty>,
    /// Last synthetic `seq` of parties that are not polled now, or of an earlier connection's
    /// replicas.
    synthetic_seqs: BTreeMap<PartyId, u64>,
    /// Ids that the server chose, by the id in the registration.
    renames: BTreeMap<PartyId, PartyId>,
    /// Epoch of the server's numbers, once it has stated one.
    epoch: Option<Epoch>,
    /// Offset of server times that state none.
    pub(super) wall_clock: WallClock,
}

/// Party that is polled.
#[derive(Debug)]
struct PolledParty {
    /// Members that are this machine's peers.
    local_peers: BTreeSet<PeerId>,
    /// State in the last response, if there was one.
    last: Option<LastState>,
    /// Time from the last poll to the next.
    interval: Duration,
    /// Time of the next poll.
    due: Instant,
}

/// State of a party in the last response about it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LastState {
    /// Party without `last_seen` of its members: a heartbeat does not change a party.
    pub(super) party: ServerParty,
    /// Position of the last change; synthetic where the server numbers no changes.
    at: Point,
}

/// State of a party in a response.
#[derive(Debug)]
pub(super) struct PartyState {
    /// Party, with times by the server's clock.
    pub(super) party: ServerParty,
    /// Position of its last change, where the server numbers changes.
    pub(super) at: Option<Point>,
}

impl PolledParties {
    /// Creates the set, with the longest interval of a party's polls.
    pub(super) fn new(longest_interval: Duration) -> Self {
        let (parties, synthetic_seqs, renames, wall_clock) = Default::default();
        Self { longest_interval, parties, synthetic_seqs, renames, epoch: None, wall_clock }
    }

    /// Returns the server's epoch, or the synthetic one while the server has stated none.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.clone().unwrap_or_else(synthetic_epoch)
    }

    /// Notes the server's epoch from the state of a party.
    pub(super) fn note_epoch(&mut self, state: &PartyState) {
        if let Some(at) = &state.at {
            self.epoch = Some(at.epoch.clone());
        }
    }

    /// Notes the bookmark of an earlier replica. Synthetic numbers continue from there.
    pub(super) fn note_bookmark(&mut self, party_id: &PartyId, have: &Bookmark) {
        if have.epoch == synthetic_epoch() {
            let seq = self.synthetic_seqs.entry(party_id.clone()).or_default();
            *seq = have.seq.max(*seq);
        }
    }

    /// Adds a local peer to a party, and polls the party from now on.
    pub(super) fn add_peer(&mut self, party_id: &PartyId, peer_id: &PeerId, now: Instant) {
        let new = || PolledParty {
            local_peers: BTreeSet::new(),
            last: None,
            interval: self.longest_interval / 10,
            due: now,
        };
        let polled = self.parties.entry(party_id.clone()).or_insert_with(new);
        polled.local_peers.insert(peer_id.clone());
    }

    /// Removes a local peer from a party. Returns another local peer in it, if there is one;
    /// without one the party is not polled any more.
    pub(super) fn remove_peer(&mut self, party_id: &PartyId, peer_id: &PeerId) -> Option<PeerId> {
        let polled = self.parties.get_mut(party_id)?;
        polled.local_peers.remove(peer_id);
        let other = polled.local_peers.first().cloned();
        if other.is_none() {
            self.remove(party_id);
        }
        other
    }

    /// Stops polling a party. Returns true if it was polled.
    pub(super) fn remove(&mut self, party_id: &PartyId) -> bool {
        let Some(polled) = self.parties.remove(party_id) else { return false };
        if let Some(last) = polled.last {
            self.synthetic_seqs.insert(party_id.clone(), last.at.seq);
        }
        true
    }

    /// Returns the local peers in a party; `None` if it is not polled.
    pub(super) fn local_peers(&self, party_id: &PartyId) -> Option<&BTreeSet<PeerId>> {
        self.parties.get(party_id).map(|polled| &polled.local_peers)
    }

    /// Returns the last state of a party.
    pub(super) fn last_state(&self, party_id: &PartyId) -> Option<LastState> {
        self.parties.get(party_id)?.last.clone()
    }

    /// Returns the position of a party's last change.
    pub(super) fn point(&self, party_id: &PartyId) -> Option<Point> {
        Some(self.parties.get(party_id)?.last.as_ref()?.at.clone())
    }

    /// Stores the state of a party. Returns its position, and true if the state has changed.
    pub(super) fn update(&mut self, state: &PartyState, now: Instant) -> (Point, bool) {
        self.note_epoch(state);
        let party_id = &state.party.party_id;
        let before = self.parties.get(party_id).and_then(|polled| polled.last.as_ref());
        let seq = before.map(|last| last.at.seq);
        let seq = seq.or_else(|| self.synthetic_seqs.get(party_id).copied()).unwrap_or_default();
        let at = state.at.clone();
        let at = at.unwrap_or_else(|| Point { epoch: synthetic_epoch(), seq });
        let mut last = LastState { party: without_last_seen(state.party.clone()), at };
        let is_changed = before != Some(&last);
        if is_changed && state.at.is_none() {
            last.at.seq = last.at.seq.saturating_add(1);
        }
        let at = last.at.clone();
        self.store(party_id, last, is_changed, now);
        (at, is_changed)
    }

    fn store(&mut self, party_id: &PartyId, last: LastState, is_changed: bool, now: Instant) {
        let Some(polled) = self.parties.get_mut(party_id) else { return };
        polled.local_peers.retain(|peer_id| last.party.members.contains_key(peer_id));
        let shortest = self.longest_interval / 10;
        polled.interval = match is_changed {
            true => shortest,
            false => (polled.interval * 3 / 2).clamp(shortest, self.longest_interval),
        };
        polled.due = now + polled.interval;
        polled.last = Some(last);
        if polled.local_peers.is_empty() {
            self.remove(party_id);
        }
    }

    /// Postpones the next poll of a party by the longest interval, and by `least` at least.
    pub(super) fn postpone(&mut self, party_id: &PartyId, least: Duration, now: Instant) {
        if let Some(polled) = self.parties.get_mut(party_id) {
            polled.interval = self.longest_interval;
            polled.due = now + self.longest_interval.max(least);
        }
    }

    /// Polls a party as soon as possible.
    pub(super) fn poll_soon(&mut self, party_id: &PartyId, now: Instant) {
        if let Some(polled) = self.parties.get_mut(party_id) {
            polled.due = polled.due.min(now);
        }
    }

    /// Returns the next poll of the parties that `may` be polled: its time, the party, and the peer
    /// that requests it.
    pub(super) fn next_poll(
        &self,
        may: impl Fn(&PartyId) -> bool,
    ) -> Option<(Instant, PartyId, PeerId)> {
        let polled = self.parties.iter().filter(|(party_id, _)| may(party_id));
        let (party_id, polled) = polled.min_by_key(|(_, polled)| polled.due)?;
        Some((polled.due, party_id.clone(), polled.local_peers.first()?.clone()))
    }

    /// Notes that the server chose another id than the one in the registration.
    pub(super) fn add_rename(&mut self, from: PartyId, to: PartyId) {
        self.renames.insert(from, to);
    }

    /// Replaces the id of a renamed party in a frame that may have been sent before the rename was
    /// reported.
    pub(super) fn apply_renames(&self, frame: &mut ClientFrame) {
        if let Some(party_id) = existing_party_id(frame)
            && let Some(to) = self.renames.get(party_id)
        {
            *party_id = to.clone();
        }
    }

    /// Applies renames to the newest frame. A frame with the new id shows that the session has
    /// received the rename: later frames may use the old id for another party.
    pub(super) fn apply_renames_to_newest(&mut self, frame: &mut ClientFrame) {
        if let Some(party_id) = existing_party_id(frame) {
            self.renames.retain(|_, to| to != party_id);
        }
        self.apply_renames(frame);
    }
}

impl LastState {
    /// Returns the position of the party's last change, where the server numbers changes.
    fn server_point(&self) -> Option<Point> {
        (self.at.epoch != synthetic_epoch()).then(|| self.at.clone())
    }
}

impl PartyState {
    /// Returns the state in a response.
    pub(super) fn new(answer: PartyAnswer) -> Self {
        let PartyAnswer { party, virtual_ips, change, .. } = answer;
        let ImportedParty { party_id, name, host_id, created_at, peers } = party;
        let virtual_ip = |peer_id: &PeerId| virtual_ips.get(peer_id).copied();
        let members = members(peers, virtual_ip);
        let at = change.map(|(epoch, seq)| Point { epoch, seq });
        Self { party: ServerParty { party_id, name, host_id, created_at, members }, at }
    }

    /// Returns the last state with the current members of the party.
    pub(super) fn with_members(before: &LastState, answer: PeersAnswer) -> Self {
        let virtual_ip = |peer_id: &PeerId| before.party.members.get(peer_id)?.virtual_ip;
        let members = members(answer.peers, virtual_ip);
        Self { party: ServerParty { members, ..before.party.clone() }, at: before.server_point() }
    }

    /// True if the peer is a member.
    pub(super) fn has_member(&self, peer_id: &PeerId) -> bool {
        self.party.members.contains_key(peer_id)
    }
}

/// Returns members with their virtual addresses. The routes do not report whether a member is
/// connected.
fn members(
    peers: Vec<(PeerInput, Timestamp)>,
    virtual_ip: impl Fn(&PeerId) -> Option<Ipv4Addr>,
) -> BTreeMap<PeerId, ServerMember> {
    let member = |(info, last_seen): (PeerInput, Timestamp)| {
        let peer_id = info.peer_id.clone();
        let virtual_ip = virtual_ip(&peer_id);
        (peer_id, ServerMember { info, virtual_ip, last_seen, connected: true })
    };
    peers.into_iter().map(member).collect()
}

/// Returns the id of the party that a frame is about; `None` for a registration, whose party does
/// not exist yet.
pub(super) fn existing_party_id(frame: &mut ClientFrame) -> Option<&mut PartyId> {
    match frame {
        ClientFrame::RegisterParty { .. } => None,
        _ => frame.party_id_mut(),
    }
}

fn synthetic_epoch() -> Epoch {
    SYNTHETIC_EPOCH.parse().expect("letters are an epoch")
}

fn without_last_seen(mut party: ServerParty) -> ServerParty {
    for member in party.members.values_mut() {
        member.last_seen = Timestamp::UNIX_EPOCH;
    }
    party
}

#[cfg(test)]
mod tests;
