//! Receipts: results of requests, so that a repeated request is done once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lanrage_ipc::model::PeerId;

use super::Registry;
use super::receipt_ranking::ReceiptRanking;
use super::transaction::Transaction;
use crate::core::command::{Command, Now, Outcome, Refusal};
use crate::core::record::{Done, Receipt, ReceiptRecord, RequestKey};
use crate::core::request::{Idempotency, Likeness, Request};
use crate::core::shares::Payer;

/// Time for which a receipt is kept.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

type Key = (PeerId, RequestKey);

/// A receipt with its expiry.
#[derive(Debug, Clone)]
#[cfg_attr(test, derive(PartialEq))]
pub(super) struct KeptReceipt {
    pub(super) record: ReceiptRecord,
    /// Expiry, on the clock of [`Now::elapsed`].
    pub(super) until: Duration,
    /// Address or /48 that made the request, if known.
    pub(super) payer: Option<Payer>,
}

impl KeptReceipt {
    /// Returns a receipt to keep. The age of a stored one counts by the wall clock.
    pub(super) fn new(record: ReceiptRecord, payer: Option<Payer>, now: Now) -> Self {
        let left = REMEMBERED.saturating_sub(now.age_of(record.at));
        let until = now.elapsed.saturating_add(left);
        Self { record, until, payer: payer.map(|payer| payer.widest()) }
    }

    /// True while the receipt is younger than `age`, which is at most [`REMEMBERED`].
    fn is_younger(&self, age: Duration, now: Now) -> bool {
        self.until.saturating_sub(now.elapsed) > REMEMBERED.saturating_sub(age)
    }
}

/// All receipts. Only `set` updates the indexes.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(super) struct Receipts {
    pub(super) records: BTreeMap<Key, KeptReceipt>,
    pub(super) by_age: BTreeSet<(Duration, Key)>,
    pub(super) ranking: ReceiptRanking,
}

impl Receipts {
    /// Sets or removes a receipt. Returns the previous one.
    pub(super) fn set(&mut self, key: &Key, receipt: Option<KeptReceipt>) -> Option<KeptReceipt> {
        let before = self.records.remove(key);
        if let Some(before) = &before {
            self.by_age.remove(&(before.until, key.clone()));
            self.ranking.remove(&before.payer, key, before.until);
        }
        if let Some(receipt) = receipt {
            self.by_age.insert((receipt.until, key.clone()));
            self.ranking.insert(&receipt.payer, key, receipt.until);
            self.records.insert(key.clone(), receipt);
        }
        before
    }

    fn valid(&self, key: &Key, now: Now) -> Option<&ReceiptRecord> {
        let kept = self.records.get(key).filter(|kept| kept.is_younger(REMEMBERED, now))?;
        Some(&kept.record)
    }

    fn of_peer(&self, peer_id: &PeerId) -> Vec<Key> {
        let from = (peer_id.clone(), RequestKey("".into()));
        let of_peer = self.records.range(from..).take_while(|((owner, _), _)| owner == peer_id);
        of_peer.map(|(key, _)| key.clone()).collect()
    }

    fn oldest(&self) -> Option<&(Duration, Key)> {
        self.by_age.first()
    }
}

impl ReceiptRecord {
    fn likeness(&self, request: Option<&Request>, command: &Command) -> Likeness {
        match (request, &self.request) {
            (Some(request), Some(earlier)) => request.likeness(earlier),
            _ if self.receipt.done.answers(command) => Likeness::Same,
            _ => Likeness::OtherRequest,
        }
    }
}

impl Done {
    /// True if the receipt may answer a command, by its kind and party alone.
    fn answers(&self, command: &Command) -> bool {
        match command {
            Command::Register { .. } => matches!(self, Self::Entered { .. }),
            Command::Join { party_id, .. } => {
                matches!(self, Self::Entered { party_id: entered, .. } if entered == party_id)
            }
            Command::Leave { .. } => matches!(self, Self::Left { .. }),
            Command::Update { .. } => *self == Self::Updated,
            Command::SendSignal { .. } => *self == Self::Queued,
            _ => false,
        }
    }
}

