//! What a connection hears of its parties, and what of that its client is told.

use lanrage_ipc::control::ServerFrame;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::{Party, PartyId, Peer, PeerId};

use super::conversation::{Conversation, unexpected};
use super::render::{self, Rejection};
use crate::control_plane::{Answer, Ask, Failure};
use crate::core::{Command, Outcome, Refusal};
use crate::events::{News, SubscriptionKey};

/// What one signal counts for at least, in bytes: `PollSignals` reckons with it.
const SIGNAL_BYTES: usize = 512;

impl Conversation {
    /// Hears of a party from now on, as one of its members, and tells the client all of it. Of one
    /// that has ended meanwhile, or that the peer has left, nothing is told.
    pub(super) async fn attend(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
    ) -> Result<(), Rejection> {
        match self.hear_anew(party_id, Some(peer_id)).await {
            Ok(()) | Err(Failure::Refused(Refusal::PartyNotFound(_))) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Hears of a party from its present state on, and tells the client all of it. What waits in
    /// the queue may be of a party that had this id before: it is dropped. If none of the
    /// connection's peers is in it, all stays as it was, and what waits tells why.
    pub(super) async fn hear_anew(
        &mut self,
        party_id: &PartyId,
        newcomer: Option<&PeerId>,
    ) -> Result<(), Failure> {
        let (key, party) = self.subscribe(party_id).await?;
        let known = self.hearing.get(party_id).map(|heard| heard.own.clone());
        let mut own = known.unwrap_or_default();
        own.extend(newcomer.cloned());
        own.retain(|peer_id| party.peers.contains_key(peer_id));
        if own.is_empty() {
            self.unsubscribe(Some(key)).await;
            return Ok(());
        }
        let before = self.hearing.end(party_id);
        self.hearing.begin(key, &party, own);
        self.tell_party(&party);
        self.unsubscribe(before).await;
        Ok(())
    }

    /// Tells the client all of its parties. One of LANrage's refreshes its copies by nothing else,
    /// and takes a peer of five minutes for gone.
    pub(super) async fn refresh(&mut self) {
        for party_id in self.hearing.party_ids() {
            if let Err(failure) = self.hear_anew(&party_id, None).await {
                log::debug!("{:?}: no party {party_id}: {failure}", self.line.id);
            }
        }
    }

    async fn subscribe(&mut self, party_id: &PartyId) -> Result<(SubscriptionKey, Party), Failure> {
        let (key, interest) = self.hearing.draft(party_id);
        let queue = self.hearing.queue.clone();
        let asked = self.ask(Ask::Subscribe { key, interest, queue, snapshot: true }).await;
        if let Err(Failure::TimedOut(_)) = asked {
            // It may begin even now.
            self.unsubscribe(Some(key)).await;
        }
        match asked? {
            Answer::Subscribed(snapshot) => {
                let party = snapshot.parties.into_iter().flatten().next();
                let party = party.ok_or_else(|| Refusal::PartyNotFound(party_id.clone()))?;
                Ok((key, party))
            }
            other => {
                unexpected(&other);
                Err(Refusal::PartyNotFound(party_id.clone()).into())
            }
        }
    }

    pub(super) async fn unsubscribe(&self, key: Option<SubscriptionKey>) {
        if let Some(key) = key
            && let Err(failure) = self.ask(Ask::Unsubscribe(key)).await
        {
            log::debug!("{:?}: {key:?} could not be ended: {failure}", self.line.id);
        }
    }

    pub(super) fn tell_party(&mut self, party: &Party) {
        self.hearing.told(party);
        self.send(&render::party(self.style, party));
    }

    /// Tells of an event of a party that is heard.
    pub(super) async fn tell(&mut self, party_id: &PartyId, news: &News) {
        let event = news.event();
        let Some(heard) = self.hearing.get(party_id) else { return };
        if let Some(seq) = event.seq() {
            if seq <= heard.seq {
                return;
            }
            heard.seq = seq;
        }
        match event {
            Event::PeerJoined { peer, .. } => {
                heard.members.insert(peer.info.peer_id.clone(), peer.info.clone());
                self.send_news(news);
            }
            Event::PeerUpdated { peer, .. } if !self.style.additions => {
                self.tell_plainly_of_update(party_id, peer).await;
            }
            Event::PeerLeft { peer_id, seq, .. } => {
                if *peer_id == heard.host_id {
                    heard.ending = Some(*seq);
                }
                heard.members.remove(peer_id);
                let is_ending = heard.ending.is_some();
                // A client that knows more hears at once that the party has ended.
                if !(is_ending && self.style.additions) {
                    self.send_news(news);
                }
                if !is_ending {
                    let gone = self.hearing.forget_own(party_id, peer_id);
                    self.unsubscribe(gone).await;
                }
            }
            Event::PartyRemoved { reason, epoch, seq, .. } => {
                // It takes the number of the first change that was not told by itself.
                let seq = heard.ending.unwrap_or(*seq);
                if self.style.additions {
                    let beside = render::beside(self.style, epoch, seq);
                    let (party_id, reason) = (party_id.clone(), *reason);
                    self.send(&ServerFrame::PartyRemoved { party_id, reason, beside });
                }
                let gone = self.hearing.end(party_id);
                self.unsubscribe(gone).await;
            }
            Event::SignalReceived { to_peer_id, .. } => {
                if heard.own.contains(to_peer_id) {
                    self.bring_signals(party_id, to_peer_id).await;
                }
            }
            Event::PartyRegistered { party, .. } | Event::PartyUpdated { party, .. } => {
                self.tell_party(party);
            }
            _ => self.send_news(news),
        }
    }

    /// Many hear the same: it is encoded once for all who are spoken to alike.
    fn send_news(&self, news: &News) {
        let encode = |event: &Event| match render::event(self.style, event) {
            Some(frame) => serde_json::to_string(&frame).map_err(Some),
            None => Err(None),
        };
        match news.told(self.style, encode) {
            Ok(text) => self.line.send(text, self.face.now()),
            Err(None) => {}
            Err(Some(error)) => {
                log::error!("{:?}: a frame could not be encoded: {error}", self.line.id);
            }
        }
    }

    /// LANrage's clients know no frame for a member that changed: they get the whole party, if
    /// anything is new to them.
    async fn tell_plainly_of_update(&mut self, party_id: &PartyId, peer: &Peer) {
        let Some(heard) = self.hearing.get(party_id) else { return };
        let before = heard.members.insert(peer.info.peer_id.clone(), peer.info.clone());
        let is_own = heard.own.contains(&peer.info.peer_id);
        if before.as_ref() != Some(&peer.info)
            && !is_own
            && let Err(failure) = self.hear_anew(party_id, None).await
        {
            log::debug!("{:?}: no party {party_id}: {failure}", self.line.id);
        }
    }

    /// Brings a member the signals that wait for it, as many as there is room for.
    pub(super) async fn bring_signals(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        if !self.face.is_holder(peer_id, self.line.id) {
            return;
        }
        let most = self.face.settings().ws.queue_frames;
        let room = most.saturating_sub(self.line.queued()) / 2;
        if room == 0 {
            self.late_signals.insert((party_id.clone(), peer_id.clone()));
            return;
        }
        let (party, peer) = (party_id.clone(), peer_id.clone());
        let poll =
            Command::PollSignals { party_id: party, peer_id: peer, room: room * SIGNAL_BYTES };
        match self.ask(Ask::Command(poll)).await {
            Ok(Answer::Outcome(Outcome::Signals(signals))) => {
                if !signals.is_empty() {
                    self.late_signals.insert((party_id.clone(), peer_id.clone()));
                }
                for signal in signals {
                    self.send(&render::signal(signal));
                }
            }
            Ok(other) => {
                unexpected(&other);
            }
            Err(failure) => log::debug!("{:?}: no signals: {failure}", self.line.id),
        }
    }

    /// Looks again where not all signals could be brought.
    pub(super) async fn bring_late_signals(&mut self) {
        for (party_id, peer_id) in std::mem::take(&mut self.late_signals) {
            self.bring_signals(&party_id, &peer_id).await;
        }
    }
}
