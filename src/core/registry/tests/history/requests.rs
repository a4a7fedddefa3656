//! Which requests should be known again.

use std::collections::BTreeMap;

use lanrage_ipc::model::PeerId;

use super::super::*;
use super::play::Played;
use crate::core::{Done, Receipt, Write};

const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// What was done under which key, and when.
#[derive(Debug, Default)]
pub(super) struct Requests(BTreeMap<(PeerId, RequestKey), (Duration, Receipt)>);

impl Requests {
    /// That nothing known was done again, and that what was done is known from now on.
    #[track_caller]
    pub(super) fn follow(&mut self, played: &Played, world: &World) {
        let now = world.now.elapsed;
        let Ok(applied) = &played.result else { return };
        let id = played.command.acts_for().cloned().zip(played.key);
        let id = id.map(|(peer_id, key)| (peer_id, RequestKey(key.into())));
        let known = id.as_ref().and_then(|id| self.0.get(id));
        let is_it = |(at, receipt): &&(Duration, Receipt)| {
            now - *at < REMEMBERED && is_of(&receipt.done, &played.command)
        };
        if let Some((_, receipt)) = known.filter(is_it) {
            assert_eq!(applied.outcome, Outcome::Receipt(receipt.clone()));
            assert_eq!((applied.events.len(), applied.changes.len()), (0, 0));
            return;
        }
        let (mut put, limit) = (None, world.registry.rules().receipts);
        for change in &applied.changes {
            match change.write() {
                Write::PutReceipt(record) => {
                    put = Some((record.peer_id.clone(), record.key.clone()));
                    assert_eq!((&put, record.at), (&id, world.now.wall));
                    self.0.insert(id.clone().unwrap(), (now, record.receipt.clone()));
                }
                Write::DeleteReceipt(peer_id, key) => {
                    let oldest = self.0.values().map(|(at, _)| *at).min();
                    let full = self.0.len() >= limit;
                    let gone = self.0.remove(&(peer_id.clone(), key.clone()));
                    let (at, _) = gone.expect("deleted twice");
                    assert_eq!(Some(at), oldest);
                    assert!(full || now - at >= REMEMBERED, "forgotten too early");
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
}

/// Whether a request may have done that: one that asks for something else is another.
fn is_of(done: &Done, command: &Command) -> bool {
    match (command, done) {
        (Command::Join { party_id, .. }, Done::Entered { party_id: entered, .. }) => {
            party_id == entered
        }
        (Command::Register { .. }, Done::Entered { .. })
        | (Command::Leave { .. }, Done::Left { .. })
        | (Command::Update { .. }, Done::Updated)
        | (Command::SendSignal { .. }, Done::Queued) => true,
        _ => false,
    }
}
