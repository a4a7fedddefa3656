//! Reconnects of clients without proof.

use lanrage_ipc::model::Keepalive;

use super::*;
use crate::core::Ended;

/// Returns a caller at a known address that proves these peers.
fn peers<const N: usize>(ids: [&str; N], connection: u64) -> Caller {
    at_home(super::peers(ids, connection))
}

/// Returns a caller without proof.
fn stranger(connection: u64) -> Caller {
    peers([], connection)
}

fn by_connection(party: &str, id: &str) -> Command {
    join_as(party, peer(id), Keepalive::Connection)
}

#[track_caller]
fn refused(world: &mut World, caller: Caller, command: Command) {
    let refusal = world.refused(caller, command);
    assert_eq!(refusal, Refusal::PeerNotYours("x".parse().unwrap()));
}

/// Returns the parties in the answer to a reattached peer.
#[track_caller]
fn parties(applied: &Applied) -> Vec<&str> {
    let Outcome::Reattached(identity) = &applied.outcome else { panic!("{applied:?}") };
    assert_eq!((identity.peer_id.as_str(), identity.expires_at), ("x", None));
    identity.parties.iter().map(|id| id.as_str()).collect()
}

/// Returns a registry in which the closed connection 1 kept `x` alive in `lan`; `x` is in `other`
/// by heartbeats.
fn world() -> World {
    let mut world = World::new();
    world.by(ROOT, register("lan", "host"));
    world.by(stranger(1), claim("x"));
    world.by(peers(["x"], 1), by_connection("lan", "x"));
    world.by(peers(["x"], 1), register("other", "x"));
    world.by(stranger(1), Command::Disconnect);
    world
}

#[test]
fn heartbeat_without_proof_is_accepted_where_no_proof_exists() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, None, true));
    world.by(peers(["x"], 1), register("lan", "x"));
    world.by(peers(["x"], 1), by_connection("lan", "x"));
    for sign in [heartbeat("lan", "x"), reattach("x")] {
        // Refused: its connection is open.
        refused(&mut world, stranger(2), sign);
    }
    world.by(stranger(1), Command::Disconnect);
    world.by(stranger(2), heartbeat("lan", "x"));
    for command in [leave("lan", "x"), update("lan", moved("x")), poll("lan", "x")] {
        refused(&mut world, stranger(2), command);
    }
    for sign in [heartbeat("lan", "x"), reattach("x")] {
        // Refused: a caller that proves another peer must prove this one.
        refused(&mut world, peers(["y"], 3), sign);
    }
    world.by(ROOT, leave("lan", "x"));
    // Refused: the peer has a token.
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(peers(["x"], 0), register("lan", "x"));
    for sign in [heartbeat("lan", "x"), reattach("x")] {
        refused(&mut world, stranger(2), sign);
    }
}

#[test]
fn reattached_peer_is_kept_alive_by_the_connection() {
    let mut world = world();
    let back = world.by(stranger(2), reattach("x"));
    assert_eq!(parties(&back), ["lan"], "heartbeats keep it alive in the other party");
    assert_eq!(told(&back), ["peer.updated lan x #4"]);
    assert!(world.peer("lan", "x").connected);
    let again = world.by(stranger(2), reattach("x"));
    assert_eq!((parties(&again), again.changes.len()), (vec!["lan"], 0));
    world.pass(10 * PEER_TIMEOUT);
    world.by(ROOT, heartbeat("lan", "host"));
    assert_eq!(told(&world.by(stranger(2), Command::Disconnect)), ["peer.updated lan x #5"]);
    world.by(ROOT, Command::Expire);
    assert!(!world.peer("lan", "x").connected);
}

#[test]
fn reattached_caller_may_only_refresh_and_listen() {
    let mut world = world();
    world.by(stranger(2), reattach("x"));
    for command in
        [leave("lan", "x"), update("lan", moved("x")), poll("lan", "x"), join("lan", "x")]
    {
        refused(&mut world, stranger(2), command);
    }
    let refusal = world.refused(stranger(2), claim("x"));
    assert_eq!(refusal, Refusal::PeerTaken("x".parse().unwrap()));
}

