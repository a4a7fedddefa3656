//! Model of the receipts.

use std::collections::BTreeMap;

use lanrage_ipc::model::PeerId;

use super::super::*;
use super::play::Played;
use crate::core::request::{Likeness, Request};
use crate::core::{Payer, Receipt, Write};

const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Executed requests by key, with their times.
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeMap<(PeerId, RequestKey), Known>);

/// An executed request.
#[derive(Debug)]
struct Known {
    at: Duration,
    request: Option<Request>,
    receipt: Receipt,
    /// Origin of the request.
    payer: Option<Payer>,
}

impl Requests {
    /// Checks that no known request was executed again, and adds the executed one.
    #[track_caller]
    pub(super) fn follow(&mut self, played: &Played, world: &World) {
        let now = world.now.elapsed;
        let Ok(applied) = &played.result else { return };
        let id = played.command.acts_for().cloned().zip(played.key);
        let id = id.map(|(peer_id, key)| (peer_id, RequestKey(key.into())));
        let known = id.as_ref().and_then(|id| self.0.get(id));
        let request = Request::of(&played.command, true);
        let is_it = |known: &&Known| {
            let same = request.as_ref().zip(known.request.as_ref());
            let is_same = same.is_some_and(|(own, known)| own.likeness(known) == Likeness::Same);
            now - known.at < REMEMBERED && is_same
        };
        if let Some(known) = known.filter(is_it) {
            assert_eq!(applied.outcome, Outcome::Receipt(known.receipt.clone()));
            assert_eq!((applied.events.len(), applied.changes.len()), (0, 0));
            return;
        }
        let (mut put, limit) = (None, world.registry.rules.receipts);
        for change in &applied.changes {
            match change.write() {
                Write::PutReceipt(record) => {
                    put = Some((record.peer_id.clone(), record.key.clone()));
                    assert_eq!((&put, record.at), (&id, world.now.wall));
                    let (receipt, payer) = (record.receipt.clone(), played.caller.payer());
                    self.0.insert(
                        id.clone().unwrap(),
                        Known { at: now, request: request.clone(), receipt, payer },
                    );
                }
                Write::DeleteReceipt(peer_id, key) => {
                    let id = (peer_id.clone(), key.clone());
                    let age = now - self.0.get(&id).expect("deleted twice").at;
                    let changes_hands = matches!(&played.command,
                        Command::Claim { peer_id: claimed, .. } if claimed == peer_id);
                    if age < REMEMBERED && !changes_hands {
                        assert!(self.0.len() >= limit, "forgotten too early");
                        self.check_evicted(&id);
                    }
                    self.0.remove(&id);
                }
                _ => {}
            }
        }
        use Command::{Join, Leave, Register, SendSignal, Update};
        let kept = matches!(
            played.command,
            Register { .. } | Join { .. } | Leave { .. } | Update { .. } | SendSignal { .. }
        );
        assert_eq!(put.is_some(), kept && id.is_some(), "{:?}", played.command);
        assert_eq!(put.is_some(), matches!(applied.outcome, Outcome::Receipt(_)));
        assert!(self.0.len() <= limit);
    }

    /// Checks the evicted receipt: the oldest of the peer with most, at the address with most.
    fn check_evicted(&self, evicted: &(PeerId, RequestKey)) {
        let place = |id: &(PeerId, RequestKey), known: &Known| (known.payer.clone(), id.0.clone());
        let (mut groups, mut peers) = (BTreeMap::new(), BTreeMap::new());
        for (id, known) in &self.0 {
            *groups.entry(known.payer.clone()).or_insert(0) += 1;
            *peers.entry(place(id, known)).or_insert(0) += 1;
        }
        let known = &self.0[evicted];
        let (group, peer) = place(evicted, known);
        assert_eq!(groups.get(&group), groups.values().max(), "{groups:?}");
        let beside = peers.iter().filter(|((of, _), _)| *of == group).map(|(_, count)| count);
        assert_eq!(peers.get(&(group.clone(), peer.clone())), beside.max(), "{peers:?}");
        let same = |(id, other): &(&(PeerId, RequestKey), &Known)| {
            place(id, other) == (group.clone(), peer.clone())
        };
        let oldest = self.0.iter().filter(same).map(|(_, known)| known.at).min();
        assert_eq!(Some(known.at), oldest);
    }
}
