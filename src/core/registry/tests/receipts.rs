//! Receipts: a repeated request is done once.

use jiff::SignedDuration;

use super::*;
use crate::core::{Done, Idempotency, Receipt, ReceiptRecord, Write};

const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

fn host() -> Caller {
    peers(["host"], 1)
}

fn world() -> World {
    let mut world = World::new();
    world.by(host(), register("lan", "host"));
    world.by(peers(["a"], 2), join("lan", "a"));
    world
}

#[track_caller]
fn receipt(applied: &Applied) -> Receipt {
    let Outcome::Receipt(receipt) = &applied.outcome else { panic!("{applied:?}") };
    receipt.clone()
}

/// Applies a request that must succeed and leave a receipt.
#[track_caller]
fn first(world: &mut World, caller: Caller, key: &str, command: Command) -> Receipt {
    let applied = world.request(caller, Some(key), command).expect("refused");
    assert_eq!(receipts_in(&applied), 1, "{applied:?}");
    receipt(&applied)
}

/// Repeats a request that must not be done again.
#[track_caller]
fn again(world: &mut World, caller: Caller, key: &str, command: Command) -> Receipt {
    let before = world.registry.clone();
    let applied = world.request(caller, Some(key), command).expect("refused");
    assert_eq!((told(&applied), applied.changes.len()), (vec![], 0));
    assert_eq!(applied.seen, None);
    assert_eq!(world.registry, before);
    receipt(&applied)
}

fn receipts_in(applied: &Applied) -> usize {
    let writes = applied.changes.iter().map(|change| change.write());
    writes.filter(|write| matches!(write, Write::PutReceipt(_))).count()
}

fn entered(party: &str, address: &str) -> Done {
    Done::Entered { party_id: party.parse().unwrap(), virtual_ip: address.parse().unwrap() }
}

#[test]
fn each_kind_of_request_is_done_once_with_the_same_receipt() {
    let guest = || peers(["a"], 2);
    let host_left = Done::Left { party_deleted: true };
    let steps = [
        (host(), register("two", "host"), 1, entered("two", "10.66.0.1")),
        (guest(), join("two", "a"), 2, entered("two", "10.66.0.2")),
        (guest(), join("two", "a"), 2, entered("two", "10.66.0.2")),
        (guest(), update("two", moved("a")), 3, Done::Updated),
        (guest(), send("two", "a", "host", "1"), 3, Done::Queued),
        (guest(), leave("two", "a"), 4, Done::Left { party_deleted: false }),
        (guest(), join("lan", "a"), 2, entered("lan", "10.66.0.2")),
        (host(), leave("two", "host"), 6, host_left),
    ];
    let mut world = world();
    let epoch = world.registry.epoch().clone();
    let mut given = Vec::new();
    for (n, (caller, command, seq, done)) in steps.into_iter().enumerate() {
        let key = format!("request {n}");
        let expected = Receipt { epoch: epoch.clone(), seq, done };
        assert_eq!(first(&mut world, caller.clone(), &key, command.clone()), expected, "{n}");
        given.push((caller, key, command, expected));
        // It is remembered whatever was done after it.
        for (caller, key, command, expected) in &given {
            let told_again = again(&mut world, caller.clone(), key, command.clone());
            assert_eq!(told_again, *expected, "{key} after {n}");
        }
    }
}

#[test]
fn repeated_signal_is_queued_once() {
    let mut world = world();
    first(&mut world, host(), "k", send("lan", "host", "a", "1"));
    again(&mut world, host(), "k", send("lan", "host", "a", "1"));
    first(&mut world, host(), "l", send("lan", "host", "a", "2"));
    assert_eq!(payloads(&world.by(peers(["a"], 2), poll("lan", "a"))), ["1", "2"]);
}

