//! An event on its way to those who want to hear it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lanrage_ipc::envelope::event_body;
use lanrage_ipc::event::Event;
use lanrage_ipc::model::UtcOffset;

/// An event that many hear of; what they have in common is worked out once.
#[derive(Debug)]
pub(crate) struct SharedEvent {
    event: Event,
    body: OnceLock<Arc<str>>,
    encodings: Mutex<Vec<(WireFormat, Arc<str>)>>,
    /// Bytes of the bodies of all news that are still waited for.
    live: Arc<AtomicUsize>,
}

/// How an event is told over the network: what its text depends on beside the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct WireFormat {
    /// Whether with more than LANrage's own clients know.
    pub(crate) additions: bool,
    /// By which wall clock; UTC where none is known.
    pub(crate) utc_offset: Option<UtcOffset>,
}

impl SharedEvent {
    /// Of an event. `live` counts the bytes of all bodies.
    pub(crate) fn new(event: Event, live: Arc<AtomicUsize>) -> Self {
        Self { event, body: OnceLock::new(), encodings: Mutex::default(), live }
    }

    /// The event itself.
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }

    /// The part of its line on the local socket that all subscribers share.
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

    /// Bytes of the bodies of all news that are still waited for.
    pub(super) fn live_bytes(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    /// What is told of it in that manner: worked out by `tell`, once for all who hear it so.
    ///
    /// # Errors
    /// That of `tell`.
    pub(crate) fn told<E>(
        &self,
        format: WireFormat,
        tell: impl FnOnce(&Event) -> Result<String, E>,
    ) -> Result<Arc<str>, E> {
        // A panic ends the process: no one sees what it left.
        let mut encodings = self.encodings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, text)) = encodings.iter().find(|(known, _)| *known == format) {
            return Ok(text.clone());
        }
        let text: Arc<str> = tell(&self.event)?.into();
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
