//! Relays.

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{self, RelayId};

use super::Relay;
use super::transaction::Transaction;
use crate::core::command::{Outcome, Principal, Refusal, RelayInput};
use crate::core::record::{Owner, RelayRecord};

impl Transaction<'_> {
    pub(super) fn register_relay(
        &mut self,
        RelayInput { relay_id, public_ip, port, region, capacity }: RelayInput,
    ) -> Result<Outcome, Refusal> {
        let known = self.registry.relays.get(&relay_id);
        match known {
            Some(relay) if !self.may_change(&relay.record.owner) => {
                return Err(Refusal::RelayNotYours(relay_id));
            }
            Some(_) => {}
            None => self.room_for_relay()?,
        }
        let registered_at = known.map_or(self.now.wall, |relay| relay.record.relay.registered_at);
        let owner = match known {
            Some(relay) => relay.record.owner.clone(),
            None => self.caller_as_owner().ok_or(Refusal::RelayNotYours(relay_id.clone()))?,
        };
        let relay = model::Relay { relay_id, public_ip, port, region, capacity, registered_at };
        let record = RelayRecord { relay: relay.clone(), owner };
        let unchanged = known.is_some_and(|known| known.record == record);
        let payer = self.relay_payer();
        let entry = Relay { record, seen: self.now.elapsed, payer };
        if unchanged {
            self.registry.set_relay(&relay.relay_id, Some(entry));
        } else {
            self.put_relay(entry);
            self.events.push(Event::RelayUpdated { relay: relay.clone() });
        }
        Ok(Outcome::Relay(relay))
    }

    /// Checks that the caller may announce a relay to a control server. There it belongs to the
    /// peer of its id.
    pub(super) fn may_announce(&self, relay_id: &RelayId) -> Result<(), Refusal> {
        if let Some(known) = self.registry.relays.get(relay_id)
            && !self.may_change(&known.record.owner)
        {
            return Err(Refusal::RelayNotYours(relay_id.clone()));
        }
        match relay_id.as_str().parse() {
            Ok(peer_id) => self.may_act_for(&peer_id),
            Err(_) => Ok(()),
        }
    }

    /// Returns the owner of a relay or peer that the caller registers.
    pub(super) fn caller_as_owner(&self) -> Option<Owner> {
        match &self.caller.principal {
            Principal::User { user, .. } => Some(Owner::User(*user)),
            Principal::Peers(own) => own.first().cloned().map(Owner::Peer),
            Principal::RelayKey => Some(Owner::RelayKey),
        }
    }

    fn may_change(&self, owner: &Owner) -> bool {
        match &self.caller.principal {
            Principal::User { admin: true, .. } => true,
            Principal::User { user, .. } => *owner == Owner::User(*user),
            Principal::Peers(own) => matches!(owner, Owner::Peer(id) if own.contains(id)),
            Principal::RelayKey => *owner == Owner::RelayKey,
        }
    }
}