#[test]
fn a_request_of_another_kind_is_another_request() {
    let mut world = world();
    let updated = first(&mut world, host(), "k", update("lan", moved("host")));
    assert_eq!(again(&mut world, host(), "k", update("lan", moved("host"))), updated);
    // A client whose keys restart on each connection causes this.
    let left = first(&mut world, host(), "k", leave("lan", "host"));
    assert_eq!(again(&mut world, host(), "k", leave("lan", "host")), left);
}

#[test]
fn a_request_with_another_body_is_another_request() {
    let mut world = world();
    first(&mut world, host(), "k", update("lan", moved("host")));
    let back = first(&mut world, host(), "k", update("lan", peer("host")));
    // The receipt is that of the latest request.
    assert_eq!(again(&mut world, host(), "k", update("lan", peer("host"))), back);
    first(&mut world, host(), "k", update("lan", moved("host")));
    first(&mut world, host(), "k", send("lan", "host", "a", "1"));
    first(&mut world, host(), "k", send("lan", "host", "a", "2"));
    first(&mut world, host(), "k", send("lan", "host", "host", "2"));
    first(&mut world, host(), "r", register("one", "host"));
    first(&mut world, host(), "r", register("two", "host"));
    again(&mut world, host(), "r", register("two", "host"));
    assert_eq!(payloads(&world.by(peers(["a"], 2), poll("lan", "a"))), ["1", "2"]);
}

#[test]
fn a_transport_may_refuse_a_key_with_another_body() {
    let mut world = world();
    let strict = |key: &str| Idempotency {
        refuses_reuse: true,
        names_party: false,
        ..Idempotency::from(RequestKey(key.into()))
    };
    let named = |name: &str| match register("new", "host") {
        Command::Register { party_id, host, keepalive, utc_offset, .. } => {
            let name = name.parse().unwrap();
            Command::Register { party_id, name, host, keepalive, utc_offset }
        }
        other => other,
    };
    let now = world.now;
    let mut ask = |key: &str, command| world.registry.apply_once(strict(key), command, host(), now);
    ask("k", named("One")).unwrap();
    assert_eq!(ask("k", named("Two")).unwrap_err(), Refusal::KeyReused);
    // The server chose the id, and chooses another one for the repeated request.
    let again = match named("One") {
        Command::Register { name, host, keepalive, utc_offset, .. } => {
            let party_id = "other".parse().unwrap();
            Command::Register { party_id, name, host, keepalive, utc_offset }
        }
        other => other,
    };
    assert_eq!(receipt(&ask("k", again).unwrap()).done, entered("new", "10.66.0.1"));
    // Another kind of request, or another party, is a different request.
    ask("k", update("lan", moved("host"))).unwrap();
    ask("k", leave("new", "host")).unwrap();
    ask("k", leave("lan", "host")).unwrap();
}

#[test]
fn receipts_of_earlier_versions_match_by_kind_and_party() {
    let mut world = world();
    first(&mut world, host(), "k", update("lan", moved("host")));
    let record = world.registry.receipts.records.values().next().unwrap().record.clone();
    let old = ReceiptRecord { request: None, ..record };
    world.registry.restore(vec![Write::PutReceipt(old)], world.now);
    again(&mut world, host(), "k", update("lan", peer("host")));
    first(&mut world, host(), "k", leave("lan", "host"));
}

#[test]
fn receipts_are_deleted_when_an_id_changes_its_owner() {
    let mut world = World::new();
    world.registry.set_rules(Rules { token_ttl: HOUR, peer_timeout: YEAR, ..rules() });
    world.by(host(), register("lan", "host"));
    let claim = |issue| claim_with("b", None, Some(issue), true);
    world.by(peers([], 3), claim(1));
    first(&mut world, peers(["b"], 3), "k", join("lan", "b"));
    first(&mut world, peers(["b"], 3), "l", leave("lan", "b"));
    // Its owner returns, and its receipt is still known.
    world.by(peers([], 4), claim_with("b", Some(1), None, true));
    again(&mut world, peers(["b"], 4), "k", join("lan", "b"));
    world.by(peers([], 3), Command::Disconnect);
    world.by(peers([], 4), Command::Disconnect);
    world.pass(HOUR);
    // The next owner of the id has no receipt, and becomes a member.
    let claimed = world.by(peers([], 5), claim(2));
    let gone = claimed.changes.iter().filter(|c| matches!(c.write(), Write::DeleteReceipt(..)));
    assert_eq!(gone.count(), 2);
    first(&mut world, peers(["b"], 5), "k", join("lan", "b"));
    assert!(world.members("lan").contains(&"b".to_owned()));
}

