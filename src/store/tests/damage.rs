//! Files damaged at random places: nothing panics, and nothing is lost in silence.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::model::Model;
use super::support::{
    choice, commit, contents, copy_state, credential, intent, member, noon, open_in, party_of,
    receipt, relay, server, shows_token, temp_dir, token, try_open, without_seen,
};
use crate::core::Write;
use crate::store::{Layout, rotate_backups};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// Spoils a file. Returns what was done.
    fn spoil(&mut self, bytes: &mut Vec<u8>) -> String {
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(600)).min(bytes.len());
        match self.below(5) {
            // The headers are small and matter most.
            0 => {
                let at = at % 120;
                bytes[at] ^= 1 << self.below(8);
                format!("a bit of byte {at} flipped")
            }
            1 => {
                bytes[at] ^= 1 << self.below(8);
                format!("a bit of byte {at} flipped")
            }
            2 => {
                bytes[at..end].fill_with(|| self.0 as u8 ^ 0x5a);
                bytes[at..end].iter_mut().for_each(|byte| *byte ^= self.next() as u8);
                format!("garbage in {at}..{end}")
            }
            3 => {
                let end = (at / 512 * 512 + 512).min(bytes.len());
                bytes[at / 512 * 512..end].fill(0);
                format!("sector of {at} zeroed")
            }
            _ => {
                bytes.truncate(at);
                format!("cut off at {at}")
            }
        }
    }
}

/// States that were committed one after the other, and the files of the last.
struct Origin {
    dir: tempfile::TempDir,
    states: Vec<Vec<Write>>,
    backup: Vec<Write>,
}

fn origin() -> Origin {
    let dir = temp_dir();
    let mut database = open_in(dir.path()).database;
    let mut model = Model::default();
    let mut states = vec![vec![]];
    let mut step = |writes: &[Write]| {
        commit(&mut database, writes);
        model.apply(writes, &[]);
        states.push(without_seen(model.rows()));
    };
    for n in 0..12 {
        step(&party_of(format!("party-{n}"), 8, n));
    }
    step(&[Write::PutRelay(relay("relay", 1))]);
    step(&claims_of(0));
    rotate_backups(
        &dir.path().join("control.db"),
        &dir.path().join(Layout::DAEMON.backups),
        noon(),
        1,
    )
    .unwrap();
    let backup = without_seen(model_rows(&states));
    // Closed, so that most of it is in the database and not in the log.
    drop(database);
    let mut database = open_in(dir.path()).database;
    let mut step = |writes: &[Write]| {
        commit(&mut database, writes);
        model.apply(writes, &[]);
        states.push(without_seen(model.rows()));
    };
    for n in 0..6_u16 {
        step(&party_of(format!("late-{n}"), 4, 100 + n));
        let other = Write::PutMember("party-1".parse().unwrap(), member("peer-1", 200 + n));
        step(&[other]);
        step(&claims_of(n + 1));
        step(&[Write::DeleteMember(
            "party-2".parse().unwrap(),
            format!("peer-{n}").parse().unwrap(),
        )]);
    }
    let killed = temp_dir();
    copy_state(dir.path(), killed.path());
    Origin { dir: killed, states, backup }
}

/// Returns the rows of a peer that differ by `number`: tokens, receipts, credentials and intents.
fn claims_of(number: u16) -> Vec<Write> {
    let peer_id = format!("own-{number}");
    let tokens = (0..8).map(|n| token((number * 8 + n).to_le_bytes()[0], &peer_id, n));
    let receipts = (0..30).map(|n| receipt(&peer_id, &format!("request {n}"), n));
    let credentials = (0..8).map(|n| credential(server(n), format!("{peer_id}-{n}"), n));
    let intents = (0..8).map(|n| intent(format!("party-{n}"), &peer_id, n));
    let claims = tokens.map(Write::PutToken).chain(receipts.map(Write::PutReceipt));
    let upstream = credentials.map(Write::PutCredential).chain(intents.map(Write::PutIntent));
    claims.chain(upstream).chain([Write::PutChoice(choice(number))]).collect()
}

