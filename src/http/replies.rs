//! Memory budget of long replies that wait for their clients to read, in all and by address.
//!
//! A reply reserves its estimated size before it is encoded, and holds the room until the client
//! has read it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_web::http::header::ContentType;
use actix_web::{HttpResponse, ResponseError as _};
use serde::Serialize;

use super::problem::Problem;
use super::refusals::{Limit, RefusalLog};
use super::sliced::{SLICE, Sliced};
use crate::control_plane::Failure;
use crate::core::{AddressKey, ByteShares};
use crate::fair_turns::Turn;

/// Longest reply that is not counted: the connection's own buffer takes it.
const FLOOR: usize = 2 * SLICE;

/// Counts the bytes of the replies of all connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReplyBudget {
    shares: Arc<Mutex<ByteShares>>,
    refusals: Arc<RefusalLog>,
}

/// Reserved room of a reply, until it is dropped.
#[derive(Debug)]
pub(crate) struct ReplyRoom {
    budget: ReplyBudget,
    address: AddressKey,
    /// Limit of the bytes of all replies.
    most: usize,
    counted: usize,
    /// Turn that is held until the reply is encoded, if that may take long.
    turn: Option<Turn>,
}

impl ReplyBudget {
    /// Returns a budget without replies.
    pub(crate) fn new(refusals: Arc<RefusalLog>) -> Self {
        Self { shares: Arc::default(), refusals }
    }

    /// Reserves room for a reply to an address, where all replies may have `most` bytes.
    ///
    /// # Errors
    /// [`Failure::RepliesFull`].
    pub(crate) fn reserve(
        &self,
        address: AddressKey,
        estimate: usize,
        most: usize,
    ) -> Result<ReplyRoom, Failure> {
        let mut room = ReplyRoom { budget: self.clone(), address, most, counted: 0, turn: None };
        room.resize(estimate)?;
        Ok(room)
    }

    fn lock(&self) -> MutexGuard<'_, ByteShares> {
        // A panic ends the process, so nothing sees a broken budget.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplyRoom {
    /// Keeps the turn until the reply is encoded.
    pub(super) fn keep(&mut self, turn: Turn) {
        self.turn = Some(turn);
    }

    /// Replaces the estimate by the size of the reply.
    ///
    /// # Errors
    /// [`Failure::RepliesFull`], if there is no room for the size.
    fn resize(&mut self, bytes: usize) -> Result<(), Failure> {
        let bytes = self.counted(bytes);
        let mut shares = self.budget.lock();
        let further = bytes.saturating_sub(self.counted);
        if further > 0 && !shares.has_room(self.address, further, self.most) {
            self.budget.refusals.add_key(Limit::Replies, self.address);
            return Err(Failure::RepliesFull { limit: ByteShares::of_address(self.most) });
        }
        shares.remove(self.address, self.counted);
        shares.add(self.address, bytes);
        self.counted = bytes;
        Ok(())
    }

    /// Counts the size of the reply, even beyond the limit.
    fn set(&mut self, bytes: usize) {
        let bytes = self.counted(bytes);
        let mut shares = self.budget.lock();
        shares.remove(self.address, self.counted);
        shares.add(self.address, bytes);
        self.counted = bytes;
    }

    /// Returns the bytes that a reply counts for. The longest one is sent if nothing else waits.
    fn counted(&self, bytes: usize) -> usize {
        if bytes <= FLOOR { 0 } else { bytes.min(ByteShares::of_address(self.most)) }
    }

    /// Returns a 200 reply of a read, if there is room for it.
    pub(super) fn read(mut self, reply: &impl Serialize) -> Result<HttpResponse, Problem> {
        let json = encode(reply)?;
        self.resize(json.len())?;
        Ok(self.response(json))
    }

    /// Returns a 200 reply of a change, which can't be refused any more.
    pub(super) fn done(mut self, reply: &impl Serialize) -> HttpResponse {
        match encode(reply) {
            Ok(json) => {
                self.set(json.len());
                self.response(json)
            }
            Err(problem) => problem.error_response(),
        }
    }

    fn response(mut self, json: Vec<u8>) -> HttpResponse {
        self.turn = None;
        HttpResponse::Ok().content_type(ContentType::json()).body(Sliced::counted(json, self))
    }
}

impl Drop for ReplyRoom {
    fn drop(&mut self) {
        self.budget.lock().remove(self.address, self.counted);
    }
}

fn encode(reply: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(reply).map_err(Problem::internal)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn address(number: u8) -> AddressKey {
        IpAddr::from([203, 0, 113, number]).into()
    }

    #[test]
    fn reply_budget_has_shares_by_address_for_long_replies_only() {
        let budget = ReplyBudget::default();
        let reserve = |number, bytes| budget.reserve(address(number), bytes, 4 * MIB);
        let mut rooms: Vec<_> = (1..=4)
            .flat_map(|number| [reserve(number, MIB / 2), reserve(number, MIB / 2)])
            .collect();
        assert!(rooms.iter().all(Result::is_ok));
        assert_eq!(reserve(1, FLOOR + 1).err(), Some(Failure::RepliesFull { limit: MIB }));
        assert!(reserve(5, FLOOR + 1).is_err() && reserve(5, FLOOR).is_ok());
        rooms.truncate(6);
        // Any length passes if nothing else of that address waits.
        assert!(reserve(4, 100 * MIB).is_ok());
        drop(rooms);
        assert!(budget.lock().is_empty());
    }

    #[test]
    fn reply_counts_its_length_until_it_is_dropped() {
        let budget = ReplyBudget::default();
        let mut room = budget.reserve(address(1), MIB, 4 * MIB).expect("room");
        assert!(budget.reserve(address(1), MIB, 4 * MIB).is_err());
        room.resize(100).expect("less");
        let other = budget.reserve(address(1), MIB, 4 * MIB).expect("room");
        assert!(room.resize(MIB).is_err());
        room.set(MIB);
        drop(other);
        assert!(budget.reserve(address(1), MIB, 4 * MIB).is_err());
        drop(room);
        assert!(budget.lock().is_empty());
    }
}
