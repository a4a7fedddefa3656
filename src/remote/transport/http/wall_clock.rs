//! UTC offset of the server's wall clock: LANrage's own server states local times without an
//! offset.

use std::collections::BTreeMap;

use jiff::{SignedDuration, SignedDurationRound, Timestamp, Unit};
use lanrage_ipc::model::PeerId;

use crate::core::reconcile::ServerParty;

/// Offsets of time zones are multiples of this.
const QUARTER_HOUR_MINUTES: i64 = 15;

/// Upper bound of the age of a time that the server wrote recently: heartbeats are sent every 30 s.
const FRESH: SignedDuration = SignedDuration::from_secs(90);

/// Largest UTC offset of a time zone.
const LARGEST_OFFSET: SignedDuration = SignedDuration::from_hours(14);

/// Kind of the request that returned a party: it determines which times the server wrote just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Registration of the party: `created_at` and the host's `last_seen` are new.
    Registered,
    /// Join or update of a peer: its `last_seen` is new.
    Joined,
    /// Read of the party: no time is new.
    Polled,
}

/// UTC offset of the server, as inferred from its times.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    offset: SignedDuration,
    /// Latest `last_seen` of each of this machine's peers. A connection has 64 peers at most.
    last_seen: BTreeMap<PeerId, Timestamp>,
}

impl WallClock {
    /// Converts a party's times to UTC with the server's offset, and infers the offset from times
    /// that the server wrote just now. `now` is by the server's clock; `peer_id` made the request.
    ///
    /// A server writes the times of registrations and heartbeats. It may also repeat a UTC time of
    /// a client, so that a time near `now` does not show an offset of zero.
    pub(super) fn correct(
        &mut self,
        party: &mut ServerParty,
        peer_id: &PeerId,
        occasion: Occasion,
        now: Timestamp,
    ) {
        let created_at = (occasion == Occasion::Registered).then_some(party.created_at);
        let times = created_at.into_iter().chain(self.heartbeat(party, peer_id, occasion));
        let shown = times.filter_map(|time| offset(time, now)).next();
        self.offset = shown.unwrap_or(self.offset);
        party.created_at = self.utc(party.created_at);
        for member in party.members.values_mut() {
            // Of the two readings, the one nearer to `now`: members send heartbeats.
            let (raw, read) = (member.last_seen, self.utc(member.last_seen));
            member.last_seen = if age(read, now) < age(raw, now) { read } else { raw };
        }
    }

    /// Returns the peer's `last_seen` if the server wrote it since the previous response.
    fn heartbeat(
        &mut self,
        party: &ServerParty,
        peer_id: &PeerId,
        occasion: Occasion,
    ) -> Option<Timestamp> {
        let time = party.members.get(peer_id)?.last_seen;
        let before = self.last_seen.insert(peer_id.clone(), time);
        let is_written =
            occasion != Occasion::Polled || before.is_some_and(|before| before != time);
        is_written.then_some(time)
    }

    fn utc(&self, time: Timestamp) -> Timestamp {
        time.checked_sub(self.offset).unwrap_or(time)
    }
}

/// Returns the absolute difference of a time and `now`.
fn age(time: Timestamp, now: Timestamp) -> SignedDuration {
    time.duration_since(now).abs()
}

/// Infers the offset from a time that was written just now; `None` if none fits, or it is zero.
fn offset(time: Timestamp, now: Timestamp) -> Option<SignedDuration> {
    let ahead = time.duration_since(now);
    let rule = SignedDurationRound::new().smallest(Unit::Minute).increment(QUARTER_HOUR_MINUTES);
    let offset = ahead.round(rule).ok()?;
    let is_fresh = (ahead - offset).abs() < FRESH && offset.abs() <= LARGEST_OFFSET;
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
    fn corrects(
        clock: &mut WallClock,
        occasion: Occasion,
        (created_at, last_seen): (&str, &str),
        expected: (&str, &str),
    ) {
        let now = "2026-11-22T12:00:10Z".parse().unwrap();
        let mut read = party(created_at, last_seen);
        clock.correct(&mut read, &"ann".parse().unwrap(), occasion, now);
        assert_eq!(read, party(expected.0, expected.1));
    }

    const NOW: &str = "2026-11-22T12:00:09";

    #[test]
    fn registration_shows_the_offset() {
        for local in ["2026-11-22T07:00:09", "2026-11-22T17:45:08", "2026-11-22T12:00:09"] {
            // The server repeats the client's own time in UTC.
            let mut clock = WallClock::default();
            let utc =
                if local == NOW { NOW } else { &format!("2026-11-22T12:00:{}", &local[17..]) };
            corrects(&mut clock, Occasion::Registered, (local, NOW), (utc, NOW));
        }
    }

    #[test]
    fn heartbeat_shows_the_offset() {
        let mut clock = WallClock::default();
        let old = "2026-11-22T05:12:00";
        corrects(&mut clock, Occasion::Joined, (old, NOW), (old, NOW));
        let (beat, utc) = ("2026-11-22T07:00:05", "2026-11-22T12:00:05");
        corrects(&mut clock, Occasion::Polled, (old, beat), ("2026-11-22T10:12:00", utc));
        // The offset is kept although the next response shows none.
        corrects(&mut clock, Occasion::Polled, (old, NOW), ("2026-11-22T10:12:00", NOW));
    }

    #[test]
    fn age_shows_no_offset() {
        let mut clock = WallClock::default();
        let quarter = "2026-11-22T11:45:10";
        for _ in 0..2 {
            corrects(&mut clock, Occasion::Polled, (quarter, quarter), (quarter, quarter));
        }
        corrects(&mut clock, Occasion::Joined, (quarter, NOW), (quarter, NOW));
    }
}
