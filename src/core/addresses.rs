//! Addresses in the virtual LAN.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// Address of a party's host: the first of the subnet.
pub(super) fn host(subnet: Ipv4Net) -> Option<Ipv4Addr> {
    subnet.hosts().next()
}

/// Lowest address that neither the host nor one of the `count` members has. `None` when all are
/// taken.
pub(super) fn free(
    subnet: Ipv4Net,
    count: usize,
    taken: impl Iterator<Item = Ipv4Addr>,
) -> Option<Ipv4Addr> {
    let first = subnet.hosts().nth(1)?;
    // Of `count + 1` candidates at least one is free.
    let mut is_taken = vec![false; count + 1];
    for address in taken {
        let place = u32::from(address).checked_sub(u32::from(first));
        if let Some(is_taken) = place.and_then(|place| is_taken.get_mut(place as usize)) {
            *is_taken = true;
        }
    }
    let place = is_taken.iter().position(|is_taken| !is_taken)?;
    subnet.hosts().nth(1 + place)
}

/// Lowest address that neither the host nor another member has. `None` when all are taken.
pub(super) fn guest(subnet: Ipv4Net, taken: &HashSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    // Of `taken.len() + 1` candidates at least one is free: this never walks the whole subnet.
    subnet.hosts().skip(1).take(taken.len() + 1).find(|address| !taken.contains(address))
}

/// True for an address that a host of the subnet may have.
pub(super) fn is_host(subnet: Ipv4Net, address: Ipv4Addr) -> bool {
    subnet.contains(&address) && address != subnet.network() && address != subnet.broadcast()
}

/// True for a private address of RFC 1918, or of 100.64.0.0/10 (carrier-grade NAT).
pub(super) fn is_private(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || (first == 100 && (64..128).contains(&second))
}
