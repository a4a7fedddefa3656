//! Bounds of the connections, in all and per address, and of TLS handshakes in progress. A new
//! connection replaces the one that has been idle longest.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix_web::rt::net::TcpStream;

use super::metrics::Metrics;
use super::origin::is_trusted;
use super::refusals::{Limit, RefusalLog};
use super::socket::{Accepted, AcceptedStream, Hangup};
use crate::clock::Clock;
use crate::config::Http;
use crate::core::{AddressKey, Admission, FairSet, ShareBound, ShareLimits};

/// Interval of the deadline checks, unless the deadlines are shorter.
const TICK: Duration = Duration::from_millis(500);
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// Admits connections, and closes idle ones. All workers share it.
#[derive(Debug)]
pub(crate) struct HttpConnectionLimiter {
    clock: Clock,
    refusals: Arc<RefusalLog>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    http: Http,
    next: u64,
    open: HashMap<u64, OpenConnection>,
    /// All connections; those that may be closed are ranked by the start of their idle time.
    connections: FairSet<Duration>,
    /// TLS handshakes in progress: the oldest silent one is closed first.
    handshakes: FairSet<(HasSent, Duration)>,
}

/// True after the client has sent anything.
type HasSent = bool;

#[derive(Debug)]
struct OpenConnection {
    /// `None` until the connection is prepared.
    hangup: Option<Hangup>,
    /// `None` for a trusted proxy: it has many clients.
    address: Option<AddressKey>,
    input: Arc<Input>,
    /// End of the last request, while none is in flight.
    waiting_since: Option<Duration>,
    has_shown_token: bool,
}

/// Time of the first bytes since the last request, in milliseconds; 0 before them.
#[derive(Debug, Default)]
pub(super) struct Input(AtomicU64);

impl Input {
    fn began_at(&self) -> Option<Duration> {
        let began = self.0.load(Ordering::Relaxed);
        (began != 0).then(|| Duration::from_millis(began))
    }
}

/// Place of a connection among the others, until it is dropped.
#[derive(Debug)]
pub(super) struct HttpConnectionPermit {
    limiter: Arc<HttpConnectionLimiter>,
    number: u64,
    input: Arc<Input>,
}

impl HttpConnectionLimiter {
    /// Returns a limiter without connections.
    pub(crate) fn new(
        http: &Http,
        clock: Clock,
        refusals: Arc<RefusalLog>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let state = State {
            http: http.clone(),
            next: 0,
            open: HashMap::new(),
            connections: FairSet::new(connection_limits(http)),
            handshakes: FairSet::new(handshake_limits(http)),
        };
        Self { clock, refusals, metrics, state: Mutex::new(state) }
    }

    /// Sets the limits for later connections.
    pub(crate) fn set(&self, http: &Http) {
        let mut state = self.lock();
        state.connections.set_limits(connection_limits(http));
        state.handshakes.set_limits(handshake_limits(http));
        state.http = http.clone();
    }

    /// Closes connections at their deadlines and logs refusals, forever.
    pub(crate) async fn watch(&self) {
        loop {
            let tick = {
                let http = &self.lock().http;
                TICK.min(http.keep_alive_without_token / 4).min(http.request_timeout / 4)
            };
            tokio::time::sleep(tick.max(SHORTEST_TICK)).await;
            self.close_overdue();
            self.refusals.write(self.clock.elapsed());
        }
    }

    /// Returns the time limit of a TLS handshake.
    pub(super) fn handshake_timeout(&self) -> Duration {
        self.lock().http.handshake_timeout
    }

    /// Admits a connection, which begins with a handshake if it is TLS.
    ///
    /// # Errors
    /// The full limit: the connection is to be closed.
    pub(super) fn admit(
        self: &Arc<Self>,
        tcp: TcpStream,
        is_tls: bool,
    ) -> io::Result<AcceptedStream> {
        let peer = tcp.peer_addr()?.ip();
        let permit = self.permit(peer, is_tls)?;
        let number = permit.number;
        let accepted = Accepted::prepare(tcp, permit)?;
        // Another connection may have taken the place already.
        match self.lock().open.get_mut(&number) {
            Some(open) => open.hangup = Some(accepted.hangup()),
            None => return Err(io::ErrorKind::QuotaExceeded.into()),
        }
        Ok(AcceptedStream::new(accepted, is_tls))
    }

    fn permit(self: &Arc<Self>, peer: IpAddr, is_tls: bool) -> io::Result<HttpConnectionPermit> {
        let now = self.clock.elapsed();
        let mut state = self.lock();
        let address = state.address(peer);
        let number = state.next;
        state.next += 1;
        let admission = state.connections.add(number, address, Some(now));
        let limits = [Limit::Connections, Limit::ConnectionsPerAddress];
        let mut evicted = vec![self.conclude(&mut state, admission, limits, peer)?];
        if is_tls {
            let admission = state.handshakes.add(number, address, Some((false, now)));
            let limits = [Limit::Handshakes, Limit::HandshakesPerAddress];
            match self.conclude(&mut state, admission, limits, peer) {
                Ok(hangup) => evicted.push(hangup),
                Err(error) => {
                    state.forget(number);
                    return Err(error);
                }
            }
        }
        let input = Arc::new(Input::default());
        let (hangup, waiting_since, has_shown_token) = Default::default();
        let open = OpenConnection {
            hangup,
            address,
            input: input.clone(),
            waiting_since,
            has_shown_token,
        };
        state.open.insert(number, open);
        drop(state);
        // Dropping a connection takes the lock.
        evicted.iter().flatten().for_each(Hangup::now);
        Ok(HttpConnectionPermit { limiter: self.clone(), number, input })
    }

