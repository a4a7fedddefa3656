//! Model of memberships and signals, derived only from the accepted commands.

use std::collections::BTreeMap;
use std::time::Duration;

use lanrage_ipc::model::{Keepalive, PartyId, PeerId, Signal};

use super::super::*;
use super::play::Played;
use lanrage_ipc::lanrage::ImportedParty;

use crate::core::{ImportCounts, ImportMode};

type Key = (PartyId, PeerId);

#[derive(Debug, Default)]
pub(super) struct Lives {
    members: BTreeMap<Key, Life>,
    hosts: BTreeMap<PartyId, PeerId>,
}

#[derive(Debug)]
struct Life {
    seen: Duration,
    keepalive: Keepalive,
    kept: Kept,
    /// Waiting signals, each with its time.
    signals: Vec<(Duration, Signal)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kept {
    By(ConnectionId),
    ByTheDaemon,
    ByHeartbeats,
    No,
}

impl Lives {
    pub(super) fn follow(&mut self, played: &Played, now: Now, rules: &Rules) {
        let Some(applied) = played.done() else { return };
        let seen = now.elapsed;
        let mine = Kept::By(played.caller.connection);
        let kept = |keepalive| match keepalive {
            Keepalive::Connection => mine,
            Keepalive::Daemon => Kept::ByTheDaemon,
            Keepalive::Manual => Kept::ByHeartbeats,
        };
        match &played.command {
            Command::Register { party_id, host, keepalive, .. } => {
                self.live(party_id, &host.peer_id, seen, *keepalive, kept(*keepalive));
                self.hosts.insert(party_id.clone(), host.peer_id.clone());
            }
            Command::Join { party_id, peer, keepalive, .. } => {
                self.live(party_id, &peer.peer_id, seen, *keepalive, kept(*keepalive));
            }
            Command::Leave { party_id, peer_id } => self.remove(party_id, peer_id),
            Command::Update { party_id, peer: PeerInput { peer_id, .. }, .. }
            | Command::Heartbeat { party_id, peer_id } => {
                self.life(party_id, peer_id).seen = seen;
            }
            Command::Import { parties, mode } => {
                let Outcome::Imported(counts) = &applied.outcome else { panic!("{applied:?}") };
                if *mode == ImportMode::Replace {
                    (self.members, self.hosts) = Default::default();
                }
                self.import(parties, counts, seen);
            }
            Command::Disconnect => {
                for life in self.members.values_mut().filter(|life| life.kept == mine) {
                    (life.seen, life.kept) = (seen, Kept::No);
                }
            }
            Command::Expire if seen >= rules.grace_until => {
                let silent = |life: &Life| matches!(life.kept, Kept::ByHeartbeats | Kept::No);
                let due = |life: &Life| silent(life) && seen - life.seen >= rules.peer_timeout;
                let due = self.members.iter().filter(|(_, life)| due(life));
                let due: Vec<Key> = due.map(|(key, _)| key.clone()).collect();
                due.iter().for_each(|(party_id, peer_id)| self.remove(party_id, peer_id));
            }
            Command::SendSignal { party_id, from, to, data } => {
                let signal = Signal {
                    party_id: party_id.clone(),
                    from_peer_id: from.clone(),
                    to_peer_id: to.clone(),
                    signal_data: data.clone(),
                    sent_at: now.wall,
                };
                self.life(party_id, to).signals.push((seen, signal));
            }
            Command::PollSignals { party_id, peer_id, .. } => {
                let waiting = std::mem::take(&mut self.life(party_id, peer_id).signals);
                let fresh =
                    waiting.into_iter().filter(|(since, _)| seen - *since < rules.signal_ttl);
                let fresh = fresh.map(|(_, signal)| signal).collect();
                assert_eq!(applied.outcome, Outcome::Signals(fresh));
            }
            Command::Claim { peer_id, hold: Hold::Shared, .. } => {
                let lives = self.members.iter_mut().filter(|((_, id), _)| id == peer_id);
                let lives = lives.map(|(_, life)| life).filter(|life| life.kept != mine);
                for life in lives.filter(|life| life.keepalive == Keepalive::Connection) {
                    (life.seen, life.kept) = (seen, mine);
                }
            }
            Command::Reattach { peer_id } => {
                let lives = self.members.iter_mut().filter(|((_, id), _)| id == peer_id);
                let lives = lives.map(|(_, life)| life).filter(|life| life.kept == Kept::No);
                for life in lives.filter(|life| life.keepalive == Keepalive::Connection) {
                    (life.seen, life.kept) = (seen, mine);
                }
            }
            Command::ReleaseMember { party_id, peer_id } => {
                let life = self.members.get_mut(&(party_id.clone(), peer_id.clone()));
                if let Some(life) = life.filter(|life| life.kept == mine) {
                    (life.seen, life.kept) = (seen, Kept::No);
                }
            }
            Command::Expire | Command::RegisterRelay(_) | Command::Claim { .. } => {}
            other => panic!("not in these histories: {other:?}"),
        }
    }

    fn life(&mut self, party_id: &PartyId, peer_id: &PeerId) -> &mut Life {
        let life = self.members.get_mut(&(party_id.clone(), peer_id.clone()));
        life.expect("a command for an unknown member was accepted")
    }

    fn live(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        seen: Duration,
        keepalive: Keepalive,
        kept: Kept,
    ) {
        let life = self.members.entry((party_id.clone(), peer_id.clone()));
        let life = life.or_insert(Life { seen, keepalive, kept, signals: Vec::new() });
        (life.seen, life.keepalive, life.kept) = (seen, keepalive, kept);
    }

    fn remove(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        self.members.remove(&(party_id.clone(), peer_id.clone()));
        if self.hosts.get(party_id) == Some(peer_id) {
            self.hosts.remove(party_id);
            self.members.retain(|(id, _), _| id != party_id);
        }
    }

    /// Adds the parties that are new and not rejected by the answer.
    fn import(&mut self, parties: &[ImportedParty], counts: &ImportCounts, seen: Duration) {
        let rejected = |peer: &Option<String>| {
            let rejected = counts.rejected.iter().filter(move |rejected| rejected.peer_id == *peer);
            rejected.map(|rejected| rejected.party_id.as_str()).collect::<Vec<_>>()
        };
        // In the order of the parties, of which two may have the same id.
        let mut whole = rejected(&None).into_iter().peekable();
        for ImportedParty { party_id, host_id, peers, .. } in parties {
            let id = party_id.as_str();
            if self.hosts.contains_key(party_id) || whole.next_if_eq(&id).is_some() {
                continue;
            }
            self.hosts.insert(party_id.clone(), host_id.clone());
            for (PeerInput { peer_id, .. }, _) in peers {
                if !rejected(&Some(peer_id.to_string())).contains(&id) {
                    self.live(party_id, peer_id, seen, Keepalive::Connection, Kept::No);
                }
            }
        }
    }

    #[track_caller]
    pub(super) fn check(&self, world: &World) {
        let expected = self.members.iter().map(|(key, life)| (key.clone(), life.kept != Kept::No));
        let there = world.parties().into_iter().flat_map(|party| {
            let party_id = party.party_id;
            let peers = party.peers.into_iter();
            peers.map(move |(peer_id, peer)| ((party_id.clone(), peer_id), peer.connected))
        });
        assert_eq!(there.collect::<BTreeMap<_, _>>(), expected.collect(), "(who, connected)");
        for (party_id, host_id) in &self.hosts {
            assert_eq!(world.party(party_id.as_str()).host_id, *host_id);
        }
    }
}
