//! Room in the bounded tables: within the total bound and the payer's share.

use lanrage_ipc::model::{PartyId, PeerId};

use super::signal::ENVELOPE;
use super::transaction::Transaction;
use crate::core::command::{Principal, Refusal};
use crate::core::record::{Owner, TokenHash};
use crate::core::shares::{Payer, Tally};

/// Upper bound of a peer's relays where relays need no key. With the key there is no such bound.
const RELAYS_OF_A_PEER: usize = 16;

/// Shares of the relay table for an address or user: the table is small, and one operator may run
/// many relays.
const RELAY_SHARES: usize = 2;

impl Transaction<'_> {
    pub(super) fn room_for_party(&self) -> Result<(), Refusal> {
        let (registry, payer) = (&self.registry, self.caller.payer());
        let limit = registry.rules.parties;
        self.within_share("parties", &registry.party_payers, payer, 1, limit)?;
        within("parties", registry.parties.len(), limit)
    }

    /// Checks the memberships of a user of this machine. The bound is the user's share of the
    /// parties, since each party has its host.
    pub(super) fn room_for_membership(&self) -> Result<(), Refusal> {
        let payer = self.caller.payer().filter(|payer| matches!(payer, Payer::User(_)));
        let limit = self.registry.rules.parties;
        self.within_share("memberships", &self.registry.membership_payers, payer, 1, limit)
    }

    pub(super) fn room_for_relay(&self) -> Result<(), Refusal> {
        let (registry, limit) = (&self.registry, self.registry.rules.relays);
        if let Some(Owner::Peer(peer_id)) = self.caller_as_owner()
            && registry.relay_owners.get(&peer_id).is_some_and(|count| *count >= RELAYS_OF_A_PEER)
        {
            let (payer, limit) = (Payer::Peer(peer_id), RELAYS_OF_A_PEER);
            return Err(Refusal::ShareFull { what: "relays", payer, limit });
        }
        let shared = RELAY_SHARES.saturating_mul(limit);
        self.within_share("relays", &registry.relay_payers, self.relay_payer(), 1, shared)?;
        within("relays", registry.relays.len(), limit)
    }

    /// Returns the payer of the caller's relay; `None` for a relay with the relay key.
    pub(super) fn relay_payer(&self) -> Option<Payer> {
        self.caller.payer().filter(|_| self.caller.principal != Principal::RelayKey)
    }

    /// Checks for room for another token. Returns the unused claim to displace, if any; never the
    /// token that was shown.
    pub(super) fn room_for_token(
        &self,
        shown: Option<TokenHash>,
    ) -> Result<Option<TokenHash>, Refusal> {
        let (identities, limit) = (&self.registry.identities, self.registry.rules.tokens);
        let payer = self.caller.payer();
        let share = self.within_share("tokens", &identities.payers, payer, 1, limit);
        let Err(refusal) = share.and_then(|()| within("tokens", identities.len(), limit)) else {
            return Ok(None);
        };
        let payer = match &refusal {
            Refusal::ShareFull { payer, .. } => Some(payer),
            _ => None,
        };
        identities.unused.oldest(payer, shown).map(Some).ok_or(refusal)
    }

    /// Checks for room for a signal of `bytes`. Sender, target and payer each have a share. The
    /// total bound does not apply to a target with a holding connection, which takes its signals at
    /// once.
    pub(super) fn room_for_signal(
        &self,
        party_id: &PartyId,
        from: &PeerId,
        to: &PeerId,
        bytes: usize,
        payer: Option<&Payer>,
    ) -> Result<(), Refusal> {
        let (registry, rules) = (&self.registry, &self.registry.rules);
        let limit = rules.signals_total_bytes;
        let is_taken_at_once = registry.identities.holders.contains_key(to);
        if !is_taken_at_once && registry.signals_bytes + bytes > limit {
            return Err(Refusal::SignalsFull { limit });
        }
        // Shares do not apply to an administrator.
        let Some(payer) = payer else { return Ok(()) };
        // A signal of maximum length always fits into a share.
        let longest = rules.signal_bytes + ENVELOPE;
        let share = |payer: &Payer| rules.shares.of(payer, limit).max(longest);
        let what = "bytes of waiting signals";
        for payer in [&Payer::Peer(from.clone()), payer] {
            if let Some((payer, limit)) = registry.signal_payers.exceeded(payer, bytes, share) {
                return Err(Refusal::ShareFull { what, payer, limit });
            }
        }
        let target = Payer::Peer(to.clone());
        let waiting = self.member(party_id, to).map_or(0, super::Member::signals_bytes);
        match share(&target) {
            limit if waiting + bytes > limit => {
                Err(Refusal::ShareFull { what, payer: target, limit })
            }
            _ => Ok(()),
        }
    }

    /// Checks a payer's share. A share as large as the table is not a separate bound.
    pub(super) fn within_share(
        &self,
        what: &'static str,
        payers: &Tally,
        payer: Option<Payer>,
        amount: usize,
        table: usize,
    ) -> Result<(), Refusal> {
        let shares = self.registry.rules.shares;
        let share = |payer: &Payer| shares.of(payer, table);
        let exceeded = payer.and_then(|payer| payers.exceeded(&payer, amount, share));
        match exceeded {
            Some((payer, limit)) if limit < table => Err(Refusal::ShareFull { what, payer, limit }),
            _ => Ok(()),
        }
    }
}

fn within(what: &'static str, count: usize, limit: usize) -> Result<(), Refusal> {
    if count < limit { Ok(()) } else { Err(Refusal::RegistryFull { what, limit }) }
}
