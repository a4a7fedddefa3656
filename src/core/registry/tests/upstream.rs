//! What becomes of parties that live on a control server, or shall: the tables of remote mode,
//! with what is told of each.

use std::sync::Arc;

use lanrage_ipc::ErrorCode;
use lanrage_ipc::control::Secret;
use lanrage_ipc::event::RemovalReason;
use lanrage_ipc::model::{Origin, Sync};

use super::*;
use crate::core::reconcile::{
    Act, InFlight, Occasion, Operation, Passage, ServerMember, ServerParty,
};
use crate::core::{CredentialRecord, Proof, ServerKey, Write};

/// As whom the daemon itself acts.
pub(super) const ITSELF: Caller = user(0, true, 0);

pub(super) fn server_key() -> ServerKey {
    ServerKey("http://server".into())
}

pub(super) fn follow(server: Option<ServerKey>) -> Command {
    Command::Follow { server, configured: None }
}

pub(super) fn credential(id: &str) -> Command {
    Command::Keep(CredentialRecord {
        server: server_key(),
        peer_id: id.parse().unwrap(),
        proof: Proof::Token(Secret::from("token".to_owned())),
        renew_at: Timestamp::MAX,
        owner: User(1000),
    })
}

/// A daemon that follows a server.
pub(super) fn followed() -> World {
    let mut world = World::new();
    world.by(ITSELF, follow(Some(server_key())));
    world
}

/// A party as the server has it, its members at the addresses in their order, the host first.
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
    /// What is done while the server can't be asked, by the first user.
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

    pub(super) fn hear(&mut self, party: &ServerParty, occasion: Occasion) -> Applied {
        self.hear_while(party, occasion, vec![])
    }

    fn hear_while(
        &mut self,
        party: &ServerParty,
        occasion: Occasion,
        in_flight: Vec<InFlight>,
    ) -> Applied {
        let (party_id, server) = (party.party_id.clone(), Some(Arc::new(party.clone())));
        self.by(ITSELF, Command::Reconcile { party_id, server, occasion, in_flight })
    }

    pub(super) fn hear_nothing(&mut self, party: &str, occasion: Occasion) -> Applied {
        let (party_id, in_flight) = (party.parse().unwrap(), vec![]);
        self.by(ITSELF, Command::Reconcile { party_id, server: None, occasion, in_flight })
    }

    /// The server refuses the only operation.
    fn refuse(&mut self, operations: &Applied, code: ErrorCode) -> Applied {
        let [Operation { key, party_id, act }] = &ops(operations)[..] else {
            panic!("not one operation: {operations:?}")
        };
        let (key, party_id, peer_id) = (key.clone(), party_id.clone(), act.peer_id().clone());
        let spare = "spare".parse().unwrap();
        self.by(ITSELF, Command::Refused { party_id, peer_id, key, code, spare })
    }

    /// A copy of a party with these members, of which those in front of `others` are ours.
    pub(super) fn with_copy(ours: &[&str], members: &[&str]) -> (Self, ServerParty) {
        let (mut world, party) = (followed(), there("lan", members));
        ours.iter().for_each(|id| drop(world.by(ITSELF, credential(id))));
        let enters = |id: &&str| InFlight {
            peer_id: id.parse().unwrap(),
            what: Passage::Enters { caller: ANN, keepalive: Keepalive::Daemon },
        };
        let in_flight = ours.iter().map(enters).collect();
        world.hear_while(&party, Occasion::News, in_flight);
        assert_eq!(pending(&world), [""; 0]);
        (world, party)
    }
}

pub(super) fn ops(applied: &Applied) -> Vec<Operation> {
    match &applied.outcome {
        Outcome::Operations(operations) => operations.clone(),
        other => panic!("no operations: {other:?}"),
    }
}

/// What the server is to be asked, a line for each.
pub(super) fn asks(applied: &Applied) -> Vec<String> {
    let line = |Operation { party_id, act, .. }: &Operation| {
        let what = match act {
            Act::Register { .. } => "register",
            Act::Join(_) => "join",
            Act::Update(_) => "update",
            Act::Leave(_) => "leave",
        };
        format!("{what} {party_id} {}", act.peer_id())
    };
    ops(applied).iter().map(line).collect()
}

/// What waits for the server, a line for each.
pub(super) fn pending(world: &World) -> Vec<String> {
    let intents = world.registry.outbox.intents.values().flat_map(|party| party.values());
    let line = |one: &crate::core::IntentRecord| {
        format!("{:?} {} {} {}", one.deed, one.party_id, one.peer_id, one.key.0)
    };
    intents.map(line).collect()
}

