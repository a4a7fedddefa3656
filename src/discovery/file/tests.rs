mod races;

use std::fs::{self, File};

use lanrage_ipc::lanrage::Records;
use serde_json::json;

use super::*;
#[cfg(unix)]
use crate::discovery::fixtures::python;
use crate::discovery::fixtures::{Place, foreign, now, ours, party, within};

/// LANrage's reading of the file: its constructors take these keys and no others.
#[cfg(unix)]
const LANRAGE: &str = r#"
import json, sys
from dataclasses import asdict, dataclass
from datetime import datetime

@dataclass
class PeerInfo:
    peer_id: str; name: str; public_key: str; nat_type: str; public_ip: str
    public_port: int; local_ip: str; local_port: int; last_seen: datetime

@dataclass
class PartyInfo:
    party_id: str; name: str; host_id: str; created_at: datetime; peers: dict

def peer(data):
    return PeerInfo(**{**data, "last_seen": datetime.fromisoformat(data["last_seen"])})

def party(data):
    peers = {key: peer(value) for key, value in data["peers"].items()}
    created_at = datetime.fromisoformat(data["created_at"])
    return PartyInfo(**{**data, "created_at": created_at, "peers": peers})

text = open(sys.argv[1], encoding="ascii").read()
parties = {key: asdict(party(value)) for key, value in json.loads(text).items()}
for value in parties.values():
    assert value["created_at"].tzinfo is None
    value["created_at"] = value["created_at"].isoformat()
    for member in value["peers"].values():
        assert member["last_seen"].tzinfo is None
        member["last_seen"] = member["last_seen"].isoformat()
assert json.dumps(parties, indent=2) == text, text
print(parties["p"]["peers"]["b"]["last_seen"], parties["p"]["created_at"])
"#;

// There is no Python where this is tested on Windows.
#[cfg(unix)]
#[test]
fn written_file_is_read_and_rewritten_unchanged_by_lanrage() {
    let place = Place::new();
    let (p, q) = (party("p", "a", &["b"]), party("q", "c", &[]));
    place.daemon("a").update(&ours(&[&p, &q]), &now()).expect("written");
    // Members are seen at the time of writing, by the clock of the zone.
    let told = python(LANRAGE, &[&place.path]);
    assert_eq!(told, "2026-11-22T17:18:35.123456 2026-11-22T17:18:35\n");
}

#[test]
fn foreign_entries_keep_their_text() {
    let place = Place::new();
    let entries = [
        r#""x" : {"party_id":"x",  "host_id":"\u0065", "later": [1.50, 1e999]}"#,
        r#""y":7"#,
        r#""z": {"half": "\ud800"}"#,
        "\"w\": [\n\t{ }\n]",
    ];
    place.write(&format!("{{{}}}", entries.join(",\n\n")));
    let mut daemon = place.daemon("a");
    let p = party("p", "a", &[]);
    for (parties, count) in [(ours(&[&p]), 5), (ours(&[]), 4)] {
        daemon.update(&parties, &now()).expect("written");
        for entry in entries {
            let (_, value) = entry.split_once(':').expect("an entry");
            assert!(place.text().contains(value.trim_start()), "{}", place.text());
        }
        assert_eq!(Records::of_discovery(place.text().as_bytes()).entries.len(), count);
    }
    assert!(place.set_aside().is_empty());
}

#[cfg(unix)]
#[test]
fn file_keeps_its_mode_and_a_new_one_is_readable_by_all() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let mut daemon = place.daemon("a");
    let mode = || fs::metadata(&place.path).expect("a file").permissions().mode() & 0o777;
    daemon.update(&ours(&[&party("p", "a", &[])]), &now()).expect("written");
    assert_eq!(mode(), 0o644);
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o660)).expect("a mode");
    daemon.update(&ours(&[]), &now()).expect("written");
    assert_eq!(mode(), 0o660);
}

#[test]
fn unchanged_parties_write_nothing() {
    let place = Place::new();
    let mut daemon = place.daemon("a");
    daemon.update(&ours(&[]), &now()).expect("nothing to do");
    assert_eq!(fs::read_dir(place.dir.path()).expect("a directory").count(), 0);
    assert!(daemon.list(&ours(&[]), &now()).expect("nothing").0.others.is_empty());

    // A party that someone else's entry keeps out changes nothing either.
    let compact = json!({"p": foreign("p", "other")}).to_string();
    place.write(&compact);
    daemon.update(&ours(&[&party("p", "a", &[])]), &now()).expect("nothing to do");
    assert_eq!(place.text(), compact);

    // Nor does a refresh write the list of our parties, which is as it was.
    place.write("{}");
    daemon.update(&ours(&[&party("q", "a", &[])]), &now()).expect("written");
    place.obstacle(&place.dir.path().join("a"));
    daemon.update(&ours(&[&party("q", "a", &[])]), &now()).expect("refreshed");
}

