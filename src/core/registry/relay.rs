//! Relays.

use std::net::IpAddr;

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{self, Name, RelayId};

use super::Relay;
use super::changes::Transaction;
use crate::core::command::{Outcome, Refusal};
use crate::core::record::RelayRecord;

impl Transaction<'_> {
    pub(super) fn register_relay(
        &mut self,
        relay_id: RelayId,
        public_ip: IpAddr,
        port: u16,
        region: Name,
        capacity: u32,
    ) -> Result<Outcome, Refusal> {
        let known = self.registry.relays.get(&relay_id);
        let limit = self.registry.rules.relays;
        match known {
            Some(relay) if relay.record.owner != self.caller.owner && !self.caller.admin => {
                return Err(Refusal::RelayNotYours(relay_id));
            }
            None if self.registry.relays.len() >= limit => {
                return Err(Refusal::RegistryFull { what: "relays", limit });
            }
            _ => {}
        }
        let registered_at = known.map_or(self.now.wall, |relay| relay.record.relay.registered_at);
        let owner = known.map_or(self.caller.owner, |relay| relay.record.owner);
        let relay = model::Relay { relay_id, public_ip, port, region, capacity, registered_at };
        let record = RelayRecord { relay: relay.clone(), owner };
        let unchanged = known.is_some_and(|known| known.record == record);
        let entry = Relay { record, seen: self.now.elapsed };
        if unchanged {
            self.registry.set_relay(&relay.relay_id, Some(entry));
        } else {
            self.put_relay(entry);
            self.events.push(Event::RelayUpdated { relay: relay.clone() });
        }
        Ok(Outcome::Relay(relay))
    }
}
