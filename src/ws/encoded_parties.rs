//! Cache of encoded parties that were sent because members changed. Connections with the same wire
//! format share the text.

use std::sync::Mutex;
use std::time::Duration;

use bytestring::ByteString;
use jiff::Timestamp;
use lanrage_ipc::model::{Party, PartyId};

use super::connection_handle::lock;
use crate::core::Recent;
use crate::events::WireFormat;

/// Cached texts; a party of 64 members has about 30 KB.
const CAPACITY: usize = 64;
/// Age limit of a cached text. Members that a connection keeps alive count as seen by then.
const MAX_AGE: Duration = Duration::from_millis(500);

/// Encoded texts of parties.
pub(super) struct EncodedParties(Mutex<Recent<(PartyId, WireFormat), EncodedParty>>);

struct EncodedParty {
    created_at: Timestamp,
    seq: u64,
    at: Duration,
    text: ByteString,
}

impl Default for EncodedParties {
    fn default() -> Self {
        Self(Mutex::new(Recent::new(CAPACITY)))
    }
}

impl EncodedParties {
    /// Returns the text of a party; `encode` runs unless the text is cached.
    ///
    /// # Errors
    /// The error of `encode`.
    pub(super) fn text<E>(
        &self,
        party: &Party,
        format: WireFormat,
        now: Duration,
        encode: impl FnOnce() -> Result<String, E>,
    ) -> Result<ByteString, E> {
        let key = (party.party_id.clone(), format);
        let Party { created_at, seq, .. } = *party;
        // The lock is held while encoding, so that connections with the same text wait for it.
        let mut cache = lock(&self.0);
        if let Some(known) = cache.get(&key)
            && (known.created_at, known.seq) == (created_at, seq)
            && now.saturating_sub(known.at) < MAX_AGE
        {
            return Ok(known.text.clone());
        }
        let text: ByteString = encode()?.into();
        cache.put(key, EncodedParty { created_at, seq, at: now, text: text.clone() });
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use lanrage_ipc::model::UtcOffset;

    use super::*;
    use crate::ws::party_subscriptions::tests::party;

    #[test]
    fn party_is_encoded_once_for_each_wire_format() {
        let parties = EncodedParties::default();
        let mut party = party();
        let utc = WireFormat { additions: false, utc_offset: None };
        let east = WireFormat { utc_offset: UtcOffset::default().after_step(60), ..utc };
        assert_ne!(utc, east);
        let encoded = Cell::new(0);
        let encodings = |party: &Party, format, millis| {
            let encode = || {
                encoded.set(encoded.get() + 1);
                Ok::<_, ()>(format!("{} {format:?}", party.seq))
            };
            let text = parties.text(party, format, Duration::from_millis(millis), encode);
            assert_eq!(text, Ok(format!("{} {format:?}", party.seq).into()));
            encoded.get()
        };
        assert_eq!([0, 499].map(|millis| encodings(&party, utc, millis)), [1, 1]);
        assert_eq!([499, 500].map(|millis| encodings(&party, east, millis)), [2, 2]);
        assert_eq!(encodings(&party, utc, 500), 3, "it is old");
        party.seq = 2;
        assert_eq!(encodings(&party, utc, 500), 4, "it has changed");
        party.created_at = Timestamp::MAX;
        assert_eq!(encodings(&party, utc, 500), 5, "it is another");
    }
}
