//! Invariants that hold after any sequence of commands.

pub(super) mod copies;
mod lives;
mod moves;
mod owners;
mod play;
mod requests;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{PartyId, PeerId};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::{Change, Keeper};
use super::*;
use crate::extent::cases;
use copies::{Rows, Subscriber};
use lives::Lives;
use moves::{LONGEST, Move, a_move};
use owners::Owners;
use play::Play;
use requests::Requests;

/// Fate of a change.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// It waits for a commit.
    Waits,
    /// It is committed, with all waiting changes.
    Commits,
    /// The commit fails, for all waiting changes.
    Fails,
}

fn history() -> impl Strategy<Value = Vec<Move>> {
    prop::collection::vec(a_move(), 1..LONGEST)
}

fn history_with_fates() -> impl Strategy<Value = Vec<(Move, Fate)>> {
    let fate =
        prop_oneof![3 => Just(Fate::Waits), 2 => Just(Fate::Commits), 1 => Just(Fate::Fails)];
    prop::collection::vec((a_move(), fate), 1..LONGEST)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64, 512)))]

    /// Members and signals are added, expired, evicted and removed exactly as the commands demand.
    #[test]
    fn members_match_the_accepted_commands(history in history()) {
        let mut play = Play::new();
        let mut lives = Lives::default();
        for next in &history {
            let played = play.play(next);
            lives.follow(&played, play.world.now, &play.world.registry.rules);
            lives.check(&play.world);
            state::check_parties(&play.world.registry);
        }
    }

    /// Only the owner of a peer or id may act for it; the owner always may.
    #[test]
    fn owners_match_the_accepted_commands(history in history()) {
        let mut play = Play::new();
        let mut owners = Owners::default();
        for next in &history {
            let played = play.play(next);
            owners.judge(&played, &play.world);
            owners.follow(&played, &play.world);
            owners.check(&mut play.world);
        }
    }

    #[test]
    fn a_request_is_done_once(history in history()) {
        let mut play = Play::new();
        let mut requests = Requests::default();
        for next in &history {
            let played = play.play(next);
            requests.follow(&played, &play.world);
        }
    }

    #[test]
    fn an_address_stays_with_its_member(history in history()) {
        let mut play = Play::new();
        for next in &history {
            let mut before = addresses(&play.world);
            for event in play.play(next).result.iter().flat_map(|applied| &applied.events) {
                if let Event::PeerLeft { party_id, peer_id, .. } = event {
                    before.remove(&(party_id.clone(), peer_id.clone()));
                }
            }
            let after = addresses(&play.world);
            for (member, address) in &before {
                prop_assert_eq!(after.get(member), Some(address), "{:?}", member);
            }
        }
    }

    #[test]
    fn events_rebuild_the_whole_state(history in history()) {
        let mut play = Play::new();
        let mut subscriber = Subscriber::default();
        for next in &history {
            for event in play.play(next).result.iter().flat_map(|applied| &applied.events) {
                subscriber.apply(event);
            }
            subscriber.check(&play.world.registry, play.world.now);
        }
    }

    #[test]
    fn writes_rebuild_the_whole_state(history in history()) {
        let mut play = Play::new();
        let mut rows = Rows::default();
        for next in &history {
            if let Ok(applied) = &play.play(next).result {
                applied.changes.iter().for_each(|change| rows.write(change.write()));
                applied.seen.iter().for_each(|seen| rows.see(seen));
            }
            rows.check(&play.world.registry, play.world.now);
        }
    }

    #[test]
    fn failed_commit_restores_the_committed_state(history in history_with_fates()) {
        let mut play = Play::new();
        let mut subscriber = Subscriber::default();
        let mut committed = state::durable(&play.world.registry);
        let mut waiting: (Vec<Change>, Vec<Event>) = Default::default();
        for (next, fate) in &history {
            let played = play.play(next);
            if let (Ok(_), Command::Expire) = (&played.result, &played.command) {
                check_keepers(&play);
            }
            if let Ok(applied) = played.result {
                waiting.0.extend(applied.changes);
                waiting.1.extend(applied.events);
            }
            let (changes, events) = match fate {
                Fate::Waits => continue,
                _ => std::mem::take(&mut waiting),
            };
            if let Fate::Commits = fate {
                events.iter().for_each(|event| subscriber.apply(event));
                committed = state::durable(&play.world.registry);
            } else {
                play.world.registry.undo(changes.into_iter());
                state::check_indexes(&play.world.registry);
                prop_assert_eq!(&state::durable(&play.world.registry), &committed);
            }
            subscriber.check(&play.world.registry, play.world.now);
        }
    }

    #[test]
    fn same_commands_give_the_same_state(history in history()) {
        let (mut one, mut two) = (Play::new(), Play::new());
        for next in &history {
            let (first, second) = (one.play(next).result, two.play(next).result);
            prop_assert_eq!(format!("{first:?}"), format!("{second:?}"));
            prop_assert_eq!(&one.world.registry, &two.world.registry);
        }
    }

    #[test]
    fn wall_clock_affects_no_decision(history in history()) {
        let (mut set, mut straight) = (Play::new(), Play::with_a_good_clock());
        for next in &history {
            let (set, straight) = (set.play(next).result, straight.play(next).result);
            let lines = |result: &Result<Applied, _>| result.as_ref().map(told).map_err(Refusal::clone);
            prop_assert_eq!(lines(&set), lines(&straight));
        }
    }
}

