//! Shares: the part of a bounded table that one client may fill, so that others find room.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::num::NonZeroU32;

use lanrage_ipc::model::PeerId;

use super::address::AddressKey;
use super::record::User;

/// Number of shares that all addresses of a /48 have together. One customer gets a /48, which
/// contains 65,536 /64s.
const SHARES_OF_A_SITE: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

/// Payer of an entry of a table: the entry counts for the payer's share.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Payer {
    /// A client on the network.
    Address(AddressKey),
    /// The /48 of an IPv6 address. It also pays for all entries of its addresses.
    Site(u64),
    /// A user of this machine.
    User(User),
    /// A peer on any machine.
    Peer(PeerId),
    /// The control server that this daemon follows.
    Server,
}

impl Payer {
    /// Returns the widest group of this payer: the /48 of an IPv6 address, else itself.
    pub(crate) fn widest(&self) -> Self {
        match self {
            Self::Address(AddressKey::V6(prefix)) => Self::Site(prefix >> 16),
            payer => payer.clone(),
        }
    }

    /// Returns the group that also pays: the /48 of an IPv6 address.
    pub(crate) fn group(&self) -> Option<Self> {
        matches!(self, Self::Address(AddressKey::V6(_))).then(|| self.widest())
    }

    /// Returns the payer and its group.
    pub(crate) fn with_group(&self) -> impl Iterator<Item = Self> + use<> {
        std::iter::once(self.clone()).chain(self.group())
    }

    /// Returns the number of shares of a /48.
    pub(crate) fn shares_of_a_site() -> NonZeroU32 {
        SHARES_OF_A_SITE
    }

    /// Returns the share of a payer, where one address has `of_address`.
    pub(crate) fn share(&self, of_address: usize) -> usize {
        match self {
            Self::Site(_) => of_address.saturating_mul(SHARES_OF_A_SITE.get() as usize),
            _ => of_address,
        }
    }
}

impl fmt::Display for Payer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(AddressKey::V6(prefix)) => {
                write!(f, "network {}/64", Ipv6Addr::from(u128::from(*prefix) << 64))
            }
            Self::Address(address) => write!(f, "address {address}"),
            Self::Site(prefix) => {
                write!(f, "network {}/48", Ipv6Addr::from(u128::from(*prefix) << 80))
            }
            Self::User(User(uid)) => write!(f, "user {uid}"),
            Self::Peer(peer_id) => write!(f, "peer {peer_id}"),
            Self::Server => write!(f, "the control server"),
        }
    }
}

/// Divisors of a table's size, for the shares of its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Divisor for an address or a peer; a /48 has four such shares.
    pub(crate) address: usize,
    /// Divisor for a user of this machine, and for the followed control server.
    pub(crate) user: usize,
}

impl Shares {
    /// Returns the share of one address in a table of that size; at least one entry.
    pub(crate) fn of_address(self, table: usize) -> usize {
        part(table, self.address)
    }

    /// Returns the share of a payer in a table of that size; at least one entry.
    pub(crate) fn of(self, payer: &Payer, table: usize) -> usize {
        match payer {
            Payer::Address(_) | Payer::Site(_) | Payer::Peer(_) => {
                payer.share(self.of_address(table)).min(table.max(1))
            }
            Payer::User(_) | Payer::Server => part(table, self.user),
        }
    }
}

fn part(table: usize, divisor: usize) -> usize {
    (table / divisor.max(1)).max(1)
}

/// Amounts that each payer has in a table.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone, PartialEq))]
pub(crate) struct Tally {
    /// Never 0.
    filled: HashMap<Payer, usize>,
}

impl Tally {
    /// Counts `amount` for a payer and its group.
    pub(crate) fn add(&mut self, payer: &Payer, amount: usize) {
        for payer in payer.with_group().filter(|_| amount > 0) {
            *self.filled.entry(payer).or_default() += amount;
        }
    }

    /// Reverts [`Tally::add`].
    pub(crate) fn remove(&mut self, payer: &Payer, amount: usize) {
        for payer in payer.with_group() {
            if let Some(filled) = self.filled.get_mut(&payer) {
                *filled = filled.saturating_sub(amount);
                if *filled == 0 {
                    self.filled.remove(&payer);
                }
            }
        }
    }

    /// Returns the amount of a payer.
    pub(super) fn of(&self, payer: &Payer) -> usize {
        self.filled.get(payer).copied().unwrap_or_default()
    }

    /// Returns the payer without room for `amount` more, and its share: the payer itself or its
    /// group.
    pub(crate) fn exceeded(
        &self,
        payer: &Payer,
        amount: usize,
        share: impl Fn(&Payer) -> usize,
    ) -> Option<(Payer, usize)> {
        let mut payers = payer.with_group().map(|payer| (share(&payer), payer));
        let (share, payer) = payers.find(|(share, payer)| self.of(payer) + amount > *share)?;
        Some((payer, share))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn address(text: &str) -> Payer {
        Payer::Address(text.parse::<IpAddr>().unwrap().into())
    }

    #[test]
    fn all_addresses_of_a_site_have_four_shares_together() {
        let (shares, mut tally) = (Shares { address: 16, user: 4 }, Tally::default());
        let exceeded = |tally: &Tally, text: &str| {
            let found = tally.exceeded(&address(text), 1, |payer| shares.of(payer, 32));
            found.map(|(payer, share)| format!("{payer}: {share}"))
        };
        for number in 0..4 {
            let own = format!("2001:db8:1:{number}::1");
            assert_eq!(exceeded(&tally, &own), None);
            tally.add(&address(&own), 2);
            assert_eq!(
                exceeded(&tally, &own),
                Some(format!(
                    "network 2001:db8:1:{}/64: 2",
                    match number {
                        0 => ":".to_owned(),
                        number => format!("{number}::"),
                    }
                ))
            );
        }
        let site = Some("network 2001:db8:1::/48: 8".to_owned());
        assert_eq!(exceeded(&tally, "2001:db8:1:9::1"), site);
        assert_eq!(exceeded(&tally, "2001:db8:2::1"), None, "another site");
        tally.remove(&address("2001:db8:1:3::1"), 2);
        assert_eq!(exceeded(&tally, "2001:db8:1:9::1"), None);
    }

    #[test]
    fn an_ipv4_address_and_a_user_have_one_share_each() {
        let (shares, mut tally) = (Shares { address: 16, user: 4 }, Tally::default());
        for (payer, share) in [(address("192.0.2.1"), 2), (Payer::User(User(7)), 8)] {
            tally.add(&payer, share);
            let exceeded = tally.exceeded(&payer, 1, |payer| shares.of(payer, 32));
            assert_eq!(exceeded, Some((payer.clone(), share)));
            tally.remove(&payer, share);
            assert_eq!(tally, Tally::default(), "nothing is kept of {payer}");
        }
        assert_eq!(shares.of(&address("192.0.2.1"), 3), 1, "one entry at least");
    }
}
