//! Invariants of every registry.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use lanrage_ipc::model::{PartyId, PeerId};

use super::super::bounds::{member_bytes, pin_bytes};
use super::super::outbox::PendingIntents;
use super::super::receipts::Receipts;
use super::super::signal::ENVELOPE;
use super::super::tokens::{Identities, Token};
use super::super::{Keeper, Member, Registry};
use crate::core::addresses;
use crate::core::shares::{Payer, Tally};
use crate::core::{
    MemberRecord, Owner, PartyRecord, PinRecord, ReceiptRecord, RelayRecord, RequestKey, TokenHash,
    TokenRecord,
};

/// Checks that every index agrees with the records.
#[track_caller]
pub(super) fn check_indexes(registry: &Registry) {
    let mut kept: HashMap<_, BTreeSet<_>> = HashMap::new();
    let (mut orphans, mut waiting) = (BTreeSet::new(), BTreeSet::new());
    let mut memberships = 0;
    registry.parties.check();
    for (party_id, party) in registry.parties.iter() {
        for (peer_id, member) in party.members.iter() {
            memberships += 1;
            let key = (party_id.clone(), peer_id.clone());
            match member.keeper {
                Keeper::Connection(id) if registry.kept.contains_key(&id) => {
                    kept.entry(id).or_default().insert(key);
                }
                Keeper::Connection(_) => {
                    orphans.insert(key);
                }
                Keeper::Daemon | Keeper::Server { .. } | Keeper::Heartbeats | Keeper::Nothing => {}
            }
            if let Some(oldest) = member.signals.iter().map(|signal| signal.queued).min() {
                waiting.insert((oldest, party_id.clone(), peer_id.clone()));
            }
        }
    }
    let relays = registry.relays.iter();
    let silent_relays: BTreeSet<_> = relays.map(|(id, relay)| (relay.seen, id.clone())).collect();
    let mut relay_owners = HashMap::new();
    for relay in registry.relays.values() {
        if let Owner::Peer(owner) = &relay.record.owner {
            *relay_owners.entry(owner.clone()).or_default() += 1;
        }
    }
    assert_eq!(registry.relay_owners, relay_owners);
    let kept_now = registry.kept.iter().filter(|(_, members)| !members.is_empty());
    let presences = presences(registry);
    for (peer_id, (_, parties)) in &presences {
        let memberships = registry.parties.of_peer(peer_id).map(|(party, _)| &party.record);
        let mut found: Vec<_> = memberships.map(|party| party.party_id.clone()).collect();
        found.sort();
        assert_eq!(found, parties.iter().cloned().collect::<Vec<_>>(), "{peer_id}");
    }
    assert_eq!(kept_now.map(|(id, kept)| (*id, kept.clone())).collect::<HashMap<_, _>>(), kept);
    assert_eq!(registry.orphans, orphans);
    assert_eq!(registry.silent_relays, silent_relays);
    assert_eq!(registry.waiting_signals, waiting);
    assert_eq!(registry.memberships, memberships);
    let mut copies_bytes = 0;
    for (party_id, party) in registry.parties.iter() {
        let members = party.members.values().map(|member| member_bytes(&member.record.info));
        let pins = party.pins.values().map(pin_bytes);
        assert_eq!(party.bytes, members.chain(pins).sum::<usize>(), "{party_id}");
        copies_bytes += party.copied_bytes();
        for (peer_id, pin) in &party.pins {
            assert_eq!((party_id, peer_id), (&pin.party_id, &pin.peer_id));
        }
    }
    assert_eq!(registry.parties.copies_bytes(), copies_bytes);
    let members = registry.parties.values().flat_map(|party| party.members.values());
    assert_eq!(registry.signals_bytes, members.map(Member::signals_bytes).sum::<usize>());
    check_payers(registry);
    check_identities(registry);
    check_receipts(&registry.receipts);
    let intents = &registry.outbox.intents;
    assert_eq!(registry.outbox.intent_count, intents.values().map(BTreeMap::len).sum::<usize>());
    for (party_id, intents) in intents {
        assert!(!intents.is_empty(), "an empty entry of {party_id}");
        for (peer_id, intent) in intents {
            assert_eq!((party_id, peer_id), (&intent.party_id, &intent.peer_id));
        }
    }
}

