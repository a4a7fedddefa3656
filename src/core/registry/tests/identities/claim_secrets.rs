//! Repeated claims, identified by their secret.

use jiff::SignedDuration;

use super::*;

#[test]
fn repeated_claim_displaces_its_oldest_token_on_any_wall_clock() {
    let mut world = World::new();
    for n in 1..=9 {
        world.now.wall -= SignedDuration::try_from(HOUR).unwrap();
        world.now.elapsed += SECOND;
        world.by(stranger(1), secretly(claim_with("x", None, Some(n), false), 7));
    }
    assert!(!is_good(&mut world, 1) && is_good(&mut world, 2) && is_good(&mut world, 9));
}

#[test]
fn claim_with_an_expired_token_is_repeatable_by_its_secret() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.pass(TTL - SECOND);
    assert!(is_good(&mut world, 1));
    world.pass(SECOND);
    world.by(stranger(2), secretly(claim_with("x", Some(1), Some(2), false), 7));
    world.by(stranger(3), secretly(claim_with("x", None, Some(3), false), 7));
    taken(&mut world, 4, secretly(claim_with("x", None, Some(4), false), 8));
}

#[test]
fn claim_secret_is_valid_after_a_wall_clock_step() {
    for step in [-500, -3_600_000, 3_600_000] {
        let mut world = World::new();
        world.by(stranger(1), secretly(claim_with("x", None, Some(1), false), 7));
        world.now.wall += SignedDuration::from_millis(step);
        world.by(stranger(2), secretly(claim_with("x", None, Some(2), false), 7));
    }
}

#[test]
fn claim_secret_is_proof_while_its_token_is_live() {
    let mut world = World::new();
    let claim = |id, secret, issue| secretly(claim_with(id, None, Some(issue), true), secret);
    world.by(stranger(1), claim("x", 7, 1));
    world.by(stranger(1), Command::Disconnect);
    taken(&mut world, 2, claim("x", 8, 2));
    world.by(stranger(2), claim("x", 7, 3));
    assert!(is_good(&mut world, 1) && is_good(&mut world, 3));
    world.by(stranger(2), Command::Disconnect);
    // The secret is good for its peer alone.
    world.by(stranger(5), claim("y", 9, 6));
    world.by(stranger(5), Command::Disconnect);
    let refusal = world.refused(stranger(5), claim("y", 7, 7));
    assert_eq!(refusal, Refusal::PeerTaken("y".parse().unwrap()));
    world.pass(TTL);
    // It is not kept with the tokens of the next owner.
    world.by(stranger(3), claim("x", 10, 4));
    world.by(stranger(3), Command::Disconnect);
    taken(&mut world, 4, claim("x", 7, 5));
}

#[test]
fn claim_secret_survives_a_restart_with_its_token() {
    let mut world = World::new();
    let claimed = world.by(stranger(1), secretly(claim_with("x", None, Some(1), false), 7));
    let rows: Vec<_> = claimed.changes.iter().map(|change| change.write().clone()).collect();
    let mut restarted = World::new();
    restarted.registry.restore(rows, restarted.now);
    taken(&mut restarted, 2, secretly(claim_with("x", None, Some(2), false), 8));
    restarted.by(stranger(2), secretly(claim_with("x", None, Some(2), false), 7));
}
