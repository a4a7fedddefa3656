//! An event on its way to those who want to hear it.

use std::sync::{Arc, OnceLock};

use lanrage_ipc::envelope::event_body;
use lanrage_ipc::event::Event;

/// An event that many hear of; what they have in common is worked out once.
#[derive(Debug)]
pub struct News {
    event: Event,
    body: OnceLock<Arc<str>>,
}

impl News {
    /// Of an event.
    pub fn new(event: Event) -> Self {
        Self { event, body: OnceLock::new() }
    }

    /// The event itself.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The part of its line on the local socket that all subscribers share.
    pub fn body(&self) -> &Arc<str> {
        self.body.get_or_init(|| match event_body(&self.event) {
            Ok(body) => body.into(),
            Err(error) => {
                log::error!("an event could not be encoded: {error}");
                "".into()
            }
        })
    }
}

impl PartialEq for News {
    fn eq(&self, other: &Self) -> bool {
        self.event == other.event
    }
}
