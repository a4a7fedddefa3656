//! The parties that this machine's peers are in, as they were when they were last looked at, and
//! when to look again. It asks nobody and knows no clock.

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

/// Epoch of parties whose server states none, as LANrage's own.
const MADE_UP_EPOCH: &str = "lanrage";

/// The parties that are looked at.
#[derive(Debug)]
pub(super) struct Parties {
    /// The longest time between two looks.
    poll: Duration,
    watched: BTreeMap<PartyId, Watched>,
    /// Bookmarks of replicas of an earlier connection, in numbers that were made up.
    counted: BTreeMap<PartyId, u64>,
    /// The ids that parties were registered under, and what the server called them.
    renamed: BTreeMap<PartyId, PartyId>,
    epoch: Option<Epoch>,
    /// Offset of the server's times that come without one.
    pub(super) wall_clock: WallClock,
}

/// A party that is looked at.
#[derive(Debug)]
struct Watched {
    /// This machine's peers in it.
    own: BTreeSet<PeerId>,
    seen: Option<Seen>,
    /// The time between the last look and the next.
    pace: Duration,
    due: Instant,
}

/// A party as it was at the last look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    /// Without what changes by itself: a sign of life is no change of a party.
    pub(super) party: ServerParty,
    /// Made up where the server numbers no changes.
    at: Point,
}

/// State of a party in an answer of the server.
#[derive(Debug)]
pub(super) struct PartyState {
    /// The party. Its times are by the server's clock.
    pub(super) party: ServerParty,
    /// Position of its last change, where the server numbers changes.
    pub(super) at: Option<Point>,
}

impl Parties {
    pub(super) fn new(poll: Duration) -> Self {
        let (watched, counted, renamed, wall_clock) = Default::default();
        Self { poll, watched, counted, renamed, epoch: None, wall_clock }
    }

    /// The stretch of history that the server counts in, as far as it has told.
    pub(super) fn epoch(&self) -> Epoch {
        self.epoch.clone().unwrap_or_else(made_up_epoch)
    }

    /// Learns from a party what stretch of history the server counts in.
    pub(super) fn learn_epoch(&mut self, state: &PartyState) {
        if let Some(at) = &state.at {
            self.epoch = Some(at.epoch.clone());
        }
    }

    /// Notes the bookmark of an earlier replica. Numbers that are made up continue from there.
    pub(super) fn remember(&mut self, party_id: &PartyId, have: &Bookmark) {
        if have.epoch == made_up_epoch() {
            let counted = self.counted.entry(party_id.clone()).or_default();
            *counted = have.seq.max(*counted);
        }
    }

    /// A peer of this machine is in a party, which is looked at from now on.
    pub(super) fn enter(&mut self, party_id: &PartyId, peer_id: &PeerId, now: Instant) {
        let fresh = || Watched { own: BTreeSet::new(), seen: None, pace: self.poll / 10, due: now };
        let watched = self.watched.entry(party_id.clone()).or_insert_with(fresh);
        watched.own.insert(peer_id.clone());
    }

    /// A peer of this machine is in a party no more. Another one that still is, if any.
    pub(super) fn leave(&mut self, party_id: &PartyId, peer_id: &PeerId) -> Option<PeerId> {
        let watched = self.watched.get_mut(party_id)?;
        watched.own.remove(peer_id);
        let other = watched.own.first().cloned();
        if other.is_none() {
            self.forget(party_id);
        }
        other
    }

    /// Stops looking at a party. Returns true if it was looked at.
    pub(super) fn forget(&mut self, party_id: &PartyId) -> bool {
        let Some(watched) = self.watched.remove(party_id) else { return false };
        if let Some(seen) = watched.seen {
            self.counted.insert(party_id.clone(), seen.at.seq);
        }
        true
    }

    /// This machine's peers in a party.
    pub(super) fn own(&self, party_id: &PartyId) -> Option<&BTreeSet<PeerId>> {
        self.watched.get(party_id).map(|watched| &watched.own)
    }

    /// Returns a party as it was at the last look, if there was one.
    pub(super) fn seen(&self, party_id: &PartyId) -> Option<Seen> {
        self.watched.get(party_id)?.seen.clone()
    }

    /// Returns the position of a party's last change.
    pub(super) fn point(&self, party_id: &PartyId) -> Option<Point> {
        Some(self.watched.get(party_id)?.seen.as_ref()?.at.clone())
    }

    /// Notes the state of a party. Returns its position, and true if the state is new.
    pub(super) fn see(&mut self, state: &PartyState, now: Instant) -> (Point, bool) {
        self.learn_epoch(state);
        let party_id = &state.party.party_id;
        let before = self.watched.get(party_id).and_then(|watched| watched.seen.as_ref());
        let counted = before.map(|seen| seen.at.seq);
        let counted = counted.or_else(|| self.counted.get(party_id).copied()).unwrap_or_default();
        let at = state.at.clone();
        let at = at.unwrap_or_else(|| Point { epoch: made_up_epoch(), seq: counted });
        let mut seen = Seen { party: without_signs_of_life(state.party.clone()), at };
        let is_news = before != Some(&seen);
        if is_news && state.at.is_none() {
            seen.at.seq = seen.at.seq.saturating_add(1);
        }
        let at = seen.at.clone();
        self.keep(party_id, seen, is_news, now);
        (at, is_news)
    }

