//! The function itself.

use std::collections::{BTreeMap, BTreeSet};

use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Name, Origin, PeerId, PeerInput};

use super::{InFlight, InFlightKind, Occasion, OpBody, ServerMember, ServerParty};
use crate::core::record::OpKind;

/// All that decides.
#[derive(Debug, Clone)]
pub(crate) struct ReconcileInput<'a> {
    /// The party as the server has it; `None` where it is not, or none of our peers is in it.
    pub(crate) server: Option<&'a ServerParty>,
    /// The party as it is here.
    pub(crate) copy: Option<&'a LocalParty>,
    /// What the server has not been told yet, by peer.
    pub(crate) intents: &'a BTreeMap<PeerId, OpKind>,
    /// What the server is being asked.
    pub(crate) in_flight: &'a [InFlight],
    /// The peers that the server knows as this machine's.
    pub(crate) known_as_ours: &'a BTreeSet<PeerId>,
    /// Why the server is looked at.
    pub(crate) occasion: Occasion,
}

/// A party as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalParty {
    /// Its name.
    pub(crate) name: Name,
    /// Its host.
    pub(crate) host_id: PeerId,
    /// Where it lives.
    pub(crate) origin: Origin,
    /// Its members.
    pub(crate) members: BTreeMap<PeerId, LocalMember>,
}

/// A member as it is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalMember {
    /// What it says of itself.
    pub(crate) info: PeerInput,
    /// Whether it is a peer of this machine.
    pub(crate) is_ours: bool,
    /// Whether something keeps it alive.
    pub(crate) live: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Verdict {
    /// What becomes of the party here.
    pub(crate) outcome: PartyOutcome,
    /// What the server has not been told yet, from here on; those that it has been told are gone.
    pub(crate) intents: BTreeMap<PeerId, Intent>,
    /// What to ask the server now, in this order.
    pub(crate) acts: Vec<OpBody>,
}

/// What the server is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// The same as before, under the same name.
    Stays,
    /// Something else, which needs another name.
    New(OpKind),
}

/// What becomes of a party here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum PartyOutcome {
    /// It stays as it is.
    #[default]
    Stays,
    /// It goes.
    Goes(RemovalReason),
    /// It becomes what the server has, with these members.
    Follows(BTreeMap<PeerId, MemberOutcome>),
    /// It stays, but for members that go.
    Loses(BTreeSet<PeerId>),
}

/// A member of a party that follows the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MemberOutcome {
    /// Of another machine.
    Theirs(ServerMember),
    /// Of this machine: its description here, or that of its request under way. The server's is
    /// never taken.
    Ours(PeerInput),
    /// Of this machine, and here it says something else of itself, which counts.
    OursAhead,
    /// Of this machine, and the server does not have it yet.
    OursAlone,
}

/// What becomes of a party, of what its server has not been told, and what to ask the server: the
/// table of the module.
pub(crate) fn reconcile(sides: &ReconcileInput<'_>) -> Verdict {
    let mut verdict = sides.compare();
    // What a peer did since it went in or out is not known of before that is so.
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
            // The party that was registered here is another one than the server's of that id: the
            // server will say so, and it gets another.
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

    /// True for a party that is a copy here, or that a peer of this machine asked for.
    fn is_asked_for(&self, copy: Option<&LocalParty>) -> bool {
        let enters =
            |one: &InFlight| matches!(one.what, InFlightKind::Enters { .. } | InFlightKind::Comes);
        copy.is_some_and(|copy| copy.origin == Origin::Remote)
            || !self.intents.is_empty()
            || self.in_flight.iter().any(enters)
    }

    /// Has members of ours leave a party that none of them asked for. Nothing is noted: a server
    /// could fill the table of intents.
    fn decline(&self, server: &ServerParty) -> Verdict {
        let leaves = |id: &PeerId| self.in_flight_kind(id) == Some(&InFlightKind::Leaves);
        // With its host a party ends.
        if leaves(&server.host_id) {
            return Verdict::default();
        }
        let ours = server.members.keys().filter(|id| self.known_as_ours.contains(*id));
        let acts = ours.filter(|id| !leaves(id)).map(|id| OpBody::Leave(id.clone())).collect();
        Verdict { acts, ..Verdict::default() }
    }

    /// Whether the server's party has only the id of the one that is copied here, which has ended: a
    /// party never has another host. Who asked to go in meant what is there.
    fn is_another(&self, server: &ServerParty, copy: &LocalParty) -> bool {
        let asked = |one: &InFlight| matches!(one.what, InFlightKind::Enters { .. });
        copy.origin == Origin::Remote
            && server.host_id != copy.host_id
            && !self.in_flight.iter().any(asked)
    }

    /// Ours came into somebody else's party unasked: they leave it.
    fn part(&self, server: &ServerParty, copy: &LocalParty) -> Verdict {
        let mut verdict = self.gone(RemovalReason::Removed);
        let is_ours = |id: &PeerId| {
            self.known_as_ours.contains(id) || copy.members.get(id).is_some_and(|one| one.is_ours)
        };
        for peer_id in server.members.keys().filter(|id| is_ours(id)) {
            verdict.intents.insert(peer_id.clone(), self.intent(peer_id, OpKind::Leave));
            verdict.acts.push(OpBody::Leave(peer_id.clone()));
        }
        // Who is still coming in leaves when it is in.
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
        // What it does itself counts before what was noted.
        passages.clone().find(|what| **what != InFlightKind::Comes).or_else(|| passages.next())
    }

    /// The host registers the party; who joined it meanwhile does so again once it is there. From
    /// the one that has this id on the server ours go first: with its host the id is free.
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

    /// The server has lost the party, or our peers in it: it was silent for too long, or restarted
    /// without its state. The host makes it anew if it is still there; guests try to join, which
    /// brings nothing back that has ended.
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
        // There is no party without its host; when that is silent for too long, all of it goes.
        let lost: BTreeSet<_> =
            lost.into_keys().filter(|id| **id != copy.host_id).cloned().collect();
        if !lost.is_empty() {
            verdict.outcome = PartyOutcome::Loses(lost);
        }
        verdict
    }

    /// The intent of a kind: the one that is there already, where it is the same.
    fn intent(&self, peer_id: &PeerId, kind: OpKind) -> Intent {
        match self.intents.get(peer_id) {
            Some(known) if *known == kind => Intent::Stays,
            _ => Intent::New(kind),
        }
    }

    /// The intent to leave of a peer that the server has. Who is back asks under another name: the
    /// server may have let the peer go under this one, and in again since.
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
            // With it the others go; until that is so, what they did is to be remembered.
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
            // Until the server has let go of our last one, it may come back.
            Some(_) if leaving => PartyOutcome::Follows(places),
            Some(_) => PartyOutcome::Goes(RemovalReason::Removed),
            None => PartyOutcome::Stays,
        };
        verdict
    }

    /// Where a member of the server's stands here; `None` where it does not.
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
            // It is here until the server has confirmed that it left, or has come back meanwhile.
            (Some(InFlightKind::Leaves), Some(here)) if here.is_ours => {
                Some(MemberOutcome::OursAhead)
            }
            (Some(InFlightKind::Leaves), _) => None,
            // Where the server has something else, it is told once its answer is in.
            (Some(InFlightKind::Enters { info, .. }), _) => Some(MemberOutcome::Ours(info.clone())),
            _ if self.leaves(id) => {
                verdict.intents.insert(id.clone(), self.leave_again());
                verdict.acts.push(OpBody::Leave(id.clone()));
                None
            }
            // Which of the two counts is known when its request is answered.
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
