//! What a control server says, and what it is to be told later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::Ipv4Addr;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::event::{Event, RemovalReason};
use lanrage_ipc::model::{Keepalive, Origin, PartyId, PeerId};

use super::changes::Applied;
use super::transaction::Transaction;
use super::{Keeper, Member, Registry};
use crate::core::addresses;
use crate::core::command::{Caller, Command, Now, Outcome, Refusal};
use crate::core::reconcile::{
    Act, Fate, InFlight, Intent, LocalMember, LocalParty, Occasion, Operation, Passage, Place,
    ServerMember, ServerParty, Sides, reconcile,
};
use crate::core::record::{Deed, MemberRecord, Owner, PartyRecord, RequestKey};

impl Registry {
    /// As [`Registry::apply`], and the control server is to be told of it later, under `key`.
    ///
    /// # Errors
    /// A [`Refusal`]; then nothing has changed.
    pub fn defer(
        &mut self,
        key: RequestKey,
        command: Command,
        caller: Caller,
        now: Now,
    ) -> Result<Applied, Refusal> {
        let mut tx = Transaction::new(self, caller, now);
        let outcome = tx.defer(key, command)?;
        Ok(tx.finish(outcome))
    }

    /// Whether the caller may act for the peer that a command is about.
    ///
    /// # Errors
    /// The [`Refusal`].
    pub fn check(&mut self, command: &Command, caller: Caller, now: Now) -> Result<(), Refusal> {
        let limit = self.rules.signal_bytes;
        match command {
            Command::SendSignal { data, .. } if data.len() > limit => {
                Err(Refusal::SignalTooLarge { bytes: data.len(), limit })
            }
            _ => Transaction::new(self, caller, now).authorize(command),
        }
    }

    /// A party as `reconcile` looks at it.
    fn copy(&self, party_id: &PartyId) -> Option<LocalParty> {
        let party = self.parties.get(party_id)?;
        let member = |(id, member): (&PeerId, &Member)| {
            let (info, live) = (member.record.info.clone(), member.is_live());
            (id.clone(), LocalMember { info, is_ours: member.is_ours(), live })
        };
        Some(LocalParty {
            name: party.record.name.clone(),
            host_id: party.record.host_id.clone(),
            origin: party.record.origin,
            members: party.members.iter().map(member).collect(),
        })
    }
}

impl Member {
    /// Whether it is a peer of this machine.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.record.owner, Owner::User(_))
    }

    /// Whether something on this machine keeps it alive.
    pub(super) fn is_live(&self) -> bool {
        self.is_ours() && self.keeper != Keeper::Nothing
    }
}