fn addresses(world: &World) -> BTreeMap<(PartyId, PeerId), Ipv4Addr> {
    let members = world.parties().into_iter().flat_map(|party| {
        let party_id = party.party_id;
        party.peers.into_iter().map(move |(id, peer)| ((party_id.clone(), id), peer.virtual_ip))
    });
    members.collect()
}

/// Checks that no closed connection keeps a member alive after a clean-up.
#[track_caller]
fn check_keepers(play: &Play) {
    for member in play.world.registry.parties.values().flat_map(|party| party.members.values()) {
        if let Keeper::Connection(id) = member.keeper {
            assert!(play.is_open(id), "{:?}", member.record.info.peer_id);
        }
    }
}

/// The random histories cover every event with every reason, every refusal, and every other outcome
/// of a request.
#[test]
fn histories_cover_every_event_and_outcome() {
    let mut runner = TestRunner::deterministic();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..100 {
        let mut play = Play::new();
        for next in history().new_tree(&mut runner).unwrap().current() {
            let played = play.play(&next);
            let kinds = match (&played.result, played.done()) {
                (Ok(Applied { outcome: Outcome::Claimed(_), events, .. }), _) => {
                    let kind = if events.is_empty() { "claimed" } else { "connected again" };
                    vec![kind.to_owned()]
                }
                (Ok(Applied { outcome: Outcome::Reattached(_), events, .. }), _) => {
                    let kind = if events.is_empty() { "reattached" } else { "kept again" };
                    vec![kind.to_owned()]
                }
                (Ok(_), Some(applied)) => applied.events.iter().map(kind).collect(),
                (Ok(_), None) => vec!["known already".to_owned()],
                (Err(refusal), _) => vec![variant(refusal)],
            };
            for kind in kinds {
                *met.entry(kind).or_default() += 1;
            }
        }
    }
    let expected = [
        "NotAMember",
        "PartyExists",
        "PartyFull",
        "PartyNotFound",
        "PeerNotFound",
        "PeerNotYours",
        "PeerTaken",
        "RegistryFull parties",
        "RegistryFull relays",
        "RegistryFull tokens",
        "RelayNotYours",
        "SignalQueueFull",
        "SignalTooLarge",
        "TooManyParties",
        "claimed",
        "connected again",
        "kept again",
        "known already",
        "party.registered",
        "party.removed Expired",
        "party.removed HostLeft",
        "party.removed Removed",
        "peer.joined",
        "peer.left Expired",
        "peer.left HostLeft",
        "peer.left Left",
        "peer.left Removed",
        "peer.updated",
        "relay.removed",
        "relay.updated",
        "reattached",
        "signal.received",
    ];
    let rare = expected.into_iter().filter(|kind| met.remove(*kind).unwrap_or_default() < 5);
    assert_eq!(rare.collect::<Vec<_>>(), [""; 0]);
    assert!(met.is_empty(), "also met: {met:?}");
}

/// Returns the kind of an event, with its reason if it has one.
pub(super) fn kind(event: &Event) -> String {
    let line = line(event);
    let kind = line.split(' ').next().unwrap();
    match event {
        Event::PeerLeft { reason, .. } | Event::PartyRemoved { reason, .. } => {
            format!("{kind} {reason:?}")
        }
        _ => kind.to_owned(),
    }
}

/// Returns the name of a refusal.
fn variant(refusal: &Refusal) -> String {
    if let Refusal::RegistryFull { what, .. } = refusal {
        return format!("RegistryFull {what}");
    }
    let text = format!("{refusal:?}");
    text.split(['(', ' ']).next().unwrap().to_owned()
}