#[test]
fn id_announced_by_another_program_stays_its_own() {
    let place = Place::new();
    let mut daemon = place.daemon("a");
    let (p, q) = (party("p", "a", &[]), party("q", "a", &[]));
    place.write(&json!({"p": foreign("p", "other")}).to_string());
    let taken = daemon.update(&ours(&[&p, &q]), &now()).expect("written").taken;
    assert_eq!(taken, BTreeSet::from([p.party_id.clone()]));
    assert_eq!(place.json()["p"], foreign("p", "other"));
    assert_eq!(place.ids(), ["p", "q"]);

    daemon.update(&ours(&[]), &now()).expect("written");
    assert_eq!(place.ids(), ["p"]);

    place.write("{}");
    assert!(daemon.update(&ours(&[&p]), &now()).expect("written").taken.is_empty());
    assert_eq!(place.json()["p"]["host_id"], "a");
}

#[test]
fn party_registered_again_replaces_our_entry() {
    let place = Place::new();
    let mut daemon = place.daemon("a");
    daemon.update(&ours(&[&party("p", "old", &[])]), &now()).expect("written");
    let taken = daemon.update(&ours(&[&party("p", "new", &[])]), &now()).expect("written").taken;
    assert_eq!((taken.len(), &place.json()["p"]["host_id"]), (0, &json!("new")));
}

