//! Bound of the greetings under way. After a restart all clients return at once; their greetings
//! wait in line, so that the requests of others do not wait behind all of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::core::AddressKey;
use crate::fair_turns::{ClientPermit, ClientPermits};

/// Greetings under way of one address: enough for their changes to share commits.
const OF_ADDRESS: usize = 16;
/// Greetings under way in all.
const OF_ALL: usize = 64;

/// Permits of the greetings under way.
pub(super) struct Greetings {
    addresses: ClientPermits<AddressKey>,
    all: Arc<Semaphore>,
}

/// Permit of one greeting, until it is dropped. Nothing may wait for the client meanwhile.
pub(super) struct GreetingPermit {
    _address: ClientPermit,
    _all: Option<OwnedSemaphorePermit>,
}

impl Default for Greetings {
    fn default() -> Self {
        Self { addresses: ClientPermits::new(OF_ADDRESS), all: Arc::new(Semaphore::new(OF_ALL)) }
    }
}

impl Greetings {
    /// Waits until a greeting of an address may go on.
    pub(super) async fn acquire(&self, address: AddressKey) -> GreetingPermit {
        let permit = self.addresses.acquire(address).await;
        // The semaphore is never closed.
        GreetingPermit { _address: permit, _all: self.all.clone().acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt as _;

    use super::*;

    fn address(number: u8) -> AddressKey {
        IpAddr::from([203, 0, 113, number]).into()
    }

    /// Returns the number of greetings that may go on at once.
    fn fill(greetings: &Greetings, number: u8) -> Vec<GreetingPermit> {
        std::iter::from_fn(|| greetings.acquire(address(number)).now_or_never()).collect()
    }

    #[test]
    fn greetings_under_way_are_bounded_in_all_and_by_address() {
        let greetings = Greetings::default();
        let crowds: Vec<_> = (0..8).map(|number| fill(&greetings, number)).collect();
        let counts: Vec<_> = crowds.iter().map(Vec::len).collect();
        assert_eq!(counts, [16, 16, 16, 16, 0, 0, 0, 0]);
    }

    #[test]
    fn address_with_a_crowd_leaves_the_next_permit_to_another() {
        let greetings = Greetings::default();
        let mut crowds: Vec<_> = (0..4).map(|number| fill(&greetings, number)).collect();
        let mut waiting: Vec<_> =
            (0..100).map(|_| Box::pin(greetings.acquire(address(0)))).collect();
        for greeting in &mut waiting {
            assert!(greeting.now_or_never().is_none());
        }
        let mut honest = Box::pin(greetings.acquire(address(9)));
        assert!((&mut honest).now_or_never().is_none());
        crowds[1].pop();
        assert!(honest.now_or_never().is_some());
    }
}
