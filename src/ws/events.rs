//! Delivery of party events and snapshots to the client.

use std::sync::Arc;

use bytestring::ByteString;
use lanrage_ipc::control::ServerFrame;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::{Party, PartyId, PeerId};
use tokio::time::Instant;

use super::conversation::Conversation;
use super::render::{self, Rejection};
use crate::control_plane::{Failure, Query};
use crate::core::{Refusal, command};
use crate::events::{SharedEvent, SubscriptionKey};

/// Minimum size of a signal in bytes, as `PollSignals` counts it.
const SIGNAL_BYTES: usize = 512;

impl Conversation {
    /// Subscribes to a party for some of its members, and sends the client all of it. If the party
    /// has ended or the peers have left, nothing is sent.
    pub(super) async fn subscribe_members(
        &self,
        party_id: &PartyId,
        newcomers: &[PeerId],
    ) -> Result<(), Rejection> {
        match self.resubscribe(party_id, newcomers).await {
            Ok(()) | Err(Failure::Refused(Refusal::PartyNotFound(_))) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Subscribes to a party from its present state, and sends the client all of it. Queued events
    /// are dropped, because they may be of an earlier party with this id. Dropped notices of
    /// signals make their fetch necessary. If no own peer is a member, nothing changes, and queued
    /// events say why.
    async fn resubscribe(&self, party_id: &PartyId, newcomers: &[PeerId]) -> Result<(), Failure> {
        let (key, party) = self.subscribe(party_id).await?;
        // Another connection may have taken over a peer meanwhile.
        let is_lost = |id: &&PeerId| self.server.only_others_speak_for(id, self.handle.id);
        let newcomers: Vec<_> = newcomers.iter().filter(|id| !is_lost(id)).cloned().collect();
        let renewed = self.subscriptions.borrow_mut().renew(key, &party, &newcomers);
        if renewed.is_new {
            self.send_party(party);
        }
        for peer_id in renewed.own {
            let is_own = self.peers.borrow().contains(&peer_id);
            if is_own {
                self.fetch_signals(party_id.clone(), peer_id);
            }
        }
        self.unsubscribe(renewed.ended).await;
        Ok(())
    }

    /// Sends the client all of its parties. LANrage's client refreshes its copies in no other way,
    /// and drops a peer after five minutes.
    pub(super) async fn refresh(&self) {
        let party_ids = self.subscriptions.borrow().party_ids();
        for party_id in party_ids {
            self.send_snapshot(&party_id).await;
        }
    }

    /// Sends the client the parties whose update of changed members is due.
    pub(super) async fn send_due_updates(&self) {
        let due = self.subscriptions.borrow_mut().take_due_updates(Instant::now());
        for party_id in due {
            self.send_snapshot(&party_id).await;
        }
    }

    /// Sends the client all of a subscribed party, from a snapshot that connections share. Queued
    /// events that the snapshot contains are skipped by their `seq`.
    async fn send_snapshot(&self, party_id: &PartyId) {
        let Some(seq) = self.subscriptions.borrow().seq_of(party_id) else { return };
        let snapshot = self.server.party_snapshots.get(party_id, seq, self.server.http.clock.now());
        let read = async || self.ask(|reply| Query::Party(party_id.clone(), reply)).await;
        let sent = match snapshot.party(read).await {
            Ok(party) if self.subscriptions.borrow_mut().follow(party) => {
                let format = self.format.get();
                let encode = || serde_json::to_string(&render::party(format, party));
                self.send_text(snapshot.text(format, encode));
                Ok(())
            }
            // Another party with this id: the queued events are of the earlier one.
            Ok(_) => self.resubscribe(party_id, &[]).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = sent {
            log::debug!("{:?}: party not sent: party={party_id} {failure}", self.handle.id);
        }
    }

    async fn subscribe(&self, party_id: &PartyId) -> Result<(SubscriptionKey, Party), Failure> {
        let (key, interest) = self.subscriptions.borrow_mut().draft(party_id);
        let queue = self.subscriptions.borrow().queue.clone();
        let snapshot = Some(usize::MAX);
        let subscribe = |reply| Query::Subscribe { key, interest, queue, snapshot, reply };
        let asked = self.ask(subscribe).await;
        if let Err(Failure::TimedOut(_)) = asked {
            // The subscription may begin after the timeout.
            self.unsubscribe(Some(key)).await;
        }
        let party = asked?.and_then(|snapshot| snapshot.parties).into_iter().flatten().next();
        let party = party.ok_or_else(|| Refusal::PartyNotFound(party_id.clone()))?;
        Ok((key, party))
    }

    pub(super) async fn unsubscribe(&self, key: Option<SubscriptionKey>) {
        if let Some(key) = key
            && let Err(failure) = self.ask(|reply| Query::Unsubscribe(key, reply)).await
        {
            log::debug!("{:?}: unsubscribe failed: {key:?} {failure}", self.handle.id);
        }
    }

    fn send_party(&self, party: Party) {
        let format = self.format.get();
        self.send(&render::party(format, &party));
        self.subscriptions.borrow_mut().mark_sent(&Arc::new(party), format.additions);
    }

    fn send_text(&self, text: serde_json::Result<ByteString>) {
        match text {
            Ok(text) => self.handle.send(text, self.server.now()),
            Err(error) => {
                log::error!("{:?}: a frame could not be encoded: {error}", self.handle.id);
            }
        }
    }

    /// Sends the client an event of a subscribed party.
    pub(super) async fn deliver_event(&self, party_id: &PartyId, shared: &SharedEvent) {
        let (event, format) = (shared.event(), self.format.get());
        let is_unsent = self.subscriptions.borrow_mut().is_unsent(party_id, event.seq());
        if !is_unsent {
            return;
        }
        match event {
            Event::PeerJoined { peer, .. } => {
                if !format.additions {
                    self.subscriptions.borrow_mut().add_member(party_id, peer);
                }
                self.send_event(shared);
            }
            Event::PeerUpdated { peer, .. } if !format.additions => {
                // LANrage's clients know no frame for a changed member: they get the whole party,
                // if anything is new to them.
                let is_news = self.subscriptions.borrow().is_news(party_id, peer);
                if is_news {
                    let interval = self.server.settings().ws.update_interval;
                    let now = Instant::now();
                    self.subscriptions.borrow_mut().schedule_update(party_id, now, interval);
                    self.send_due_updates().await;
                }
            }
            Event::PeerLeft { peer_id, seq, .. } => {
                let is_ending =
                    self.subscriptions.borrow_mut().lose_member(party_id, peer_id, *seq);
                // A client with `caps` is sent the removal of the party at once.
                if !(is_ending && format.additions) {
                    self.send_event(shared);
                }
                if !is_ending {
                    let gone = self.subscriptions.borrow_mut().forget_own(party_id, peer_id);
                    self.unsubscribe(gone).await;
                }
            }
            Event::PartyRemoved { reason, epoch, seq, .. } => {
                let (ending, gone) = self.subscriptions.borrow_mut().end_removed(party_id);
                if format.additions {
                    // It has the `seq` of the first change that had no frame of its own.
                    let extensions = render::extensions(format, epoch, ending.unwrap_or(*seq));
                    let (party_id, reason) = (party_id.clone(), *reason);
                    self.send(&ServerFrame::PartyRemoved { party_id, reason, extensions });
                }
                self.unsubscribe(gone).await;
            }
            Event::SignalReceived { to_peer_id, .. } => {
                let is_own = self.subscriptions.borrow().is_own(party_id, to_peer_id);
                if is_own {
                    self.send_signals(party_id, to_peer_id).await;
                }
            }
            Event::PartyRegistered { party, .. } | Event::PartyUpdated { party, .. } => {
                self.send_party(party.clone());
            }
            _ => self.send_event(shared),
        }
    }

    /// Sends an event, encoded once for all connections with the same wire format.
    fn send_event(&self, shared: &SharedEvent) {
        let format = self.format.get();
        let encode = |event: &Event| match render::event(format, event) {
            Some(frame) => serde_json::to_string(&frame).map_err(Some),
            None => Err(None),
        };
        match shared.encoded(format, encode) {
            Ok(text) => self.send_text(Ok(text)),
            Err(None) => {}
            Err(Some(error)) => self.send_text(Err(error)),
        }
    }

    /// Sends a member its waiting signals, as many as there is room for.
    pub(super) async fn send_signals(&self, party_id: &PartyId, peer_id: &PeerId) {
        if !self.server.is_holder(peer_id, self.handle.id) {
            return;
        }
        let room = self.handle.batch_bytes(SIGNAL_BYTES);
        if room == 0 {
            return self.fetch_signals_later(party_id.clone(), peer_id.clone());
        }
        let (party, peer) = (party_id.clone(), peer_id.clone());
        match self.ask(command!(PollSignals { party_id: party, peer_id: peer, room })).await {
            Ok(signals) => {
                if !signals.is_empty() {
                    self.fetch_signals_later(party_id.clone(), peer_id.clone());
                }
                for signal in signals {
                    self.send(&render::signal(signal));
                }
            }
            Err(failure) => log::debug!("{:?}: signals not fetched: {failure}", self.handle.id),
        }
    }
}
