//! Signals between two peers of this machine that the server was asked to pass on. It may pass on
//! no other in the name of such a peer.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use lanrage_ipc::model::{PartyId, PeerId, SignalData};

/// Signals that are remembered, the newest ones: as many as wait for sixteen peers.
const MOST: usize = 4096;

/// A signal: its party, its sender, its target, and the checksum of its payload.
type Signal = (PartyId, PeerId, PeerId, u64);

/// Outlives the connections of this run of the program: a server may keep a signal for a while.
#[derive(Debug, Clone, Default)]
pub(crate) struct SentSignals(Rc<RefCell<VecDeque<Signal>>>);

impl SentSignals {
    /// Remembers a signal that is sent.
    pub(in super::super) fn note(
        &self,
        party_id: &PartyId,
        from: &PeerId,
        to: &PeerId,
        data: &SignalData,
    ) {
        let mut sent = self.0.borrow_mut();
        if sent.len() == MOST {
            sent.pop_front();
        }
        sent.push_back((party_id.clone(), from.clone(), to.clone(), checksum(data)));
    }

    /// Returns true for a signal that was sent, once for each time that it was.
    pub(super) fn take(
        &self,
        party_id: &PartyId,
        from: &PeerId,
        to: &PeerId,
        data: &SignalData,
    ) -> bool {
        let signal = (party_id.clone(), from.clone(), to.clone(), checksum(data));
        let mut sent = self.0.borrow_mut();
        let place = sent.iter().position(|one| *one == signal);
        place.and_then(|place| sent.remove(place)).is_some()
    }
}

/// Of what the payload says: a server may write its JSON in another way.
fn checksum(data: &SignalData) -> u64 {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let mut hasher = DefaultHasher::new();
    match serde_json::from_str::<serde_json::Value>(data.as_json()) {
        Ok(value) => value.to_string().hash(&mut hasher),
        Err(_) => data.as_json().hash(&mut hasher),
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(json: &str) -> SignalData {
        serde_json::value::RawValue::from_string(json.to_owned()).unwrap().into()
    }

    #[test]
    fn a_signal_comes_as_often_as_it_was_sent() {
        let sent = SentSignals::default();
        let [party, a, b] = ["p", "a", "b"];
        let (party, a, b) = (party.parse().unwrap(), a.parse().unwrap(), b.parse().unwrap());
        sent.note(&party, &a, &b, &data("1"));
        assert!(!sent.take(&party, &a, &b, &data("2")));
        assert!(!sent.take(&party, &b, &a, &data("1")));
        assert!(sent.take(&party, &a, &b, &data("1")));
        assert!(!sent.take(&party, &a, &b, &data("1")));
        for number in 0..=MOST {
            sent.note(&party, &a, &b, &data(&number.to_string()));
        }
        assert!(!sent.take(&party, &a, &b, &data("0")), "the oldest is forgotten");
        assert!(sent.take(&party, &a, &b, &data("1")));
    }
}