fn nothing() -> [&'static str; 0] {
    []
}

#[test]
fn a_party_registered_offline_is_registered_on_return() {
    let mut world = followed();
    let done = world.offline("k", register("lan", "host"));
    assert_eq!(told(&done), ["party.registered lan #1"]);
    let Outcome::Party(party) = done.outcome else { panic!("no party") };
    assert_eq!((party.origin, party.sync), (Origin::Local, Sync::Pending));
    assert_eq!(pending(&world), ["Register lan host k"]);
    for _ in 0..2 {
        let back = world.hear_nothing("lan", Occasion::Return);
        assert_eq!(asks(&back), ["register lan host"]);
        assert_eq!(ops(&back)[0].key, RequestKey("k".into()), "the same request");
    }
    let heard = world.hear(&there("lan", &["host"]), Occasion::News);
    assert_eq!(told(&heard), ["party.updated lan Remote Synced #2"]);
    assert_eq!((asks(&heard).len(), pending(&world).len()), (0, 0));
}

#[test]
fn a_party_whose_id_is_taken_gets_another() {
    let mut world = followed();
    world.offline("k", register("lan", "host"));
    world.offline("l", join("lan", "a"));
    let back = world.hear_nothing("lan", Occasion::Return);
    assert_eq!(asks(&back), ["register lan host"], "the guest follows");
    let refused = world.refuse(&back, ErrorCode::PartyExists);
    assert_eq!(told(&refused), ["party.updated spare was lan Local Pending #3"]);
    assert_eq!(asks(&refused), ["register spare host"]);
    assert_ne!(ops(&refused)[0].key, RequestKey("k".into()), "another request");
    assert_eq!((world.members("lan").len(), world.members("spare").len()), (0, 2));
    let heard = world.hear(&there("spare", &["host"]), Occasion::News);
    assert_eq!(asks(&heard), ["join spare a"]);
}

