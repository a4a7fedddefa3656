//! State that all workers share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderMap, HeaderName};
use lanrage_ipc::model::PeerId;
use tokio::sync::watch;

use super::auth::stranger;
use super::connections::HttpConnectionLimiter;
use super::metrics::Metrics;
use super::origin::client_address;
use super::refusals::{Limit, RefusalLog};
use super::replies::{ReplyBudget, ReplyRoom};
use crate::clock::Clock;
use crate::config::{Auth, Http, ServerLimits};
use crate::control_plane::{Ask, ControlPlane, Failure, IntoAsk};
use crate::core::{
    AddressBuckets, AddressKey, AddressTurns, Buckets, Caller, ProvenPeer, Rate, Recent,
    RetryAfter, TokenHash,
};
use crate::fair_turns::{ClientPermit, ClientPermits, FairTurns};

/// Scrapes of the metrics by an address: per second, and burst.
const SCRAPES: usize = 50;
const SCRAPES_BURST: usize = 200;

/// Limit of buckets of each kind; those of tokens have room for all tokens.
const MOST_BUCKETS: usize = 65_536;

/// Concurrent identifications of an address. An answer of the registry's thread reaches a worker by
/// a queue of the framework. The worker takes one answer from it for each 31 pieces of other work,
/// so that one address must not fill it.
const IDENTIFIED_AT_ONCE: usize = 16;

/// Time that a request waits for the end of a start: enough for a usual state.
const STARTING: Duration = Duration::from_secs(1);

/// Lists of relays that are encoded concurrently.
const LISTS_AT_ONCE: usize = 2;
/// Estimates of the JSON of a relay, a party and a member, in bytes.
const RELAY_BYTES: usize = 512;
const PARTY_BYTES: usize = 256;
const MEMBER_BYTES: usize = 448;

/// Settings that a reload may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    /// Settings of HTTP.
    pub(crate) http: Http,
    /// True for a server that listens on a loopback address.
    pub(crate) is_on_loopback: bool,
    /// Settings of tokens and the relay key.
    pub(crate) auth: Auth,
    /// Limits of the clients.
    pub(crate) limits: ServerLimits,
}

/// State that every worker needs to answer requests.
#[derive(Debug)]
pub(crate) struct HttpState {
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) refusals: Arc<RefusalLog>,
    pub(super) control_plane: ControlPlane,
    settings: RwLock<Arc<HttpSettings>>,
    rates: Mutex<RateLimits>,
    replies: ReplyBudget,
    /// Concurrent identifications, by address.
    identified: ClientPermits<AddressKey>,
    /// Turns of the addresses whose clients list relays.
    lists: FairTurns<AddressKey>,
    /// Number of relays in the last list.
    relays: AtomicUsize,
    /// True once the state is read.
    ready: watch::Sender<bool>,
    pub(crate) stopping: watch::Receiver<Option<String>>,
}

/// Earlier proof of a token that a request shows.
pub(super) enum Proven {
    /// It proves that peer.
    Peer(PeerId),
    /// It was valid recently.
    Recently,
    Not,
}

/// Rate limits.
#[derive(Debug)]
struct RateLimits {
    /// Tokens that were valid at their last use, and what they prove for a time.
    proven: Recent<TokenHash, Option<ProvenPeer>>,
    /// Number of tokens that have ended.
    ended_tokens: u64,
    tokens: Buckets<TokenHash>,
    addresses: AddressBuckets,
    scrapes: AddressBuckets,
    registrations: AddressBuckets,
    /// Retry times of the refused registrations.
    turns: AddressTurns,
}

impl HttpState {
    /// Creates the state in front of a control plane. `stopping` has a reason once the server
    /// stops.
    pub(crate) fn new(
        control_plane: ControlPlane,
        clock: Clock,
        settings: HttpSettings,
        metrics: Arc<Metrics>,
        stopping: watch::Receiver<Option<String>>,
    ) -> Self {
        let rates = Mutex::new(RateLimits::new(&settings.limits));
        let relays = AtomicUsize::new(settings.limits.shared.relays);
        let refusals = Arc::<RefusalLog>::default();
        Self {
            clock,
            metrics,
            refusals: refusals.clone(),
            control_plane,
            settings: RwLock::new(Arc::new(settings)),
            rates,
            replies: ReplyBudget::new(refusals),
            identified: ClientPermits::new(IDENTIFIED_AT_ONCE),
            lists: FairTurns::new(LISTS_AT_ONCE),
            relays,
            ready: watch::Sender::new(true),
            stopping,
        }
    }