#[test]
fn start_removes_entries_left_by_a_crash() {
    let place = Place::new();
    let p = party("p", "a", &[]);
    let read = |name| fs::read_to_string(place.dir.path().join(name)).expect("a file");

    // It is listed before it goes in...
    let obstacle = place.obstacle(&place.path);
    place.daemon("a").update(&ours(&[&p]), &now()).expect_err("an obstacle");
    assert_eq!(read("a"), r#"{"p":["a"]}"#);
    assert!(!place.path.exists());
    fs::remove_dir(&obstacle).expect("removed");
    place.daemon("a").update(&ours(&[]), &now()).expect("nothing was there");
    assert_eq!(read("a"), "{}");
    assert!(!place.path.exists());

    // ...and until it has gone: whatever daemon comes next removes it.
    place.daemon("a").update(&ours(&[&p]), &now()).expect("written");
    fs::create_dir(&obstacle).expect("a directory");
    place.daemon("a").update(&ours(&[]), &now()).expect_err("an obstacle");
    assert_eq!((read("a").as_str(), place.ids()), (r#"{"p":["a"]}"#, vec!["p".to_owned()]));
    fs::remove_dir(&obstacle).expect("removed");
    place.daemon("a").update(&ours(&[]), &now()).expect("written");
    assert_eq!((read("a").as_str(), place.text().as_str()), ("{}", "{}"));

    // A write that a crash cut short, whatever process that was, is written over.
    let half = place.dir.path().join("discovery.json.tmp");
    fs::write(&half, "{\"half").expect("written");
    place.daemon("a").update(&ours(&[&p]), &now()).expect("written");
    assert!(!half.exists());
    assert_eq!(place.ids(), ["p"]);
}

#[test]
fn without_its_list_a_daemon_still_knows_its_own_parties() {
    let place = Place::new();
    let p = party("p", "a", &[]);
    let mut daemon = place.daemon("a.json");
    daemon.update(&ours(&[&p]), &now()).expect("written");
    fs::write(place.dir.path().join("a.json"), "[damaged").expect("written");
    assert!(daemon.update(&ours(&[&p]), &now()).expect("written").taken.is_empty());
    assert_eq!(place.set_aside(), ["[damaged"]);
    daemon.update(&ours(&[]), &now()).expect("written");
    assert!(place.ids().is_empty());
}

#[test]
fn a_damaged_file_is_set_aside_and_what_can_be_read_stays() {
    let whole = json!({"x": foreign("x", "b"), "y": foreign("y", "c")}).to_string();
    let cut = &whole[..whole.len() - 9];
    for (text, left) in [(cut, vec!["x"]), ("\0\0", vec![]), ("[]", vec![]), (&whole[1..], vec![])]
    {
        for parties in [ours(&[&party("p", "a", &[])]), ours(&[])] {
            let place = Place::new();
            place.write(text);
            let error = place.daemon("a").list(&ours(&[]), &now()).expect_err("damage");
            assert!(matches!(error, DiscoveryError::Damaged { .. }), "{error}");
            place.daemon("a").update(&parties, &now()).expect("mended");
            assert_eq!(place.set_aside(), [text]);
            let announced = parties.iter().map(|(party_id, _)| party_id.as_str());
            let expected: BTreeSet<&str> = left.iter().copied().chain(announced).collect();
            assert_eq!(place.ids(), Vec::from_iter(expected));
        }
    }
}

#[test]
fn an_empty_file_is_no_damage() {
    let place = Place::new();
    place.write("\n");
    let mut daemon = place.daemon("a");
    daemon.update(&ours(&[]), &now()).expect("nothing to do");
    assert_eq!(place.text(), "\n");
    assert!(daemon.list(&ours(&[]), &now()).expect("nothing").0.others.is_empty());
    daemon.update(&ours(&[&party("p", "a", &[])]), &now()).expect("written");
    assert!(place.set_aside().is_empty());
}

#[test]
fn special_file_is_refused_and_left_unchanged() {
    type Spoil = fn(&Place);
    type IsExpected = fn(&DiscoveryError) -> bool;
    let is_not_a_file: IsExpected = |error| matches!(error, DiscoveryError::NotAFile(_));
    let cases: &[(Spoil, IsExpected)] = &[
        (|place| fs::create_dir(&place.path).expect("a directory"), is_not_a_file),
        #[cfg(unix)]
        (
            |place| {
                let target = place.dir.path().join("target");
                fs::write(&target, "{}").expect("written");
                std::os::unix::fs::symlink(target, &place.path).expect("a link");
            },
            is_not_a_file,
        ),
        #[cfg(unix)]
        (
            |place| drop(std::os::unix::net::UnixListener::bind(&place.path).expect("a socket")),
            is_not_a_file,
        ),
        (
            |place| {
                let file = File::create(&place.path).expect("a file");
                file.set_len(disk::LARGEST + 1).expect("a size");
            },
            |error| matches!(error, DiscoveryError::TooLarge(_)),
        ),
    ];
    for (spoil, is_expected) in cases {
        let place = Place::new();
        spoil(&place);
        let before = fs::symlink_metadata(&place.path).expect("something");
        let mut daemon = place.daemon("a");
        let error = daemon.update(&ours(&[&party("p", "a", &[])]), &now()).expect_err("refused");
        assert!(is_expected(&error), "{error}");
        let error = daemon.list(&ours(&[]), &now()).expect_err("refused");
        assert!(is_expected(&error), "{error}");
        let after = fs::symlink_metadata(&place.path).expect("something");
        assert_eq!((after.file_type(), after.len()), (before.file_type(), before.len()));
    }
}

#[cfg(unix)]
#[test]
fn a_parent_that_is_no_directory_is_named() {
    let place = Place::new();
    place.write("{}");
    let mut file =
        DiscoveryFile::new(place.path.join("discovery.json"), place.dir.path().join("a"));
    for error in [
        file.update(&ours(&[&party("p", "a", &[])]), &now()).expect_err("no directory"),
        file.list(&ours(&[]), &now()).map(drop).expect_err("no directory"),
    ] {
        let told = error.to_string();
        assert!(told.contains("discovery.json") && told.contains("Not a directory"), "{told}");
    }
}

#[test]
fn file_is_parsed_again_only_after_another_program_wrote_it() {
    let place = Place::new();
    place.write(&json!({"x": foreign("x", "b")}).to_string());
    let mut daemon = place.daemon("a");
    let mut parties = ours(&[]);
    for number in 0..20 {
        let party = party(&format!("p{number:02}"), "a", &[]);
        parties.set(&party.party_id, Some(&party), now().time_zone()).expect("an entry");
        daemon.update(&parties, &now()).expect("written");
        daemon.list(&parties, &now()).expect("a list");
    }
    assert_eq!((daemon.contents.parsed, place.ids().len()), (1, 21));

    let mut file = place.json();
    file["y"] = foreign("y", "b");
    place.write(&file.to_string());
    let (found, _) = daemon.list(&parties, &now()).expect("a list");
    assert_eq!((found.own.len(), found.others.len()), (20, 2));
    daemon.update(&parties, &now()).expect("written");
    assert_eq!((daemon.contents.parsed, place.ids().len()), (2, 22));
}

#[test]
fn written_bytes_have_a_bound() {
    let room = 64 * 1024;
    let guests: Vec<_> = (0..7).map(|number| format!("g{number}")).collect();
    let guests: Vec<_> = guests.iter().map(String::as_str).collect();
    let written = |count: usize| {
        let place = Place::new();
        let parties: Vec<_> =
            (0..count).map(|number| party(&format!("p{number:03}"), "a", &guests)).collect();
        let parties = within(Entries::with_room(room), &parties.iter().collect::<Vec<_>>());
        let updated = place.daemon("a").update(&parties, &now()).expect("written");
        assert_eq!(updated.left_out + place.ids().len(), count);
        place.text().len()
    };
    let (some, more) = (written(50), written(200));
    assert_eq!(some, more);
    assert!((room / 2..=room).contains(&some), "{some} bytes");
}

#[test]
fn entries_of_others_leave_room_to_our_own_parties() {
    let place = Place::new();
    let text = "x".repeat((LARGEST / 8) as usize);
    let others: serde_json::Map<_, _> =
        (0..7).map(|number| (format!("p{number}"), json!({"text": text}))).collect();
    place.write(&serde_json::Value::Object(others).to_string());
    let guests: Vec<_> = (0..100).map(|number| format!("g{number}")).collect();
    let guests: Vec<_> = guests.iter().map(String::as_str).collect();
    let parties: Vec<_> = (0..70).map(|n| party(&format!("z{n:02}"), "a", &guests)).collect();
    let parties = ours(&parties.iter().collect::<Vec<_>>());
    let updated = place.daemon("a").update(&parties, &now()).expect("written");
    assert_eq!((updated.left_out, place.ids().len()), (1, 6 + 70));
    assert!(place.text().len() as u64 <= LARGEST);
}
