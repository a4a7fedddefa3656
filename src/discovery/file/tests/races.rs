//! Programs that write the file at the same time, with the lock and without it.

use std::cell::Cell;

use super::*;
use crate::discovery::contents::Contents;

#[test]
fn update_waits_for_a_file_that_is_being_written() {
    let place = Place::new();
    let whole = json!({"x": foreign("x", "b")}).to_string();
    for so_far in ["", &whole[..40]] {
        place.write(so_far);
        let read = Contents::read(&place.path, |_| place.write(&whole)).expect("read");
        assert_eq!((read.others.len(), read.damage.is_none()), (1, true));
    }
    place.write("[]");
    let read = Contents::read(&place.path, |_| ()).expect("read");
    assert_eq!(read.damage.expect("damage").bytes, b"[]");
}

/// Adds an entry as LANrage does: without the lock, into the file that is there.
fn lanrage_adds(place: &Place, id: &str) {
    let mut entries = place.json();
    entries[id] = foreign(id, "zoe");
    place.write(&entries.to_string());
}

#[test]
fn entry_that_is_written_before_the_rename_stays() {
    let place = Place::new();
    place.write("{}");
    let (p, count) = (party("p", "a", &[]), Cell::new(0));
    let taken = place.daemon("a").update_with(&ours(&[&p]), &now(), || {
        if count.get() < 3 {
            lanrage_adds(&place, &format!("lan-{}", count.replace(count.get() + 1)));
        }
    });
    assert_eq!(taken.expect("written").taken, BTreeSet::new());
    assert_eq!(place.ids(), ["lan-0", "lan-1", "lan-2", "p"]);
    assert!(!disk::sibling(&place.path, disk::TEMPORARY).exists());
}

#[test]
fn file_that_appears_before_the_rename_stays() {
    let place = Place::new();
    let p = party("p", "a", &[]);
    let mut daemon = place.daemon("a");
    let lanrage = json!({"lan": foreign("lan", "zoe")}).to_string();
    let appears = || {
        if !place.path.exists() {
            place.write(&lanrage);
        }
    };
    daemon.update_with(&ours(&[&p]), &now(), appears).expect("written");
    assert_eq!(place.ids(), ["lan", "p"]);
}

#[test]
fn update_gives_way_to_a_program_that_writes_all_the_time() {
    let place = Place::new();
    place.write("{}");
    let (p, count) = (party("p", "a", &[]), Cell::new(0));
    let mut daemon = place.daemon("a");
    let writes = || lanrage_adds(&place, &format!("lan-{}", count.replace(count.get() + 1)));
    let refused = daemon.update_with(&ours(&[&p]), &now(), writes).expect_err("contended");
    assert!(matches!(refused, DiscoveryError::Contended(_)), "{refused}");
    assert_eq!(place.ids(), ["lan-0", "lan-1", "lan-2", "lan-3", "lan-4"]);
    daemon.update(&ours(&[&p]), &now()).expect("written");
    assert_eq!(place.ids().len(), 6);
}

#[test]
fn lock_that_is_never_released_is_an_error() {
    let place = Place::new();
    let lock = File::create(disk::sibling(&place.path, ".lock")).expect("a file");
    lock.lock().expect("the lock");
    let mut daemon = place.daemon("a");
    let parties = ours(&[&party("p", "a", &[])]);
    let error = daemon.update(&parties, &now()).expect_err("locked");
    assert!(matches!(error, DiscoveryError::Locked(_)), "{error}");
    drop(lock);
    daemon.update(&parties, &now()).expect("written");
}

/// A program of someone else's that follows the rules: one entry more each time.
#[cfg(unix)]
const NEIGHBOUR: &str = r#"
import fcntl, json, os, sys
path = sys.argv[1]
for round in range(100):
    with open(path + ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        parties = json.load(open(path)) if os.path.exists(path) else {}
        parties[f"neighbour-{round}"] = {"host_id": "n"}
        with open(path + ".neighbour", "w") as file:
            json.dump(parties, file, indent=2)
        os.rename(path + ".neighbour", path)
"#;

#[cfg(unix)]
#[test]
fn writers_at_the_same_time_lose_nothing() {
    let place = Place::new();
    std::thread::scope(|scope| {
        scope.spawn(|| python(NEIGHBOUR, &[&place.path]));
        for writer in ["a", "b", "c"] {
            let mut daemon = place.daemon(writer);
            scope.spawn(move || {
                let mut parties = Entries::default();
                for round in 0..40 {
                    let set = |parties: &mut Entries, round, is_there: bool| {
                        let party = party(&format!("{writer}-{round}"), writer, &[]);
                        let present = is_there.then_some(&*party);
                        parties.set(&party.party_id, present, now().time_zone()).expect("an entry");
                    };
                    set(&mut parties, round, true);
                    // Half of them go again.
                    if round % 2 == 1 {
                        set(&mut parties, round / 2, false);
                    }
                    while let Err(error) = daemon.update(&parties, &now()) {
                        assert!(matches!(error, DiscoveryError::Locked(_)), "{error}");
                    }
                }
            });
        }
    });
    assert!(place.set_aside().is_empty());
    let ids = place.ids();
    let count = |of: &str| ids.iter().filter(|id| id.starts_with(of)).count();
    let counts = ["neighbour-", "a-", "b-", "c-"].map(count);
    assert_eq!((counts, ids.len()), ([100, 20, 20, 20], 160));
}