impl Transaction<'_> {
    fn defer(&mut self, key: RequestKey, command: Command) -> Result<Outcome, Refusal> {
        let ids = command.party_id().cloned().zip(command.acts_for().cloned());
        let Some((party_id, peer_id)) = ids else { return self.perform(command) };
        self.authorize(&command)?;
        if self.registry.owner_of(&peer_id, self.now) == Some(Owner::Elsewhere) {
            return Err(Refusal::PeerNotYours(peer_id));
        }
        let deed = match &command {
            Command::Register { .. } => Deed::Register,
            Command::Join { .. } => Deed::Join,
            Command::Update { .. } => Deed::Update,
            Command::Leave { .. } => Deed::Leave,
            _ => return self.perform(command),
        };
        if deed != Deed::Update {
            self.may_intend(&party_id, &peer_id)?;
        }
        let before = self.member(&party_id, &peer_id).ok().map(|member| member.record.info.clone());
        let lives_there = self.lives_there(&party_id);
        if deed == Deed::Leave && before.is_some() && lives_there {
            // Before it is done, which without it would forget the party. To leave again does no
            // harm; to be told by a receipt that one did could, where one came back since.
            let key = self.fresh_key();
            if self.party(&party_id)?.record.host_id == peer_id {
                self.take_leave(&party_id);
            }
            self.intend(&party_id, &peer_id, Deed::Leave, key);
        }
        let outcome = self.perform(command)?;
        match (deed, before) {
            (Deed::Register, _) => self.intend(&party_id, &peer_id, Deed::Register, key),
            (Deed::Leave, _) => {
                if matches!(outcome, Outcome::Left { party_deleted: true }) {
                    self.forget_entries(&party_id);
                }
            }
            _ if !lives_there => self.carry(&party_id),
            (_, None) => self.intend(&party_id, &peer_id, Deed::Join, key),
            (_, Some(before)) => {
                let member = self.member(&party_id, &peer_id)?;
                if member.record.info != before {
                    let outbox = &self.registry.outbox;
                    let deed = outbox.intent(&party_id, &peer_id).map(|intent| intent.deed);
                    let deed = deed.unwrap_or(Deed::Update);
                    self.intend(&party_id, &peer_id, deed, key);
                }
            }
        }
        Ok(outcome)
    }

    /// Whether a party lives on the control server, or shall.
    fn lives_there(&self, party_id: &PartyId) -> bool {
        let party = self.registry.parties.get(party_id);
        party.is_some_and(|party| party.record.origin == Origin::Remote)
            || self.registry.outbox.of_party(party_id).next().is_some()
    }

    /// A member of ours goes, which it did not say itself: the server is told, where the party
    /// has one.
    pub(super) fn intend_to_leave(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        if self.lives_there(party_id) {
            let key = self.fresh_key();
            self.intend(party_id, peer_id, Deed::Leave, key);
        }
    }

    /// All members of ours go, as [`Self::intend_to_leave`] has it.
    pub(super) fn take_leave(&mut self, party_id: &PartyId) {
        let party = self.registry.parties.get(party_id);
        let members = party.into_iter().flat_map(|party| &party.members);
        let ours: Vec<_> =
            members.filter(|(_, member)| member.is_ours()).map(|(id, _)| id.clone()).collect();
        for peer_id in ours {
            self.intend_to_leave(party_id, &peer_id);
        }
    }

    /// Notes that a party of this daemon alone shall live on the control server, if its host lives
    /// here. One that nothing keeps alive is a name in a file that was taken in, and perhaps
    /// somebody else's.
    pub(super) fn carry(&mut self, party_id: &PartyId) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        let host_id = party.record.host_id.clone();
        let ours = party.members.iter().filter(|(_, member)| member.is_live());
        let ours: Vec<_> = ours.map(|(id, _)| id.clone()).collect();
        let (limit, count) =
            (self.registry.rules.intents, self.registry.outbox.intent_count + ours.len());
        if count > limit || !ours.contains(&host_id) {
            return;
        }
        for peer_id in ours {
            let deed = if peer_id == host_id { Deed::Register } else { Deed::Join };
            let key = self.fresh_key();
            self.intend(party_id, &peer_id, deed, key);
        }
    }

    pub(super) fn reconcile(
        &mut self,
        party_id: &PartyId,
        server: Option<&ServerParty>,
        occasion: Occasion,
        in_flight: &[InFlight],
    ) -> Outcome {
        let copy = self.registry.copy(party_id);
        let outbox = &self.registry.outbox;
        let intents: BTreeMap<_, _> =
            outbox.of_party(party_id).map(|one| (one.peer_id.clone(), one.deed)).collect();
        let members = server.into_iter().flat_map(|server| server.members.keys());
        let known_as_ours: BTreeSet<_> =
            members.filter(|id| outbox.owner_of(id).is_some()).cloned().collect();
        let verdict = reconcile(&Sides {
            server,
            copy: copy.as_ref(),
            intents: &intents,
            in_flight,
            known_as_ours: &known_as_ours,
            occasion,
        });
        self.settle(party_id, &verdict.intents);
        match verdict.fate {
            Fate::Stays => {}
            Fate::Goes(reason) => self.lose_party(party_id, reason),
            Fate::Loses(members) => {
                for peer_id in members {
                    self.remove_member(party_id, &peer_id, RemovalReason::Removed);
                }
            }
            Fate::Follows(places) => {
                if let Some(server) = server {
                    self.follow_server(party_id, server, places, in_flight);
                }
            }
        }
        self.operations(party_id, verdict.acts)
    }

    /// Keeps the intents that still stand, under another name where they mean something else.
    fn settle(&mut self, party_id: &PartyId, standing: &BTreeMap<PeerId, Intent>) {
        let known = self.registry.outbox.of_party(party_id);
        let done: Vec<_> = known
            .filter(|intent| !standing.contains_key(&intent.peer_id))
            .map(|intent| intent.peer_id.clone())
            .collect();
        for peer_id in done {
            self.delete_intent(party_id, &peer_id);
        }
        for (peer_id, intent) in standing {
            if let Intent::New(deed) = intent {
                let key = self.fresh_key();
                self.intend(party_id, peer_id, *deed, key);
            }
        }
    }

    /// The acts under the names of their intents; one without gets a name of its own. A leave before
    /// another deed of the same peer is named after that: however often it is asked for, it is
    /// done once, and not after that deed.
    fn operations(&mut self, party_id: &PartyId, acts: Vec<Act>) -> Outcome {
        let operation = |act: Act| {
            let key = match self.registry.outbox.intent(party_id, act.peer_id()) {
                Some(intent) if intent.deed == act.deed() => intent.key.clone(),
                Some(intent) => RequestKey(format!("{}.before", intent.key.0).into()),
                None => self.fresh_key(),
            };
            Operation { key, party_id: party_id.clone(), act }
        };
        Outcome::Operations(acts.into_iter().map(operation).collect())
    }

    /// The party is no more, or none of ours is in it any more.
    fn lose_party(&mut self, party_id: &PartyId, reason: RemovalReason) {
        let guests = match reason {
            RemovalReason::Left | RemovalReason::Expired => RemovalReason::HostLeft,
            reason => reason,
        };
        let host = if reason == RemovalReason::HostLeft { RemovalReason::Left } else { reason };
        self.remove_party(party_id, host, guests, reason);
    }

    /// Makes the copy of a party what its server has.
    fn follow_server(
        &mut self,
        party_id: &PartyId,
        server: &ServerParty,
        places: BTreeMap<PeerId, Place>,
        in_flight: &[InFlight],
    ) {
        let known = self.registry.parties.get(party_id).map(|party| &party.record);
        let is_new = known.is_none();
        let record = PartyRecord {
            party_id: party_id.clone(),
            name: server.name.clone(),
            host_id: server.host_id.clone(),
            created_at: server.created_at,
            seq: known.map_or(1, |known| known.seq),
            origin: Origin::Remote,
        };
        if known != Some(&record) {
            self.put_party(record);
        }
        let members = self.registry.parties.get(party_id).map(|party| &party.members);
        let gone: Vec<_> = members
            .into_iter()
            .flatten()
            .filter(|(id, _)| !places.contains_key(*id))
            .map(|(id, member)| (id.clone(), member.is_ours()))
            .collect();
        for (peer_id, is_ours) in gone {
            let reason = if is_ours { RemovalReason::Removed } else { RemovalReason::Left };
            self.remove_member(party_id, &peer_id, reason);
        }
        let mut addresses = Addresses::of(server);
        for (peer_id, place) in places {
            self.put_place(party_id, &peer_id, &place, &mut addresses, in_flight, is_new);
        }
        if is_new && let Ok(party) = self.registry.party(party_id, self.now) {
            let (epoch, seq) = (party.epoch.clone(), party.seq);
            self.events.push(Event::PartyRegistered { party, epoch, seq });
        }
    }

    /// Puts a member where its server has it, and tells that unless the party is new.
    fn put_place(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        place: &Place,
        addresses: &mut Addresses,
        in_flight: &[InFlight],
        is_new: bool,
    ) {
        let before = self.member(party_id, peer_id).ok().cloned();
        let known_address = before.as_ref().map(|member| member.record.virtual_ip);
        let subnet = self.registry.rules.subnet;
        let is_host = self.party(party_id).is_ok_and(|party| party.record.host_id == *peer_id);
        let virtual_ip = addresses.given.get(peer_id).copied();
        let virtual_ip = virtual_ip.or_else(|| addresses.free(known_address, is_host, subnet));
        // The server's own party has no room left, which it will say when it is asked.
        let Some(virtual_ip) = virtual_ip.or(known_address) else { return };
        let (record, keeper) = match place {
            Place::Theirs(server) => their_record(server, virtual_ip),
            Place::Ours(server) => {
                let kept = self.kept_for(peer_id, in_flight);
                self.our_record(before.as_ref(), peer_id, &server.info, virtual_ip, kept)
            }
            Place::OursAhead(_) | Place::OursAlone => {
                let Some(before) = &before else { return };
                let record = MemberRecord { virtual_ip, ..before.record.clone() };
                (record, before.keeper)
            }
        };
        let Some(before) = before else {
            self.put_member(party_id, record, keeper);
            if !is_new {
                let seq = self.bump(party_id);
                if let Ok(peer) = self.registry.peer(party_id, peer_id, self.now) {
                    let (party_id, epoch) = (party_id.clone(), self.registry.epoch.clone());
                    self.events.push(Event::PeerJoined { party_id, peer, epoch, seq });
                }
            }
            return;
        };
        let shows = record.info != before.record.info
            || record.virtual_ip != before.record.virtual_ip
            || keeper.is_connected() != before.keeper.is_connected();
        let durable = MemberRecord { last_seen: before.record.last_seen, ..record.clone() };
        if shows || durable != before.record || keeper != before.keeper {
            self.put_member(party_id, record, keeper);
        } else if matches!(place, Place::Theirs(_)) {
            self.registry.with_member(party_id, peer_id, |member| {
                member.record.last_seen = record.last_seen;
            });
        }
        if shows {
            self.tell_updated(party_id, peer_id);
        }
    }

    /// What keeps a peer alive that is just entering.
    fn kept_for(
        &mut self,
        peer_id: &PeerId,
        in_flight: &[InFlight],
    ) -> Option<(Keepalive, Keeper, Owner)> {
        let entering = in_flight.iter().find(|one| one.peer_id == *peer_id)?;
        let Passage::Enters { caller, keepalive } = &entering.what else { return None };
        let own = std::mem::replace(&mut self.caller, caller.clone());
        let keeper = self.keeper(*keepalive);
        let owner = self.caller_as_owner();
        self.caller = own;
        Some((*keepalive, keeper, owner?))
    }

    /// A member of ours as its server has it. One that is new here was let in by a request whose
    /// answer was lost: nothing keeps it alive until somebody claims it.
    fn our_record(
        &self,
        before: Option<&Member>,
        peer_id: &PeerId,
        info: &lanrage_ipc::model::PeerInput,
        virtual_ip: Ipv4Addr,
        kept: Option<(Keepalive, Keeper, Owner)>,
    ) -> (MemberRecord, Keeper) {
        let ours = before.filter(|member| member.is_ours());
        let (keepalive, keeper, owner) = match (kept, ours) {
            (Some((keepalive, keeper, caller)), ours) => {
                let owner = ours.map(|member| member.record.owner.clone());
                let credential = self.registry.outbox.owner_of(peer_id).map(Owner::User);
                (keepalive, keeper, owner.or(credential).unwrap_or(caller))
            }
            (None, Some(member)) => {
                (member.record.keepalive, member.keeper, member.record.owner.clone())
            }
            (None, None) => {
                let owner = self.registry.outbox.owner_of(peer_id).map(Owner::User);
                (Keepalive::Connection, Keeper::Nothing, owner.unwrap_or(Owner::Elsewhere))
            }
        };
        let (info, last_seen) = (info.clone(), self.now.wall);
        let utc_offset = ours.and_then(|member| member.record.utc_offset);
        let record = MemberRecord { info, virtual_ip, owner, keepalive, utc_offset, last_seen };
        (record, keeper)
    }

    pub(super) fn refused(
        &mut self,
        party_id: &PartyId,
        peer_id: &PeerId,
        key: &RequestKey,
        code: ErrorCode,
        spare: PartyId,
    ) -> Outcome {
        let Some(intent) = self.registry.outbox.intent(party_id, peer_id) else {
            return Outcome::Operations(Vec::new());
        };
        if intent.key != *key {
            // What it did since waited for this.
            let deed = intent.deed;
            return self.ask_again(party_id, peer_id, deed);
        }
        match (intent.deed, code) {
            (Deed::Register, ErrorCode::PartyExists) => {
                if self.rename(party_id, &spare).is_err() {
                    return Outcome::Operations(Vec::new());
                }
                return self.reconcile(&spare, None, Occasion::Return, &[]);
            }
            // It was done once, and undone since: under its name it would not be done again.
            (deed @ (Deed::Register | Deed::Join), ErrorCode::NotAMember) => {
                let key = self.fresh_key();
                self.intend(party_id, peer_id, deed, key);
                return self.ask_again(party_id, peer_id, deed);
            }
            // It stays pending: there is nothing that the daemon could do about it.
            (Deed::Register, _) => {}
            (Deed::Join, ErrorCode::PartyNotFound) | (Deed::Update, ErrorCode::PartyNotFound) => {
                self.forget_intents(party_id);
                self.lose_party(party_id, RemovalReason::Removed);
            }
            (Deed::Join, _) => self.refuse_entry(party_id, peer_id),
            (Deed::Update, ErrorCode::PeerNotFound | ErrorCode::NotAMember) => {
                let key = self.fresh_key();
                self.intend(party_id, peer_id, Deed::Join, key);
                return self.ask_again(party_id, peer_id, Deed::Join);
            }
            (Deed::Update, _) => self.delete_intent(party_id, peer_id),
            (Deed::Leave, _) => {
                self.delete_intent(party_id, peer_id);
                self.drop_if_deserted(party_id);
            }
        }
        Outcome::Operations(Vec::new())
    }

    /// What to ask of the server for a deed.
    fn ask_again(&mut self, party_id: &PartyId, peer_id: &PeerId, deed: Deed) -> Outcome {
        let party = self.registry.parties.get(party_id);
        let member = party.and_then(|party| Some((party, party.members.get(peer_id)?)));
        let act = match (deed, member) {
            (Deed::Leave, _) => Some(Act::Leave(peer_id.clone())),
            (_, None) => None,
            (Deed::Register, Some((party, host))) => {
                let (name, host) = (party.record.name.clone(), host.record.info.clone());
                Some(Act::Register { name, host })
            }
            (Deed::Join, Some((_, member))) => Some(Act::Join(member.record.info.clone())),
            (Deed::Update, Some((_, member))) => Some(Act::Update(member.record.info.clone())),
        };
        self.operations(party_id, act.into_iter().collect())
    }

    fn refuse_entry(&mut self, party_id: &PartyId, peer_id: &PeerId) {
        self.delete_intent(party_id, peer_id);
        if self.member(party_id, peer_id).is_ok() {
            self.remove_member(party_id, peer_id, RemovalReason::Removed);
        }
        self.drop_if_deserted(party_id);
    }

    /// A copy in which none of ours is, and of which the server has been told all, is worth
    /// nothing: nobody tells of it any more.
    pub(super) fn drop_if_deserted(&mut self, party_id: &PartyId) {
        let Some(party) = self.registry.parties.get(party_id) else { return };
        let is_deserted = party.record.origin == Origin::Remote
            && !party.members.values().any(Member::is_ours)
            && self.registry.outbox.of_party(party_id).next().is_none();
        if is_deserted {
            self.lose_party(party_id, RemovalReason::Removed);
        }
    }
}

