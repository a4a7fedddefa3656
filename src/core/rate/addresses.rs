//! Rate limits by address. An address has one share, all addresses of its /48 together have four.

use std::time::Duration;

use super::{Buckets, Rate, RetryAfter, Turns};
use crate::core::AddressKey;
use crate::core::shares::Payer;

/// Token buckets of addresses and of their /48s, each map in bounded memory.
///
/// An IPv4 address costs one look-up, an IPv6 address two.
#[derive(Debug)]
pub(crate) struct AddressBuckets {
    addresses: Buckets<Payer>,
    sites: Buckets<Payer>,
}

impl AddressBuckets {
    /// Returns full buckets at the rate of one address; at most `most_keys` of each kind are kept.
    pub(crate) fn new(rate: Rate, most_keys: usize) -> Self {
        let sites = Buckets::new(rate.times(Payer::shares_of_a_site()), most_keys);
        Self { addresses: Buckets::new(rate, most_keys), sites }
    }

    /// Takes one request from the buckets of an address.
    ///
    /// # Errors
    /// The empty bucket, if any is empty. Nothing is taken then.
    pub(crate) fn take(&mut self, address: AddressKey, now: Duration) -> Result<(), EmptyBucket> {
        let payer = Payer::Address(address);
        let empty = |payer| move |wait| EmptyBucket { payer, wait };
        self.addresses.take(payer.clone(), now).map_err(empty(payer.clone()))?;
        let Some(site) = payer.group() else { return Ok(()) };
        let taken = self.sites.take(site.clone(), now);
        if taken.is_err() {
            self.addresses.give_back(&payer);
        }
        taken.map_err(empty(site))
    }

    /// Gives one request back to the buckets of an address.
    pub(crate) fn give_back(&mut self, address: AddressKey) {
        let payer = Payer::Address(address);
        self.addresses.give_back(&payer);
        if let Some(site) = payer.group() {
            self.sites.give_back(&site);
        }
    }
}

/// A refusal of [`AddressBuckets::take`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EmptyBucket {
    payer: Payer,
    /// Time until the bucket has room for one request.
    pub(crate) wait: RetryAfter,
}

/// Turns of the requests that [`AddressBuckets`] refused, queued by the bucket that was empty.
#[derive(Debug)]
pub(crate) struct AddressTurns {
    addresses: Turns<Payer>,
    sites: Turns<Payer>,
}

impl AddressTurns {
    /// Returns turns at the rate of one address; at most `most_keys` of each kind have a queue.
    pub(crate) fn new(rate: Rate, most_keys: usize) -> Self {
        let sites = Turns::new(rate.times(Payer::shares_of_a_site()), most_keys);
        Self { addresses: Turns::new(rate, most_keys), sites }
    }

    /// Returns the wait of a request that was refused at `now`.
    pub(crate) fn give(&mut self, empty: EmptyBucket, now: Duration) -> RetryAfter {
        let EmptyBucket { payer, wait } = empty;
        match payer {
            Payer::Site(_) => self.sites.give(payer, wait, now),
            payer => self.addresses.give(payer, wait, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn address(text: &str) -> AddressKey {
        text.parse::<IpAddr>().unwrap().into()
    }

    /// One request a minute, with a burst of three.
    fn rate() -> Rate {
        Rate::new(1, Duration::from_secs(60), 3)
    }

    /// Counts the admitted requests of `networks` networks of one /48, with three requests each.
    fn admitted(buckets: &mut AddressBuckets, site: &str, networks: usize) -> usize {
        let mut take = |network: usize| {
            let address = address(&format!("{site}:{network:x}::1"));
            (0..3).filter(|_| buckets.take(address, NOW).is_ok()).count()
        };
        (0..networks).map(&mut take).sum()
    }

    #[test]
    fn all_networks_of_a_site_have_the_rate_of_four() {
        let mut buckets = AddressBuckets::new(rate(), 64);
        assert_eq!(admitted(&mut buckets, "2001:db8:1", 20), 12);
        assert_eq!(admitted(&mut buckets, "2001:db8:2", 20), 12, "another site");
        assert_eq!(admitted(&mut buckets, "2001:db8:3", 1), 3, "one network");
        // In the long run the /48 has four times the rate, too: one request each 15 seconds.
        let later = NOW + Duration::from_secs(15);
        let network = |number| address(&format!("2001:db8:1:{number:x}::1"));
        assert!(buckets.take(network(100), later).is_ok());
        assert_eq!(
            buckets.take(network(101), later).unwrap_err().wait,
            RetryAfter(Duration::from_secs(15))
        );
    }

    #[test]
    fn ipv4_addresses_have_no_site() {
        let mut buckets = AddressBuckets::new(rate(), 64);
        for number in 0..20 {
            let address = address(&format!("192.0.2.{number}"));
            assert_eq!((0..9).filter(|_| buckets.take(address, NOW).is_ok()).count(), 3);
        }
    }

    #[test]
    fn refusal_by_the_site_takes_nothing_from_the_network() {
        let mut buckets = AddressBuckets::new(rate(), 64);
        admitted(&mut buckets, "2001:db8:1", 4);
        let fresh = address("2001:db8:1:ff::1");
        assert!(buckets.take(fresh, NOW).is_err());
        buckets.give_back(address("2001:db8:1:0::1"));
        assert!(buckets.take(fresh, NOW).is_ok(), "the site has room for one request again");
        buckets.give_back(fresh);
        assert!(buckets.addresses.full_for(&Payer::Address(fresh), NOW) < Duration::MAX);
        assert!((0..3).all(|_| buckets.addresses.take(Payer::Address(fresh), NOW).is_ok()));
    }

    #[test]
    fn refused_networks_of_a_site_share_one_queue() {
        let (mut buckets, mut turns) =
            (AddressBuckets::new(rate(), 64), AddressTurns::new(rate(), 64));
        admitted(&mut buckets, "2001:db8:1", 4);
        let waits: Vec<_> = (10..13)
            .map(|number| {
                let network = address(&format!("2001:db8:1:{number:x}::1"));
                turns.give(buckets.take(network, NOW).unwrap_err(), NOW).0
            })
            .collect();
        for (number, wait) in (1..).zip(waits) {
            let turn = Duration::from_secs(15) * number;
            assert!((turn..turn + Duration::from_secs(8)).contains(&wait), "{number}: {wait:?}");
        }
    }
}
