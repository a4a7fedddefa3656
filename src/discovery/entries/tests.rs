use std::sync::Arc;

use super::*;
use crate::discovery::fixtures::{now, party, within};

/// Returns a copy of a control server's party with that many guests.
fn copy(id: &str, guests: usize) -> Arc<Party> {
    let guests: Vec<_> = (0..guests).map(|number| format!("x{number}")).collect();
    let guests: Vec<_> = guests.iter().map(String::as_str).collect();
    let mut copy = (*party(id, "host", &guests)).clone();
    copy.origin = Origin::Remote;
    Arc::new(copy)
}

/// Returns the ids of the entries, and the number of parties left out.
fn announced(parties: &[&Arc<Party>], room: usize) -> (Vec<String>, usize) {
    let entries = within(Entries::with_room(room), parties);
    let ids = entries.iter().map(|(party_id, _)| party_id.to_string()).collect();
    (ids, entries.left_out())
}

#[test]
fn parties_of_this_daemon_come_before_copies_and_small_copies_before_large_ones() {
    let (large, small, own) = (copy("a", 40), copy("b", 2), party("z", "host", &["guest"]));
    let orders = [[&large, &small, &own], [&own, &small, &large], [&small, &large, &own]];
    for all in orders {
        assert_eq!(announced(&all, 1 << 20), (vec!["a".into(), "b".into(), "z".into()], 0));
        assert_eq!(announced(&all, 6000), (vec!["b".into(), "z".into()], 1));
    }
    assert_eq!(announced(&[&large, &own], 6000), (vec!["z".into()], 1));
}

#[test]
fn party_without_room_is_told_once_there_may_be_room() {
    let (large, own) = (copy("a", 40), party("z", "host", &["guest"]));
    let both = within(Entries::default(), &[&large, &own]).bytes;
    let mut entries = within(Entries::with_room(both - 1), &[&large, &own]);
    assert_eq!(entries.left_out(), 1);
    assert!(entries.take_left_out().is_empty(), "nothing was freed");
    entries.set(&own.party_id, None, now().time_zone()).expect("removed");
    assert_eq!(entries.take_left_out(), BTreeSet::from([large.party_id.clone()]));
    let entries = within(entries, &[&large]);
    assert_eq!((entries.left_out(), entries.iter().count()), (0, 1));
}

#[test]
fn change_renders_its_party_alone() {
    let rendered = |count: usize| {
        let parties: Vec<_> = (0..count).map(|n| party(&format!("p{n}"), "a", &["b"])).collect();
        let mut entries = within(Entries::default(), &parties.iter().collect::<Vec<_>>());
        let before = entries.rendered;
        entries.set(&parties[0].party_id, Some(&parties[0]), now().time_zone()).expect("set");
        (before, entries.rendered - before)
    };
    assert_eq!((rendered(10), rendered(1000)), ((10, 1), (1000, 1)));
}

#[test]
fn size_covers_the_longest_time() {
    let party = copy("a", 3);
    let entries = within(Entries::default(), &[&party]);
    let (_, entry) = entries.get("a").expect("an entry");
    let last_seen = last_seen(now().datetime());
    assert!(last_seen.ends_with(".123456\""), "{last_seen}");
    let text: Vec<_> = entry.parts().collect();
    assert_eq!(text.len(), 5);
    assert_eq!(text.join(&last_seen).len() + 1 + AROUND_ENTRY, entry.size);
}

#[test]
fn text_of_a_blank_time_in_a_name_stays() {
    let mut named = (*party("p", "a", &[])).clone();
    named.name = BLANK.parse().expect("a name");
    let entries = within(Entries::default(), &[&Arc::new(named.clone())]);
    let (_, entry) = entries.get("p").expect("an entry");
    let announced = entry.announced(now().datetime()).expect("JSON");
    assert_eq!((announced.name, announced.peers["a"].last_seen), (BLANK.into(), now().datetime()));
}
