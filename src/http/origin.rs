//! Client addresses behind proxies, and the origins of pages in browsers.

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use crate::config::{Http, ORIGINS_WITHOUT_HOST};

/// Returns the address of the client. `peer` is the other end of the connection, `forwarded_for`
/// all values of `X-Forwarded-For` in order, `trusted` the proxies.
///
/// Each hop vouches for the one before it, so the chain is walked from the right while proxies are
/// trusted. If it ends, or names no address, the last hop is the client.
pub(crate) fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl Iterator<Item = &'a str>,
    trusted: &[IpNet],
) -> IpAddr {
    let mut client = peer.to_canonical();
    if !is_trusted(client, trusted) {
        return client;
    }
    let values: Vec<&str> = forwarded_for.collect();
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_trusted(client, trusted) {
            break;
        }
    }
    client
}

/// True if the client came by HTTPS to a trusted proxy: the last value of `X-Forwarded-Proto`.
pub(crate) fn forwarded_https<'a>(
    peer: IpAddr,
    forwarded_proto: impl Iterator<Item = &'a str>,
    trusted: &[IpNet],
) -> bool {
    let last = forwarded_proto.last().and_then(|value| value.rsplit(',').next());
    is_trusted(peer.to_canonical(), trusted)
        && last.is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"))
}

/// True if pages of this origin may send requests to the server, which they call `host`. These are
/// pages of the configured origins, and those of the server itself. A host is the server if it is
/// an address, `localhost` or a configured name. Any other name may be under an attacker's control
/// (DNS rebinding).
pub(crate) fn origin_allowed(origin: &str, host: Option<&str>, http: &Http) -> bool {
    let Some(origin) = Origin::parse(origin) else {
        let is = |name: &str| name.eq_ignore_ascii_case(origin);
        return ORIGINS_WITHOUT_HOST.iter().any(|name| is(name))
            && http.allowed_origins.iter().any(|allowed| is(allowed));
    };
    let allowed = http.allowed_origins.iter().filter_map(|text| Origin::parse(text));
    let own = host.and_then(|host| origin.of_host(host)).filter(|own| own.is_server(http));
    allowed.chain(own).any(|allowed| origin.equals(&allowed))
}

/// True for a `Host` that is the server: an address, `localhost` or a configured name, with any
/// port.
pub(crate) fn is_own_host(host: &str, http: &Http) -> bool {
    Origin::of_authority("http", host).is_some_and(|own| own.is_server(http))
}

/// Scheme, host and port, as a browser sends them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    /// `None` for the default port of the scheme.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    /// Parses `scheme://host[:port]` with nothing after it; `null` and `*` are invalid.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::of_authority(scheme, authority)
    }

    fn of_authority(scheme: &'a str, authority: &'a str) -> Option<Self> {
        // In an IPv6 address the colons are within the brackets.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(decimal(port)?)),
            _ => (authority, None),
        };
        let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_scheme = !scheme.is_empty() && scheme.bytes().all(in_scheme);
        (is_scheme && is_host(host)).then_some(())?;
        Some(Self { scheme, host, port: port.filter(|port| Some(*port) != default_port(scheme)) })
    }

    /// Returns the origin with this `Host`, if this one is a web page's.
    fn of_host(&self, host: &'a str) -> Option<Self> {
        let is_web = ["http", "https"].iter().any(|web| self.scheme.eq_ignore_ascii_case(web));
        is_web.then(|| Self::of_authority(self.scheme, host))?
    }

    /// True for hosts that no attacker can control.
    fn is_server(&self, http: &Http) -> bool {
        let is = |name: &str| self.host.eq_ignore_ascii_case(name);
        self.host.starts_with('[')
            || self.host.parse::<Ipv4Addr>().is_ok()
            || is("localhost")
            || http.public_names.iter().any(|name| is(name))
    }

    fn equals(&self, other: &Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.host.eq_ignore_ascii_case(other.host)
            && self.port == other.port
    }
}

fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !host.is_empty() && host.bytes().all(in_host)
}

fn default_port(scheme: &str) -> Option<u16> {
    let defaults = [("http", 80), ("https", 443), ("ws", 80), ("wss", 443)];
    defaults.iter().find(|(name, _)| scheme.eq_ignore_ascii_case(name)).map(|(_, port)| *port)
}

/// Parses digits only; `parse` alone accepts a sign.
fn decimal(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// True for the address of a trusted proxy.
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| net.contains(&address))
}

/// Parses an address as proxies write it: bare, in brackets, or with a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']')).unwrap_or(hop);
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse().ok().or_else(with_port).map(|address: IpAddr| address.to_canonical())
}