#[test]
fn who_left_the_party_that_has_the_id_leaves_it_all_the_same() {
    let (mut world, party) = World::with_copy(&["host", "a"], &["host", "a", "x"]);
    world.offline("k", leave("lan", "host"));
    assert_eq!(pending(&world).len(), 2, "with the host its guests left: {:?}", pending(&world));
    world.offline("l", register("lan", "b"));
    let back = world.hear(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan a", "leave lan host", "register lan b"]);
    let [.., register] = &ops(&back)[..] else { panic!("no operations") };
    let (party_id, peer_id) = ("lan".parse().unwrap(), "b".parse().unwrap());
    let (key, code, spare) =
        (register.key.clone(), ErrorCode::PartyExists, "spare".parse().unwrap());
    world.by(ITSELF, Command::Refused { party_id, peer_id, key, code, spare });
    assert_eq!(asks(&world.hear(&party, Occasion::Return)), ["leave lan host"]);
    assert_eq!(world.members("spare"), ["b"]);
}

#[test]
fn a_leave_is_remembered_whatever_becomes_of_the_id() {
    let (mut world, party) = World::with_copy(&["host"], &["host", "x"]);
    world.offline("k", leave("lan", "host"));
    world.offline("l", register("lan", "a"));
    world.offline("m", leave("lan", "a"));
    let back = world.hear(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan host"]);
    assert_eq!(world.members("lan"), nothing());
}

#[test]
fn who_is_of_ours_in_another_party_of_that_id_leaves_it_also_when_it_joins_here() {
    let (mut world, party) = World::with_copy(&["host"], &["host", "x"]);
    world.offline("k", leave("lan", "host"));
    world.offline("l", register("lan", "a"));
    world.offline("m", join("lan", "host"));
    let back = world.hear(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan host", "register lan a"]);
    let again = world.hear(&party, Occasion::Return);
    assert_eq!(ops(&again), ops(&back), "the same requests");
    assert_ne!(ops(&back)[0].key, RequestKey("m".into()), "that is the name of its joining");
    assert_eq!(pending(&world), ["Register lan a l", "Join lan host m"]);
}

#[test]
fn a_request_that_was_undone_since_is_made_under_another_name() {
    let mut world = followed();
    world.offline("k", register("lan", "host"));
    let back = world.hear_nothing("lan", Occasion::Return);
    let again = world.refuse(&back, ErrorCode::NotAMember);
    assert_eq!(asks(&again), ["register lan host"]);
    assert_ne!(ops(&again)[0].key, RequestKey("k".into()));

    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    let back = world.hear(&party, Occasion::Return);
    assert_eq!(asks(&back), ["join lan b"]);
    let again = world.refuse(&back, ErrorCode::NotAMember);
    assert_eq!(asks(&again), ["join lan b"]);
    assert_ne!(ops(&again)[0].key, ops(&back)[0].key);
    assert_eq!(told(&again), nothing());
}

#[test]
fn two_requests_of_one_instant_have_two_names() {
    let mut world = followed();
    let keys = ["p", "q"].map(|id| {
        world.ann(register(id, "host"));
        world.by(ITSELF, follow(None));
        world.by(ITSELF, follow(Some(server_key())));
        world.registry.outbox.of_party(&id.parse().unwrap()).next().unwrap().key.clone()
    });
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn who_joins_a_copy_offline_joins_on_return() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let done = world.offline("k", join("lan", "b"));
    assert_eq!(told(&done), ["peer.joined lan b #2", "party.updated lan Remote Pending #3"]);
    let back = world.hear(&party, Occasion::Return);
    assert_eq!((asks(&back), told(&back)), (vec!["join lan b".to_owned()], vec![]));
    let heard = world.hear(&there("lan", &["host", "a", "b"]), Occasion::News);
    assert_eq!(told(&heard), ["party.updated lan Remote Synced #4"]);
}

#[test]
fn who_is_refused_goes_and_with_the_last_one_the_copy() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    let back = world.hear(&party, Occasion::Return);
    let refused = world.refuse(&back, ErrorCode::PartyFull);
    assert_eq!(
        told(&refused),
        ["peer.left lan b Removed #4", "party.updated lan Remote Synced #5"]
    );
    // The last one, who was let go of while it was away.
    let back = world.hear(&there("lan", &["host"]), Occasion::Return);
    assert_eq!(asks(&back), ["join lan a"]);
    let refused = world.refuse(&back, ErrorCode::PermissionDenied);
    assert_eq!(told(&refused).last().unwrap(), "party.removed lan Removed #9");
}

#[test]
fn a_join_of_an_unknown_party_is_refused() {
    let mut world = followed();
    let refused = world.defer(ANN, "k", join("lan", "a")).unwrap_err();
    assert_eq!(refused, Refusal::PartyNotFound("lan".parse().unwrap()));
}

#[test]
fn who_leaves_offline_is_gone_at_once_and_the_copy_once_that_is_told() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let left = world.offline("k", leave("lan", "a"));
    assert_eq!(told(&left), ["peer.left lan a Left #2", "party.updated lan Remote Pending #3"]);
    assert_eq!(world.members("lan"), ["host"], "it can be joined anew");
    let back = world.hear(&party, Occasion::Return);
    assert_eq!(asks(&back), ["leave lan a"]);
    assert_eq!(world.members("lan"), ["host"]);
    let told_it = world.hear_nothing("lan", Occasion::Return);
    assert_eq!(told(&told_it).last().unwrap(), "party.removed lan Removed #5");
    assert_eq!(pending(&world), nothing());
}

#[test]
fn who_left_and_joined_anew_stays() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", leave("lan", "a"));
    world.offline("l", join_as("lan", peer("a"), Keepalive::Daemon));
    assert_eq!(pending(&world), ["Join lan a l"]);
    let back = world.hear(&party, Occasion::Return);
    assert_eq!((asks(&back), pending(&world).len()), (vec![], 0));
    assert_eq!(world.members("lan"), ["a", "host"]);
}

#[test]
fn a_party_that_ended_meanwhile_is_made_anew_by_its_host_alone() {
    let (mut world, _) = World::with_copy(&["host"], &["host", "x"]);
    assert_eq!(asks(&world.hear_nothing("lan", Occasion::Return)), ["register lan host"]);
    let heard = world.hear(&there("lan", &["host"]), Occasion::News);
    assert_eq!(
        told(&heard),
        ["peer.left lan x Left #3", "party.updated lan Remote Synced #4"],
        "whose members from elsewhere come by themselves"
    );

    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    let back = world.hear_nothing("lan", Occasion::Return);
    assert_eq!(asks(&back), ["join lan a"], "which brings nothing back");
    let refused = world.refuse(&back, ErrorCode::PartyNotFound);
    assert_eq!(told(&refused).last().unwrap(), "party.removed lan Removed #5");
    assert_eq!(world.members("lan"), nothing());
}