/// Returns the owner and the parties of each peer.
#[track_caller]
pub(super) fn presences(registry: &Registry) -> BTreeMap<PeerId, (Owner, BTreeSet<PartyId>)> {
    let mut presences = BTreeMap::<PeerId, (Owner, BTreeSet<PartyId>)>::new();
    for (party_id, party) in registry.parties.iter() {
        for (peer_id, member) in party.members.iter() {
            let owner = &member.record.owner;
            let presence = presences.entry(peer_id.clone());
            let (known, parties) = presence.or_insert_with(|| (owner.clone(), BTreeSet::new()));
            assert_eq!(known, owner, "{peer_id} has two owners");
            parties.insert(party_id.clone());
        }
    }
    presences
}

/// Checks that the amounts of each payer agree with the records.
#[track_caller]
fn check_payers(registry: &Registry) {
    let mut parties = Tally::default();
    let (mut memberships, mut signals) = (Tally::default(), Tally::default());
    for party in registry.parties.values() {
        if let Some(address) = party.record.address {
            parties.add(&Payer::Address(address), 1);
        }
        for member in party.members.values() {
            if let Owner::User(user) = member.record.owner {
                memberships.add(&Payer::User(user), 1);
            }
            for signal in &member.signals {
                let bytes = signal.data.len() + ENVELOPE;
                signals.add(&Payer::Peer(signal.from.clone()), bytes);
                signal.payer.iter().for_each(|payer| signals.add(payer, bytes));
            }
        }
    }
    let mut relays = Tally::default();
    registry.relays.values().filter_map(|relay| relay.payer.as_ref()).for_each(|payer| {
        relays.add(payer, 1);
    });
    let mut intents = Tally::default();
    let owners = registry.outbox.intents.values().flat_map(|party| party.values());
    owners.filter_map(|intent| intent.owner).for_each(|owner| intents.add(&Payer::User(owner), 1));
    assert_eq!(registry.outbox.payers, intents);
    assert_eq!(registry.party_payers, parties);
    assert_eq!(registry.membership_payers, memberships);
    assert_eq!(registry.signal_payers, signals);
    assert_eq!(registry.relay_payers, relays);
}

#[track_caller]
fn check_identities(registry: &Registry) {
    let identities = &registry.identities;
    let tokens = identities.tokens.clone();
    let taken_alone = identities.taken_alone.clone();
    let (released, reattached) = (identities.released.clone(), identities.reattached.clone());
    let mut expected =
        Identities { tokens, taken_alone, released, reattached, ..Identities::default() };
    for (peer_id, reattached) in &identities.reattached {
        assert!(!reattached.is_empty(), "no connection is reattached to {peer_id}");
        for connection in reattached {
            expected.reattached_peers.entry(*connection).or_default().insert(peer_id.clone());
        }
    }
    identities.tokens.check();
    for token in identities.tokens.values() {
        if let Some(address) = token.record.address {
            expected.payers.add(&Payer::Address(address), 1);
        }
        let peer_id = &token.record.peer_id;
        let of_peer = |other: &&Token| other.record.peer_id == token.record.peer_id;
        let mut siblings = identities.tokens.values().filter(of_peer);
        let is_used = siblings.any(|token| token.shown.is_some())
            || registry.is_in_a_party(peer_id)
            || identities.holders.contains_key(peer_id)
            || registry.relay_owners.contains_key(peer_id);
        if !is_used {
            expected.unused.insert(token);
        }
    }
    let known = identities.taken_alone.keys().all(|id| identities.tokens.has_peer(id));
    assert!(known, "an entry without a use");
    for (peer_id, holders) in &identities.holders {
        assert!(!holders.is_empty(), "{peer_id} has no holder");
        expected.holders.insert(peer_id.clone(), holders.clone());
        for connection in holders.keys() {
            expected.held.entry(*connection).or_default().insert(peer_id.clone());
        }
    }
    assert_eq!(*identities, expected);
}

