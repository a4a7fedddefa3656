//! The deadlines of all connections.

use std::sync::Arc;
use std::time::Duration;

use lanrage_ipc::control::ServerFrame;

use super::face::Face;
use super::line::{CloseCode, Line};
use super::session::send;
use crate::config::Ws;
use crate::http::Sockets as _;

/// How often the deadlines are looked at, unless they are shorter.
const TICK: Duration = Duration::from_millis(500);
/// How long a client may take to close its side, before it is hung up on.
const CLOSING: Duration = Duration::from_secs(2);
/// Clients come back within this time after a goodbye, each at its own moment, in milliseconds.
const COME_BACK_MS: std::ops::Range<u64> = 500..5_000;

/// Watches over all connections until the server stops; then says goodbye to them, and waits until
/// they are gone.
pub(crate) async fn watch(face: Arc<Face>) {
    let mut stopping = face.http.stopping.clone();
    loop {
        let settings = face.settings();
        let tick = TICK.min(settings.ws.first_frame / 4).min(settings.ws.pong_timeout / 4);
        tokio::select! {
            biased;
            _ = stopping.wait_for(Option::is_some) => break,
            () = tokio::time::sleep(tick.max(Duration::from_millis(1))) => {}
        }
        let now = face.now();
        for line in face.lines() {
            look_at(&line, &settings.ws, now);
        }
    }
    for line in face.lines() {
        say_goodbye(&line, face.now());
    }
    while face.open() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let now = face.now();
        face.lines().iter().for_each(|line| hang_up_if_due(line, now));
    }
}

fn look_at(line: &Line, limits: &Ws, now: Duration) {
    let passed = |since: Duration, time: Duration| now.saturating_sub(since) >= time;
    hang_up_if_due(line, now);
    if !line.is_greeted() && passed(line.opened, limits.first_frame) {
        line.close(CloseCode::Policy, "no hello or auth came in time", now);
    }
    match line.awaiting_life_since() {
        // The pong may stand behind frames that the server has not read yet.
        Some(since) if passed(since, limits.pong_timeout) && !line.is_held_up() => {
            line.close(CloseCode::Policy, "no pong came in time", now);
            line.hang_up();
        }
        Some(_) => {}
        None if passed(line.asked_last(), limits.ping_interval) => line.ask_for_life(now),
        None => {}
    }
}

fn hang_up_if_due(line: &Line, now: Duration) {
    if line.closing_since().is_some_and(|since| now.saturating_sub(since) >= CLOSING) {
        line.hang_up();
    }
}

fn say_goodbye(line: &Line, now: Duration) {
    if line.style().additions {
        // Spread by the number, which is as good as chance.
        let spread = COME_BACK_MS.end - COME_BACK_MS.start;
        let retry_after_ms = COME_BACK_MS.start + line.id.0.wrapping_mul(7_919) % spread;
        send(line, &ServerFrame::Goaway { retry_after_ms }, now);
    }
    line.close(CloseCode::Away, "the server is stopping", now);
}
