//! Ownership of peer ids: tokens and claims.

mod claim_secrets;
mod connections;
mod lifetimes;
mod revocation;
mod tokens;

use super::*;
use crate::core::{ClaimHash, Identity};

const TTL: Duration = Duration::from_secs(24 * 3600);

/// Returns a caller without proof.
fn stranger(connection: u64) -> Caller {
    peers([], connection)
}

#[track_caller]
fn taken(world: &mut World, connection: u64, command: Command) {
    let refusal = world.refused(stranger(connection), command);
    assert_eq!(refusal, Refusal::PeerTaken("x".parse().unwrap()));
}

#[track_caller]
fn identity(applied: &Applied) -> &Identity {
    let Outcome::Claimed(Claimed { identity, .. }) = &applied.outcome else {
        panic!("{applied:?}")
    };
    identity
}

/// True if a token is valid.
fn is_good(world: &mut World, n: u64) -> bool {
    match world.registry.authenticate(&token(n), world.now) {
        Ok(_) => true,
        Err(Refusal::BadToken) => false,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn free_id_can_be_claimed_by_any_caller() {
    for proof in [None, Some(404)] {
        let mut world = World::new();
        let claimed = world.by(stranger(1), claim_with("x", proof, Some(1), true));
        let expected = Identity {
            peer_id: "x".parse().unwrap(),
            expires_at: Some(world.now.wall + TTL),
            utc_offset: None,
            parties: vec![],
        };
        assert_eq!(*identity(&claimed), expected);
        assert_eq!(told(&claimed), [""; 0]);
        let now = world.now;
        let proven = world.registry.authenticate(&token(1), now);
        assert_eq!(proven.map(|proven| proven.peer_id), Ok(expected.peer_id));
    }
}

#[test]
fn claim_without_a_fresh_token_writes_nothing() {
    let mut world = World::new();
    let claimed = world.by(stranger(1), claim("x"));
    assert_eq!((claimed.changes.len(), identity(&claimed).expires_at), (0, None));
    // A claim without a hold does not take the id either.
    world.by(stranger(2), claim_with("y", None, None, false));
    world.by(stranger(3), claim("y"));
}

#[test]
fn live_token_owns_the_id() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    taken(&mut world, 1, claim("x"));
    taken(&mut world, 2, claim_with("x", None, Some(2), true));
    taken(&mut world, 2, claim_with("x", Some(404), None, true));
    let issued_until = world.now.wall + TTL;
    world.pass(HOUR);
    let shown = world.by(stranger(2), claim_with("x", Some(1), None, false));
    assert_eq!(identity(&shown).expires_at, Some(issued_until));
    let renewed = world.by(stranger(2), claim_with("x", Some(1), Some(2), false));
    assert_eq!(identity(&renewed).expires_at, Some(world.now.wall + TTL));
    assert!(is_good(&mut world, 1) && is_good(&mut world, 2), "the answer may have been lost");
}

#[test]
fn token_proves_only_its_own_peer() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(stranger(2), claim_with("y", None, Some(2), false));
    taken(&mut world, 2, claim_with("x", Some(2), None, true));
    // The token of another peer is ignored, and is not part of the answer.
    let free = world.by(stranger(2), claim_with("z", Some(2), None, true));
    assert_eq!(identity(&free).expires_at, None);
}

#[test]
fn relay_keeps_its_peers_id_owned() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(peers(["x"], 0), relay("r", 1));
    world.pass(TTL);
    world.by(peers(["x"], 0), relay("r", 1));
    world.by(ROOT, Command::Expire);
    taken(&mut world, 2, claim_with("x", None, Some(2), false));
    world.pass(RELAY_TIMEOUT);
    world.by(ROOT, Command::Expire);
    world.by(stranger(2), claim_with("x", None, Some(2), false));
}

#[test]
fn membership_keeps_the_id_owned_until_the_leave() {
    let mut world = World::new();
    world.by(stranger(1), claim("x"));
    world.by(peers(["x"], 1), register("lan", "x"));
    world.by(peers(["x"], 1), register("two", "x"));
    world.by(stranger(1), Command::Disconnect);
    taken(&mut world, 2, claim("x"));
    world.by(peers(["x"], 1), leave("lan", "x"));
    taken(&mut world, 2, claim("x"));
    world.by(peers(["x"], 1), leave("two", "x"));
    world.by(stranger(2), claim("x"));
}

#[test]
fn expired_member_frees_its_id() {
    let mut world = World::new();
    world.by(stranger(1), claim("x"));
    world.by(peers(["x"], 1), register("lan", "x"));
    world.by(stranger(1), Command::Disconnect);
    world.pass(PEER_TIMEOUT);
    taken(&mut world, 2, claim("x"));
    world.by(ROOT, Command::Expire);
    world.by(stranger(2), claim("x"));
}

#[test]
fn peer_registered_by_a_user_belongs_to_that_user() {
    let mut world = World::new();
    world.ann(register("lan", "x"));
    taken(&mut world, 2, claim("x"));
    world.by(stranger(2), claim_with("y", None, Some(1), true));
    world.refused(ANN, join("lan", "y"));
    // The peer stays its own owner even if an administrator acts for it.
    world.by(ROOT, join("lan", "y"));
    world.refused(ANN, leave("lan", "y"));
    world.by(peers(["y"], 2), leave("lan", "y"));
    world.ann(leave("lan", "x"));
    world.by(stranger(2), claim("x"));
    world.refused(ANN, register("lan", "x"));
}

/// Returns a claim with a secret.
fn secretly(claim: Command, secret: u8) -> Command {
    match claim {
        Command::Claim { peer_id, proof, issue, hold, .. } => {
            let claim = Some(ClaimHash([secret; 32]));
            Command::Claim { peer_id, proof, issue, hold, claim }
        }
        other => other,
    }
}

#[test]
fn unknown_token_proves_no_peer() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    assert_eq!(world.registry.authenticate(&token(2), world.now), Err(Refusal::BadToken));
}
