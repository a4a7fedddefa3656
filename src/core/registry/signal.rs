//! Signals: queued in memory for a member until they are polled or expire.

use std::collections::VecDeque;

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{PartyId, PeerId, Signal, SignalData};

use super::changes::Effect;
use super::expiry::drop_stale;
use super::transaction::Transaction;
use super::{Member, QueuedSignal};
use crate::core::command::{Now, Outcome, Refusal};
use crate::core::shares::Payer;

/// Upper bound of a signal's bytes beside its payload: three ids, a time and the field names.
pub(super) const ENVELOPE: usize = 512;

impl Transaction<'_> {
    pub(super) fn send_signal(
        &mut self,
        party_id: &PartyId,
        from: PeerId,
        to: &PeerId,
        data: SignalData,
    ) -> Result<Outcome, Refusal> {
        self.fits(&data)?;
        self.is_member(party_id, &from)?;
        let payer = self.caller.payer();
        self.queue_signal(party_id, from, to, data, payer)
    }

    /// Checks the length of a signal.
    pub(super) fn fits(&self, data: &SignalData) -> Result<(), Refusal> {
        let (bytes, limit) = (data.len(), self.registry.rules.signal_bytes);
        if bytes > limit { Err(Refusal::SignalTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Queues a signal for a member, from any sender. `payer` pays for it beside the sender.
    pub(super) fn queue_signal(
        &mut self,
        party_id: &PartyId,
        from: PeerId,
        to: &PeerId,
        data: SignalData,
        payer: Option<Payer>,
    ) -> Result<Outcome, Refusal> {
        self.room_for_signal(party_id, &from, to, data.len() + ENVELOPE, payer.as_ref())?;
        let (limit, ttl) = (self.registry.rules.signals_per_peer, self.registry.rules.signal_ttl);
        let Now { wall: sent_at, elapsed: queued } = self.now;
        let number = self.registry.signals_queued;
        let waiting = self.registry.with_member(party_id, to, |member| {
            drop_stale(&mut member.signals, ttl, queued);
            let room = member.signals.len() < limit;
            if room {
                let signal =
                    QueuedSignal { number, from: from.clone(), data, sent_at, queued, payer };
                member.signals.push_back(signal);
            }
            room
        });
        match waiting {
            Some(true) => {
                self.registry.signals_queued += 1;
                let (party_id, to_peer_id) = (party_id.clone(), to.clone());
                self.effect = Some(Effect::Queued {
                    party_id: party_id.clone(),
                    to: to_peer_id.clone(),
                    number,
                });
                self.events.push(Event::SignalReceived {
                    party_id,
                    from_peer_id: from,
                    to_peer_id,
                });
                Ok(Outcome::Queued)
            }
            Some(false) => Err(Refusal::SignalQueueFull { peer_id: to.clone(), limit }),
            None => {
                let (party_id, peer_id) = (party_id.clone(), to.clone());
                Err(Refusal::PeerNotFound { party_id, peer_id })
            }
        }
    }

    pub(super) fn poll_signals(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        room: usize,
    ) -> Result<Outcome, Refusal> {
        self.is_member(party_id, peer_id)?;
        let (ttl, now) = (self.registry.rules.signal_ttl, self.now.elapsed);
        let taken = self.registry.with_member(party_id, peer_id, |member| {
            drop_stale(&mut member.signals, ttl, now);
            let fit = fitting(&member.signals, room);
            member.signals.drain(..fit).collect::<Vec<_>>()
        });
        let signals = taken.unwrap_or_default().into_iter().map(|signal| Signal {
            party_id: party_id.clone(),
            from_peer_id: signal.from,
            to_peer_id: peer_id.clone(),
            signal_data: signal.data,
            sent_at: signal.sent_at,
        });
        Ok(Outcome::Signals(signals.collect()))
    }

    pub(super) fn is_member(&self, party_id: &PartyId, peer_id: &PeerId) -> Result<(), Refusal> {
        if self.party(party_id)?.members.contains_key(peer_id) {
            return Ok(());
        }
        Err(Refusal::NotAMember { party_id: party_id.clone(), peer_id: peer_id.clone() })
    }
}

impl QueuedSignal {
    fn bytes(&self) -> usize {
        self.data.len() + ENVELOPE
    }
}

impl Member {
    /// Returns the bytes of its waiting signals.
    pub(super) fn signals_bytes(&self) -> usize {
        self.signals.iter().map(QueuedSignal::bytes).sum()
    }

    /// Returns the bytes of its waiting signals by payer. A payer may occur several times.
    pub(super) fn signals_by_payer(&self) -> impl Iterator<Item = (Payer, usize)> {
        let same = |a: &QueuedSignal, b: &QueuedSignal| a.from == b.from && a.payer == b.payer;
        let (older, newer) = self.signals.as_slices();
        let runs = older.chunk_by(same).chain(newer.chunk_by(same));
        runs.flat_map(|run| {
            let bytes = run.iter().map(QueuedSignal::bytes).sum();
            let first = run.first();
            let sender = first.map(|signal| Payer::Peer(signal.from.clone()));
            let payer = first.and_then(|signal| signal.payer.clone());
            sender.into_iter().chain(payer).map(move |payer| (payer, bytes))
        })
    }
}

/// Returns the number of the oldest signals that fit into `room` bytes; at least 1.
fn fitting(signals: &VecDeque<QueuedSignal>, room: usize) -> usize {
    let mut used = 0;
    let fit = signals.iter().take_while(|signal| {
        used += signal.bytes();
        used <= room
    });
    fit.count().max(1).min(signals.len())
}
