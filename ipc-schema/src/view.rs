//! A client's copy of the state: a snapshot, kept true by the events after it.

use std::collections::BTreeMap;

use crate::event::{Event, EventParams, ResetParams, Snapshot};
use crate::message::ServerMessage;
use crate::model::Connection;
use crate::model::{Epoch, Party, PartyId, Relay, RelayId};
use crate::results::SubscribeResult;

/// The state as one subscription tells it.
///
/// It holds what the subscription covers: parties need the topics `party` and `peer`, both; relays
/// and the connection need theirs. Then its parties are those that `party.get` returns, but for
/// the `last_seen` of their peers: a sign of life alone makes no event.
///
/// Messages of other subscriptions are passed over, so that a client may show every message to
/// every view. A client that subscribes anew makes a new view.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    subscription: String,
    seq: u64,
    parties: BTreeMap<PartyId, Party>,
    relays: BTreeMap<RelayId, Relay>,
    connection: Option<Connection>,
}

/// An event is missing: the view is no longer true. Subscribe anew, or wait for a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("event {expected} is missing, {found} came in its place: subscribe anew")]
pub struct Gap {
    /// The number that was due.
    pub expected: u64,
    /// The number that came.
    pub found: u64,
}

impl View {
    /// Starts from what `events.subscribe` answered.
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

    /// The subscription that it follows.
    pub fn subscription(&self) -> &str {
        &self.subscription
    }

    /// The number of the last event or reset that it has taken in.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The parties.
    pub fn parties(&self) -> &BTreeMap<PartyId, Party> {
        &self.parties
    }

    /// The relays. (`relay.list` has them by region.)
    pub fn relays(&self) -> &BTreeMap<RelayId, Relay> {
        &self.relays
    }

    /// The connection to the control server; `None` when the subscription does not cover it.
    pub fn connection(&self) -> Option<&Connection> {
        self.connection.as_ref()
    }

    /// Takes in whatever the daemon said: an event, a reset, or something that it passes over.
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

    /// Takes in an event.
    ///
    /// # Errors
    /// [`Gap`] when it is not the next; the view stays as it was.
    pub fn apply(&mut self, params: &EventParams) -> Result<(), Gap> {
        if params.subscription != self.subscription {
            return Ok(());
        }
        self.advance(params.seq)?;
        self.change(&params.event);
        Ok(())
    }

    /// Starts again from the snapshot of a reset.
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

    /// The party that a change is about, already at the point of history after it.
    fn touch(&mut self, party_id: &PartyId, epoch: &Epoch, seq: u64) -> Option<&mut Party> {
        let party = self.parties.get_mut(party_id)?;
        party.epoch = epoch.clone();
        party.seq = seq;
        Some(party)
    }
}

#[cfg(test)]
mod tests;