    /// Returns the limiter of the connections.
    pub(crate) fn connection_limiter(&self) -> HttpConnectionLimiter {
        let http = &self.settings().http;
        HttpConnectionLimiter::new(http, self.clock, self.refusals.clone(), self.metrics.clone())
    }

    /// Replaces the settings. If rates change, all buckets start full.
    pub(crate) fn set(&self, settings: HttpSettings) {
        let before = self.settings();
        if Rates::of(&before.limits) != Rates::of(&settings.limits) {
            *self.rates.lock().unwrap_or_else(PoisonError::into_inner) =
                RateLimits::new(&settings.limits);
        }
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Returns the settings in force.
    pub(crate) fn settings(&self) -> Arc<HttpSettings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets if the server takes requests yet.
    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
    }

    /// True if the server takes requests.
    pub(super) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until the server takes requests, but not for long. Returns false if it does not.
    pub(super) async fn wait_ready(&self) -> bool {
        let mut ready = self.ready.subscribe();
        let is_ready = tokio::time::timeout(STARTING, ready.wait_for(|ready| *ready)).await;
        matches!(is_ready, Ok(Ok(_)))
    }

    /// True if the server takes no more requests.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.borrow().is_some()
    }

    /// Asks the control plane.
    ///
    /// # Errors
    /// Its failure, or a timeout.
    pub(crate) async fn ask<T>(
        &self,
        caller: Caller,
        request: impl IntoAsk<T>,
    ) -> Result<T, Failure> {
        let patience = self.settings().limits.shared.request_timeout;
        self.control_plane.ask_within(patience, caller, request).await
    }

    /// Waits until an address may identify another request.
    pub(super) async fn acquire_permit(&self, address: AddressKey) -> ClientPermit {
        self.identified.acquire(address).await
    }

    /// Reserves room for a reply that has a party in it.
    ///
    /// # Errors
    /// [`Failure::RepliesFull`].
    pub(super) fn reserve_party(&self, address: AddressKey) -> Result<ReplyRoom, Failure> {
        let members = self.settings().limits.shared.peers_per_party;
        self.reserve(address, PARTY_BYTES + MEMBER_BYTES.saturating_mul(members))
    }

    /// Reserves room for a reply with relays, and waits for its turn: an address has one such reply
    /// at a time.
    ///
    /// # Errors
    /// [`Failure::RepliesFull`], [`Failure::TimedOut`].
    pub(crate) async fn reserve_relays(&self, address: AddressKey) -> Result<ReplyRoom, Failure> {
        let relays = self.relays.load(Ordering::Relaxed);
        let mut room = self.reserve(address, RELAY_BYTES.saturating_mul(relays))?;
        let patience = self.settings().limits.shared.request_timeout;
        let turn = tokio::time::timeout(patience, self.lists.acquire(address)).await;
        room.keep(turn.map_err(|_| Failure::TimedOut(patience))?);
        Ok(room)
    }

    /// Notes the number of relays, for the next estimate.
    pub(crate) fn note_relays(&self, count: usize) {
        self.relays.store(count, Ordering::Relaxed);
    }

    fn reserve(&self, address: AddressKey, estimate: usize) -> Result<ReplyRoom, Failure> {
        self.replies.reserve(address, estimate, self.settings().http.reply_bytes)
    }

    /// Takes a request from the bucket of an address.
    ///
    /// # Errors
    /// Time to wait, if the bucket is empty.
    pub(super) fn admit_address(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.with_rate_limits(|rates, now| rates.addresses.take(address.into(), now))
            .map_err(|empty| empty.wait)
    }

    /// Takes a scrape of the metrics from an address's own bucket for them, so that its other
    /// requests don't block its Prometheus.
    ///
    /// # Errors
    /// Time to wait, if the bucket is empty.
    pub(super) fn admit_scrape(&self, address: IpAddr) -> Result<(), RetryAfter> {
        self.with_rate_limits(|rates, now| rates.scrapes.take(address.into(), now))
            .map_err(|empty| empty.wait)
    }

    /// Takes a request from the bucket of a recently proven token.
    ///
    /// # Errors
    /// Time to wait, if the bucket is empty.
    pub(super) fn admit_proven(&self, token: &TokenHash) -> Result<Proven, RetryAfter> {
        self.with_rate_limits(|rates, now| {
            let known = rates.proven.get(token).cloned();
            if known.is_some() {
                rates.tokens.take(*token, now)?;
            }
            Ok(match known {
                None => Proven::Not,
                Some(Some(proven)) if now < proven.holds_until => Proven::Peer(proven.peer_id),
                Some(_) => Proven::Recently,
            })
        })
    }

    /// Notes that a token is valid, so that its requests no longer count for its address. What it
    /// proves is looked up at its next use.
    pub(super) fn note_valid(&self, token: TokenHash) {
        self.with_rate_limits(|rates, _| rates.proven.put(token, None));
    }

    /// Returns the number of tokens that have ended, for [`Self::note_proven`].
    pub(super) fn ended_tokens(&self) -> u64 {
        self.with_rate_limits(|rates, _| rates.ended_tokens)
    }

    /// Notes what a token proves, by an answer of the control plane. If any token has ended since
    /// the request, that may be this one.
    pub(super) fn note_proven(&self, token: TokenHash, proven: &ProvenPeer, ended_before: u64) {
        self.with_rate_limits(|rates, _| {
            let is_current = rates.ended_tokens == ended_before;
            rates.proven.put(token, is_current.then(|| proven.clone()));
        });
    }

    /// Notes that a token is no longer valid.
    pub(super) fn note_unproven(&self, token: &TokenHash) {
        self.with_rate_limits(|rates, _| rates.proven.remove(token));
    }

    /// Forgets what a token proves. Nothing may use it any more once this returns.
    pub(crate) fn end_token(&self, token: &TokenHash) {
        self.with_rate_limits(|rates, _| {
            rates.ended_tokens += 1;
            if rates.proven.get(token).is_some() {
                rates.proven.put(*token, None);
            }
        });
    }

    /// Returns a request to the bucket of an address.
    pub(super) fn give_back(&self, address: IpAddr) {
        self.with_rate_limits(|rates, _| rates.addresses.give_back(address.into()));
    }

    /// Takes a registration from an address's bucket, unless the peer is in a party and comes back.
    ///
    /// # Errors
    /// Time to wait, if the bucket is empty; each refused registration gets its own turn.
    pub(crate) async fn admit_registration(
        &self,
        address: IpAddr,
        peer_id: Option<&PeerId>,
    ) -> Result<(), RetryAfter> {
        if let Some(peer_id) = peer_id {
            let is_member = |reply| Ask::IsMember(peer_id.clone(), reply);
            if self.ask(stranger(Some(address.into())), is_member).await == Ok(true) {
                return Ok(());
            }
        }
        let admitted = self.with_rate_limits(|rates, now| {
            let taken = rates.registrations.take(address.into(), now);
            taken.map_err(|empty| rates.turns.give(empty, now))
        });
        if admitted.is_err() {
            self.refusals.add(Limit::Registrations, address);
        }
        admitted
    }

    fn with_rate_limits<T>(&self, work: impl FnOnce(&mut RateLimits, Duration) -> T) -> T {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock, so that the buckets never see time go back.
        let now = self.clock.elapsed();
        work(&mut rates, now)
    }
}

