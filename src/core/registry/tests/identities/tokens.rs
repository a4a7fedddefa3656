//! Bounds on tokens, of a peer and in all.

use super::*;

#[test]
fn a_peer_with_eight_tokens_renews_the_one_that_it_shows() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("y", None, Some(100), false));
    for n in 1..=8 {
        world.pass(SECOND);
        world.by(stranger(1), claim_with("x", (n > 1).then_some(n - 1), Some(n), false));
    }
    for n in 9..20 {
        world.pass(HOUR);
        let renewed = world.by(stranger(1), claim_with("x", Some(4), Some(n), n % 2 == 0));
        assert_eq!(identity(&renewed).expires_at, Some(world.now.wall + TTL));
        let Outcome::Claimed(Claimed { is_issued, .. }) = renewed.outcome else { panic!() };
        assert!(!is_issued && !is_good(&mut world, n));
        assert!((1..=8).all(|n| is_good(&mut world, n)), "a token was displaced");
    }
    assert!(is_good(&mut world, 100), "a token of another peer");
    assert_eq!(world.registry.token_count(), 9);
    // The other tokens expire at their time.
    world.pass(TTL - HOUR);
    world.by(ROOT, Command::Expire);
    let good: Vec<_> = (1..=8).filter(|n| is_good(&mut world, *n)).collect();
    assert_eq!(good, [4]);
    world.by(stranger(1), claim_with("x", Some(4), Some(20), false));
    assert!(is_good(&mut world, 20), "there is room again");
}

/// A thief has the owner's token, and repeats claims in every way.
#[test]
fn renewals_by_a_thief_do_not_displace_the_owners_token() {
    type Renewal = fn(&mut World, u64);
    let renewals: [Renewal; 4] = [
        // With the latest token that it got.
        |world, n| {
            let latest = (1..n).rev().find(|n| is_good(world, *n)).unwrap();
            world.by(stranger(0), claim_with("x", Some(latest), Some(n), false));
        },
        // With the same token each time.
        |world, n| {
            world.by(stranger(0), claim_with("x", Some(1), Some(n), false));
        },
        // With a claim secret of its own, which it repeats.
        |world, n| {
            let proof = (n == 2).then_some(1);
            world.by(stranger(0), secretly(claim_with("x", proof, Some(n), false), 9));
        },
        // On a connection that it opened with the token.
        |world, n| {
            let proof = (n == 2).then_some(1);
            world.by(stranger(5), claim_with("x", proof, Some(n), true));
        },
    ];
    for (kind, renew) in renewals.into_iter().enumerate() {
        for limit in [100, 1] {
            let mut world = World::with(|rules| rules.tokens = limit);
            world.by(stranger(1), claim_with("x", None, Some(1), false));
            for n in 2..40 {
                world.pass(SECOND);
                if limit == 1 && n > 2 && kind == 2 {
                    break;
                }
                renew(&mut world, n);
                assert!(is_good(&mut world, 1), "{kind}, {n}, {limit}");
                assert!(world.registry.token_count() <= 8, "{kind}, {n}");
            }
            // The owner revokes the thief's tokens.
            let shown = Some(token(1));
            let revoke = Command::Revoke { peer_id: "x".parse().unwrap(), keep: shown };
            world.by(peers(["x"], 0), revoke);
            assert_eq!(world.registry.token_count(), 1);
            assert!(is_good(&mut world, 1));
        }
    }
}

#[test]
fn tokens_are_bounded() {
    let mut world = World::with(|rules| rules.tokens = 2);
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(stranger(1), claim_with("y", None, Some(2), false));
    assert!(is_good(&mut world, 1) && is_good(&mut world, 2));
    let full = Refusal::RegistryFull { what: "tokens", limit: 2 };
    assert_eq!(world.refused(stranger(1), claim_with("z", None, Some(3), true)), full);
    taken(&mut world, 1, claim_with("x", None, Some(3), true));
    // A claim without a token to issue still succeeds.
    world.by(stranger(1), claim("z"));
    world.by(stranger(1), claim_with("x", Some(1), None, true));
    world.pass(TTL);
    assert_eq!(world.refused(stranger(1), claim_with("z", None, Some(3), true)), full);
    world.pass(PEER_TIMEOUT);
    world.by(ROOT, Command::Expire);
    world.by(stranger(1), claim_with("z", None, Some(3), true));
}

#[test]
fn token_is_reverted_with_its_commit() {
    let mut world = World::new();
    for n in 1..=8 {
        world.pass(SECOND);
        world.by(peers([], 1), secretly(claim_with("x", None, Some(n), false), 7));
    }
    let before = state::durable(&world.registry);
    let claimed = world.by(stranger(1), secretly(claim_with("x", None, Some(9), false), 7));
    assert!(is_good(&mut world, 9) && is_good(&mut world, 2) && !is_good(&mut world, 1));
    world.registry.undo(claimed.changes.into_iter());
    state::check_indexes(&world.registry);
    assert_eq!(state::durable(&world.registry), before);
    assert!(!is_good(&mut world, 9) && is_good(&mut world, 1));
    let renewed = world.by(stranger(1), claim_with("x", Some(1), Some(9), false));
    assert_ne!(state::durable(&world.registry), before);
    world.registry.undo(renewed.changes.into_iter());
    state::check_indexes(&world.registry);
    assert_eq!(state::durable(&world.registry), before);
}