#[track_caller]
fn check_receipts(receipts: &Receipts) {
    let mut expected = Receipts { records: receipts.records.clone(), ..Receipts::default() };
    for (key, kept) in &receipts.records {
        assert_eq!(*key, (kept.record.peer_id.clone(), kept.record.key.clone()));
        expected.by_age.insert((kept.until, key.clone()));
        expected.ranking.insert(&kept.payer, key, kept.until);
    }
    assert_eq!(*receipts, expected);
}

/// Checks that every party has its host at the host's address, and no address twice. If the rules
/// never changed, all bounds hold.
#[track_caller]
pub(super) fn check_parties(registry: &Registry) {
    let rules = &registry.rules;
    assert!(registry.parties.len() <= rules.parties && registry.relays.len() <= rules.relays);
    // A peer that showed a live token may exceed the bound by one. So may each connection that uses
    // one.
    let peers: HashSet<_> =
        registry.identities.tokens.values().map(|token| &token.record.peer_id).collect();
    assert!(peers.len() <= rules.tokens);
    let in_use: usize = registry.identities.held.values().map(|held| held.len()).sum();
    assert!(registry.token_count() <= 2 * rules.tokens + in_use);
    assert!(registry.receipts.records.len() <= rules.receipts);
    for (peer_id, (_, parties)) in presences(registry) {
        assert!(parties.len() <= rules.parties_per_peer, "{peer_id} is in too many parties");
    }
    for (party_id, party) in registry.parties.iter() {
        let host = party.members.get(&party.record.host_id);
        let host = host.unwrap_or_else(|| panic!("{party_id} has no host"));
        assert_eq!(
            Some(host.record.virtual_ip),
            addresses::host(rules.subnet),
            "host of {party_id}"
        );
        assert!(party.members.len() <= rules.peers_per_party, "{party_id} is too full");
        let members = party.members.values();
        let mut queues = members.clone().map(|member| member.signals.len());
        assert!(queues.all(|length| length <= rules.signals_per_peer), "{party_id}");
        let addresses: HashSet<_> = members.map(|member| member.record.virtual_ip).collect();
        assert_eq!(addresses.len(), party.members.len(), "an address twice in {party_id}");
        assert!(addresses.iter().all(|address| rules.subnet.contains(address)), "{party_id}");
    }
}

/// The durable state, without `last_seen`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Durable {
    parties: Vec<PartyRecord>,
    members: Vec<(PartyId, MemberRecord, Keeper)>,
    relays: Vec<RelayRecord>,
    tokens: HashMap<TokenHash, TokenRecord>,
    receipts: HashMap<(PeerId, RequestKey), ReceiptRecord>,
    outbox: PendingIntents,
    pins: Vec<PinRecord>,
}

pub(super) fn durable(registry: &Registry) -> Durable {
    let parties = registry.parties.values().map(|party| party.record.clone());
    let members = registry.parties.iter().flat_map(|(id, party)| {
        party.members.values().map(|member| {
            let record = MemberRecord { last_seen: Timestamp::UNIX_EPOCH, ..member.record.clone() };
            (id.clone(), record, member.keeper)
        })
    });
    let relays = registry.relays.values().map(|relay| relay.record.clone());
    Durable {
        parties: parties.collect(),
        members: members.collect(),
        relays: relays.collect(),
        tokens: tokens(registry),
        receipts: receipts(registry),
        outbox: registry.outbox.clone(),
        pins: pins(registry),
    }
}

/// Returns the tokens as they are stored.
pub(super) fn tokens(registry: &Registry) -> HashMap<TokenHash, TokenRecord> {
    let tokens = registry.identities.tokens.values();
    tokens.map(|token| (token.record.hash, token.record.clone())).collect()
}

/// Returns the receipts as they are stored.
pub(super) fn receipts(registry: &Registry) -> HashMap<(PeerId, RequestKey), ReceiptRecord> {
    let receipts = registry.receipts.records.iter();
    receipts.map(|(key, kept)| (key.clone(), kept.record.clone())).collect()
}

/// Returns the pins as they are stored.
pub(super) fn pins(registry: &Registry) -> Vec<PinRecord> {
    registry.parties.values().flat_map(|party| party.pins.values()).cloned().collect()
}