#[test]
fn who_is_silent_is_not_brought_back() {
    for (members, ours) in [(["host", "a"], "a"), (["a", "x"], "a")] {
        let (mut world, party) = World::with_copy(&[ours], &members);
        let rows = world.registry.parties.values().flat_map(|party| {
            let record = Write::PutParty(party.record.clone());
            let members = party.members.values();
            let id = party.record.party_id.clone();
            let members = members.map(move |m| Write::PutMember(id.clone(), m.record.clone()));
            std::iter::once(record).chain(members)
        });
        let rows: Vec<_> = rows.collect();
        // Nothing has kept it alive since the daemon began anew.
        let mut restored = followed();
        restored.registry.restore(rows, restored.now);
        let gone = restored.hear_nothing("lan", Occasion::Return);
        assert_eq!(asks(&gone), nothing());
        assert_eq!(restored.members("lan"), nothing());
        // That the server still has it is as good as before.
        assert_eq!(asks(&world.hear(&party, Occasion::Return)), nothing());
        assert_eq!(world.members("lan").len(), 2);
    }
}

#[test]
fn what_the_server_tells_is_so() {
    let (mut world, mut party) = World::with_copy(&["a"], &["host", "a"]);
    let joined = world.hear(&there("lan", &["host", "a", "x"]), Occasion::News);
    assert_eq!(told(&joined), ["peer.joined lan x #2"]);
    assert_eq!(told(&world.hear(&party, Occasion::News)), ["peer.left lan x Left #3"]);
    party.members.get_mut("host").unwrap().info.public_port = 1;
    assert_eq!(told(&world.hear(&party, Occasion::News)), ["peer.updated lan host #4"]);
    party.members.get_mut("host").unwrap().connected = false;
    assert_eq!(told(&world.hear(&party, Occasion::News)), ["peer.updated lan host #5"]);
    party.name = "another".parse().unwrap();
    let renamed = world.hear(&party, Occasion::News);
    assert_eq!(told(&renamed), ["party.updated lan Remote Synced #6"]);
    party.created_at += SECOND;
    let anew = world.hear(&party, Occasion::Return);
    assert_eq!(told(&anew), ["party.updated lan Remote Synced #7"], "it was registered anew");
    assert_eq!(told(&world.hear(&party, Occasion::Return)), nothing());
    let gone = world.hear_nothing("lan", Occasion::Gone(RemovalReason::HostLeft));
    assert_eq!(
        told(&gone),
        [
            "peer.left lan host Left #8",
            "peer.left lan a HostLeft #9",
            "party.removed lan HostLeft #10"
        ]
    );
}

#[test]
fn who_is_let_go_of_while_the_daemon_listens_goes() {
    let (mut world, _) = World::with_copy(&["a", "b"], &["host", "a", "b"]);
    let gone = world.hear(&there("lan", &["host", "a"]), Occasion::News);
    assert_eq!((asks(&gone), told(&gone)), (vec![], vec!["peer.left lan b Removed #2".to_owned()]));
    // On return it may have been the silence of the daemon, not of the peer.
    let (mut world, _) = World::with_copy(&["a", "b"], &["host", "a", "b"]);
    let back = world.hear(&there("lan", &["host", "a"]), Occasion::Return);
    assert_eq!(asks(&back), ["join lan b"]);
}

#[test]
fn only_the_last_update_is_told() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", update("lan", moved("a")));
    let again = PeerInput { public_port: 9, ..peer("a") };
    let done = world.offline("l", update("lan", again.clone()));
    assert_eq!(told(&done), ["peer.updated lan a #4"]);
    assert_eq!(pending(&world), ["Update lan a l"], "another name for what is another request");
    let back = world.hear(&party, Occasion::Return);
    assert!(matches!(&ops(&back)[0].act, Act::Update(info) if *info == again));
    assert_eq!(world.peer("lan", "a").info, again);
    // It need not be noted to be found.
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.ann(update("lan", moved("a")));
    assert_eq!(asks(&world.hear(&party, Occasion::Return)), ["update lan a"]);
}

#[test]
fn an_update_of_who_is_no_member_any_more_is_a_joining() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", update("lan", moved("a")));
    let back = world.hear(&party, Occasion::Return);
    let refused = world.refuse(&back, ErrorCode::PeerNotFound);
    assert_eq!(asks(&refused), ["join lan a"]);
    assert_ne!(ops(&refused)[0].key, RequestKey("k".into()));
}