#[test]
fn idempotency_key_belongs_to_its_peer() {
    let mut world = world();
    let both = peers(["host", "a"], 1);
    first(&mut world, both.clone(), "k", update("lan", moved("host")));
    first(&mut world, both.clone(), "k", update("lan", moved("a")));
    again(&mut world, both, "k", update("lan", moved("host")));
    // On any connection, but for no other peer.
    again(&mut world, peers(["host"], 7), "k", update("lan", moved("host")));
    let refusal = world.request(peers(["a"], 1), Some("k"), leave("lan", "host"));
    assert_eq!(refusal.unwrap_err(), Refusal::PeerNotYours("host".parse().unwrap()));
}

#[test]
fn refused_request_leaves_no_receipt() {
    let mut world = world();
    let join = || join("two", "a");
    let refusal = world.request(peers(["a"], 2), Some("k"), join());
    assert_eq!(refusal.unwrap_err(), Refusal::PartyNotFound("two".parse().unwrap()));
    world.by(host(), register("two", "host"));
    first(&mut world, peers(["a"], 2), "k", join());
    again(&mut world, peers(["a"], 2), "k", join());
}

#[test]
fn receipt_is_kept_for_a_day() {
    let mut world = world();
    world.registry.set_rules(Rules { peer_timeout: YEAR, signal_ttl: YEAR, ..rules() });
    first(&mut world, host(), "k", send("lan", "host", "a", "1"));
    let day_less = REMEMBERED - Duration::from_millis(1);
    world.now.elapsed += day_less;
    again(&mut world, host(), "k", send("lan", "host", "a", "1"));
    assert_eq!(world.by(ROOT, Command::Expire).changes.len(), 0);
    world.now.elapsed += Duration::from_millis(1);
    first(&mut world, host(), "k", send("lan", "host", "a", "2"));
    assert_eq!(payloads(&world.by(peers(["a"], 2), poll("lan", "a"))), ["1", "2"]);
    world.now.elapsed += REMEMBERED;
    let expired = world.by(ROOT, Command::Expire);
    let writes: Vec<_> = expired.changes.iter().map(|change| change.write().clone()).collect();
    let key = RequestKey("k".into());
    assert_eq!(writes, [Write::DeleteReceipt("host".parse().unwrap(), key)]);
}

#[test]
fn wall_clock_step_deletes_no_receipt() {
    let year = SignedDuration::try_from(YEAR).unwrap();
    for step in [-year, year] {
        let mut world = world();
        first(&mut world, host(), "k", update("lan", moved("host")));
        world.now.wall += step;
        world.by(ROOT, Command::Expire);
        again(&mut world, host(), "k", update("lan", moved("host")));
    }
}

#[test]
fn a_receipt_keeps_its_age_over_a_restart() {
    let mut world = world();
    let joined = world.request(peers(["b"], 3), Some("k"), join("lan", "b")).unwrap();
    let rows = joined.changes.iter().map(|change| change.write().clone());
    let rows: Vec<_> = rows.filter(|row| matches!(row, Write::PutReceipt(_))).collect();
    let hour = SignedDuration::try_from(HOUR).unwrap();
    // A clock that was set back neither ages a receipt nor extends it beyond a day.
    for (passed, left) in [(hour, REMEMBERED - HOUR), (-hour, REMEMBERED)] {
        let mut restarted = World::new();
        restarted.now.wall += passed;
        restarted.registry.restore(rows.clone(), restarted.now);
        restarted.now.elapsed += left - SECOND;
        assert_eq!(restarted.by(ROOT, Command::Expire).changes.len(), 0);
        restarted.now.elapsed += SECOND;
        assert_eq!(restarted.by(ROOT, Command::Expire).changes.len(), 1);
    }
}

