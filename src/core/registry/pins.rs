//! Key continuity: the public key of each member from another machine is pinned at first sight, for
//! the life of the party.

use lanrage_ipc::model::{KeyChange, PartyId, PeerId, PublicKey};

use super::transaction::Transaction;
use super::{Member, Party, Registry};
use crate::core::command::{Outcome, Principal, Refusal};
use crate::core::record::{Owner, PinRecord};

/// Upper bound of a party's pins: twice the upper bound of members. The oldest pin of a former
/// member is evicted first.
const PINS_PER_PARTY: usize = 2048;

impl PinRecord {
    /// Returns the key that local readers get.
    pub(crate) fn in_force(&self) -> &PublicKey {
        self.replaced_by.as_ref().unwrap_or(&self.public_key)
    }
}

impl Party {
    /// Returns a member's key for local readers, and its difference from the pinned key or the
    /// server's key.
    pub(super) fn key_of(&self, member: &Member) -> (PublicKey, Option<KeyChange>) {
        let stated = &member.record.info.public_key;
        let pin = self.pins.get(&member.record.info.peer_id);
        let Some(pin) = pin.filter(|_| member.record.owner == Owner::Elsewhere) else {
            return (stated.clone(), None);
        };
        let key = pin.in_force();
        let held = (stated != key).then(|| stated.clone());
        let is_changed = held.is_some() || *key != pin.public_key;
        let change = is_changed.then(|| KeyChange { previous: pin.public_key.clone(), held });
        (key.clone(), change)
    }
}

impl Registry {
    /// Sets or removes a pin. Returns the previous one.
    pub(super) fn set_pin(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        pin: Option<PinRecord>,
    ) -> Option<PinRecord> {
        let set = |party: &mut Party| {
            let before = match pin {
                Some(pin) => {
                    party.bytes += super::bounds::pin_bytes(&pin);
                    party.pins.insert(peer_id.clone(), pin)
                }
                None => party.pins.remove(peer_id),
            };
            party.bytes -= before.as_ref().map_or(0, super::bounds::pin_bytes);
            before
        };
        self.parties.with_party(party_id, set)?
    }
}

impl Transaction<'_> {
    /// Takes in the key that a server states for a member from another machine. Returns the change
    /// if it is not the key in force.
    pub(super) fn pin(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        key: &PublicKey,
    ) -> Option<KeyChange> {
        let known = self.registry.parties.get(party_id)?.pins.get(peer_id).cloned();
        let Some(pin) = known else {
            self.make_room_for_pin(party_id);
            let (party_id, peer_id, public_key) = (party_id.clone(), peer_id.clone(), key.clone());
            let at = self.now.wall;
            self.put_pin(PinRecord { party_id, peer_id, public_key, replaced_by: None, at });
            return None;
        };
        let previous = pin.in_force().clone();
        if *key == previous {
            return None;
        }
        if self.registry.rules.hold_keys && *key != pin.public_key {
            return Some(KeyChange { previous, held: Some(key.clone()) });
        }
        let replaced_by = (*key != pin.public_key).then(|| key.clone());
        self.put_pin(PinRecord { replaced_by, ..pin });
        Some(KeyChange { previous, held: None })
    }

    fn make_room_for_pin(&mut self, party_id: &PartyId) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        if party.pins.len() < PINS_PER_PARTY {
            return;
        }
        let former = party.pins.values().filter(|pin| !party.members.contains_key(&pin.peer_id));
        let first = former.min_by_key(|pin| pin.at).map(|pin| pin.peer_id.clone());
        if let Some(peer_id) = first {
            self.delete_pin(party_id, &peer_id);
        }
    }

    /// Accepts the key that a server states for a member.
    pub(super) fn trust(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        key: PublicKey,
    ) -> Result<Outcome, Refusal> {
        let stated = self.member(party_id, peer_id)?.record.info.public_key.clone();
        self.may_trust(party_id, peer_id)?;
        if stated != key {
            return Err(Refusal::KeyIsAnother(peer_id.clone()));
        }
        let pin = self.party(party_id)?.pins.get(peer_id).cloned();
        if let Some(pin) = pin
            && (pin.public_key != key || pin.replaced_by.is_some())
        {
            self.put_pin(PinRecord { public_key: key, replaced_by: None, ..pin });
            self.publish_member(party_id, peer_id, None);
        }
        Ok(Outcome::Peer(self.registry.peer(party_id, peer_id, self.now)?))
    }

    /// Checks that the caller is an administrator, or has a peer in the party.
    fn may_trust(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Refusal> {
        let user = match &self.caller.principal {
            Principal::User { admin: true, .. } => return Ok(()),
            Principal::User { user, .. } => *user,
            Principal::Peers(_) | Principal::RelayKey => {
                return Err(Refusal::PeerNotYours(peer_id.clone()));
            }
        };
        let is_theirs = |member: &Member| member.record.owner == Owner::User(user);
        match self.party(party_id)?.members.values().any(is_theirs) {
            true => Ok(()),
            false => Err(Refusal::PeerNotYours(peer_id.clone())),
        }
    }
}
