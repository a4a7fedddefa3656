//! Implementation of [`reconcile`].

use std::collections::{BTreeMap, BTreeSet};

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Name, Origin, PeerId, PeerInput};

use super::{InFlight, InFlightKind, Occasion, OpBody, ServerMember, ServerParty};
use crate::core::record::OpKind;

/// Input of [`reconcile`].
#[derive(Debug, Clone)]
pub(crate) struct ReconcileInput<'a> {
    /// State on the server; `None` if the party does not exist there, or no local peer is in it.
    pub(crate) server: Option<&'a ServerParty>,
    /// State on this machine.
    pub(crate) copy: Option<&'a LocalParty>,
    /// Changes that were not sent yet, by peer.
    pub(crate) intents: &'a BTreeMap<PeerId, OpKind>,
    /// Requests in flight.
    pub(crate) in_flight: &'a [InFlight],
    /// Peers that the server knows as this machine's.
    pub(crate) known_as_ours: &'a BTreeSet<PeerId>,
    /// Occasion of the comparison.
    pub(crate) occasion: Occasion,
}

/// State of a party on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalParty {
    /// Its name.
    pub(crate) name: Name,
    /// Its host.
    pub(crate) host_id: PeerId,
    /// Origin of the party.
    pub(crate) origin: Origin,
    /// Its members.
    pub(crate) members: BTreeMap<PeerId, LocalMember>,
}

/// State of a member on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalMember {
    /// The member's description of itself.
    pub(crate) info: PeerInput,
    /// True for a local peer.
    pub(crate) is_ours: bool,
    /// True while something keeps it alive.
    pub(crate) live: bool,
}

/// Result of [`reconcile`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// Change of the party on this machine.
    pub(crate) outcome: PartyOutcome,
    /// Intents from now on; all others of the party are dropped.
    pub(crate) intents: BTreeMap<PeerId, Intent>,
    /// Operations to send to the server now, in this order.
    pub(crate) acts: Vec<OpBody>,
}

/// Change of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Unchanged, under the same idempotency key.
    Stays,
    /// A different change, which needs another idempotency key.
    New(OpKind),
}

/// Change of a party on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum PartyOutcome {
    /// Unchanged.
    #[default]
    Stays,
    /// Removed.
    Goes(RemovalReason),
    /// Takes over the server's state, with these members.
    Follows(BTreeMap<PeerId, MemberOutcome>),
    /// Unchanged except for these members, which are removed.
    Loses(BTreeSet<PeerId>),
}

/// A member of a party that takes over the server's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberOutcome {
    /// A member from another machine.
    Theirs(ServerMember),
    /// A local member, with its description here or that of its request in flight. The server's
    /// description of it is never taken over.
    Ours(PeerInput),
    /// A local member whose description here differs from the server's, and counts.
    OursAhead,
    /// A local member that the server does not have yet.
    OursAlone,
}

/// Determines the changes here, the intents and the operations for the server, by the table of the
/// module.
pub(crate) fn reconcile(sides: &ReconcileInput<'_>) -> Verdict {
    let mut verdict = sides.compare();
    // While a request is in flight, later intents of its peer are not settled yet: keep them.
    for InFlight { peer_id, what } in sides.in_flight {
        let since = match (what, sides.intents.get(peer_id)) {
            (InFlightKind::Comes, kind) => kind == Some(&OpKind::Leave),
            (InFlightKind::Leaves, kind) => kind.is_some(),
            (InFlightKind::Enters { .. } | InFlightKind::Updates, _) => false,
        };
        if since {
            verdict.intents.entry(peer_id.clone()).or_insert(Intent::Stays);
        }
    }
    verdict
}

