//! Whose a peer id is: tokens and claims.

use jiff::SignedDuration;
use lanrage_ipc::model::Keepalive;

use super::*;
use crate::core::{ClaimHash, Identity, Revoked, Write};

const TTL: Duration = Duration::from_secs(24 * 3600);

/// A connection whose caller has shown nothing yet.
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

/// Whether a token proves something.
fn is_good(world: &mut World, n: u64) -> bool {
    match world.registry.authenticate(&token(n), world.now) {
        Ok(_) => true,
        Err(Refusal::BadToken) => false,
        Err(other) => panic!("{other:?}"),
    }
}

fn by_connection(party: &str, id: &str) -> Command {
    join_as(party, peer(id), Keepalive::Connection)
}

#[test]
fn an_id_that_is_nobodys_is_anyones() {
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
        assert_eq!(world.registry.authenticate(&token(1), now), Ok(expected));
    }
}

#[test]
fn a_claim_that_gives_nothing_out_writes_nothing() {
    let mut world = World::new();
    let claimed = world.by(stranger(1), claim("x"));
    assert_eq!((claimed.changes.len(), identity(&claimed).expires_at), (0, None));
    // Nor does one that does not even hold take the id.
    world.by(stranger(2), claim_with("y", None, None, false));
    world.by(stranger(3), claim("y"));
}

#[test]
fn who_has_a_live_token_has_the_id() {
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
fn a_token_proves_its_own_peer_alone() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(stranger(2), claim_with("y", None, Some(2), false));
    taken(&mut world, 2, claim_with("x", Some(2), None, true));
    // It is no hindrance either, and not what the answer is about.
    let free = world.by(stranger(2), claim_with("z", Some(2), None, true));
    assert_eq!(identity(&free).expires_at, None);
}

