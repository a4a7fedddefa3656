//! Addresses, networks and origins in the configuration.

use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use toml::de::DeValue;

/// Parses an address and port to listen on. A name is refused: it might stand for several
/// addresses, or for another one tomorrow.
pub(in crate::config) fn parse_listen(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| match text.starts_with('[') && text.contains('%') {
        true => {
            "has an IPv6 zone by name: write the interface's number, as in \"[fe80::1%2]:8667\""
        }
        false => {
            "is not an IP address with a port: write it as \"127.0.0.1:8667\" or \"[::1]:8667\""
        }
    })
}

/// Parses a network; a bare address is the network of that address alone.
pub(super) fn parse_network(value: &DeValue<'_>) -> Result<IpNet, String> {
    let text = value.as_str().unwrap_or_default();
    let network = text
        .parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "is not a network: write it as \"10.0.0.0/8\" or \"::1\"")?;
    if network == network.trunc() {
        Ok(network)
    } else {
        Err(format!("is an address within a network: write \"{}\"", network.trunc()))
    }
}

/// Origins of pages without a host: of a file, or in a sandbox.
pub(crate) const ORIGINS_WITHOUT_HOST: [&str; 2] = ["null", "file://"];

/// Parses an origin as browsers send it, `scheme://host[:port]` or one without a host, in lower
/// case.
pub(super) fn parse_origin(value: &DeValue<'_>) -> Result<String, &'static str> {
    let text = value.as_str().unwrap_or_default();
    if text == "*" {
        return Err("would let every page on the web speak to this server: name each origin");
    }
    let origin = text.to_ascii_lowercase();
    let whole = origin
        .split_once("://")
        .is_some_and(|(scheme, authority)| is_scheme(scheme) && is_authority(authority));
    let known = whole || ORIGINS_WITHOUT_HOST.contains(&origin.as_str());
    known.then_some(origin).ok_or(
        "is not an origin: write scheme, host and port alone, as in \"https://example.org\" or \
         \"http://localhost:8080\"",
    )
}

/// Parses a host name, in lower case.
pub(super) fn parse_public_name(value: &DeValue<'_>) -> Result<String, &'static str> {
    let name = value.as_str().unwrap_or_default().to_ascii_lowercase();
    let is_name = is_host(&name) && name.len() <= 253;
    is_name.then_some(name).ok_or("is not the name of a host: write it without scheme and port")
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn is_authority(text: &str) -> bool {
    // The colons of an IPv6 address are within brackets.
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    is_host(host) && port.is_none_or(is_port)
}

fn is_host(text: &str) -> bool {
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !text.is_empty()
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}
