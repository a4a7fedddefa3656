//! Addresses in the virtual LAN.

use std::collections::HashSet;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The address of a party's host: the subnet's first.
pub(super) fn host(subnet: Ipv4Net) -> Option<Ipv4Addr> {
    subnet.hosts().next()
}

/// The lowest address that neither the host nor another member has. `None` when all are taken.
pub(super) fn guest(subnet: Ipv4Net, taken: &HashSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    // Of one more candidate than there are members, one is free: this never walks the subnet.
    subnet.hosts().skip(1).take(taken.len() + 1).find(|address| !taken.contains(address))
}
