//! Model of the ownership of peers, derived from the accepted commands and the issued tokens.

use std::collections::{BTreeMap, BTreeSet};

use lanrage_ipc::model::{PeerId, RelayId};

use super::super::*;
use super::play::Played;
use crate::core::{ImportMode, Owner, Write};

/// A token as it was issued.
#[derive(Debug)]
struct Given {
    peer_id: PeerId,
    ends: Duration,
    shown: Option<Duration>,
}

impl Given {
    fn is_live(&self, now: Now) -> bool {
        self.ends > now.elapsed
    }

    /// True if it is good for a claim: also just after its expiry, if it was shown just before.
    fn is_renewable(&self, now: Now, grace: Duration) -> bool {
        let was_in_use = self.shown.is_some_and(|at| at + grace >= self.ends);
        let ended_of_late = was_in_use && self.ends + grace > now.elapsed;
        self.is_live(now) || ended_of_late
    }
}

#[derive(Debug, Default)]
pub(super) struct Owners {
    tokens: BTreeMap<TokenHash, Given>,
    held: BTreeSet<(PeerId, ConnectionId)>,
    /// Owners of the members.
    members: BTreeMap<PeerId, Owner>,
    relays: BTreeMap<RelayId, Owner>,
}

impl Owners {
    /// Checks that a move was accepted or refused as the owners before it demand.
    #[track_caller]
    pub(super) fn judge(&self, played: &Played, world: &World) {
        let (now, grace) = (world.now, world.registry.rules.peer_timeout);
        let Played { command, caller, result, .. } = played;
        if let Some(peer_id) = command.acts_for() {
            let owner = self.owner(peer_id, now);
            let may = match &caller.principal {
                Principal::User { admin: true, .. } => true,
                Principal::User { user, .. } => owner.is_none_or(|o| o == Owner::User(*user)),
                Principal::Peers(own) => {
                    let is_sign =
                        matches!(command, Command::Heartbeat { .. } | Command::Reattach { .. });
                    own.contains(peer_id)
                        || own.is_empty() && is_sign && self.is_unprovable(peer_id, now)
                }
                Principal::RelayKey => false,
            };
            let refused = matches!(result, Err(Refusal::PeerNotYours(_)));
            assert_eq!(refused, !may, "{caller:?} {command:?}: {result:?}");
        }
        if let Command::Claim { peer_id, proof, .. } = command {
            let shown = proof.and_then(|hash| self.tokens.get(&hash));
            let proven = shown.is_some_and(|t| t.peer_id == *peer_id && t.is_renewable(now, grace))
                || self.held.contains(&(peer_id.clone(), caller.connection));
            let free = proven || self.owner(peer_id, now).is_none();
            let refused = matches!(result, Err(Refusal::PeerTaken(_)));
            assert_eq!(refused, !free, "{caller:?} {command:?}: {result:?}");
        }
    }

