//! Permissions by principal, which are checked before anything else.

use lanrage_ipc::lanrage::ImportedParty;
use lanrage_ipc::model::UtcOffset;

use super::*;
use crate::core::ImportMode;

/// Returns a registry with `x` in `lan`, the party of `host`.
fn world() -> World {
    let mut world = World::new();
    world.by(peers(["host"], 1), register("lan", "host"));
    world.by(peers(["x"], 2), join("lan", "x"));
    world
}

/// Returns every command for `x`, in its party and elsewhere.
fn acts_for_x() -> Vec<Command> {
    let in_party = |party| {
        [
            join(party, "x"),
            update(party, moved("x")),
            heartbeat(party, "x"),
            send(party, "x", "host", "1"),
            poll(party, "x"),
            leave(party, "x"),
        ]
    };
    let mut commands = vec![register("new", "x"), register("lan", "x"), reattach("x")];
    commands.extend(in_party("lan"));
    commands.extend(in_party("nowhere"));
    commands
}

/// Returns the commands that act for no peer.
fn acts_for_nobody() -> Vec<Command> {
    vec![
        relay("r", 1),
        claim("new"),
        release_member("lan", "x"),
        Command::Import { parties: vec![], mode: ImportMode::Merge },
        Command::Disconnect,
        Command::Expire,
    ]
}

fn relay_key() -> Caller {
    Caller { principal: Principal::RelayKey, connection: ConnectionId(9), address: None }
}

#[test]
fn caller_may_act_only_for_its_own_peers() {
    let callers = [
        ("nothing shown", peers([], 5), false),
        ("another peer", peers(["host"], 1), false),
        ("the peer", peers(["x"], 2), true),
        ("the peer, elsewhere", peers(["x"], 6), true),
        ("it and others", peers(["a", "x"], 6), true),
        ("a user", ANN, false),
        ("an admin", ROOT, true),
        ("the relay key", relay_key(), false),
    ];
    for (who, caller, may) in callers {
        for command in acts_for_x() {
            let is_sign = matches!(command, Command::Heartbeat { .. } | Command::Reattach { .. });
            if who == "nothing shown" && is_sign {
                continue;
            }
            let result = world().apply(caller.clone(), command.clone());
            let refused = matches!(&result, Err(Refusal::PeerNotYours(id)) if id.as_str() == "x");
            assert_eq!(refused, !may, "{who}: {command:?}: {result:?}");
            // The same under an idempotency key.
            let once = world().request(caller.clone(), Some("k"), command.clone());
            assert_eq!(once.err(), result.err(), "{who}: {command:?}");
        }
    }
}

#[test]
fn commands_without_a_peer_need_no_proof_of_one() {
    for caller in [peers(["a"], 5), peers(["x"], 2), ANN, ROOT, relay_key()] {
        for command in acts_for_nobody() {
            world().by(caller.clone(), command);
        }
    }
}

#[test]
fn a_free_id_needs_to_be_claimed_first() {
    let mut world = World::new();
    for caller in [peers([], 5), peers(["a"], 5), relay_key()] {
        let refusal = world.refused(caller, register("lan", "x"));
        assert_eq!(refusal, Refusal::PeerNotYours("x".parse().unwrap()));
    }
    // A user of this machine takes the id by registering it.
    world.ann(register("lan", "x"));
}

#[test]
fn import_takes_only_the_callers_own_peers() {
    let at = timestamp("2025-01-01T00:00:00Z");
    let party = |id: &str, host: &str, guest: &str| ImportedParty {
        party_id: id.parse().unwrap(),
        name: id.parse().unwrap(),
        host_id: host.parse().unwrap(),
        created_at: at,
        peers: vec![(peer(host), at), (peer(guest), at)],
    };
    let mut world = world();
    let parties = vec![party("one", "x", "host"), party("two", "host", "x")];
    let applied = world.by(peers(["x"], 2), Command::Import { parties, mode: ImportMode::Merge });
    let Outcome::Imported(counts) = applied.outcome else { panic!("{applied:?}") };
    assert_eq!((counts.parties, counts.peers, counts.rejected.len()), (1, 1, 2));
    assert_eq!(world.members("one"), ["x"]);
    world.by(peers(["x"], 2), leave("one", "x"));
}

