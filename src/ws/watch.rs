//! Deadlines of all connections.

use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::control::ServerFrame;

use super::connection_handle::{CloseCode, ConnectionHandle};
use super::server::WsServer;
use super::session::send;
use crate::config::Ws;
use crate::http::Sockets as _;

/// Interval of the deadline checks, unless the deadlines are shorter.
const TICK: Duration = Duration::from_millis(500);
/// Time that a client may take to close its side, before the socket is shut down.
const CLOSING: Duration = Duration::from_secs(2);
/// Range of the reconnect delay after a goaway, in milliseconds; each client gets its own.
const RECONNECT_AFTER_MS: std::ops::Range<u64> = 500..5_000;

/// Watches all connections until the server stops; then says goodbye to them, and waits until they
/// are gone.
pub(crate) async fn watch(server: Arc<WsServer>) {
    let mut stopping = server.http.stopping.clone();
    loop {
        let settings = server.settings();
        let tick = TICK.min(settings.ws.first_frame / 4).min(settings.ws.pong_timeout / 4);
        tokio::select! {
            biased;
            _ = stopping.wait_for(Option::is_some) => break,
            () = tokio::time::sleep(tick.max(Duration::from_millis(1))) => {}
        }
        let now = server.now();
        for handle in server.handles() {
            check_deadlines(&handle, &settings.ws, now);
        }
    }
    for handle in server.handles() {
        send_goaway(&handle, server.now());
    }
    while server.open() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = server.now();
        server.handles().iter().for_each(|handle| hang_up_if_due(handle, now));
    }
}

fn check_deadlines(handle: &ConnectionHandle, limits: &Ws, now: Duration) {
    let passed = |since: Duration, time: Duration| now.saturating_sub(since) >= time;
    hang_up_if_due(handle, now);
    if !handle.is_greeted() && passed(handle.opened, limits.first_frame) {
        handle.close(CloseCode::Policy, "no hello or auth came in time", now);
    }
    match handle.unanswered_ping_at() {
        // The pong may be queued behind frames that the server has not read yet.
        Some(since) if passed(since, limits.pong_timeout) && !handle.is_held_up() => {
            handle.close(CloseCode::Policy, "no pong came in time", now);
            handle.hang_up();
        }
        Some(_) => {}
        None if passed(handle.last_ping_at(), limits.ping_interval) => handle.ping(now),
        None => {}
    }
}

fn hang_up_if_due(handle: &ConnectionHandle, now: Duration) {
    if handle.closing_since().is_some_and(|since| now.saturating_sub(since) >= CLOSING) {
        handle.hang_up();
    }
}

fn send_goaway(handle: &ConnectionHandle, now: Duration) {
    if handle.format().additions {
        // The connection's number spreads the delays as well as a random one.
        let spread = RECONNECT_AFTER_MS.end - RECONNECT_AFTER_MS.start;
        let retry_after_ms = RECONNECT_AFTER_MS.start + handle.id.0.wrapping_mul(7_919) % spread;
        send(handle, &ServerFrame::Goaway { retry_after_ms }, now);
    }
    handle.close(CloseCode::Away, "the server is stopping", now);
}
