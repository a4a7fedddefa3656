//! The parties that this machine's peers are in, as they were when they were last looked at, and
//! when to look again. It asks nobody and knows no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use lanrage_ipc::control::{Beside, Bookmark, ClientFrame, ServerFrame};
use lanrage_ipc::http::answers::PartyAnswer;
use lanrage_ipc::lanrage::{AnnouncedParty, NaiveTime};
use lanrage_ipc::model::{Epoch, PartyId, PeerId};
use tokio::time::Instant;

use super::wall_clock::WallClock;

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
    pub(super) party: AnnouncedParty,
    /// As the server tells it, but for numbers that are made up.
    beside: Beside,
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
    pub(super) fn learn_epoch(&mut self, answer: Option<&PartyAnswer>) {
        if let Some((epoch, _)) = answer.and_then(|answer| answer.change.as_ref()) {
            self.epoch = Some(epoch.clone());
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

    /// A party is looked at no more. What was last known beside it, if it was looked at.
    pub(super) fn forget(&mut self, party_id: &PartyId) -> Option<Beside> {
        let watched = self.watched.remove(party_id)?;
        let mut beside = watched.seen.map(|seen| seen.beside);
        if let Some(beside) = &mut beside {
            self.counted.insert(party_id.clone(), beside.seq);
            (beside.virtual_ips, beside.connected) = Default::default();
        }
        Some(beside.unwrap_or_else(|| Beside::new(self.epoch(), 0, [])))
    }

    /// This machine's peers in a party.
    pub(super) fn own(&self, party_id: &PartyId) -> Option<&BTreeSet<PeerId>> {
        self.watched.get(party_id).map(|watched| &watched.own)
    }

    /// Returns a party as it was at the last look, if there was one.
    pub(super) fn seen(&self, party_id: &PartyId) -> Option<Seen> {
        self.watched.get(party_id)?.seen.clone()
    }

    /// The number of a party's last change.
    pub(super) fn seq(&self, party_id: &PartyId) -> Option<u64> {
        Some(self.watched.get(party_id)?.seen.as_ref()?.beside.seq)
    }

    /// Takes a look at a party. What to tell of it, and whether that is news.
    pub(super) fn see(&mut self, answer: PartyAnswer, now: Instant) -> (ServerFrame, bool) {
        self.learn_epoch(Some(&answer));
        let PartyAnswer { party_id, party, virtual_ips, change, .. } = answer;
        let before = self.watched.get(&party_id).and_then(|watched| watched.seen.as_ref());
        let counted = before.map(|seen| seen.beside.seq);
        let counted = counted.or_else(|| self.counted.get(&party_id).copied()).unwrap_or_default();
        let is_counted = change.is_none();
        let (epoch, seq) = change.unwrap_or_else(|| (made_up_epoch(), counted));
        let members = party.peers.keys().filter_map(|id| id.parse().ok());
        // Nothing over HTTP tells otherwise.
        let connected = members.map(|peer_id| (peer_id, true)).collect();
        let mut seen = Seen {
            party: without_signs_of_life(party.clone()),
            beside: Beside { epoch, seq, virtual_ips, connected },
        };
        let is_news = before != Some(&seen);
        if is_news && is_counted {
            seen.beside.seq = seen.beside.seq.saturating_add(1);
        }
        let beside = Some(seen.beside.clone());
        self.keep(&party_id, seen, is_news, now);
        (ServerFrame::PartyUpdate { party, beside }, is_news)
    }

    fn keep(&mut self, party_id: &PartyId, seen: Seen, is_news: bool, now: Instant) {
        let Some(watched) = self.watched.get_mut(party_id) else { return };
        watched.own.retain(|peer_id| seen.party.peers.contains_key(peer_id.as_str()));
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
    /// Returns the members' virtual addresses.
    pub(super) fn virtual_ips(&self) -> BTreeMap<PeerId, Ipv4Addr> {
        self.beside.virtual_ips.clone()
    }

    /// Returns the party's last change, where the server numbers changes.
    pub(super) fn change(&self) -> Option<(Epoch, u64)> {
        let Beside { epoch, seq, .. } = &self.beside;
        (*epoch != made_up_epoch()).then(|| (epoch.clone(), *seq))
    }
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

fn without_signs_of_life(mut party: AnnouncedParty) -> AnnouncedParty {
    for peer in party.peers.values_mut() {
        peer.last_seen = NaiveTime::default();
    }
    party
}

#[cfg(test)]
mod tests;
