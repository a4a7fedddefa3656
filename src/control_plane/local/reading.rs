//! What can be answered without changing anything.

use lanrage_ipc::event::{Event, Snapshot};
use lanrage_ipc::params::Topic;
use lanrage_ipc::results::StoreStatus;

use super::LocalControlPlane;
use crate::control_plane::{Answer, Ask, Failure, Query, Status};
use crate::core::Filter;
use crate::events::{Bulletin, Interest};

impl LocalControlPlane {
    /// What is asked for, and what the hub is to do about it once it may be answered.
    pub(super) fn read(&self, ask: &Ask) -> (Result<Answer, Failure>, Option<Bulletin>) {
        match ask {
            Ask::Query(query) => (self.query(query), None),
            Ask::Subscribe { key, interest, queue, snapshot } => match self.party_of(interest) {
                Ok(()) => {
                    let attach = Bulletin::Attach(*key, interest.clone(), queue.clone());
                    let answer = match snapshot {
                        true => Answer::Subscribed(self.snapshot(interest)),
                        false => Answer::Done,
                    };
                    (Ok(answer), Some(attach))
                }
                Err(failure) => (Err(failure), None),
            },
            Ask::Resume(key, interest) => {
                (Ok(Answer::Done), Some(Bulletin::Resume(*key, self.snapshot(interest))))
            }
            Ask::Unsubscribe(key) => (Ok(Answer::Done), Some(Bulletin::Detach(*key))),
            Ask::ConnectionChanged(standing) => {
                let event = Event::ConnectionChanged(standing.at(self.clock.elapsed()));
                (Ok(Answer::Done), Some(Bulletin::Tell(event)))
            }
            _ => (Ok(Answer::Done), None),
        }
    }

    fn query(&self, query: &Query) -> Result<Answer, Failure> {
        let now = self.clock.now();
        Ok(match query {
            Query::Party(id) => Answer::Party(self.registry.party(id, now)?),
            Query::Peer(party_id, peer_id) => {
                Answer::Peer(self.registry.peer(party_id, peer_id, now)?)
            }
            Query::Parties { after, limit } => {
                let filter = Filter::default();
                let mut parties = self.registry.parties(&filter, after.as_deref(), now);
                let page = parties.by_ref().take(*limit).collect();
                Answer::Parties { parties: page, more: parties.next().is_some() }
            }
            Query::Relays(region) => Answer::Relays(self.registry.relays(region.as_ref())),
        })
    }

    /// Whether the party is there that somebody is interested in.
    fn party_of(&self, interest: &Interest) -> Result<(), Failure> {
        if let Some(party_id) = &interest.party_id {
            self.registry.party(party_id, self.clock.now())?;
        }
        Ok(())
    }

    /// The state as far as it is of interest; a party that is gone meanwhile is not in it.
    fn snapshot(&self, interest: &Interest) -> Snapshot {
        let now = self.clock.now();
        let of_parties = interest.covers(Topic::Party) || interest.covers(Topic::Peer);
        let filter = Filter { party_id: interest.party_id.clone() };
        Snapshot {
            parties: of_parties.then(|| self.registry.parties(&filter, None, now).collect()),
            relays: interest.covers(Topic::Relay).then(|| self.registry.relays(None)),
            connection: interest.covers(Topic::Connection).then(|| self.connection()),
        }
    }

    pub(super) fn status(&self) -> Status {
        let pending = (self.waiting.len() + self.seen.len()) as u64;
        Status {
            epoch: self.registry.epoch().clone(),
            parties: self.registry.party_count() as u64,
            peers: self.registry.peer_count() as u64,
            relays: self.registry.relay_count() as u64,
            tokens: self.registry.token_count() as u64,
            counters: self.counters,
            store: StoreStatus { pending, ..self.store_status.clone() },
            connection: self.connection(),
        }
    }
}
