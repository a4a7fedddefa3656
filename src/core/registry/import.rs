//! Import of parties.

use std::collections::HashSet;
use std::fmt::Display;

use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::lanrage::{ImportedParty, Rejected};
use lanrage_ipc::model::{Keepalive, Origin, PartyId, PeerId};

use super::Keeper;
use super::transaction::{Entrant, Transaction};
use crate::core::addresses;
use crate::core::command::{ImportCounts, ImportMode, Outcome, Refusal};
use crate::core::record::PartyRecord;

impl Transaction<'_> {
    pub(super) fn import(&mut self, parties: Vec<ImportedParty>, mode: ImportMode) -> Outcome {
        use RemovalReason::Removed;
        let mut counts = ImportCounts::default();
        if mode == ImportMode::Replace {
            let here: Vec<PartyId> = self.registry.parties.keys().cloned().collect();
            counts.removed = here.len() as u64;
            for party_id in here {
                self.take_leave(&party_id);
                self.remove_party(&party_id, Removed, Removed, Removed);
            }
        }
        for party in parties {
            if self.registry.parties.contains_key(&party.party_id) {
                counts.skipped += 1;
            } else {
                self.import_party(party, &mut counts);
            }
        }
        Outcome::Imported(counts)
    }

    fn import_party(&mut self, party: ImportedParty, counts: &mut ImportCounts) {
        let ImportedParty { party_id, name, host_id, created_at, mut peers } = party;
        // The host comes first: there is no party without it.
        peers.sort_by_key(|(peer, _)| (peer.peer_id != host_id, peer.peer_id.clone()));
        peers.dedup_by(|(later, _), (earlier, _)| later.peer_id == earlier.peer_id);
        let reject = |peer_id: Option<&PeerId>, reason: &dyn Display| Rejected {
            party_id: party_id.to_string(),
            peer_id: peer_id.map(PeerId::to_string),
            reason: reason.to_string(),
        };
        if peers.first().is_none_or(|(peer, _)| peer.peer_id != host_id) {
            return counts.rejected.push(reject(None, &"its host is not among its peers"));
        }
        let rules = &self.registry.rules;
        if let Err(refusal) = self.room_for_party().and_then(|()| self.may_import(&host_id)) {
            return counts.rejected.push(reject(None, &refusal));
        }
        let (limit, subnet) = (rules.peers_per_party, rules.subnet);
        self.put_party(PartyRecord {
            party_id: party_id.clone(),
            name,
            host_id,
            created_at,
            seq: 1,
            origin: Origin::Local,
            address: self.caller.address,
        });
        let mut taken = HashSet::new();
        for (info, last_seen) in peers {
            let address = match taken.len() {
                0 => addresses::host(subnet),
                count if count < limit => addresses::guest(subnet, &taken),
                _ => None,
            };
            let full = Refusal::PartyFull { party_id: party_id.clone(), limit: taken.len() };
            let room = address.ok_or(full);
            match self.may_import(&info.peer_id).and(room) {
                Ok(address) => {
                    taken.insert(address);
                    let keepalive = Keepalive::Connection;
                    let entrant = Entrant { info, keepalive, utc_offset: None };
                    let mut record = self.new_record(entrant, address);
                    record.last_seen = last_seen;
                    self.put_member(&party_id, record, Keeper::Nothing);
                }
                Err(refusal) => counts.rejected.push(reject(Some(&info.peer_id), &refusal)),
            }
        }
        counts.parties += 1;
        counts.peers += taken.len() as u64;
        if let Ok(party) = self.registry.party(&party_id, self.now) {
            let (epoch, seq) = (party.epoch.clone(), party.seq);
            self.events.push(Event::PartyRegistered { party, epoch, seq });
        }
    }

    fn may_import(&self, peer_id: &PeerId) -> Result<(), Refusal> {
        self.may_act_for(peer_id)?;
        self.may_enter_another(peer_id)
    }
}
