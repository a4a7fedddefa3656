//! Model of a daemon's peers, derived from their programs' requests and answers, and from the
//! server's own changes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{PartyId, PeerId};

use super::super::*;
use crate::core::reconcile::{InFlight, InFlightKind, Occasion};

type Key = (PartyId, PeerId);

/// Changes that the server made by itself or for others.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Exits and ended parties, oldest first.
    pub(super) gone: Vec<Gone>,
    /// Number of times that it lost its state.
    pub(super) lives: u64,
}

/// The exit of a member, or the end of a party.
#[derive(Debug)]
pub(super) struct Gone {
    pub(super) party_id: PartyId,
    pub(super) peer_id: Option<PeerId>,
    /// The peer that left, if it was a leave.
    pub(super) leaver: Option<PeerId>,
}

#[derive(Debug)]
pub(super) struct Judge {
    name: char,
    ledger: Rc<RefCell<Ledger>>,
    /// Number of unanswered entries.
    asking: BTreeMap<Key, usize>,
    /// Peers that requested an entry and have not left since, with the time of the request.
    wanted: BTreeMap<Key, (usize, u64)>,
    /// Peers that requested an entry without an answer.
    uncertain: BTreeSet<Key>,
    /// Peers that requested to leave, and were not let in since.
    leaving: BTreeSet<Key>,
    /// Members, with the description that their programs confirmed.
    members: BTreeMap<Key, Option<PeerInput>>,
}

impl Judge {
    pub(super) fn new(name: char, ledger: Rc<RefCell<Ledger>>) -> Self {
        let (asking, wanted, uncertain) = Default::default();
        let (leaving, members) = Default::default();
        Self { name, ledger, asking, wanted, uncertain, leaving, members }
    }

    fn is_ours(&self, peer_id: &PeerId) -> bool {
        peer_id.as_str().starts_with(self.name)
    }

    /// A program is about to request its peer's entry.
    pub(super) fn wants_in(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        let key = (party_id.clone(), peer_id.clone());
        *self.asking.entry(key.clone()).or_default() += 1;
        let ledger = self.ledger.borrow();
        self.wanted.entry(key).or_insert((ledger.gone.len(), ledger.lives));
    }

    /// A program is about to request its peer's leave, or the daemon expires it.
    pub(super) fn wants_out(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        self.leaving.insert((party_id.clone(), peer_id.clone()));
    }

    /// The daemon was killed: requests in flight get no answer, but may be executed.
    pub(super) fn forgets_requests(&mut self) {
        for (key, _) in std::mem::take(&mut self.asking) {
            if let Some(info) = self.members.get_mut(&key) {
                *info = None;
            }
            self.uncertain.insert(key);
        }
    }

    /// The daemon was killed before its answer: the update may be done.
    pub(super) fn forgets_update(&mut self, command: &Command) {
        if let Command::Update { party_id, peer, .. } = command {
            let key = (party_id.clone(), peer.peer_id.clone());
            if let Some(info) = self.members.get_mut(&key) {
                *info = None;
            }
        }
    }

    /// A program got an answer: success or failure.
    pub(super) fn answered(&mut self, command: &Command, done: bool, registry: &Registry) {
        self.settle(command, done, false, registry);
    }

    /// A program was told that the server is unreachable. The server may have executed the command
    /// before.
    pub(super) fn unanswered(&mut self, command: &Command, registry: &Registry) {
        self.settle(command, false, true, registry);
    }

    fn settle(&mut self, command: &Command, done: bool, may_be_done: bool, registry: &Registry) {
        let key = command.party_id().cloned().zip(command.acts_for().cloned()).unwrap();
        match command {
            Command::Register { host: peer, .. } | Command::Join { peer, .. } => {
                let count = self.asking.get_mut(&key).unwrap();
                *count -= 1;
                if *count == 0 {
                    self.asking.remove(&key);
                }
                if done {
                    let party = registry.parties.get(&key.0);
                    let is_member = party.is_some_and(|party| party.members.contains_key(&key.1));
                    assert!(is_member, "{key:?} was let in, and is not there");
                    self.leaving.remove(&key);
                    self.members.insert(key, Some(peer.clone()));
                } else if may_be_done {
                    self.uncertain.insert(key);
                } else if !self.members.contains_key(&key) && !self.uncertain.contains(&key) {
                    self.unwanted(&key);
                }
            }
            Command::Leave { .. } if done => self.unwanted(&key),
            Command::Update { peer, .. } if done => {
                self.members.insert(key, Some(peer.clone()));
            }
            _ => {}
        }
    }

    fn unwanted(&mut self, key: &Key) {
        if !self.asking.contains_key(key) {
            self.wanted.remove(key);
            self.uncertain.remove(key);
        }
    }