#[test]
fn reattach_takes_nothing_over_from_an_open_connection() {
    let mut world = world();
    world.by(stranger(2), reattach("x"));
    let other = world.by(stranger(3), reattach("x"));
    assert_eq!((parties(&other), other.changes.len()), (vec!["lan"], 0));
    assert_eq!(told(&world.by(stranger(3), Command::Disconnect)), [""; 0]);
    assert!(world.peer("lan", "x").connected);
}

#[test]
fn let_go_ends_only_the_keepalive_of_the_callers_connection() {
    let mut world = world();
    world.by(stranger(2), reattach("x"));
    for (connection, party) in [(3, "lan"), (2, "other"), (2, "nowhere")] {
        let kept = world.by(stranger(connection), release_member(party, "x"));
        assert_eq!((told(&kept), kept.changes.len()), (vec![], 0), "{connection} {party}");
    }
    let gone = world.by(stranger(2), release_member("lan", "x"));
    assert_eq!(told(&gone), ["peer.updated lan x #5"]);
    assert!(!world.peer("lan", "x").connected);
    assert_eq!(told(&world.by(stranger(2), Command::Disconnect)), [""; 0]);
}

#[test]
fn peer_without_a_party_does_not_reattach() {
    let mut world = World::new();
    refused(&mut world, stranger(1), reattach("x"));
    world.by(stranger(1), claim("x"));
    world.by(peers(["x"], 1), relay("r", 1));
    world.by(stranger(1), Command::Disconnect);
    let back = world.by(stranger(2), reattach("x"));
    assert_eq!((parties(&back), back.changes.len()), (vec![], 0), "its id owns a relay");
}

#[test]
fn reattach_needs_the_same_known_address() {
    let signs = || [heartbeat("lan", "x"), reattach("x")];
    let elsewhere = || {
        let address = Some(IpAddr::from([192, 0, 2, 8]).into());
        Caller { address, ..stranger(2) }
    };
    for sign in signs() {
        refused(&mut world(), elsewhere(), sign.clone());
        refused(&mut world(), Caller { address: None, ..stranger(2) }, sign.clone());
        world().by(stranger(2), sign);
    }
    // A member of an older version, or an imported one.
    let mut world = World::new();
    world.by(ROOT, register("lan", "host"));
    world.by(super::peers([], 1), claim("x"));
    world.by(super::peers(["x"], 1), by_connection("lan", "x"));
    world.by(stranger(1), Command::Disconnect);
    for sign in signs() {
        refused(&mut world, stranger(2), sign.clone());
        refused(&mut world, Caller { address: None, ..stranger(2) }, sign);
    }
}

#[test]
fn owner_ends_reattached_connections_without_proof() {
    let ended = |applied: &Applied| -> Vec<u64> {
        applied.ended.iter().filter_map(Ended::connection).map(|ConnectionId(id)| id).collect()
    };
    for hold in [true, false] {
        let mut world = World::new();
        world.by(ROOT, register("lan", "host"));
        world.by(stranger(1), claim_with("x", None, Some(1), true));
        world.by(peers(["x"], 1), by_connection("lan", "x"));
        let now = world.now;
        world.registry.authenticate(&token(1), now).unwrap();
        world.by(stranger(1), Command::Disconnect);
        world.registry.set_rules(Rules { peer_timeout: YEAR, ..rules() });
        world.pass(world.registry.rules.token_ttl);
        world.by(stranger(2), reattach("x"));
        world.by(stranger(3), heartbeat("lan", "x"));
        world.by(stranger(4), reattach("x"));
        world.by(stranger(4), Command::Disconnect);
        let back = world.by(stranger(5), claim_with("x", Some(1), Some(2), hold));
        assert_eq!(ended(&back), [2, 3]);
        refused(&mut world, stranger(2), reattach("x"));
    }
}