    /// Returns the connection to close for a new one, if there is one.
    fn conclude(
        &self,
        state: &mut State,
        admission: Admission,
        [total, per_address]: [Limit; 2],
        peer: IpAddr,
    ) -> io::Result<Option<Hangup>> {
        let limit = |bound| match bound {
            ShareBound::Total => total,
            ShareBound::PerAddress => per_address,
        };
        match admission {
            Admission::Admitted => Ok(None),
            Admission::Replaced { evicted, address, bound } => {
                self.refusals.add_key(limit(bound), address.unwrap_or_else(|| peer.into()));
                Ok(state.forget(evicted))
            }
            Admission::Refused(bound) => {
                self.refusals.add(limit(bound), peer);
                self.metrics.rejected(match bound {
                    ShareBound::Total => "overloaded",
                    ShareBound::PerAddress => "rate_limited",
                });
                Err(io::ErrorKind::QuotaExceeded.into())
            }
        }
    }

    /// Closes connections that wait too long for a request, or for the rest of its head. The
    /// framework sets a deadline for the first head alone.
    fn close_overdue(&self) {
        let now = self.clock.elapsed();
        let mut state = self.lock();
        let State { http, open, .. } = &*state;
        let is_overdue = |connection: &OpenConnection| {
            let passed = |since: Duration, time| now.saturating_sub(since) >= time;
            let Some(waiting_since) = connection.waiting_since else { return false };
            match connection.input.began_at() {
                Some(began_at) => passed(began_at, http.request_timeout),
                None if connection.address.is_none() || connection.has_shown_token => false,
                None => passed(waiting_since, http.keep_alive_without_token),
            }
        };
        let overdue = open.iter().filter(|(_, connection)| is_overdue(connection));
        let overdue: Vec<_> = overdue.map(|(number, _)| *number).collect();
        let hangups: Vec<_> =
            overdue.into_iter().filter_map(|number| state.forget(number)).collect();
        drop(state);
        hangups.iter().for_each(Hangup::now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns the address that a connection counts for; `None` for a trusted proxy, whose clients
    /// are limited by their requests.
    fn address(&self, peer: IpAddr) -> Option<AddressKey> {
        let is_proxy = is_trusted(peer.to_canonical(), &self.http.behind_proxy);
        (!is_proxy).then(|| peer.into())
    }

    fn forget(&mut self, number: u64) -> Option<Hangup> {
        self.connections.remove(number);
        self.handshakes.remove(number);
        self.open.remove(&number)?.hangup
    }
}

impl HttpConnectionPermit {
    /// Notes that the client sent bytes.
    pub(super) fn note_input(&self, is_in_handshake: bool) {
        if self.input.began_at().is_some() {
            return;
        }
        let now = self.limiter.clock.elapsed();
        let millis = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.input.0.store(millis.max(1), Ordering::Relaxed);
        if is_in_handshake {
            self.limiter.lock().handshakes.set_rank(self.number, Some((true, now)));
        }
    }

    /// Notes that the TLS handshake is done.
    pub(super) fn end_handshake(&self) {
        self.input.0.store(0, Ordering::Relaxed);
        self.limiter.lock().handshakes.remove(self.number);
    }

    /// Notes that a request is in flight: the connection is not idle.
    pub(super) fn begin_request(&self) {
        let mut state = self.limiter.lock();
        state.connections.set_rank(self.number, None);
        if let Some(open) = state.open.get_mut(&self.number) {
            open.waiting_since = None;
        }
    }

    /// Notes that the connection waits for its next request.
    pub(super) fn end_request(&self) {
        let now = self.limiter.clock.elapsed();
        self.input.0.store(0, Ordering::Relaxed);
        let mut state = self.limiter.lock();
        state.connections.set_rank(self.number, Some(now));
        if let Some(open) = state.open.get_mut(&self.number) {
            open.waiting_since = Some(now);
        }
    }

    /// Notes that the client showed a valid token.
    pub(super) fn note_token(&self) {
        if let Some(open) = self.limiter.lock().open.get_mut(&self.number) {
            open.has_shown_token = true;
        }
    }
}

impl Drop for HttpConnectionPermit {
    fn drop(&mut self) {
        self.limiter.lock().forget(self.number);
    }
}

fn connection_limits(http: &Http) -> ShareLimits {
    ShareLimits { total: http.connections, per_address: http.connections_per_address }
}

fn handshake_limits(http: &Http) -> ShareLimits {
    ShareLimits { total: http.handshakes, per_address: http.handshakes_per_address }
}