impl Registry {
    /// Returns the payer of a peer's receipts from before the start: the address of its latest
    /// token, or the address from which it entered a party.
    pub(super) fn payer_of_peer(&self, peer_id: &PeerId) -> Option<Payer> {
        let tokens = self.identities.tokens.of_peer(peer_id);
        let token = tokens.max_by_key(|token| (token.issued, token.record.hash));
        let entered = || {
            let parties = self.parties.of_peer(peer_id);
            let first = parties.min_by_key(|(party, _)| &party.record.party_id);
            first.and_then(|(_, member)| member.record.address)
        };
        let address = token.and_then(|token| token.record.address).or_else(entered);
        address.map(Payer::Address)
    }
}

impl Transaction<'_> {
    /// Executes a command once under its key; a repetition gets the receipt of the first time.
    /// Commands without durable change, or harmless to repeat, are executed each time. Another
    /// request under the same key is executed, too, unless the transport refuses reuse: a client
    /// may restart its keys on each connection.
    pub(super) fn once(
        &mut self,
        idempotency: Idempotency,
        command: Command,
    ) -> Result<Outcome, Refusal> {
        let Some(peer_id) = command.acts_for().cloned() else { return self.perform(command) };
        self.authorize(&command)?;
        let Idempotency { key, names_party, refuses_reuse } = idempotency;
        let (key, request) = ((peer_id, key), Request::of(&command, names_party));
        if let Some(before) = self.registry.receipts.valid(&key, self.now) {
            match before.likeness(request.as_ref(), &command) {
                Likeness::Same => return Ok(Outcome::Receipt(before.receipt.clone())),
                Likeness::OtherBody if refuses_reuse => return Err(Refusal::KeyReused),
                Likeness::OtherBody | Likeness::OtherRequest => {}
            }
        }
        let party_id = command.party_id().cloned();
        let outcome = self.perform(command)?;
        let done = match &outcome {
            Outcome::Done => {
                let Some(party_id) = self.entered.take() else { return Ok(outcome) };
                let virtual_ip = self.member(&party_id, &key.0)?.record.virtual_ip;
                Done::Entered { party_id, virtual_ip }
            }
            Outcome::Left(left) => Done::Left { party_deleted: left.party_deleted },
            Outcome::Peer(_) => Done::Updated,
            Outcome::Queued => Done::Queued,
            _ => return Ok(outcome),
        };
        let seq = party_id.and_then(|id| Some(self.registry.parties.get(&id)?.record.seq));
        let seq = seq.or_else(|| self.events.last().and_then(|event| event.seq()));
        let epoch = self.registry.epoch.clone();
        let receipt = Receipt { epoch, seq: seq.unwrap_or_default(), done };
        self.keep(key, request, receipt.clone());
        Ok(Outcome::Receipt(receipt))
    }

    /// Deletes the receipts of a peer id that changes its owner.
    pub(super) fn forget_receipts(&mut self, peer_id: &PeerId) {
        for key in self.registry.receipts.of_peer(peer_id) {
            self.delete_receipt(&key);
        }
    }

    fn keep(&mut self, (peer_id, key): Key, request: Option<Request>, receipt: Receipt) {
        while self.registry.receipts.records.len() >= self.registry.rules.receipts
            && let Some(evicted) = self.registry.receipts.ranking.first()
        {
            self.delete_receipt(&evicted);
        }
        self.put_receipt(ReceiptRecord { peer_id, key, at: self.now.wall, request, receipt });
    }

    pub(super) fn expire_receipts(&mut self) {
        while let Some((until, key)) = self.registry.receipts.oldest().cloned()
            && until <= self.now.elapsed
        {
            self.delete_receipt(&key);
        }
    }
}
