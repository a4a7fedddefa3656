//! Snapshots of parties that are sent because members changed. Connections share a snapshot, and
//! those with the same wire format its text: a change costs one of each, for any number of members.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytestring::ByteString;
use lanrage_ipc::model::{Party, PartyId};
use tokio::sync::OnceCell;

use super::connection_handle::lock;
use crate::core::{Now, Recent};
use crate::events::WireFormat;

/// Cached snapshots; a party of 64 members has about 30 KB, and so has each of its texts.
const CAPACITY: usize = 64;
/// Age limit of a cached snapshot, on both clocks. Members that a connection keeps alive count as
/// seen by then.
const MAX_AGE: Duration = Duration::from_millis(500);

/// Latest snapshots.
pub(super) struct PartySnapshots(Mutex<Recent<PartyId, Arc<PartySnapshot>>>);

/// Snapshot of a party, with its texts.
pub(super) struct PartySnapshot {
    asked_at: Now,
    /// The snapshot contains the changes up to this one at least.
    seq: u64,
    party: OnceCell<Arc<Party>>,
    texts: Mutex<Vec<(WireFormat, ByteString)>>,
}

impl Default for PartySnapshots {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY)))
    }
}

impl PartySnapshots {
    /// Returns a snapshot of a party with the changes up to a `seq`.
    pub(super) fn get(&self, party_id: &PartyId, seq: u64, now: Now) -> Arc<PartySnapshot> {
        let mut cache = lock(&self.0);
        if let Some(known) = cache.get(party_id)
            && known.has_seq(seq)
            && known.is_recent(now)
        {
            return known.clone();
        }
        let (party, texts) = Default::default();
        let fresh = Arc::new(PartySnapshot { asked_at: now, seq, party, texts });
        cache.put(party_id.clone(), fresh.clone());
        fresh
    }
}

impl PartySnapshot {
    fn is_recent(&self, now: Now) -> bool {
        let by_wall = now.wall.duration_since(self.asked_at.wall).unsigned_abs();
        now.elapsed.saturating_sub(self.asked_at.elapsed).max(by_wall) < MAX_AGE
    }

    fn has_seq(&self, seq: u64) -> bool {
        self.party.get().map_or(self.seq, |party| party.seq) >= seq
    }

    /// Returns the party. The first caller runs `read`, and the others wait for it.
    ///
    /// # Errors
    /// The error of `read`; the next caller tries again.
    pub(super) async fn party<E>(
        &self,
        read: impl AsyncFnOnce() -> Result<Party, E>,
    ) -> Result<&Arc<Party>, E> {
        self.party.get_or_try_init(async || read().await.map(Arc::new)).await
    }

    /// Returns the text of the party in a format; `encode` runs once for each format.
    ///
    /// # Errors
    /// The error of `encode`.
    pub(super) fn text<E>(
        &self,
        format: WireFormat,
        encode: impl FnOnce() -> Result<String, E>,
    ) -> Result<ByteString, E> {
        // The lock is held while encoding, so that connections with the same text wait for it.
        let mut texts = lock(&self.texts);
        if let Some((_, text)) = texts.iter().find(|(known, _)| *known == format) {
            return Ok(text.clone());
        }
        let text = ByteString::from(encode()?);
        texts.push((format, text.clone()));
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use futures_util::future::join_all;
    use jiff::{SignedDuration, Timestamp};
    use lanrage_ipc::model::UtcOffset;

    use super::*;
    use crate::ws::party_subscriptions::tests::party;

    const UTC: WireFormat = WireFormat { additions: false, utc_offset: None };

    /// Returns a time, after a step of the wall clock.
    fn at(millis: u64, step_millis: i64) -> Now {
        let elapsed = Duration::from_millis(millis);
        let wall = Timestamp::UNIX_EPOCH + elapsed + SignedDuration::from_millis(step_millis);
        Now { wall, elapsed }
    }

    /// Returns the numbers of reads and encodings for so many members of two wire formats, each of
    /// which was told of the change with that `seq`.
    async fn costs(snapshots: &PartySnapshots, members: usize, seq: u64, now: Now) -> [usize; 2] {
        let east = WireFormat { utc_offset: UtcOffset::default().after_step(60), ..UTC };
        let costs = [Cell::new(0), Cell::new(0)];
        let [reads, encodings] = &costs;
        join_all((0..members).map(async |member| {
            let party_id = party().party_id;
            let snapshot = snapshots.get(&party_id, seq, now);
            let read = async || {
                reads.set(reads.get() + 1);
                tokio::task::yield_now().await;
                Ok::<_, ()>(Party { seq, ..party() })
            };
            assert_eq!(snapshot.party(read).await.map(|party| party.seq), Ok(seq));
            let encode = || {
                encodings.set(encodings.get() + 1);
                Ok::<_, ()>(String::new())
            };
            let format = if member % 2 == 0 { UTC } else { east };
            assert_eq!(snapshot.text(format, encode), Ok(ByteString::new()));
        }))
        .await;
        costs.map(Cell::into_inner)
    }

    #[tokio::test]
    async fn change_costs_one_snapshot_and_one_text_of_each_format_for_any_number_of_members() {
        for members in [2, 64] {
            let snapshots = PartySnapshots::default();
            assert_eq!(costs(&snapshots, members, 1, at(0, 0)).await, [1, 2]);
            assert_eq!(costs(&snapshots, members, 1, at(499, 0)).await, [0, 0]);
            assert_eq!(costs(&snapshots, members, 1, at(500, 0)).await, [1, 2], "it is old");
            assert_eq!(costs(&snapshots, members, 2, at(501, 0)).await, [1, 2], "it has changed");
            assert_eq!(costs(&snapshots, members, 2, at(502, 0)).await, [0, 0]);
            for step in [-1000, 1000] {
                let stepped = costs(&snapshots, members, 2, at(503, step)).await;
                assert_eq!(stepped, [1, 2], "the wall clock was set");
            }
        }
    }

    #[tokio::test]
    async fn failed_read_of_a_snapshot_is_repeated() {
        let snapshot = PartySnapshots::default().get(&party().party_id, 1, at(0, 0));
        assert_eq!(snapshot.party(async || Err(())).await, Err(()));
        assert!(snapshot.party(async || Ok::<_, ()>(party())).await.is_ok());
    }
}
