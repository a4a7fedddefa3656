//! Committed rows are read back, also after a kill.

use std::collections::HashSet;
use std::ops::{Range, RangeInclusive};

use lanrage_ipc::model::{PartyId, PeerId};
use proptest::prelude::*;

use super::model::Model;
use super::support::{
    choice, commit, copy_state, credential, intent, member, member_elsewhere, open_in, own_member,
    owned_relay, parse, party, party_of, pin, receipt, remote_party, server, temp_dir, time, token,
};
use crate::core::{RequestKey, Seen, TokenHash, Write};
use crate::extent::cases;
use crate::store::StoreErrorKind;

#[derive(Debug, Clone)]
enum Step {
    PutParty(u8, u64, bool),
    DeleteParty(u8),
    PutMember(u8, u8, u16, u8),
    DeleteMember(u8, u8),
    PutRelay(u8, u16),
    DeleteRelay(u8),
    PutToken(u8, u8, u16),
    DeleteToken(u8),
    PutReceipt(u8, u8, u16),
    DeleteReceipt(u8, u8),
    PutIntent(u8, u8, u16),
    DeleteIntent(u8, u8),
    PutPin(u8, u8, u16),
    DeletePin(u8, u8),
    PutCredential(u16, u8, u16),
    DeleteCredential(u16, u8),
    PutChoice(u16),
    DeleteChoice,
    Seen(u8, u8, i64),
    Commit,
    Kill,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    const PARTIES: Range<u8> = 0..4;
    const PEERS: Range<u8> = 0..4;
    // What the vocabulary's times hold, in microseconds.
    const TIMES: RangeInclusive<i64> = -377_705_023_201_000_000..=253_402_207_200_999_999;
    prop_oneof![
        3 => (PARTIES, any::<u64>(), any::<bool>())
            .prop_map(|(p, seq, remote)| Step::PutParty(p, seq, remote)),
        1 => PARTIES.prop_map(Step::DeleteParty),
        4 => (PARTIES, PEERS, any::<u16>(), 0..3u8)
            .prop_map(|(p, m, v, whose)| Step::PutMember(p, m, v, whose)),
        2 => (PARTIES, PEERS).prop_map(|(p, m)| Step::DeleteMember(p, m)),
        2 => (0..3u8, any::<u16>()).prop_map(|(r, v)| Step::PutRelay(r, v)),
        1 => (0..3u8).prop_map(Step::DeleteRelay),
        2 => (0..4u8, PEERS, any::<u16>()).prop_map(|(t, m, v)| Step::PutToken(t, m, v)),
        1 => (0..4u8).prop_map(Step::DeleteToken),
        2 => (PEERS, 0..3u8, any::<u16>()).prop_map(|(m, k, v)| Step::PutReceipt(m, k, v)),
        1 => (PEERS, 0..3u8).prop_map(|(m, k)| Step::DeleteReceipt(m, k)),
        3 => (PARTIES, PEERS, any::<u16>()).prop_map(|(p, m, v)| Step::PutIntent(p, m, v)),
        1 => (PARTIES, PEERS).prop_map(|(p, m)| Step::DeleteIntent(p, m)),
        3 => (PARTIES, PEERS, any::<u16>()).prop_map(|(p, m, v)| Step::PutPin(p, m, v)),
        1 => (PARTIES, PEERS).prop_map(|(p, m)| Step::DeletePin(p, m)),
        3 => (0..3u16, PEERS, any::<u16>()).prop_map(|(s, m, v)| Step::PutCredential(s, m, v)),
        1 => (0..3u16, PEERS).prop_map(|(s, m)| Step::DeleteCredential(s, m)),
        2 => any::<u16>().prop_map(Step::PutChoice),
        1 => Just(Step::DeleteChoice),
        2 => (PARTIES, PEERS, TIMES).prop_map(|(p, m, at)| Step::Seen(p, m, at)),
        3 => Just(Step::Commit),
        1 => Just(Step::Kill),
        1 => Just(Step::Restart),
    ]
}

fn party_id(party: u8) -> PartyId {
    parse(format!("party:{party}"))
}

fn peer_id(peer: u8) -> PeerId {
    parse(format!("peer_{peer}"))
}

/// A client's name for a request: any text, also none.
fn key(key: u8) -> &'static str {
    ["", "Fête \u{1f3ae} '\"\n", "3"][usize::from(key)]
}

