//! Revocation of tokens, and release of a peer id.

use super::*;
use crate::core::{Ended, Revoked};

fn revoke(keep: Option<u64>) -> Command {
    Command::Revoke { peer_id: "x".parse().unwrap(), keep: keep.map(token) }
}

fn ended(applied: &Applied) -> Vec<u64> {
    applied.ended.iter().filter_map(Ended::connection).map(|ConnectionId(id)| id).collect()
}

#[test]
fn a_revocation_ends_connections_by_the_token_that_they_use() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(stranger(2), claim_with("x", Some(1), Some(2), true));
    world.by(stranger(3), claim_with("x", Some(1), None, true));
    world.by(stranger(4), claim_with("y", None, Some(9), true));
    world.by(peers(["x"], 1), register("lan", "x"));
    let revoked = world.by(peers(["x"], 0), revoke(Some(1)));
    assert_eq!((ended(&revoked), is_good(&mut world, 2)), (vec![2], false));
    assert!(is_good(&mut world, 1) && is_good(&mut world, 9));
    // A request that was in flight during the revocation is refused.
    let refusal = world.refused(peers(["x"], 2), leave("lan", "x"));
    assert_eq!(refusal, Refusal::PeerNotYours("x".parse().unwrap()));
    world.by(peers(["x"], 3), join("lan", "x"));
    // With a valid token it may act for the peer again.
    world.by(stranger(2), claim_with("x", Some(1), None, true));
    world.by(peers(["x"], 2), join("lan", "x"));
    assert_eq!(ended(&world.by(peers(["x"], 0), revoke(None))), [1, 2, 3]);
    assert!(!is_good(&mut world, 1) && is_good(&mut world, 9));
    world.by(stranger(2), Command::Disconnect);
    assert!(world.registry.identities.released.iter().all(|(id, _)| id.0 != 2));
}

#[test]
fn revocation_is_reverted_with_its_commit() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(stranger(2), claim_with("x", Some(1), Some(2), true));
    let before = world.registry.clone();
    let revoked = world.by(peers(["x"], 0), revoke(None));
    world.registry.revert(revoked.effect.expect("an effect"));
    world.registry.undo(revoked.changes.into_iter());
    assert_eq!(world.registry, before);
}

#[test]
fn release_needs_an_administrator_and_ends_all_ownership() {
    let mut world = World::new();
    let release = || Command::Release { peer_id: "x".parse().unwrap() };
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    world.by(stranger(2), claim("a"));
    world.by(peers(["x"], 1), register("own", "x"));
    world.by(peers(["a"], 2), register("lan", "a"));
    world.by(peers(["x"], 1), join("lan", "x"));
    world.by(peers(["x"], 1), relay("r", 1));
    for caller in [ANN, peers(["x"], 1), stranger(3)] {
        let refusal = world.refused(caller, release());
        assert_eq!(refusal, Refusal::PeerNotYours("x".parse().unwrap()));
    }
    let released = world.by(ROOT, release());
    let counts = Revoked { tokens: 1, parties: 2, connections: 1 };
    assert_eq!((&released.outcome, ended(&released)), (&Outcome::Revoked(counts), vec![1]));
    assert_eq!(world.members("lan"), ["a"]);
    world.by(stranger(4), claim_with("x", None, Some(2), false));
}