    fn keep(&mut self, party_id: &PartyId, seen: Seen, is_news: bool, now: Instant) {
        let Some(watched) = self.watched.get_mut(party_id) else { return };
        watched.own.retain(|peer_id| seen.party.members.contains_key(peer_id));
        let soonest = self.poll / 10;
        watched.pace = match is_news {
            true => soonest,
            false => (watched.pace * 3 / 2).clamp(soonest, self.poll),
        };
        watched.due = now + watched.pace;
        watched.seen = Some(seen);
        if watched.own.is_empty() {
            self.forget(party_id);
        }
    }

    /// A look at a party came to nothing: it is tried again after a while.
    pub(super) fn put_off(&mut self, party_id: &PartyId, least: Duration, now: Instant) {
        if let Some(watched) = self.watched.get_mut(party_id) {
            watched.pace = self.poll;
            watched.due = now + self.poll.max(least);
        }
    }

    /// A party is to be looked at soon.
    pub(super) fn hurry(&mut self, party_id: &PartyId, now: Instant) {
        if let Some(watched) = self.watched.get_mut(party_id) {
            watched.due = watched.due.min(now);
        }
    }

    /// The party that is to be looked at first of those that `may` be, as which peer, and when.
    pub(super) fn next(
        &self,
        may: impl Fn(&PartyId) -> bool,
    ) -> Option<(Instant, PartyId, PeerId)> {
        let watched = self.watched.iter().filter(|(party_id, _)| may(party_id));
        let (party_id, watched) = watched.min_by_key(|(_, watched)| watched.due)?;
        Some((watched.due, party_id.clone(), watched.own.first()?.clone()))
    }

    /// A party has another id than the one that it was registered under.
    pub(super) fn rename(&mut self, from: PartyId, to: PartyId) {
        self.renamed.insert(from, to);
    }

    /// Gives a party the id that the server chose, in a frame that was sent before that was told.
    pub(super) fn translate_early(&self, frame: &mut ClientFrame) {
        if let Some(party_id) = named(frame)
            && let Some(to) = self.renamed.get(party_id)
        {
            *party_id = to.clone();
        }
    }

    /// The same for the newest frame: one that names the new id shows that it was heard.
    pub(super) fn translate(&mut self, frame: &mut ClientFrame) {
        if let Some(party_id) = named(frame) {
            self.renamed.retain(|_, to| to != party_id);
        }
        self.translate_early(frame);
    }
}

impl Seen {
    /// Returns the position of the party's last change, where the server numbers changes.
    pub(super) fn numbered(&self) -> Option<Point> {
        (self.at.epoch != made_up_epoch()).then(|| self.at.clone())
    }
}

impl PartyState {
    /// Returns the state in an answer.
    pub(super) fn new(answer: PartyAnswer) -> Self {
        let PartyAnswer { party, virtual_ips, change, .. } = answer;
        let ImportedParty { party_id, name, host_id, created_at, peers } = party;
        let virtual_ip = |peer_id: &PeerId| virtual_ips.get(peer_id).copied();
        let members = members(peers, virtual_ip);
        let at = change.map(|(epoch, seq)| Point { epoch, seq });
        Self { party: ServerParty { party_id, name, host_id, created_at, members }, at }
    }

    /// Returns the state that results from a party as it was last seen and its current members.
    pub(super) fn with_members(before: &Seen, answer: PeersAnswer) -> Self {
        let virtual_ip = |peer_id: &PeerId| before.party.members.get(peer_id)?.virtual_ip;
        let members = members(answer.peers, virtual_ip);
        Self { party: ServerParty { members, ..before.party.clone() }, at: before.numbered() }
    }

    /// True if the peer is a member.
    pub(super) fn has(&self, peer_id: &PeerId) -> bool {
        self.party.members.contains_key(peer_id)
    }
}

/// Returns members with their virtual addresses. Nothing over HTTP reports a lapsed keepalive.
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

/// The party that a frame is about, unless it is about its making.
pub(super) fn named(frame: &mut ClientFrame) -> Option<&mut PartyId> {
    match frame {
        ClientFrame::RegisterParty { .. } => None,
        _ => frame.party_id_mut(),
    }
}

fn made_up_epoch() -> Epoch {
    MADE_UP_EPOCH.parse().expect("letters are an epoch")
}

fn without_signs_of_life(mut party: ServerParty) -> ServerParty {
    for member in party.members.values_mut() {
        member.last_seen = Timestamp::UNIX_EPOCH;
    }
    party
}

#[cfg(test)]
mod tests;
