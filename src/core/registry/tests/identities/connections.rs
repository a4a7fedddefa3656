//! Connections that hold a peer id, and their keepalives.

use lanrage_ipc::model::Keepalive;

use super::*;
use crate::core::Write;

fn by_connection(party: &str, id: &str) -> Command {
    join_as(party, peer(id), Keepalive::Connection)
}

#[test]
fn hold_owns_an_id_until_the_connection_closes() {
    let mut world = World::new();
    world.by(stranger(1), claim("x"));
    world.pass(YEAR);
    world.by(ROOT, Command::Expire);
    taken(&mut world, 2, claim("x"));
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(stranger(1), Command::Disconnect);
    taken(&mut world, 2, claim("x"));
    world.pass(TTL);
    world.by(stranger(2), claim("x"));
    taken(&mut world, 1, claim("x"));
}

#[test]
fn id_with_two_holders_is_free_after_both_close() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(stranger(2), claim_with("x", Some(1), None, true));
    world.pass(TTL);
    world.by(stranger(1), Command::Disconnect);
    taken(&mut world, 3, claim("x"));
    world.by(stranger(2), Command::Disconnect);
    world.by(stranger(3), claim("x"));
}

#[test]
fn second_claim_of_an_owned_id_is_refused() {
    for (hold, issue) in [(true, [None, None]), (false, [Some(1), Some(2)])] {
        let mut world = World::new();
        world.by(stranger(1), claim_with("x", None, issue[0], hold));
        taken(&mut world, 2, claim_with("x", None, issue[1], hold));
    }
}

/// Returns a party of `x` and of `a`, which another keepalive keeps alive; `x` is in a second
/// party.
fn taken_over() -> World {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(stranger(2), claim("a"));
    world.by(peers(["x"], 1), register("lan", "x"));
    world.by(peers(["a"], 2), by_connection("lan", "a"));
    world.by(peers(["a"], 2), register("two", "a"));
    for party in ["lan", "two"] {
        world.by(peers(["x"], 1), by_connection(party, "x"));
    }
    world
}

#[test]
fn claim_by_token_takes_over_the_keepalive() {
    let mut world = taken_over();
    let claimed = world.by(stranger(3), claim_with("x", Some(1), None, true));
    assert_eq!(told(&claimed), [""; 0], "it stayed connected");
    assert_eq!(identity(&claimed).parties, ["lan".parse().unwrap(), "two".parse().unwrap()]);
    let closed = world.by(stranger(1), Command::Disconnect);
    assert_eq!((told(&closed), closed.changes.len()), (vec![], 0));
    world.pass(10 * PEER_TIMEOUT);
    world.by(peers(["a"], 2), heartbeat("two", "a"));
    assert_eq!(told(&world.by(ROOT, Command::Expire)), [""; 0]);
    assert!(world.peer("lan", "x").connected && world.peer("two", "x").connected);
    let closed = world.by(stranger(3), Command::Disconnect);
    assert_eq!(told(&closed), ["peer.updated lan x #3", "peer.updated two x #3"]);
    assert!(world.peer("lan", "a").connected);
}

#[test]
fn claim_after_a_reconnect_connects_each_membership_once() {
    let mut world = taken_over();
    world.by(stranger(1), Command::Disconnect);
    world.pass(PEER_TIMEOUT - SECOND);
    world.by(peers(["a"], 2), heartbeat("two", "a"));
    for (told_then, hold) in [(vec![], false), (vec!["lan", "two"], true), (vec![], true)] {
        let claimed = world.by(stranger(3), claim_with("x", Some(1), None, hold));
        let expected = told_then.into_iter().map(|party| format!("peer.updated {party} x #4"));
        assert_eq!(told(&claimed), expected.collect::<Vec<_>>(), "holds: {hold}");
        for change in &claimed.changes {
            if let Write::PutMember(_, record) = change.write() {
                assert_eq!(record.last_seen, world.now.wall, "the claim is a sign of life");
            }
        }
    }
    assert!(world.peer("lan", "x").connected && world.peer("two", "x").connected);
    assert_eq!(world.peer("lan", "x").last_seen, world.now.wall);
    world.pass(PEER_TIMEOUT - SECOND);
    world.by(peers(["a"], 2), heartbeat("two", "a"));
    assert_eq!(told(&world.by(ROOT, Command::Expire)), [""; 0]);
}

#[test]
fn claim_leaves_other_keepalives_unchanged() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(peers(["x"], 1), register("manual", "x"));
    world.by(ROOT, register("daemon", "y"));
    world.by(ROOT, join_as("daemon", peer("x"), Keepalive::Daemon));
    let claimed = world.by(stranger(2), claim_with("x", Some(1), None, true));
    assert_eq!((told(&claimed), claimed.changes.len()), (vec![], 0));
    world.pass(PEER_TIMEOUT);
    world.by(ROOT, Command::Expire);
    assert_eq!(world.members("manual"), [""; 0]);
    assert_eq!(world.members("daemon"), [""; 0], "its host has expired");
}
