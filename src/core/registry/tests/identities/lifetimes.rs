//! Expiry of tokens, by both clocks and over a restart.

use jiff::SignedDuration;

use super::*;

#[test]
fn token_expires_at_its_exact_instant() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.pass(TTL - Duration::from_millis(1));
    assert!(is_good(&mut world, 1));
    taken(&mut world, 2, claim("x"));
    assert_eq!(world.by(ROOT, Command::Expire).changes.len(), 0);
    world.pass(Duration::from_millis(1));
    assert!(!is_good(&mut world, 1));
    let free = world.by(stranger(2), claim("x"));
    assert_eq!(identity(&free).expires_at, None);
    assert_eq!(world.registry.token_count(), 0, "the id has another owner");
}

#[test]
fn expired_token_keeps_a_members_id_owned() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(peers(["x"], 1), register("lan", "x"));
    for _ in 0..500 {
        world.pass(PEER_TIMEOUT - SECOND);
        world.by(peers(["x"], 1), heartbeat("lan", "x"));
    }
    world.by(ROOT, Command::Expire);
    assert!(!is_good(&mut world, 1));
    assert_eq!(world.registry.token_count(), 0);
    taken(&mut world, 2, claim_with("x", Some(1), Some(2), true));
    world.pass(PEER_TIMEOUT);
    world.by(ROOT, Command::Expire);
    world.by(stranger(2), claim_with("x", Some(1), Some(2), true));
}

#[test]
fn longest_token_ttl_is_valid() {
    let mut world = World::with(|rules| rules.token_ttl = Duration::MAX);
    let claimed = world.by(stranger(1), claim_with("x", None, Some(1), false));
    assert_eq!(identity(&claimed).expires_at, Some(Timestamp::MAX));
    world.pass(1000 * YEAR);
    world.by(ROOT, Command::Expire);
    assert!(is_good(&mut world, 1));
}

#[test]
fn wall_clock_step_changes_no_token_life() {
    let year = SignedDuration::try_from(YEAR).unwrap();
    for step in [year, -year] {
        let mut world = World::new();
        world.by(stranger(1), claim_with("x", None, Some(1), false));
        world.now.wall += step;
        world.by(ROOT, Command::Expire);
        assert!(is_good(&mut world, 1));
        let shown = world.by(stranger(2), claim_with("x", Some(1), None, false));
        assert_eq!(identity(&shown).expires_at, Some(world.now.wall + TTL), "by the clock of now");
        world.now.elapsed += TTL;
        assert!(!is_good(&mut world, 1));
    }
}

#[test]
fn token_shown_just_before_expiry_is_good_for_one_claim() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(peers(["x"], 1), register("lan", "x"));
    for _ in 0..(TTL.as_secs() / PEER_TIMEOUT.as_secs()) {
        world.pass(PEER_TIMEOUT - SECOND);
        world.by(peers(["x"], 1), heartbeat("lan", "x"));
    }
    assert!(is_good(&mut world, 1));
    world.pass(PEER_TIMEOUT - SECOND);
    world.by(ROOT, Command::Expire);
    assert!(!is_good(&mut world, 1), "valid for nothing else");
    let now = world.now;
    let shown = world.registry.authenticate_claim(&token(1), now).expect("good for a claim");
    assert_eq!(shown.expires_at, Some(now.wall));
    world.by(stranger(2), claim_with("x", Some(1), Some(2), false));
    assert!(is_good(&mut world, 2));
    taken(&mut world, 3, claim_with("x", Some(1), Some(3), false));
    let again = world.registry.authenticate_claim(&token(1), now);
    assert_eq!(again, Err(Refusal::BadToken));
}

#[test]
fn token_not_shown_recently_is_useless_after_expiry() {
    let cases =
        [(PEER_TIMEOUT, true, true), (PEER_TIMEOUT + SECOND, true, false), (SECOND, false, false)];
    for (silence, shown, may) in cases {
        let mut world = World::new();
        world.by(stranger(1), claim_with("x", None, Some(1), false));
        world.pass(TTL - silence);
        assert!(!shown || is_good(&mut world, 1));
        world.by(peers(["x"], 1), register("lan", "x"));
        world.pass(silence);
        let claimed = world.apply(stranger(2), claim_with("x", Some(1), Some(2), false));
        assert_eq!(claimed.is_ok(), may, "{claimed:?}");
    }
}

#[test]
fn new_owner_of_a_free_id_ends_the_former_owners_tokens() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.pass(TTL - SECOND);
    assert!(is_good(&mut world, 1));
    world.pass(SECOND);
    world.by(stranger(2), claim_with("x", None, Some(2), false));
    taken(&mut world, 1, claim_with("x", Some(1), Some(3), false));
}

#[test]
fn restart_keeps_a_tokens_remaining_life_up_to_its_ttl() {
    let step = |time| SignedDuration::try_from(time).unwrap();
    let cases = [(step(HOUR), TTL - HOUR), (-step(YEAR), TTL), (step(YEAR), Duration::ZERO)];
    for (passed, left) in cases {
        let mut world = World::new();
        let claimed = world.by(stranger(1), claim_with("x", None, Some(1), false));
        let rows: Vec<_> = claimed.changes.iter().map(|change| change.write().clone()).collect();
        let mut restarted = World::new();
        restarted.now.wall += passed;
        restarted.registry.restore(rows, restarted.now);
        assert_eq!(is_good(&mut restarted, 1), !left.is_zero());
        // The time at which it was last shown is unknown after a restart: it counts as shown then.
        let now = restarted.now;
        assert!(restarted.registry.authenticate_claim(&token(1), now).is_ok());
        restarted.now.elapsed += left.max(PEER_TIMEOUT);
        assert!(!is_good(&mut restarted, 1));
        restarted.now.elapsed += PEER_TIMEOUT;
        restarted.by(ROOT, Command::Expire);
        assert_eq!(restarted.registry.token_count(), 0);
    }
}