    pub(super) fn follow(&mut self, played: &Played, world: &World) {
        let Some(applied) = played.done() else { return };
        let (caller, now) = (&played.caller, world.now);
        match &played.command {
            Command::Claim { peer_id, issue, hold, .. } => {
                let given = applied.changes.iter().filter_map(|change| match change.write() {
                    Write::PutToken(token) => Some((token.hash, &token.peer_id)),
                    _ => None,
                });
                let given: Vec<_> = given.collect();
                let issued = Vec::from_iter(issue.map(|hash| (hash, peer_id)));
                // An existing token of the peer may have been renewed.
                let is_renewal = issue.is_some()
                    && matches!(given[..], [(hash, of)] if of == peer_id
                        && self.tokens.get(&hash).is_some_and(|t| t.peer_id == *of && t.is_live(now)));
                assert!(given == issued || is_renewal, "{given:?} for {issued:?}");
                if *hold != Hold::No {
                    self.held.insert((peer_id.clone(), caller.connection));
                }
            }
            Command::Disconnect => self.held.retain(|(_, by)| *by != caller.connection),
            Command::Import { mode: ImportMode::Replace, .. } => self.members.clear(),
            _ => {}
        }
        for change in &applied.changes {
            match change.write() {
                Write::PutToken(token) => {
                    let shown = self.tokens.get(&token.hash).and_then(|given| given.shown);
                    let ttl = world.registry.rules.token_ttl;
                    assert_eq!(token.expires_at, now.wall + ttl);
                    let (peer_id, ends) = (token.peer_id.clone(), now.elapsed + ttl);
                    self.tokens.insert(token.hash, Given { peer_id, ends, shown });
                }
                Write::DeleteToken(hash) => {
                    let token = self.tokens.remove(hash).expect("deleted twice");
                    let for_room = match &played.command {
                        Command::Claim { peer_id, proof, issue: Some(_), .. } => {
                            let is_unused = token.shown.is_none() && !self.is_used(&token.peer_id);
                            let shown = proof.and_then(|hash| self.tokens.get(&hash));
                            // A renewal ends no other token of its peer.
                            let renews =
                                shown.is_some_and(|t| t.peer_id == *peer_id && t.is_live(now));
                            (token.peer_id == *peer_id && !renews) || is_unused
                        }
                        _ => false,
                    };
                    assert!(for_room || !token.is_live(now), "{token:?} at {now:?}");
                }
                Write::PutRelay(relay) => {
                    self.relays.insert(relay.relay.relay_id.clone(), relay.owner.clone());
                }
                Write::DeleteRelay(id) => {
                    self.relays.remove(id);
                }
                _ => {}
            }
        }
        self.follow_members(caller, world);
    }

    /// A peer that enters its first party keeps its owner, or else gets the caller as owner.
    fn follow_members(&mut self, caller: &Caller, world: &World) {
        let peers = state::presences(&world.registry);
        self.members.retain(|peer_id, _| peers.contains_key(peer_id));
        for peer_id in peers.keys() {
            let owner = self.owner(peer_id, world.now).unwrap_or_else(|| match &caller.principal {
                Principal::User { user, .. } => Owner::User(*user),
                Principal::Peers(_) | Principal::RelayKey => Owner::Peer(peer_id.clone()),
            });
            self.members.insert(peer_id.clone(), owner);
        }
    }

    /// True if a peer has more than its tokens.
    fn is_used(&self, peer_id: &PeerId) -> bool {
        self.members.contains_key(peer_id)
            || self.held.iter().any(|(held, _)| held == peer_id)
            || self.relays.values().any(|owner| *owner == Owner::Peer(peer_id.clone()))
    }

    /// True for a peer without another owner for which no proof exists.
    fn is_unprovable(&self, peer_id: &PeerId, now: Now) -> bool {
        let live = |t: &Given| t.peer_id == *peer_id && t.is_live(now);
        self.members.get(peer_id) == Some(&Owner::Peer(peer_id.clone()))
            && !self.tokens.values().any(live)
            && !self.held.iter().any(|(held, _)| held == peer_id)
    }

    fn owner(&self, peer_id: &PeerId, now: Now) -> Option<Owner> {
        let mut tokens = self.tokens.values();
        let token = tokens.any(|token| token.peer_id == *peer_id && token.is_live(now));
        let relayed = self.relays.values().any(|owner| *owner == Owner::Peer(peer_id.clone()));
        let claimed = token || relayed || self.held.iter().any(|(held, _)| held == peer_id);
        let member = self.members.get(peer_id).cloned();
        member.or_else(|| claimed.then(|| Owner::Peer(peer_id.clone())))
    }

    #[track_caller]
    pub(super) fn check(&mut self, world: &mut World) {
        let members = state::presences(&world.registry).into_iter();
        let members = members.map(|(id, (owner, _))| (id, owner));
        assert_eq!(members.collect::<BTreeMap<_, _>>(), self.members);
        assert_eq!(world.registry.token_count(), self.tokens.len());
        for (hash, token) in &mut self.tokens {
            let shown = world.registry.authenticate(hash, world.now).map(|shown| shown.peer_id);
            let live = token.is_live(world.now);
            assert_eq!(shown.ok().as_ref(), live.then_some(&token.peer_id), "{token:?}");
            if live {
                token.shown = Some(world.now.elapsed);
            }
        }
    }
}
