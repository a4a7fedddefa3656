//! Event that its subscribers share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytestring::ByteString;
use lanrage_ipc::envelope::event_body;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::UtcOffset;

/// Event with its encodings, each computed once for all subscribers.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    event: Event,
    body: OnceLock<Arc<str>>,
    encodings: Mutex<Vec<(WireFormat, ByteString)>>,
    /// Bytes of the bodies of all live events.
    live: Arc<AtomicUsize>,
}

/// Wire format of an event: the encoding depends on it and the event alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WireFormat {
    /// True for clients with `caps`, which know more than LANrage's own frames.
    pub(crate) additions: bool,
    /// Offset of the client's wall clock; UTC if unknown.
    pub(crate) utc_offset: Option<UtcOffset>,
}

impl SharedEvent {
    /// Wraps an event. `live` counts the bytes of all bodies.
    pub(crate) fn new(event: Event, live: Arc<AtomicUsize>) -> Self {
        Self { event, body: OnceLock::new(), encodings: Mutex::default(), live }
    }

    /// Returns the event itself.
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// Returns the shared part of the event's line on the local socket.
    pub(crate) fn body(&self) -> &Arc<str> {
        self.body.get_or_init(|| {
            let body = event_body(&self.event).unwrap_or_else(|error| {
                log::error!("an event could not be encoded: {error}");
                String::new()
            });
            self.live.fetch_add(body.len(), Ordering::Relaxed);
            body.into()
        })
    }

    /// Returns the bytes of the bodies of all live events.
    pub(super) fn live_bytes(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// Returns the text of the event in a format; `encode` encodes it once for each format.
    ///
    /// # Errors
    /// The error of `encode`.
    pub(crate) fn encoded<E>(
        &self,
        format: WireFormat,
        encode: impl FnOnce(&Event) -> Result<String, E>,
    ) -> Result<ByteString, E> {
        // A panic ends the process, so nothing sees a broken list.
        let mut encodings = self.encodings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = encodings.iter().find(|(known, _)| *known == format) {
            return Ok(text.clone());
        }
        let text: ByteString = encode(&self.event)?.into();
        encodings.push((format, text.clone()));
        Ok(text)
    }
}

impl Drop for SharedEvent {
    fn drop(&mut self) {
        if let Some(body) = self.body.get() {
            self.live.fetch_sub(body.len(), Ordering::Relaxed);
        }
    }
}

impl PartialEq for SharedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}