#[test]
fn a_token_expires_at_the_very_instant() {
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
fn an_expired_token_leaves_its_party_to_nobody_else() {
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
fn who_has_a_relay_keeps_the_id() {
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
fn a_token_may_be_valid_for_as_long_as_can_be() {
    let mut world = World::with(|rules| rules.token_ttl = Duration::MAX);
    let claimed = world.by(stranger(1), claim_with("x", None, Some(1), false));
    assert_eq!(identity(&claimed).expires_at, Some(Timestamp::MAX));
    world.pass(1000 * YEAR);
    world.by(ROOT, Command::Expire);
    assert!(is_good(&mut world, 1));
}

#[test]
fn who_holds_an_id_has_it_until_the_connection_closes() {
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
fn an_id_that_two_hold_is_held_until_both_have_closed() {
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
fn one_of_two_connections_gets_an_id() {
    for (hold, issue) in [(true, [None, None]), (false, [Some(1), Some(2)])] {
        let mut world = World::new();
        world.by(stranger(1), claim_with("x", None, issue[0], hold));
        taken(&mut world, 2, claim_with("x", None, issue[1], hold));
    }
}

#[test]
fn who_is_in_a_party_is_nobody_elses_until_it_has_left() {
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
fn who_is_evicted_is_free() {
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
fn a_peer_that_a_user_registered_is_that_users() {
    let mut world = World::new();
    world.ann(register("lan", "x"));
    taken(&mut world, 2, claim("x"));
    world.by(stranger(2), claim_with("y", None, Some(1), true));
    world.refused(ANN, join("lan", "y"));
    // Who acts for it may be the admin: it stays its own.
    world.by(ROOT, join("lan", "y"));
    world.refused(ANN, leave("lan", "y"));
    world.by(peers(["y"], 2), leave("lan", "y"));
    world.ann(leave("lan", "x"));
    world.by(stranger(2), claim("x"));
    world.refused(ANN, register("lan", "x"));
}

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
        assert!((1..=8).all(|n| is_good(&mut world, n)), "a token was pushed out");
    }
    assert!(is_good(&mut world, 100), "another's");
    assert_eq!(world.registry.token_count(), 9);
    // The others end when they would have ended.
    world.pass(TTL - HOUR);
    world.by(ROOT, Command::Expire);
    let good: Vec<_> = (1..=8).filter(|n| is_good(&mut world, *n)).collect();
    assert_eq!(good, [4]);
    world.by(stranger(1), claim_with("x", Some(4), Some(20), false));
    assert!(is_good(&mut world, 20), "there is room again");
}

/// A thief has the owner's token, and shows what it likes.
#[test]
fn no_renewal_of_a_thief_pushes_out_the_owners_token() {
    type Renewal = fn(&mut World, u64);
    let renewals: [Renewal; 4] = [
        // The latest that it got.
        |world, n| {
            let latest = (1..n).rev().find(|n| is_good(world, *n)).unwrap();
            world.by(stranger(0), claim_with("x", Some(latest), Some(n), false));
        },
        // Always the same.
        |world, n| {
            world.by(stranger(0), claim_with("x", Some(1), Some(n), false));
        },
        // With a claim of its own, which it repeats.
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
            // The owner gets rid of the thief.
            let shown = Some(token(1));
            let revoke = Command::Revoke { peer_id: "x".parse().unwrap(), keep: shown };
            world.by(peers(["x"], 0), revoke);
            assert_eq!(world.registry.token_count(), 1);
            assert!(is_good(&mut world, 1));
        }
    }
}

#[test]
fn there_are_so_many_tokens_at_most() {
    let mut world = World::with(|rules| rules.tokens = 2);
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.by(stranger(1), claim_with("y", None, Some(2), false));
    assert!(is_good(&mut world, 1) && is_good(&mut world, 2));
    let full = Refusal::RegistryFull { what: "tokens", limit: 2 };
    assert_eq!(world.refused(stranger(1), claim_with("z", None, Some(3), true)), full);
    taken(&mut world, 1, claim_with("x", None, Some(3), true));
    // What gives none out goes on.
    world.by(stranger(1), claim("z"));
    world.by(stranger(1), claim_with("x", Some(1), None, true));
    world.pass(TTL);
    assert_eq!(world.refused(stranger(1), claim_with("z", None, Some(3), true)), full);
    world.pass(PEER_TIMEOUT);
    world.by(ROOT, Command::Expire);
    world.by(stranger(1), claim_with("z", None, Some(3), true));
}

#[test]
fn a_step_of_the_clock_ends_no_token_and_prolongs_none() {
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
fn the_oldest_answer_of_a_repeated_claim_goes_whatever_the_clock_said() {
    let mut world = World::new();
    for n in 1..=9 {
        world.now.wall -= SignedDuration::try_from(HOUR).unwrap();
        world.now.elapsed += SECOND;
        world.by(stranger(1), secretly(claim_with("x", None, Some(n), false), 7));
    }
    assert!(!is_good(&mut world, 1) && is_good(&mut world, 2) && is_good(&mut world, 9));
}

#[test]
fn a_token_that_was_shown_just_before_its_end_is_good_for_one_claim() {
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
    assert!(!is_good(&mut world, 1), "for nothing else");
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
fn a_token_that_was_not_shown_of_late_is_good_for_nothing_after_its_end() {
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
fn who_takes_a_free_id_shares_it_with_no_owner_before() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), false));
    world.pass(TTL - SECOND);
    assert!(is_good(&mut world, 1));
    world.pass(SECOND);
    world.by(stranger(2), claim_with("x", None, Some(2), false));
    taken(&mut world, 1, claim_with("x", Some(1), Some(3), false));
}

#[test]
fn a_claim_with_an_ended_token_can_be_repeated_by_its_secret() {
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
fn a_claim_is_known_again_after_a_step_of_the_clock() {
    for step in [-500, -3_600_000, 3_600_000] {
        let mut world = World::new();
        world.by(stranger(1), secretly(claim_with("x", None, Some(1), false), 7));
        world.now.wall += SignedDuration::from_millis(step);
        world.by(stranger(2), secretly(claim_with("x", None, Some(2), false), 7));
    }
}

#[test]
fn a_restart_leaves_a_token_what_the_clock_says_and_no_more_than_a_life() {
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
        // What it was worth before the restart is not known: it counts as shown then.
        let now = restarted.now;
        assert!(restarted.registry.authenticate_claim(&token(1), now).is_ok());
        restarted.now.elapsed += left.max(PEER_TIMEOUT);
        assert!(!is_good(&mut restarted, 1));
        restarted.now.elapsed += PEER_TIMEOUT;
        restarted.by(ROOT, Command::Expire);
        assert_eq!(restarted.registry.token_count(), 0);
    }
}

/// A claim that shows a secret.
fn secretly(claim: Command, secret: u8) -> Command {
    match claim {
        Command::Claim { peer_id, proof, issue, hold, .. } => {
            let claim = Some(ClaimHash([secret; 32]));
            Command::Claim { peer_id, proof, issue, hold, claim }
        }
        other => other,
    }
}

/// A party of `x`, and of `a` who is kept alive otherwise; `x` is in another one too.
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
fn another_connection_with_the_token_keeps_alive_what_the_first_did() {
    let mut world = taken_over();
    let claimed = world.by(stranger(3), claim_with("x", Some(1), None, true));
    assert_eq!(told(&claimed), [""; 0], "it was connected all the time");
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
fn a_connection_that_comes_back_connects_each_membership_once() {
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
                assert_eq!(record.last_seen, world.now.wall, "it gave a sign of life");
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
fn a_claim_leaves_what_no_connection_was_to_keep_alive() {
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
    assert_eq!(world.members("daemon"), [""; 0], "its host was to be heard of");
}

#[test]
fn a_token_goes_and_lasts_with_its_commit() {
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

#[test]
fn what_no_token_is_of_proves_nobody() {
    let mut world = World::new();
    world.by(stranger(1), claim_with("x", None, Some(1), true));
    assert_eq!(world.registry.authenticate(&token(2), world.now), Err(Refusal::BadToken));
}

#[test]
fn a_claim_is_proof_of_itself_while_its_token_lives() {
    let mut world = World::new();
    let claim = |id, secret, issue| secretly(claim_with(id, None, Some(issue), true), secret);
    world.by(stranger(1), claim("x", 7, 1));
    world.by(stranger(1), Command::Disconnect);
    taken(&mut world, 2, claim("x", 8, 2));
    world.by(stranger(2), claim("x", 7, 3));
    assert!(is_good(&mut world, 1) && is_good(&mut world, 3));
    world.by(stranger(2), Command::Disconnect);
    // It is good for its peer alone.
    world.by(stranger(5), claim("y", 9, 6));
    world.by(stranger(5), Command::Disconnect);
    let refusal = world.refused(stranger(5), claim("y", 7, 7));
    assert_eq!(refusal, Refusal::PeerTaken("y".parse().unwrap()));
    world.pass(TTL);
    // The next owner's tokens know nothing of it.
    world.by(stranger(3), claim("x", 10, 4));
    world.by(stranger(3), Command::Disconnect);
    taken(&mut world, 4, claim("x", 7, 5));
}

#[test]
fn a_claim_is_remembered_with_its_token_over_a_restart() {
    let mut world = World::new();
    let claimed = world.by(stranger(1), secretly(claim_with("x", None, Some(1), false), 7));
    let rows: Vec<_> = claimed.changes.iter().map(|change| change.write().clone()).collect();
    let mut restarted = World::new();
    restarted.registry.restore(rows, restarted.now);
    taken(&mut restarted, 2, secretly(claim_with("x", None, Some(2), false), 8));
    restarted.by(stranger(2), secretly(claim_with("x", None, Some(2), false), 7));
}

fn revoke(keep: Option<u64>) -> Command {
    Command::Revoke { peer_id: "x".parse().unwrap(), keep: keep.map(token) }
}

fn ended(applied: &Applied) -> Vec<u64> {
    applied.ended.iter().map(|ended| ended.connection.0).collect()
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
    // What it asked before it heard of that comes late.
    let refusal = world.refused(peers(["x"], 2), leave("lan", "x"));
    assert_eq!(refusal, Refusal::PeerNotYours("x".parse().unwrap()));
    world.by(peers(["x"], 3), join("lan", "x"));
    // With a good token it is the peer's again.
    world.by(stranger(2), claim_with("x", Some(1), None, true));
    world.by(peers(["x"], 2), join("lan", "x"));
    assert_eq!(ended(&world.by(peers(["x"], 0), revoke(None))), [1, 2, 3]);
    assert!(!is_good(&mut world, 1) && is_good(&mut world, 9));
    world.by(stranger(2), Command::Disconnect);
    assert!(world.registry.identities.released.iter().all(|(id, _)| id.0 != 2));
}

#[test]
fn a_revocation_goes_with_its_commit() {
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
fn a_release_ends_all_that_is_a_peer_s_and_is_for_an_admin() {
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
