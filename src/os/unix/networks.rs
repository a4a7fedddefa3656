//! Networks of this machine.

use ipnet::Ipv4Net;

/// Returns the IPv4 addresses of the interfaces, with their networks' prefix lengths. The list is
/// empty if the system does not tell.
pub(crate) fn networks() -> Vec<Ipv4Net> {
    let interfaces = match nix::ifaddrs::getifaddrs() {
        Ok(interfaces) => interfaces,
        Err(error) => {
            log::debug!("interface addresses unknown: {error}");
            return Vec::new();
        }
    };
    let network = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?.as_sockaddr_in()?.ip();
        let mask = interface.netmask?.as_sockaddr_in()?.ip();
        Ipv4Net::with_netmask(address, mask).ok()
    };
    interfaces.filter_map(network).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_is_among_the_networks() {
        let loopback = std::net::Ipv4Addr::LOCALHOST;
        assert!(networks().iter().any(|network| network.contains(&loopback)), "{:?}", networks());
    }
}