impl ReconcileInput<'_> {
    fn compare(&self) -> Verdict {
        match (self.server, self.copy) {
            // The party that was registered here is not the server's party of the same id. The
            // server will refuse it, and it gets another id.
            (Some(server), Some(copy))
                if self.registers(copy) && server.host_id != copy.host_id =>
            {
                self.register(Some(server), copy)
            }
            (Some(server), Some(copy)) if self.is_another(server, copy) => self.part(server, copy),
            (Some(server), copy) if !self.is_asked_for(copy) => self.decline(server),
            (Some(server), copy) => self.merge(server, copy),
            (None, Some(copy)) if self.registers(copy) => self.register(None, copy),
            (None, Some(copy)) if copy.origin == Origin::Local => Verdict::default(),
            (None, Some(copy)) => match self.occasion {
                Occasion::Return => self.return_to_nothing(copy),
                Occasion::News => self.gone(RemovalReason::Removed),
                Occasion::Gone(reason) => self.gone(reason),
            },
            (None, None) => Verdict::default(),
        }
    }

    fn registers(&self, copy: &LocalParty) -> bool {
        self.intents.get(&copy.host_id) == Some(&OpKind::Register)
    }

    /// True for a copy, or for a party that a local peer asked for.
    fn is_asked_for(&self, copy: Option<&LocalParty>) -> bool {
        let enters =
            |one: &InFlight| matches!(one.what, InFlightKind::Enters { .. } | InFlightKind::Comes);
        copy.is_some_and(|copy| copy.origin == Origin::Remote)
            || !self.intents.is_empty()
            || self.in_flight.iter().any(enters)
    }

    /// Has local members leave a party that none of them asked for. No intent is noted: otherwise a
    /// server could fill the table of intents.
    fn decline(&self, server: &ServerParty) -> Verdict {
        let leaves = |id: &PeerId| self.in_flight_kind(id) == Some(&InFlightKind::Leaves);
        // A party ends with its host.
        if leaves(&server.host_id) {
            return Verdict::default();
        }
        let ours = server.members.keys().filter(|id| self.known_as_ours.contains(*id));
        let acts = ours.filter(|id| !leaves(id)).map(|id| OpBody::Leave(id.clone())).collect();
        Verdict { acts, ..Verdict::default() }
    }

    /// True if the server's party merely has the id of the copy, whose party has ended: a party
    /// never changes its host. A client's request to enter means the server's party.
    fn is_another(&self, server: &ServerParty, copy: &LocalParty) -> bool {
        let asked = |one: &InFlight| matches!(one.what, InFlightKind::Enters { .. });
        copy.origin == Origin::Remote
            && server.host_id != copy.host_id
            && !self.in_flight.iter().any(asked)
    }

    /// Has local members leave a party of somebody else that they never asked to enter.
    fn part(&self, server: &ServerParty, copy: &LocalParty) -> Verdict {
        let mut verdict = self.gone(RemovalReason::Removed);
        let is_ours = |id: &PeerId| {
            self.known_as_ours.contains(id) || copy.members.get(id).is_some_and(|one| one.is_ours)
        };
        for peer_id in server.members.keys().filter(|id| is_ours(id)) {
            verdict.intents.insert(peer_id.clone(), self.intent(peer_id, OpKind::Leave));
            verdict.acts.push(OpBody::Leave(peer_id.clone()));
        }
        // Peers whose entry is in flight leave once they are in.
        for InFlight { peer_id, .. } in
            self.in_flight.iter().filter(|one| one.what == InFlightKind::Comes)
        {
            verdict.intents.insert(peer_id.clone(), self.intent(peer_id, OpKind::Leave));
        }
        verdict
    }

    fn leaves(&self, peer_id: &PeerId) -> bool {
        self.intents.get(peer_id) == Some(&OpKind::Leave)
    }

    fn in_flight_kind(&self, peer_id: &PeerId) -> Option<&InFlightKind> {
        let mut passages =
            self.in_flight.iter().filter(|one| one.peer_id == *peer_id).map(|one| &one.what);
        // A client's request takes precedence over that of an intent.
        passages.clone().find(|what| **what != InFlightKind::Comes).or_else(|| passages.next())
    }

    /// Has the host register the party; local peers that joined it offline join again after that.
    /// Local members of the server's party of this id leave first: if its host is among them, the
    /// id becomes free.
    fn register(&self, server: Option<&ServerParty>, copy: &LocalParty) -> Verdict {
        let mut verdict = Verdict::default();
        let members = server.into_iter().flat_map(|server| server.members.keys());
        for peer_id in members.filter(|id| self.leaves(id) || self.known_as_ours.contains(*id)) {
            if self.leaves(peer_id) {
                verdict.intents.insert(peer_id.clone(), self.leave_again());
            }
            verdict.acts.push(OpBody::Leave(peer_id.clone()));
        }
        for peer_id in self.intents.keys().filter(|id| copy.members.contains_key(*id)) {
            verdict.intents.insert(peer_id.clone(), Intent::Stays);
        }
        if let Some(host) = copy.members.get(&copy.host_id) {
            let (name, host) = (copy.name.clone(), host.info.clone());
            verdict.acts.push(OpBody::Register { name, host });
        }
        verdict
    }

    fn gone(&self, reason: RemovalReason) -> Verdict {
        Verdict { outcome: PartyOutcome::Goes(reason), ..Verdict::default() }
    }

    /// Handles a party that the server lost, or in which it lost the local peers: they expired, or
    /// it restarted without its state. A live host registers it again. Guests try to join, which
    /// never recreates a party that has ended.
    fn return_to_nothing(&self, copy: &LocalParty) -> Verdict {
        let stays = |id: &PeerId, member: &LocalMember| {
            member.is_ours && !self.leaves(id) && (member.live || self.intents.contains_key(id))
        };
        let ours = copy.members.iter().filter(|(_, member)| member.is_ours);
        let (staying, lost): (BTreeMap<_, _>, BTreeMap<_, _>) =
            ours.partition(|(id, member)| stays(id, member));
        if staying.is_empty() {
            return self.gone(RemovalReason::Removed);
        }
        let mut verdict = Verdict::default();
        let host = staying.get(&copy.host_id);
        for (id, member) in &staying {
            let kind = if **id == copy.host_id { OpKind::Register } else { OpKind::Join };
            verdict.intents.insert((*id).clone(), self.intent(id, kind));
            if host.is_none() {
                verdict.acts.push(OpBody::Join(member.info.clone()));
            }
        }
        if let Some(host) = host {
            let (name, host) = (copy.name.clone(), host.info.clone());
            verdict.acts.push(OpBody::Register { name, host });
        }
        // A party without its host can't exist: when the host expires, the whole party is removed.
        let lost: BTreeSet<_> =
            lost.into_keys().filter(|id| **id != copy.host_id).cloned().collect();
        if !lost.is_empty() {
            verdict.outcome = PartyOutcome::Loses(lost);
        }
        verdict
    }

    /// Returns the intent of a kind; the present intent stays if its kind is the same.
    fn intent(&self, peer_id: &PeerId, kind: OpKind) -> Intent {
        match self.intents.get(peer_id) {
            Some(known) if *known == kind => Intent::Stays,
            _ => Intent::New(kind),
        }
    }

    /// Returns the intent to leave of a peer that the server has. After a reconnect it needs a new
    /// idempotency key: the server may have done the old leave, and a join since.
    fn leave_again(&self) -> Intent {
        match self.occasion {
            Occasion::Return => Intent::New(OpKind::Leave),
            _ => Intent::Stays,
        }
    }

    fn merge(&self, server: &ServerParty, copy: Option<&LocalParty>) -> Verdict {
        let mut verdict = Verdict::default();
        let host = &server.host_id;
        let is_leaving = self.in_flight_kind(host) == Some(&InFlightKind::Leaves);
        let is_here = copy.is_some_and(|copy| copy.members.contains_key(host));
        if self.leaves(host) || (is_leaving && !is_here) {
            // The others leave with the host. Until that is done, their intents are kept.
            let members = server.members.keys().filter(|id| self.intents.contains_key(*id));
            verdict.intents.extend(members.map(|id| (id.clone(), Intent::Stays)));
            if !is_leaving {
                verdict.intents.insert(host.clone(), self.leave_again());
                verdict.acts.push(OpBody::Leave(host.clone()));
            }
            return verdict;
        }
        let mut places = BTreeMap::new();
        for (id, member) in &server.members {
            let here = copy.and_then(|copy| copy.members.get(id));
            if let Some(place) = self.place(id, member, here, &mut verdict) {
                places.insert(id.clone(), place);
            }
        }
        let here = copy.into_iter().flat_map(|copy| &copy.members);
        for (id, member) in
            here.filter(|(id, member)| member.is_ours && !server.members.contains_key(*id))
        {
            let wants_in = self.intents.contains_key(id) && !self.leaves(id);
            let comes_in = match self.in_flight_kind(id) {
                Some(InFlightKind::Enters { .. }) => false,
                Some(InFlightKind::Leaves) => wants_in,
                _ => wants_in || (self.occasion == Occasion::Return && member.live),
            };
            if comes_in {
                verdict.intents.insert(id.clone(), self.intent(id, OpKind::Join));
                verdict.acts.push(OpBody::Join(member.info.clone()));
                places.insert(id.clone(), MemberOutcome::OursAlone);
            }
        }
        let is_ours = |place: &MemberOutcome| !matches!(place, MemberOutcome::Theirs(_));
        let is_told =
            |one: &InFlight| one.what == InFlightKind::Leaves && self.leaves(&one.peer_id);
        let leaving = !verdict.acts.is_empty() || self.in_flight.iter().any(is_told);
        verdict.outcome = match copy {
            _ if places.values().any(is_ours) => PartyOutcome::Follows(places),
            // Until the last local member's leave is confirmed, it may come back.
            Some(_) if leaving => PartyOutcome::Follows(places),
            Some(_) => PartyOutcome::Goes(RemovalReason::Removed),
            None => PartyOutcome::Stays,
        };
        verdict
    }

    /// Returns the local state of the server's member; `None` if it is not to be a member here.
    fn place(
        &self,
        id: &PeerId,
        member: &ServerMember,
        here: Option<&LocalMember>,
        verdict: &mut Verdict,
    ) -> Option<MemberOutcome> {
        let in_flight_kind = self.in_flight_kind(id);
        let is_ours = here.is_some_and(|here| here.is_ours)
            || self.known_as_ours.contains(id)
            || in_flight_kind.is_some();
        if !is_ours {
            return Some(MemberOutcome::Theirs(member.clone()));
        }
        match (in_flight_kind, here) {
            // It stays until the server confirms the leave, or it has rejoined here meanwhile.
            (Some(InFlightKind::Leaves), Some(here)) if here.is_ours => {
                Some(MemberOutcome::OursAhead)
            }
            (Some(InFlightKind::Leaves), _) => None,
            // If the server has another description, it is corrected after the answer.
            (Some(InFlightKind::Enters { info, .. }), _) => Some(MemberOutcome::Ours(info.clone())),
            _ if self.leaves(id) => {
                verdict.intents.insert(id.clone(), self.leave_again());
                verdict.acts.push(OpBody::Leave(id.clone()));
                None
            }
            // The answer to the request decides which of the two descriptions counts.
            (Some(InFlightKind::Updates), Some(here)) if here.info != member.info => {
                if self.intents.contains_key(id) {
                    verdict.intents.insert(id.clone(), Intent::Stays);
                }
                Some(MemberOutcome::OursAhead)
            }
            (_, Some(here)) if here.is_ours && here.info != member.info => {
                verdict.intents.insert(id.clone(), self.intent(id, OpKind::Update));
                verdict.acts.push(OpBody::Update(here.info.clone()));
                Some(MemberOutcome::OursAhead)
            }
            (_, Some(here)) if here.is_ours => Some(MemberOutcome::Ours(here.info.clone())),
            _ => {
                verdict.acts.push(OpBody::Leave(id.clone()));
                None
            }
        }
    }
}