/// Returns the writes of a step, by the registry's rules: no member without a party.
fn writes_of(step: &Step, model: &Model) -> Vec<Write> {
    match *step {
        Step::PutParty(p, seq, remote) => {
            let party = if remote { remote_party } else { party };
            vec![Write::PutParty(party(party_id(p), seq))]
        }
        Step::DeleteParty(p) => {
            let id = party_id(p);
            let members = model.members_of(&id).into_iter();
            let mut writes: Vec<_> =
                members.map(|peer_id| Write::DeleteMember(id.clone(), peer_id)).collect();
            writes.push(Write::DeleteParty(id));
            writes
        }
        Step::PutMember(p, m, variant, whose) if model.has_party(&party_id(p)) => {
            let member = [member, own_member, member_elsewhere][usize::from(whose)];
            vec![Write::PutMember(party_id(p), member(peer_id(m), variant))]
        }
        Step::DeleteMember(p, m) => vec![Write::DeleteMember(party_id(p), peer_id(m))],
        Step::PutRelay(r, variant) => {
            vec![Write::PutRelay(owned_relay(format!("relay-{r}"), variant))]
        }
        Step::DeleteRelay(r) => vec![Write::DeleteRelay(parse(format!("relay-{r}")))],
        Step::PutToken(t, m, variant) => vec![Write::PutToken(token(t, peer_id(m), variant))],
        Step::DeleteToken(t) => vec![Write::DeleteToken(TokenHash([t; 32]))],
        Step::PutReceipt(m, k, variant) => {
            vec![Write::PutReceipt(receipt(peer_id(m), key(k), variant))]
        }
        Step::DeleteReceipt(m, k) => {
            vec![Write::DeleteReceipt(peer_id(m), RequestKey(key(k).into()))]
        }
        Step::PutIntent(p, m, variant) => {
            vec![Write::PutIntent(intent(party_id(p), peer_id(m), variant))]
        }
        Step::DeleteIntent(p, m) => vec![Write::DeleteIntent(party_id(p), peer_id(m))],
        Step::PutPin(p, m, variant) => {
            vec![Write::PutPin(pin(party_id(p), peer_id(m), variant))]
        }
        Step::DeletePin(p, m) => vec![Write::DeletePin(party_id(p), peer_id(m))],
        Step::PutCredential(s, m, variant) => {
            vec![Write::PutCredential(credential(server(s), peer_id(m), variant))]
        }
        Step::DeleteCredential(s, m) => vec![Write::DeleteCredential(server(s), peer_id(m))],
        Step::PutChoice(variant) => vec![Write::PutChoice(choice(variant))],
        Step::DeleteChoice => vec![Write::DeleteChoice],
        Step::PutMember(..) | Step::Seen(..) | Step::Commit | Step::Kill | Step::Restart => vec![],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_survives_a_restart_and_a_kill(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut dir = temp_dir();
        let mut opened = open_in(dir.path());
        let epoch = opened.epoch.clone();
        // `ahead` has what is gathered for the next commit, too.
        let (mut model, mut ahead) = (Model::default(), Model::default());
        let (mut writes, mut seen) = (vec![], vec![]);
        for step in steps.iter().chain([&Step::Commit, &Step::Kill, &Step::Restart]) {
            match step {
                Step::Seen(p, m, at) => {
                    let (party_id, peer_id) = (party_id(*p), peer_id(*m));
                    seen.push(Seen { party_id, peer_id, at: time(*at) });
                }
                Step::Commit => {
                    opened.database.commit(&writes, &seen).unwrap();
                    model.apply(&writes, &seen);
                    ahead = model.clone();
                    writes.clear();
                    seen.clear();
                }
                Step::Kill => {
                    let killed = temp_dir();
                    copy_state(dir.path(), killed.path());
                    dir = killed;
                    opened = open_in(dir.path());
                }
                Step::Restart => {
                    drop(opened);
                    opened = open_in(dir.path());
                }
                other => {
                    let more = writes_of(other, &ahead);
                    ahead.apply(&more, &[]);
                    writes.extend(more);
                }
            }
            if matches!(step, Step::Kill | Step::Restart) {
                prop_assert_eq!(&opened.rows, &model.rows());
                prop_assert_eq!(&opened.epoch, &epoch);
                prop_assert_eq!((&opened.recovery, opened.created), (&None, false));
            }
        }
    }
}

#[test]
fn first_start_creates_an_empty_state_with_an_epoch() {
    let dir = temp_dir();
    let state = dir.path().join("a/b");
    let first = open_in(&state);
    assert!(first.created && first.rows.is_empty() && first.recovery.is_none());
    assert_eq!(first.database.path(), state.join("control.db"));
    let epoch = first.epoch.clone();
    drop(first);
    let second = open_in(&state);
    assert!(!second.created);
    assert_eq!(second.epoch, epoch);
}

#[test]
fn commit_with_an_invalid_row_is_refused_whole() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let mut rows = party_of("party", 2, 1);
    rows.push(Write::PutMember(parse("nowhere"), member("peer", 1)));
    let error = database.commit(&rows, &[]).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Rejected, "{error}");
    rows.pop();
    commit(&mut database, &rows[..1]);
    drop(database);
    assert_eq!(open_in(dir.path()).rows, rows[..1]);
}

#[test]
fn rows_of_one_commit_may_come_in_any_order() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let rows = party_of("party", 1, 1);
    let again = Write::PutParty(party("party", 2));
    // The party's last write comes after that of its member.
    commit(&mut database, &[rows[0].clone(), rows[1].clone(), again.clone()]);
    // Its deletion is taken back by the same commit.
    let (gone, back) = (Write::DeleteParty(parse("party")), Write::PutParty(party("party", 3)));
    let member_gone = Write::DeleteMember(parse("party"), parse("peer-0"));
    commit(&mut database, &[member_gone, gone, back.clone(), rows[1].clone()]);
    drop(database);
    assert_eq!(open_in(dir.path()).rows, [back, rows[1].clone()]);
}

#[test]
fn kill_around_a_checkpoint_loses_nothing() {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let mut model = Model::default();
    let mut generations = HashSet::new();
    for n in 0..70 {
        // Some 30 pages each; the log is merged at 1000.
        let rows: Vec<_> =
            (0..12).flat_map(|party| party_of(format!("party-{party}"), 64, n)).collect();
        commit(&mut database, &rows);
        model.apply(&rows, &[]);
        let log = std::fs::read(dir.path().join("control.db-wal")).unwrap();
        let begun_anew = generations.insert(log[16..24].to_vec());
        if begun_anew || n % cases(5, 2) == 0 {
            let killed = temp_dir();
            copy_state(dir.path(), killed.path());
            let opened = open_in(killed.path());
            assert_eq!(opened.recovery, None, "{n}");
            assert!(opened.rows == model.rows(), "{n}");
        }
    }
    assert!(generations.len() > 1, "{}", generations.len());
}