#[test]
fn full_table_evicts_the_oldest_receipt() {
    let mut world = world();
    world.registry.set_rules(Rules { receipts: 3, ..rules() });
    // Not in the order of their keys.
    let keys = ["c", "a", "d", "b", "e"];
    for (count, key) in keys.into_iter().enumerate() {
        world.pass(SECOND);
        first(&mut world, host(), key, update("lan", peer("host")));
        for known in &keys[count.saturating_sub(2)..=count] {
            again(&mut world, host(), known, update("lan", peer("host")));
        }
    }
    first(&mut world, host(), "a", update("lan", peer("host")));
}

#[test]
fn receipts_over_a_new_bound_are_evicted_by_the_next() {
    let mut world = world();
    for key in ["a", "b", "c", "d"] {
        world.pass(SECOND);
        first(&mut world, host(), key, update("lan", peer("host")));
    }
    world.registry.set_rules(Rules { receipts: 2, ..rules() });
    again(&mut world, host(), "a", update("lan", peer("host")));
    first(&mut world, host(), "e", update("lan", peer("host")));
    again(&mut world, host(), "d", update("lan", peer("host")));
    first(&mut world, host(), "a", update("lan", peer("host")));
}

#[test]
fn harmless_requests_leave_no_receipt() {
    let mut world = world();
    world.by(peers(["a"], 2), send("lan", "a", "host", "1"));
    for _ in 0..2 {
        world.pass(SECOND);
        let beat = world.request(host(), Some("k"), heartbeat("lan", "host")).unwrap();
        assert!(matches!(beat.outcome, Outcome::Alive(_)), "{:?}", beat.outcome);
        assert_eq!(beat.changes.len(), 0);
        assert_eq!(beat.seen.expect("a sign of life").at, world.now.wall);
    }
    let polled = world.request(host(), Some("k"), poll("lan", "host")).unwrap();
    assert_eq!((payloads(&polled), polled.changes.len()), (vec!["1"], 0));
    let polled = world.request(host(), Some("k"), poll("lan", "host")).unwrap();
    assert_eq!(payloads(&polled), [""; 0]);
    let relay = world.request(host(), Some("k"), relay("r", 1)).unwrap();
    assert_eq!((receipts_in(&relay), told(&relay)), (0, vec!["relay.updated r".to_owned()]));
    // The key is still unused.
    first(&mut world, host(), "k", update("lan", moved("host")));
}

#[test]
fn receipt_is_reverted_with_its_commit() {
    let mut world = world();
    let durable = state::durable(&world.registry);
    let command = || join("lan", "b");
    let joined = world.request(peers(["b"], 3), Some("k"), command()).unwrap();
    world.registry.undo(joined.changes.into_iter());
    state::check_indexes(&world.registry);
    assert_eq!(state::durable(&world.registry), durable);
    first(&mut world, peers(["b"], 3), "k", command());
    assert_eq!(world.members("lan"), ["a", "b", "host"]);
}

#[test]
fn receipts_survive_a_restart() {
    let mut world = world();
    let joined = world.request(peers(["b"], 3), Some("k"), join("lan", "b")).unwrap();
    let mut restarted = World::new();
    let rows = joined.changes.iter().map(|change| change.write().clone());
    let rows: Vec<_> = rows.filter(|row| matches!(row, Write::PutReceipt(_))).collect();
    restarted.registry.restore(rows, restarted.now);
    let told = again(&mut restarted, peers(["b"], 8), "k", join("lan", "b"));
    assert_eq!(told, receipt(&joined));
}
