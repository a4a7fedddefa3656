//! Parties on a control server, or about to move there: the tables of remote mode, with the events
//! of each row.

mod members;
mod parties;
mod requests;

use std::sync::Arc;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Origin, Sync};

use super::*;
use crate::core::reconcile::{
    InFlight, InFlightKind, MembershipOp, Occasion, OpBody, ServerMember, ServerParty,
};
use crate::core::{CredentialRecord, Proof, ServerKey, Write};

/// The daemon itself as a caller.
pub(super) const ITSELF: Caller = user(0, true, 0);

pub(super) fn server_key() -> ServerKey {
    ServerKey("http://server".into())
}

pub(super) fn follow(server: Option<ServerKey>) -> Command {
    Command::Follow { server, configured: None }
}

pub(super) fn credential(id: &str) -> Command {
    Command::StoreCredential(CredentialRecord {
        server: server_key(),
        peer_id: id.parse().unwrap(),
        proof: Proof::Token(Secret::from("token".to_owned())),
        renew_at: Timestamp::MAX,
        owner: User(1000),
    })
}

/// Returns a daemon that follows a server.
pub(super) fn followed() -> World {
    let mut world = World::new();
    world.by(ITSELF, follow(Some(server_key())));
    world
}

/// Returns a party as on the server: the host first, addresses in the order of the members.
pub(super) fn there(party: &str, members: &[&str]) -> ServerParty {
    let member = |(place, id): (usize, &&str)| {
        let virtual_ip = Some(format!("10.66.0.{}", place + 1).parse().unwrap());
        let last_seen = timestamp("2025-06-01T12:00:00Z");
        let member = ServerMember { info: peer(id), virtual_ip, last_seen, connected: true };
        (id.parse().unwrap(), member)
    };
    ServerParty {
        party_id: party.parse().unwrap(),
        name: party.parse().unwrap(),
        host_id: members[0].parse().unwrap(),
        created_at: timestamp("2025-06-01T12:00:00Z"),
        members: members.iter().enumerate().map(member).collect(),
    }
}

impl World {
    /// Applies a command of the first user while the server is unreachable.
    #[track_caller]
    pub(super) fn offline(&mut self, key: &str, command: Command) -> Applied {
        self.defer(ANN, key, command).expect("refused")
    }

    pub(super) fn defer(
        &mut self,
        caller: Caller,
        key: &str,
        command: Command,
    ) -> Result<Applied, Refusal> {
        let before = self.registry.clone();
        let result = self.registry.defer(RequestKey(key.into()), command, caller, self.now);
        state::check_indexes(&self.registry);
        if result.is_err() {
            assert_eq!(self.registry, before);
        }
        result
    }

    pub(super) fn reconcile(&mut self, party: &ServerParty, occasion: Occasion) -> Applied {
        self.reconcile_while(party, occasion, vec![])
    }

    pub(super) fn reconcile_while(
        &mut self,
        party: &ServerParty,
        occasion: Occasion,
        in_flight: Vec<InFlight>,
    ) -> Applied {
        let (party_id, server) = (party.party_id.clone(), Some(Arc::new(party.clone())));
        self.by(
            ITSELF,
            Command::Reconcile { party_id, server, occasion, in_flight, machine: vec![] },
        )
    }

    pub(super) fn reconcile_absent(&mut self, party: &str, occasion: Occasion) -> Applied {
        let (party_id, in_flight) = (party.parse().unwrap(), vec![]);
        self.by(
            ITSELF,
            Command::Reconcile { party_id, server: None, occasion, in_flight, machine: vec![] },
        )
    }

    /// Has the server refuse the only operation.
    fn refuse(&mut self, operations: &Applied, code: ErrorCode) -> Applied {
        let [MembershipOp { key, party_id, body }] = &ops(operations)[..] else {
            panic!("not one operation: {operations:?}")
        };
        let (key, party_id, peer_id) = (key.clone(), party_id.clone(), body.peer_id().clone());
        let spare = "spare".parse().unwrap();
        self.by(ITSELF, Command::Refused { party_id, peer_id, key, code, spare })
    }

    /// Returns a copy of a party with these members, of which `ours` are local.
    pub(super) fn with_copy(ours: &[&str], members: &[&str]) -> (Self, ServerParty) {
        let (mut world, party) = (followed(), there("lan", members));
        ours.iter().for_each(|id| drop(world.by(ITSELF, credential(id))));
        world.reconcile_while(&party, Occasion::News, entering(ours));
        assert_eq!(pending(&world), [""; 0]);
        (world, party)
    }
}

/// Returns requests in flight of the first user by which these peers enter.
pub(super) fn entering(peers: &[&str]) -> Vec<InFlight> {
    let enters = |id: &&str| InFlight {
        peer_id: id.parse().unwrap(),
        what: InFlightKind::Enters {
            caller: ANN,
            keepalive: Keepalive::Daemon,
            registers: false,
            info: peer(id),
        },
    };
    peers.iter().map(enters).collect()
}

pub(super) fn ops(applied: &Applied) -> Vec<MembershipOp> {
    match &applied.outcome {
        Outcome::Operations(operations) => operations.clone(),
        Outcome::Reconciled(reconciled) => reconciled.operations.clone(),
        other => panic!("no operations: {other:?}"),
    }
}

/// Returns the operations for the server, a line for each.
pub(super) fn asks(applied: &Applied) -> Vec<String> {
    let line = |MembershipOp { party_id, body, .. }: &MembershipOp| {
        let what = match body {
            OpBody::Register { .. } => "register",
            OpBody::Join(_) => "join",
            OpBody::Update(_) => "update",
            OpBody::Leave(_) => "leave",
        };
        format!("{what} {party_id} {}", body.peer_id())
    };
    ops(applied).iter().map(line).collect()
}

/// Returns the intents, a line for each.
pub(super) fn pending(world: &World) -> Vec<String> {
    let intents = world.registry.outbox.intents.values().flat_map(|party| party.values());
    let line = |one: &crate::core::IntentRecord| {
        format!("{:?} {} {} {}", one.kind, one.party_id, one.peer_id, one.key.0)
    };
    intents.map(line).collect()
}

fn nothing() -> [&'static str; 0] {
    []
}

fn not_yours(id: &str) -> Refusal {
    Refusal::PeerNotYours(id.parse().unwrap())
}
