//! Replica of the state in a client: a snapshot, updated by events.

use std::collections::BTreeMap;

use crate::event::{Event, EventParams, ResetParams, Snapshot};
use crate::message::ServerMessage;
use crate::model::Connection;
use crate::model::{Epoch, Party, PartyId, Relay, RelayId};
use crate::results::SubscribeResult;

/// Replica of the state that one subscription covers.
///
/// Parties need both topics `party` and `peer`; relays and the connection need theirs. The parties
/// then equal those that `party.get` returns, except for `last_seen`. A heartbeat alone causes no
/// event.
///
/// A view ignores messages of other subscriptions, so a client may pass every message to every
/// view. A new subscription needs a new view.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    subscription: String,
    seq: u64,
    parties: BTreeMap<PartyId, Party>,
    relays: BTreeMap<RelayId, Relay>,
    connection: Option<Connection>,
}

/// Error of a missing event: the view is out of date. Subscribe again, or wait for a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {expected} is missing, {found} came in its place: subscribe anew")]
pub struct Gap {
    /// Expected number.
    pub expected: u64,
    /// Received number.
    pub found: u64,
}

impl View {
    /// Returns a view that starts from the result of `events.subscribe`.
    pub fn new(start: SubscribeResult) -> Self {
        let mut view = Self {
            subscription: start.subscription,
            seq: start.seq,
            parties: BTreeMap::new(),
            relays: BTreeMap::new(),
            connection: None,
        };
        view.replace(start.snapshot.unwrap_or_default());
        view
    }

    /// Returns the subscription of the view.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// Returns the number of the last applied event or reset.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Returns the parties.
    pub fn parties(&self) -> &BTreeMap<PartyId, Party> {
        &self.parties
    }

    /// Returns the relays, by id. (`relay.list` sorts them by region.)
    pub fn relays(&self) -> &BTreeMap<RelayId, Relay> {
        &self.relays
    }

    /// Returns the connection to the control server; `None` if the subscription does not cover it.
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Applies a notification of the daemon: an event or a reset. Others are ignored.
    ///
    /// # Errors
    /// [`Gap`], as [`View::apply`].
    pub fn take(&mut self, message: &ServerMessage) -> Result<(), Gap> {
        match message {
            ServerMessage::Event(event) => self.apply(event),
            ServerMessage::Reset(reset) => {
                self.reset(reset);
                Ok(())
            }
            ServerMessage::Unknown(unknown) => match (&unknown.subscription, unknown.seq) {
                (Some(subscription), Some(seq)) if *subscription == self.subscription => {
                    self.advance(seq)
                }
                _ => Ok(()),
            },
            ServerMessage::Goaway(_) => Ok(()),
        }
    }

    /// Applies an event.
    ///
    /// # Errors
    /// [`Gap`] if the event is not the next one; the view is unchanged.
    pub fn apply(&mut self, params: &EventParams) -> Result<(), Gap> {
        if params.subscription != self.subscription {
            return Ok(());
        }
        self.advance(params.seq)?;
        self.change(&params.event);
        Ok(())
    }

    /// Replaces the state by the snapshot of a reset.
    pub fn reset(&mut self, params: &ResetParams) {
        if params.subscription == self.subscription {
            self.seq = params.seq;
            self.replace(params.snapshot.clone());
        }
    }

    fn advance(&mut self, seq: u64) -> Result<(), Gap> {
        let expected = self.seq + 1;
        if seq != expected {
            return Err(Gap { expected, found: seq });
        }
        self.seq = seq;
        Ok(())
    }

    fn replace(&mut self, snapshot: Snapshot) {
        let parties = snapshot.parties.unwrap_or_default().into_iter();
        self.parties = parties.map(|party| (party.party_id.clone(), party)).collect();
        let relays = snapshot.relays.unwrap_or_default().into_iter();
        self.relays = relays.map(|relay| (relay.relay_id.clone(), relay)).collect();
        self.connection = snapshot.connection;
    }

    fn change(&mut self, event: &Event) {
        match event {
            Event::PartyRegistered { party, .. } => {
                self.parties.insert(party.party_id.clone(), party.clone());
            }
            Event::PartyUpdated { party, previous_party_id, .. } => {
                if let Some(before) = previous_party_id {
                    self.parties.remove(before);
                }
                self.parties.insert(party.party_id.clone(), party.clone());
            }
            Event::PartyRemoved { party_id, .. } => {
                self.parties.remove(party_id);
            }
            Event::PeerJoined { party_id, peer, epoch, seq, .. }
            | Event::PeerUpdated { party_id, peer, epoch, seq, .. } => {
                if let Some(party) = self.touch(party_id, epoch, *seq) {
                    party.peers.insert(peer.info.peer_id.clone(), peer.clone());
                }
            }
            Event::PeerLeft { party_id, peer_id, epoch, seq, .. } => {
                if let Some(party) = self.touch(party_id, epoch, *seq) {
                    party.peers.remove(peer_id);
                }
            }
            Event::SignalReceived { .. } => {}
            Event::RelayUpdated { relay } => {
                self.relays.insert(relay.relay_id.clone(), relay.clone());
            }
            Event::RelayRemoved { relay_id } => {
                self.relays.remove(relay_id);
            }
            Event::ConnectionChanged(connection) => self.connection = Some(connection.clone()),
        }
    }

    /// Returns the party of a change, with its `epoch` and `seq` already advanced.
    fn touch(&mut self, party_id: &PartyId, epoch: &Epoch, seq: u64) -> Option<&mut Party> {
        let party = self.parties.get_mut(party_id)?;
        party.epoch = epoch.clone();
        party.seq = seq;
        Some(party)
    }
}

#[cfg(test)]
mod tests;