fn model_rows(states: &[Vec<Write>]) -> Vec<Write> {
    states.last().unwrap().clone()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Same,
    Kept,
    Restored,
    Refused,
}

/// Opens a spoiled state, and makes sure that nothing was lost in silence.
fn outcome(dir: &Path, origin: &Origin, what: &str) -> Outcome {
    let spoiled = contents(dir);
    let opened = match try_open(dir) {
        Ok(opened) => opened,
        Err(error) => {
            assert_eq!(contents(dir), spoiled, "{what}: {error}, yet files changed");
            assert!(!shows_token(&error.to_string()), "{what}: {error}");
            return Outcome::Refused;
        }
    };
    let rows = without_seen(opened.rows);
    let outcome = match &opened.recovery {
        None => {
            assert!(rows == *origin.states.last().unwrap(), "{what}: other rows, in silence");
            Outcome::Same
        }
        Some(recovery) => {
            assert!(!shows_token(&recovery.reason), "{what}: {}", recovery.reason);
            for path in &recovery.set_aside {
                let name = path.file_name().unwrap().to_str().unwrap();
                if let Some((_, ending)) = name.split_once('Z').filter(|(_, end)| *end != "-shm") {
                    let was = &spoiled[&format!("control.db{ending}")];
                    assert!(fs::read(path).unwrap() == *was, "{what}: {path:?} is not as it was");
                }
            }
            let from = recovery.restored_from.as_ref().unwrap();
            if *from == recovery.set_aside[0] {
                assert!(origin.states.contains(&rows), "{what}: a state that never was");
                Outcome::Kept
            } else {
                assert!(rows == origin.backup, "{what}: not the backup");
                Outcome::Restored
            }
        }
    };
    let mut database = opened.database;
    commit(&mut database, &party_of("after", 1, 1));
    drop(database);
    let again = open_in(dir);
    assert_eq!((again.rows.len(), again.recovery), (rows.len() + 2, None), "{what}");
    outcome
}

fn rounds(file: &str, clean: bool, rounds: u64) -> BTreeMap<Outcome, u32> {
    let origin = origin();
    if clean {
        drop(open_in(origin.dir.path()));
    }
    let mut outcomes = BTreeMap::new();
    for seed in 0..rounds {
        let dir = temp_dir();
        copy_state(origin.dir.path(), dir.path());
        let path = dir.path().join(file);
        let mut bytes = fs::read(&path).unwrap();
        let done = Random(seed).spoil(&mut bytes);
        fs::write(&path, bytes).unwrap();
        let what = format!("{file}, seed {seed}: {done}");
        *outcomes.entry(outcome(dir.path(), &origin, &what)).or_default() += 1;
    }
    outcomes
}

#[test]
fn damaged_database_reports_every_loss() {
    let outcomes = rounds("control.db", true, 80);
    assert!(outcomes[&Outcome::Same] > 0, "{outcomes:?}");
    assert!(outcomes[&Outcome::Restored] > 8, "{outcomes:?}");
}

#[test]
fn damaged_database_with_a_log_reports_every_loss() {
    let outcomes = rounds("control.db", false, 80);
    assert!(outcomes[&Outcome::Same] > 0, "{outcomes:?}");
    assert!(outcomes[&Outcome::Restored] > 8, "{outcomes:?}");
}

#[test]
fn damaged_log_reports_every_loss() {
    let outcomes = rounds("control.db-wal", false, 80);
    assert!(outcomes[&Outcome::Kept] > 8, "{outcomes:?}");
}

#[test]
fn damaged_log_index_loses_nothing() {
    let outcomes = rounds("control.db-shm", false, 60);
    assert_eq!(outcomes, BTreeMap::from([(Outcome::Same, 60)]));
}
