//! Bytes in the send queues, over all connections.

use std::sync::Mutex;

use super::connection_handle::lock;
use crate::config::Ws;
use crate::core::{AddressKey, ByteShares};

/// Bytes that a connection may always queue: a reading client is never closed because others do not
/// read.
const FLOOR: usize = 32 * 1024;
/// Byte limits of a send queue.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueBytes {
    connection: usize,
    total: usize,
}

impl QueueBytes {
    pub(super) fn of(ws: &Ws) -> Self {
        Self { connection: ws.queue_bytes, total: ws.queue_total_bytes }
    }

    /// True while less than half of a connection's bytes are used.
    pub(super) fn has_room(self, waiting: usize) -> bool {
        2 * waiting < self.connection
    }
}

/// Counts the bytes of all connections.
#[derive(Debug, Default)]
pub(super) struct Queued(Mutex<ByteShares>);

impl Queued {
    /// Counts a frame of a connection that has `waiting` bytes queued already.
    ///
    /// # Errors
    /// Configuration key of the limit that the frame exceeds.
    pub(super) fn add(
        &self,
        address: AddressKey,
        waiting: usize,
        bytes: usize,
        most: QueueBytes,
    ) -> Result<(), &'static str> {
        if waiting > 0 && waiting + bytes > most.connection {
            return Err("ws.queue_bytes");
        }
        let mut shares = lock(&self.0);
        let is_full = !shares.has_room(address, bytes, most.total);
        if is_full && waiting + bytes > FLOOR && waiting > 0 {
            return Err("ws.queue_total_bytes");
        }
        shares.add(address, bytes);
        Ok(())
    }

    /// Returns the bytes that a connection with `waiting` queued bytes may add. While others have used
    /// up the total, only an empty queue takes more.
    pub(super) fn left(&self, address: AddressKey, waiting: usize, most: QueueBytes) -> usize {
        let floor = if waiting == 0 { FLOOR } else { 0 };
        let of_all = lock(&self.0).left(address, most.total).max(floor);
        of_all.min(most.connection.saturating_sub(waiting))
    }

    /// Removes frames from the counts.
    pub(super) fn remove(&self, address: AddressKey, bytes: usize) {
        lock(&self.0).remove(address, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const KIB: usize = 1024;

    fn address(number: u8) -> AddressKey {
        IpAddr::from([203, 0, 113, number]).into()
    }

    #[test]
    fn empty_send_queue_takes_a_frame_of_any_length() {
        let queued = Queued::default();
        let most = QueueBytes { connection: 100 * KIB, total: 1024 * KIB };
        assert_eq!(queued.add(address(1), 0, 200 * KIB, most), Ok(()));
        queued.remove(address(1), 200 * KIB);
        assert_eq!(queued.add(address(1), 0, 60 * KIB, most), Ok(()));
        assert_eq!(queued.left(address(1), 60 * KIB, most), 40 * KIB);
        assert_eq!(queued.add(address(1), 60 * KIB, 40 * KIB, most), Ok(()));
        assert_eq!(queued.add(address(1), 100 * KIB, 1, most), Err("ws.queue_bytes"));
    }

    #[test]
    fn send_queues_of_one_address_leave_a_share_and_a_floor_to_others() {
        let queued = Queued::default();
        let most = QueueBytes { connection: 1024 * KIB, total: 1024 * KIB };
        let frame = |number, waiting| queued.add(address(number), waiting, 16 * KIB, most);
        let fill = |number| (0..).take_while(|sent| frame(number, sent * 16 * KIB).is_ok()).count();
        // A quarter each.
        for number in 1..=4 {
            assert_eq!(fill(number), 16, "{number}");
        }
        assert_eq!(fill(5), 2, "its floor");
        let left = |number, waiting| queued.left(address(number), waiting, most);
        assert_eq!((left(5, 32 * KIB), left(6, 0)), (0, FLOOR));
        queued.remove(address(1), 16 * 16 * KIB);
        assert_eq!(frame(5, 32 * KIB), Ok(()));
        for (number, frames) in [(2, 16), (3, 16), (4, 16), (5, 3)] {
            queued.remove(address(number), frames * 16 * KIB);
        }
        assert!(lock(&queued.0).is_empty());
    }
}