    /// Follows the result of a command.
    pub(super) fn follow(
        &mut self,
        command: &Command,
        before: &Registry,
        events: &[Event],
        after: &Registry,
    ) {
        for event in events {
            match event {
                Event::PartyRegistered { party, .. } => {
                    for peer_id in party.peers.keys() {
                        self.entered((party.party_id.clone(), peer_id.clone()));
                    }
                }
                Event::PeerJoined { party_id, peer, .. } => {
                    self.entered((party_id.clone(), peer.info.peer_id.clone()));
                }
                Event::PeerLeft { party_id, peer_id, .. } if self.is_ours(peer_id) => {
                    self.gone((party_id.clone(), peer_id.clone()), command, before);
                }
                Event::PartyUpdated { party, previous_party_id: Some(from), .. } => {
                    self.renamed(from, &party.party_id);
                }
                _ => {}
            }
        }
        // The server lost the party: remaining peers request to enter anew, whatever ended before.
        if let Command::Reconcile { party_id, server: None, occasion: Occasion::Return, .. } =
            command
        {
            let ledger = self.ledger.borrow();
            let stays = self.members.keys().filter(|(id, _)| id == party_id);
            for key in stays {
                self.wanted.insert(key.clone(), (ledger.gone.len(), ledger.lives));
            }
        }
        let members = after.parties.iter().flat_map(|(id, party)| {
            let ours = party.members.iter().filter(|(_, member)| member.is_ours());
            ours.map(move |(peer_id, _)| (id.clone(), peer_id.clone()))
        });
        let expected: BTreeSet<_> = self.members.keys().cloned().collect();
        assert_eq!(members.collect::<BTreeSet<_>>(), expected, "{command:?}");
    }

    /// Checks that a new member requested the entry, and did not leave since.
    fn entered(&mut self, key: Key) {
        if self.is_ours(&key.1) {
            assert!(self.wanted.contains_key(&key), "{key:?} came back without a request");
            self.members.entry(key).or_default();
        }
    }

    /// Checks that a member was removed by a rule.
    fn gone(&mut self, key: Key, command: &Command, before: &Registry) {
        let member = &before.parties[&key.0].members[&key.1];
        match command {
            Command::Leave { .. } | Command::Refused { .. } => {}
            Command::Expire => {}
            // The old party ended, and another one has its id now.
            Command::Reconcile { server: Some(server), .. }
                if server.host_id != before.parties[&key.0].record.host_id => {}
            Command::Reconcile { occasion: Occasion::Return, .. } => {
                assert!(!member.is_live(), "{key:?} is still there, and was removed on return");
            }
            Command::Reconcile { in_flight, .. } => {
                let (since, lives) = self.wanted[&key];
                let ledger = self.ledger.borrow();
                // Its join waited here for a party that had ended on the server.
                let waits =
                    |one: &InFlight| one.peer_id == key.1 && one.what == InFlightKind::Comes;
                let has_ended = |gone: &Gone| gone.party_id == key.0 && gone.peer_id.is_none();
                let was_late =
                    in_flight.iter().any(waits) && ledger.gone[..since].iter().any(has_ended);
                let is_gone = |gone: &Gone| {
                    // A leave that was no longer intended does not count.
                    let leaver = gone.leaver.as_ref().filter(|id| self.is_ours(id));
                    let leaver = leaver.map(|id| (key.0.clone(), id.clone()));
                    gone.party_id == key.0
                        && gone.peer_id.as_ref().is_none_or(|id| *id == key.1)
                        && leaver.is_none_or(|key| self.leaving.contains(&key))
                };
                let told = ledger.gone[since..].iter().any(is_gone);
                let is_meant = told || was_late || ledger.lives > lives;
                assert!(is_meant, "{key:?} is lost: {command:?}");
            }
            other => panic!("{key:?} is lost by {other:?}"),
        }
        if let Command::Leave { .. } | Command::Expire = command {
            self.leaving.insert(key.clone());
        }
        self.members.remove(&key);
        self.unwanted(&key);
    }

    fn renamed(&mut self, from: &PartyId, to: &PartyId) {
        let moved: Vec<_> = self.members.keys().filter(|(id, _)| id == from).cloned().collect();
        for key in moved {
            let (info, since) = (self.members.remove(&key), self.wanted[&key]);
            self.unwanted(&key);
            let key = (to.clone(), key.1);
            self.wanted.insert(key.clone(), since);
            self.members.insert(key, info.flatten());
        }
    }

    /// Checks that the peers' descriptions are the last ones that their programs set successfully.
    pub(super) fn check(&self, registry: &Registry) {
        for ((party_id, peer_id), info) in &self.members {
            let member = &registry.parties[party_id].members[peer_id];
            if let Some(info) = info {
                assert_eq!(member.record.info, *info, "{peer_id} in {party_id}");
            }
        }
    }

    /// True if a peer may be in a party.
    pub(super) fn is_member(&self, party_id: &PartyId, peer_id: &PeerId) -> bool {
        self.members.contains_key(&(party_id.clone(), peer_id.clone()))
    }
}
