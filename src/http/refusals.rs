//! Log of refusals by limits: one line a minute for each limit and address.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::core::{AddressKey, RefusalCounts, RefusalReport};

/// Limit that network clients reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Limit {
    /// Connections of all addresses.
    Connections,
    /// Connections of one address.
    ConnectionsPerAddress,
    /// TLS handshakes of all addresses.
    Handshakes,
    /// TLS handshakes of one address.
    HandshakesPerAddress,
    /// Rate of requests of a token or an address.
    Requests,
    /// Rate of scrapes of the metrics.
    Scrapes,
    /// Rate of registrations of an address.
    Registrations,
    /// WebSockets of all addresses.
    WebSockets,
    /// WebSockets of one address.
    WebSocketsPerAddress,
    /// Rate of frames of one WebSocket.
    Frames,
    /// Bytes of long replies that are not read yet.
    Replies,
}

impl Limit {
    /// Returns the event, and the advice for admitting more.
    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::Connections => ("connections closed", "raise http.connections"),
            Self::ConnectionsPerAddress => (
                "connections closed",
                "raise http.connections_per_address, or name a proxy in http.behind_proxy",
            ),
            Self::Handshakes => ("TLS handshakes closed", "raise http.handshakes"),
            Self::HandshakesPerAddress => {
                ("TLS handshakes closed", "raise http.handshakes_per_address")
            }
            Self::Requests => {
                ("requests refused", "raise limits.requests_per_second and limits.requests_burst")
            }
            Self::Scrapes => ("scrapes of the metrics refused", "scrape less often"),
            Self::Registrations => (
                "registrations refused",
                "raise limits.registrations_per_minute and limits.registrations_burst",
            ),
            Self::WebSockets => ("WebSockets refused", "raise ws.sockets"),
            Self::WebSocketsPerAddress => ("WebSockets refused", "raise ws.sockets_per_address"),
            Self::Frames => {
                ("WebSocket frames refused", "raise ws.frames_per_second and ws.frames_burst")
            }
            Self::Replies => ("long replies refused", "raise http.reply_bytes"),
        }
    }
}

/// Refusals that are not logged yet.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<RefusalCounts<Limit>>);

impl RefusalLog {
    /// Counts a refusal.
    pub(crate) fn add(&self, limit: Limit, address: IpAddr) {
        self.add_key(limit, address.into());
    }

    /// Counts a refusal.
    pub(super) fn add_key(&self, limit: Limit, address: AddressKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(limit, address);
    }

    /// Logs the due lines.
    pub(super) fn write(&self, now: Duration) {
        let reports = self.0.lock().unwrap_or_else(PoisonError::into_inner).due(now);
        for RefusalReport { limit, address, refused } in reports {
            let address =
                address.map_or_else(|| "others".to_owned(), |address| address.to_string());
            let (event, advice) = limit.describe();
            log::warn!(
                "limit reached, {event}: address={address} count={refused}: to admit more, {advice}"
            );
        }
    }
}