#[test]
fn the_servers_address_counts() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    assert_eq!(world.address("lan", "b"), "10.66.0.3");
    let joined = world.hear(&there("lan", &["host", "a", "x", "b"]), Occasion::Return);
    assert_eq!(
        told(&joined),
        ["peer.updated lan b #4", "peer.joined lan x #5", "party.updated lan Remote Synced #6"]
    );
    assert_eq!(world.address("lan", "b"), "10.66.0.4");
}

#[test]
fn who_is_leaving_is_here_until_the_server_has_confirmed_it() {
    for who in ["a", "host"] {
        let (mut world, _) = World::with_copy(&["host", "a"], &["host", "a"]);
        let leaves = || vec![InFlight { peer_id: who.parse().unwrap(), what: Passage::Leaves }];
        let party = there("lan", &["host", "a", "x"]);
        let heard = world.hear_while(&party, Occasion::News, leaves());
        assert_eq!(told(&heard), ["peer.joined lan x #2"]);
        // It is not brought back by what the server told before.
        world.ann(leave("lan", who));
        let heard = world.hear_while(&party, Occasion::News, leaves());
        assert_eq!((told(&heard), asks(&heard)), (vec![], vec![]));
    }
}

#[test]
fn who_was_let_in_by_a_request_whose_answer_was_lost_is_in() {
    let mut world = followed();
    world.by(ITSELF, credential("a"));
    let heard = world.hear(&there("lan", &["host", "a"]), Occasion::Return);
    assert_eq!(told(&heard), ["party.registered lan #1"]);
    assert!(!world.peer("lan", "a").connected, "nothing keeps it alive");
    assert_eq!(world.defer(BEN, "k", leave("lan", "a")).unwrap_err(), not_yours("a"));
    world.offline("k", leave("lan", "a"));
}

fn not_yours(id: &str) -> Refusal {
    Refusal::PeerNotYours(id.parse().unwrap())
}

#[test]
fn nobody_acts_for_who_is_not_theirs() {
    let (mut world, _) = World::with_copy(&["a"], &["host", "a"]);
    assert_eq!(world.refused(ANN, leave("lan", "host")), not_yours("host"));
    for caller in [ANN, BEN, ROOT] {
        for command in [leave("lan", "host"), join("lan", "host"), update("lan", moved("host"))] {
            assert_eq!(world.defer(caller.clone(), "k", command).unwrap_err(), not_yours("host"));
        }
    }
    // Of a peer that is known by its credential alone.
    world.by(ITSELF, credential("b"));
    for command in [join("lan", "b"), register("two", "b")] {
        assert_eq!(world.defer(BEN, "k", command).unwrap_err(), not_yours("b"));
    }
    world.offline("k", register("two", "b"));
}

#[test]
fn who_is_silent_for_too_long_leaves_on_the_server() {
    let (mut world, party) = World::with_copy(&["host", "a"], &["host", "a", "x"]);
    for id in ["a", "host"] {
        world.ann(join_as("lan", peer(id), Keepalive::Manual));
        world.pass(PEER_TIMEOUT);
        world.by(ITSELF, Command::Expire);
        let back = world.hear(&party, Occasion::News);
        assert_eq!(asks(&back), [format!("leave lan {id}")]);
    }
    assert_eq!(world.members("lan"), nothing());
}

#[test]
fn who_is_replaced_by_an_import_leaves_on_the_server() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    let mode = crate::core::ImportMode::Replace;
    world.by(ROOT, Command::Import { parties: vec![], mode });
    assert_eq!(world.members("lan"), nothing());
    assert_eq!(asks(&world.hear(&party, Occasion::News)), ["leave lan a"]);
    assert_eq!(world.members("lan"), nothing());
    world.hear_nothing("lan", Occasion::Return);
    assert_eq!(pending(&world), nothing());
}

#[test]
fn what_was_done_since_is_asked_for_once_what_was_asked_is_refused() {
    let (mut world, party) = World::with_copy(&["a"], &["host", "a"]);
    world.offline("k", join("lan", "b"));
    let back = world.hear(&party, Occasion::Return);
    world.offline("l", leave("lan", "b"));
    let refused = world.refuse(&back, ErrorCode::PartyFull);
    assert_eq!((asks(&refused), told(&refused)), (vec!["leave lan b".to_owned()], vec![]));
    let refused = world.refuse(&refused, ErrorCode::NotAMember);
    assert_eq!((asks(&refused), pending(&world)), (vec![], vec![]));
}
