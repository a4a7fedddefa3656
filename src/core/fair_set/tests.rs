use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;

const LIMITS: ShareLimits = ShareLimits { total: 6, per_address: 3 };

fn address(last: u8) -> Option<AddressKey> {
    Some(IpAddr::from(Ipv4Addr::new(192, 0, 2, last)).into())
}

fn replaced(evicted: u64, of: Option<AddressKey>, bound: ShareBound) -> Admission {
    Admission::Replaced { evicted, address: of, bound }
}

#[test]
fn full_address_loses_its_own_entry_of_lowest_rank() {
    let mut set = FairSet::new(LIMITS);
    for (number, rank) in [(1, 5), (2, 3), (3, 4)] {
        assert_eq!(set.add(number, address(1), Some(rank)), Admission::Admitted);
    }
    set.add(4, address(2), Some(0));
    assert_eq!(
        set.add(5, address(1), None),
        replaced(2, address(1), ShareBound::PerAddress),
        "another address keeps its entry, whatever its rank"
    );
    set.set_rank(1, None);
    set.set_rank(3, None);
    let refused = Admission::Refused(ShareBound::PerAddress);
    assert_eq!(set.add(6, address(1), Some(0)), refused);
    set.remove(1);
    assert_eq!(set.add(6, address(1), Some(0)), Admission::Admitted);
}

#[test]
fn full_set_loses_an_entry_of_the_address_with_most() {
    let mut set = FairSet::new(LIMITS);
    for (number, of, rank) in [(1, 1, 9), (2, 1, 8), (3, 1, 7), (4, 2, 1), (5, 3, 0), (6, 3, 2)] {
        assert_eq!(set.add(number, address(of), Some(rank)), Admission::Admitted);
    }
    assert_eq!(set.add(7, address(4), Some(3)), replaced(3, address(1), ShareBound::Total));
    // Of the addresses with two entries, the one with the lowest rank loses its entry.
    assert_eq!(set.add(8, address(5), Some(3)), replaced(5, address(3), ShareBound::Total));
}

#[test]
fn entries_without_an_address_have_no_bound_of_their_own_and_go_last() {
    let mut set = FairSet::new(LIMITS);
    for number in 0..5 {
        assert_eq!(set.add(number, None, Some(0)), Admission::Admitted);
    }
    set.add(5, address(1), Some(9));
    assert_eq!(set.add(6, None, Some(9)), replaced(5, address(1), ShareBound::Total));
    assert_eq!(set.add(7, address(1), None), replaced(0, None, ShareBound::Total));
    for number in 1..7 {
        set.set_rank(number, None);
    }
    assert_eq!(set.add(8, address(2), None), Admission::Refused(ShareBound::Total));
}

proptest! {
    /// Bounds hold and all indexes agree after any sequence of operations.
    #[test]
    fn bounds_hold(steps in prop::collection::vec((0_u64..12, 0_u8..4, 0_u8..4, any::<bool>()), 0..80)) {
        let mut set = FairSet::new(LIMITS);
        for (step, (number, of, rank, is_ranked)) in steps.into_iter().enumerate() {
            let rank = is_ranked.then_some(rank);
            let of = if of == 0 { None } else { address(of) };
            match step % 3 {
                0 if !set.entries.contains_key(&number) => {
                    set.add(number, of, rank);
                }
                1 => { set.set_rank(number, rank); }
                _ => set.remove(number),
            }
            prop_assert!(set.entries.len() <= LIMITS.total);
            for (key, share) in &set.addresses {
                let of_key = set.entries.values().filter(|entry| entry.address == *key);
                prop_assert_eq!(of_key.clone().count(), share.entries);
                prop_assert_eq!(of_key.filter(|entry| entry.rank.is_some()).count(), share.ranks.len());
                prop_assert!(key.is_none() || share.entries <= LIMITS.per_address);
            }
            let evictable = set.addresses.values().filter(|share| !share.ranks.is_empty());
            prop_assert_eq!(evictable.count(), set.evictable.len());
        }
    }
}
