//! Offset of the server's wall clock: LANrage's own server gives its times without one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, SignedDurationRound, Timestamp, Unit};
use lanrage_ipc::model::PeerId;

use crate::core::reconcile::ServerParty;

/// Time zones differ by multiples of this.
const QUARTER_HOUR_MINUTES: i64 = 15;

/// A time that the server wrote a moment ago differs from now by an offset and less than this:
/// peers give signs of life every 30 s.
const FRESH: SignedDuration = SignedDuration::from_secs(90);

/// No time zone is further from UTC.
const FURTHEST: SignedDuration = SignedDuration::from_hours(14);

/// The request that a server's answer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// The registration of the party.
    Registered,
    /// A peer's entry, or what it says of itself.
    Joined,
    /// Nothing that changes the party.
    Looked,
}

/// The server's time zone, as far as its times show it.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    offset: SignedDuration,
    /// Last `last_seen` of each of this machine's peers, 64 at most: the peers of a connection.
    last_seen: BTreeMap<PeerId, Timestamp>,
}

impl WallClock {
    /// Corrects a party's times, which were read as UTC, by the server's offset, and learns the
    /// offset from those that the server just wrote. `now` is by the server's own clock; `own` is
    /// the peer that asks.
    ///
    /// A server writes the time of a registration, and of a sign of life. It may also repeat what
    /// a client wrote in UTC, so that a time near `now` proves nothing.
    pub(super) fn read(
        &mut self,
        party: &mut ServerParty,
        own: &PeerId,
        occasion: Occasion,
        now: Timestamp,
    ) {
        let created_at = (occasion == Occasion::Registered).then_some(party.created_at);
        let times = created_at.into_iter().chain(self.heartbeat(party, own, occasion));
        let shown = times.filter_map(|time| offset(time, now)).next();
        self.offset = shown.unwrap_or(self.offset);
        party.created_at = self.utc(party.created_at);
        for member in party.members.values_mut() {
            // Of the two readings, the one that is nearer to now: members are alive.
            let (raw, read) = (member.last_seen, self.utc(member.last_seen));
            member.last_seen = if age(read, now) < age(raw, now) { read } else { raw };
        }
    }

    /// The time of a peer's last sign of life, if the server wrote it since the last answer.
    fn heartbeat(
        &mut self,
        party: &ServerParty,
        own: &PeerId,
        occasion: Occasion,
    ) -> Option<Timestamp> {
        let time = party.members.get(own)?.last_seen;
        let before = self.last_seen.insert(own.clone(), time);
        let is_written =
            occasion != Occasion::Looked || before.is_some_and(|before| before != time);
        is_written.then_some(time)
    }

    fn utc(&self, time: Timestamp) -> Timestamp {
        time.checked_sub(self.offset).unwrap_or(time)
    }
}

/// The distance of a time from now, whichever comes first.
fn age(time: Timestamp, now: Timestamp) -> SignedDuration {
    time.duration_since(now).abs()
}

/// The offset that a time shows which was written a moment ago; `None` where it shows none.
fn offset(time: Timestamp, now: Timestamp) -> Option<SignedDuration> {
    let ahead = time.duration_since(now);
    let rule = SignedDurationRound::new().smallest(Unit::Minute).increment(QUARTER_HOUR_MINUTES);
    let offset = ahead.round(rule).ok()?;
    let is_fresh = (ahead - offset).abs() < FRESH && offset.abs() <= FURTHEST;
    (is_fresh && !offset.is_zero()).then_some(offset)
}

#[cfg(test)]
mod tests {
    use lanrage_ipc::http::answers::PartyAnswer;
    use serde_json::json;

    use super::*;
    use crate::remote::transport::http::parties::PartyState;

    fn party(created_at: &str, last_seen: &str) -> ServerParty {
        let peer = json!({"peer_id": "ann", "name": "Ann", "public_key": "a2V5",
            "nat_type": "open", "public_ip": "unknown", "public_port": 0,
            "local_ip": "unknown", "local_port": 0, "last_seen": last_seen});
        let party = json!({"party_id": "p", "name": "n", "host_id": "ann",
            "created_at": created_at, "peers": {"ann": peer}});
        let body = json!({"party": party}).to_string();
        PartyState::new(PartyAnswer::from_json(body.as_bytes()).unwrap()).party
    }

    #[track_caller]
    fn reads(
        clock: &mut WallClock,
        occasion: Occasion,
        (created_at, last_seen): (&str, &str),
        expected: (&str, &str),
    ) {
        let now = "2026-11-22T12:00:10Z".parse().unwrap();
        let mut read = party(created_at, last_seen);
        clock.read(&mut read, &"ann".parse().unwrap(), occasion, now);
        assert_eq!(read, party(expected.0, expected.1));
    }

    const NOW: &str = "2026-11-22T12:00:09";

    #[test]
    fn registration_shows_the_offset() {
        for local in ["2026-11-22T07:00:09", "2026-11-22T17:45:08", "2026-11-22T12:00:09"] {
            // The server repeats the client's description with times in UTC.
            let mut clock = WallClock::default();
            let utc =
                if local == NOW { NOW } else { &format!("2026-11-22T12:00:{}", &local[17..]) };
            reads(&mut clock, Occasion::Registered, (local, NOW), (utc, NOW));
        }
    }

    #[test]
    fn heartbeat_shows_the_offset() {
        let mut clock = WallClock::default();
        let old = "2026-11-22T05:12:00";
        reads(&mut clock, Occasion::Joined, (old, NOW), (old, NOW));
        let (beat, utc) = ("2026-11-22T07:00:05", "2026-11-22T12:00:05");
        reads(&mut clock, Occasion::Looked, (old, beat), ("2026-11-22T10:12:00", utc));
        // It is kept, also where the next answer shows nothing.
        reads(&mut clock, Occasion::Looked, (old, NOW), ("2026-11-22T10:12:00", NOW));
    }

    #[test]
    fn age_shows_no_offset() {
        let mut clock = WallClock::default();
        let quarter = "2026-11-22T11:45:10";
        for _ in 0..2 {
            reads(&mut clock, Occasion::Looked, (quarter, quarter), (quarter, quarter));
        }
        reads(&mut clock, Occasion::Joined, (quarter, NOW), (quarter, NOW));
    }
}