/// Returns the client's address, behind any trusted proxies.
pub(crate) fn address_of(request: &HttpRequest, http: &Http) -> IpAddr {
    const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
    // Connections of tests have no peer address.
    let peer = request.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |address| address.ip());
    client_address(peer, values(request.headers(), FORWARDED_FOR), &http.behind_proxy)
}

/// Returns all values of a header that are text.
pub(super) fn values(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).filter_map(|value| value.to_str().ok())
}

impl RateLimits {
    fn new(limits: &ServerLimits) -> Self {
        let Rates { requests, registrations } = Rates::of(limits);
        let scrapes = Rate::new(SCRAPES, Duration::from_secs(1), SCRAPES_BURST);
        // A token without a bucket would count for its address at each request.
        let tokens = limits.tokens.max(MOST_BUCKETS);
        Self {
            proven: Recent::new(tokens),
            ended_tokens: 0,
            tokens: Buckets::new(requests, tokens),
            addresses: AddressBuckets::new(requests, MOST_BUCKETS),
            scrapes: AddressBuckets::new(scrapes, MOST_BUCKETS),
            registrations: AddressBuckets::new(registrations, MOST_BUCKETS),
            turns: AddressTurns::new(registrations, MOST_BUCKETS),
        }
    }
}

#[derive(PartialEq)]
struct Rates {
    requests: Rate,
    registrations: Rate,
}

impl Rates {
    fn of(limits: &ServerLimits) -> Self {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let (per_minute, burst) = (limits.registrations_per_minute, limits.registrations_burst);
        Self {
            requests: Rate::new(limits.requests_per_second, second, limits.requests_burst),
            registrations: Rate::new(per_minute, minute, burst),
        }
    }
}
