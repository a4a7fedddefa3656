//! Network addresses as the owners of shares.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The part of a network address that counts as one client: a whole IPv4 address, or the /64 of an
/// IPv6 address. A customer has at least one /64 and can use any address in it.
///
/// As text it is the address with a zero interface part: `192.0.2.1`, `2001:db8:0:1::`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AddressKey {
    /// One address.
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => Self::V6((u128::from(address) >> 64) as u64),
        }
    }
}

impl fmt::Display for AddressKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::V4(address) => address.fmt(f),
            Self::V6(prefix) => Ipv6Addr::from(u128::from(*prefix) << 64).fmt(f),
        }
    }
}

impl FromStr for AddressKey {
    type Err = &'static str;

    /// Parses the output of [`Display`](fmt::Display), and nothing else.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const RULE: &str = "must be an IPv4 address, or an IPv6 address with a zero interface part";
        let address: IpAddr = text.parse().map_err(|_| RULE)?;
        let key = Self::from(address);
        if key.to_string() == text { Ok(key) } else { Err(RULE) }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::AddressKey;

    #[test]
    fn address_key_is_the_ipv4_address_or_the_ipv6_64() {
        let key = |text: &str| AddressKey::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff:0:0:2"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_ne!(key("::ffff:0:192.0.2.1"), key("192.0.2.1"), "a translated address is IPv6");
    }

    #[test]
    fn address_key_parses_its_own_display_text() {
        for (address, text) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::"),
            ("::1", "::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let key = AddressKey::from(address);
            assert_eq!(key.to_string(), text);
            assert_eq!(text.parse(), Ok(key));
        }
        for text in ["", "192.0.2", "2001:db8::1", "::ffff:192.0.2.1", "2001:DB8::"] {
            assert!(text.parse::<AddressKey>().is_err(), "{text}");
        }
    }
}