/// The addresses that a server gave in a party, and what else is free there.
struct Addresses {
    /// What the server gave to each, as far as it makes sense.
    given: HashMap<PeerId, Ipv4Addr>,
    taken: HashSet<Ipv4Addr>,
}

impl Addresses {
    /// The first who has an address has it alone, the host before all others; one that is no
    /// machine's is as good as none.
    fn of(server: &ServerParty) -> Self {
        let (mut given, mut taken) = (HashMap::new(), HashSet::new());
        let host = server.members.get_key_value(&server.host_id);
        for (peer_id, member) in host.into_iter().chain(&server.members) {
            let address = member.virtual_ip.filter(|address| is_a_machines(*address));
            if let Some(address) = address
                && !given.contains_key(peer_id)
                && taken.insert(address)
            {
                given.insert(peer_id.clone(), address);
            }
        }
        Self { given, taken }
    }

    /// An address for a member that the server gave none: the one it had, if that is free.
    fn free(
        &mut self,
        known: Option<Ipv4Addr>,
        is_host: bool,
        subnet: ipnet::Ipv4Net,
    ) -> Option<Ipv4Addr> {
        let known = known.filter(|address| !self.taken.contains(address));
        let host =
            addresses::host(subnet).filter(|address| is_host && !self.taken.contains(address));
        let address = known.or(host).or_else(|| addresses::guest(subnet, &self.taken))?;
        self.taken.insert(address);
        Some(address)
    }
}

/// Whether a machine may have such an address.
fn is_a_machines(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_loopback()
        || address.is_multicast()
        || address.is_broadcast())
}

fn their_record(server: &ServerMember, virtual_ip: Ipv4Addr) -> (MemberRecord, Keeper) {
    let record = MemberRecord {
        info: server.info.clone(),
        virtual_ip,
        owner: Owner::Elsewhere,
        keepalive: Keepalive::Manual,
        utc_offset: None,
        last_seen: server.last_seen,
    };
    (record, Keeper::Server { connected: server.connected })
}