#[test]
fn relay_may_be_changed_only_by_its_owner() {
    let owners = [
        ("peer", peers(["x"], 1)),
        ("other peer", peers(["y"], 2)),
        ("user", ANN),
        ("other user", BEN),
        ("relay key", relay_key()),
    ];
    for (whose, owner) in &owners {
        for (who, caller) in &owners {
            let mut world = World::new();
            world.by(owner.clone(), relay("r", 1));
            for port in [1, 2] {
                match world.apply(caller.clone(), relay("r", port)) {
                    Ok(_) => assert_eq!(who, whose, "port {port}"),
                    Err(refusal) => {
                        assert_ne!(who, whose, "port {port}");
                        assert_eq!(refusal, Refusal::RelayNotYours("r".parse().unwrap()));
                    }
                }
            }
            world.by(ROOT, relay("r", 3));
            world.by(owner.clone(), relay("r", 4));
        }
    }
}

#[test]
fn relay_belongs_to_the_first_proven_peer() {
    let mut world = World::new();
    let nobody = world.refused(peers([], 1), relay("r", 1));
    assert_eq!(nobody, Refusal::RelayNotYours("r".parse().unwrap()));
    world.by(peers(["x", "y"], 1), relay("r", 1));
    world.refused(peers(["y"], 1), relay("r", 2));
    world.by(peers(["z", "x"], 2), relay("r", 2));
}

fn at_offset(command: Command, minutes: i16) -> Command {
    let offset = UtcOffset::from_minutes(minutes);
    assert!(offset.is_some());
    match command {
        Command::Register { party_id, name, host, keepalive, .. } => {
            Command::Register { party_id, name, host, keepalive, utc_offset: offset }
        }
        Command::Join { party_id, peer, keepalive, .. } => {
            Command::Join { party_id, peer, keepalive, utc_offset: offset }
        }
        Command::Update { party_id, peer, .. } => {
            Command::Update { party_id, peer, utc_offset: offset }
        }
        other => panic!("{other:?} says no offset"),
    }
}

/// Returns the known wall clock offset of `x`, in minutes.
fn offset_of_x(world: &mut World) -> Option<i16> {
    let claimed = world.by(peers(["x"], 2), claim_with("x", Some(1), None, false));
    let Outcome::Claimed(Claimed { identity, .. }) = claimed.outcome else { panic!("{claimed:?}") };
    let shown = world.registry.authenticate_claim(&token(1), world.now).unwrap();
    assert_eq!(shown, identity);
    let offset = world.registry.utc_offset_of(&identity.peer_id, world.now);
    assert_eq!(offset, identity.utc_offset);
    identity.utc_offset.map(UtcOffset::minutes)
}

#[test]
fn wall_clock_offset_of_a_peer_is_kept_until_it_changes() {
    let mut world = World::new();
    let x = || peers(["x"], 2);
    world.by(x(), claim_with("x", None, Some(1), false));
    world.by(x(), register("b", "x"));
    assert_eq!(offset_of_x(&mut world), None);
    let said = world.by(x(), at_offset(join("b", "x"), 330));
    assert_eq!((told(&said), said.changes.len()), (vec![], 1), "stored without an event");
    assert_eq!(offset_of_x(&mut world), Some(330));
    for silent in [join("b", "x"), join("b", "x"), update("b", moved("x")), heartbeat("b", "x")] {
        world.by(x(), silent);
        assert_eq!(offset_of_x(&mut world), Some(330));
    }
    world.by(x(), at_offset(update("b", moved("x")), -720));
    assert_eq!(offset_of_x(&mut world), Some(-720));
    // The offset is found through any party in which it was stated.
    world.by(x(), register("a", "x"));
    assert_eq!(offset_of_x(&mut world), Some(-720));
    world.by(x(), leave("b", "x"));
    assert_eq!(offset_of_x(&mut world), None);
    world.by(x(), at_offset(register("c", "x"), 60));
    assert_eq!(offset_of_x(&mut world), Some(60));
}
