//! Requests in flight of one connection.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use lanrage_ipc::envelope::{Id, Incoming};
use lanrage_ipc::event::Snapshot;
use lanrage_ipc::params::{SubscribeParams, Topic};
use lanrage_ipc::results::{Done, SubscribeResult};
use lanrage_ipc::{ErrorCode, Reply, Request, RpcError};

use super::budget::Reserved;
use super::errors::{SNAPSHOT_TOO_LONG, shortened};
use super::subscriptions::{Resume, Subscriptions, name};
use super::translate::{Response, Translator, bytes_of_parties, bytes_of_relays};
use crate::control_plane::Query;
use crate::events::{EventQueue, Interest, SubscriptionKey};

/// Requests in flight.
pub(super) struct Requests {
    translator: Translator,
    futures: FuturesUnordered<LocalBoxFuture<'static, Answered>>,
    ids: HashSet<Id>,
    /// Subscriptions that they start.
    subscribing: BTreeSet<SubscriptionKey>,
}

/// Addressee of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Addressee {
    /// Request with that id.
    Request(Id),
    /// Line that was no request, or whose id could not be read.
    Unknown,
    /// Notification, which gets no reply.
    Nobody,
}

impl Addressee {
    /// Returns the addressee of a well-formed request or notification.
    fn of(id: Option<Id>) -> Self {
        id.map_or(Self::Nobody, Self::Request)
    }
}

/// Answer to a request.
pub(super) struct Answered {
    pub(super) to: Addressee,
    pub(super) reply: Result<Response, RpcError>,
    /// Subscription whose events may follow the reply.
    pub(super) subscription: Option<(SubscriptionKey, Interest)>,
    /// Reserved room for the reply, held until it is encoded.
    pub(super) reserved: Option<Reserved>,
    /// Reserved room for a reset, which comes by the event queue.
    pub(super) fresh_start: Option<(Resume, Reserved)>,
}

impl Answered {
    pub(super) fn new(to: Addressee, reply: Result<Reply, RpcError>) -> Self {
        Self::with_response(to, reply.map(Response::from))
    }

    fn with_response(to: Addressee, reply: Result<Response, RpcError>) -> Self {
        Self {
            to,
            reply: reply.map_err(shortened),
            subscription: None,
            reserved: None,
            fresh_start: None,
        }
    }
}

impl Requests {
    pub(super) fn new(translator: Translator) -> Self {
        let futures = FuturesUnordered::new();
        Self { translator, futures, ids: HashSet::new(), subscribing: BTreeSet::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.futures.is_empty()
    }

    /// True while an unanswered request may have started a subscription: its events must wait.
    pub(super) fn is_subscribing(&self) -> bool {
        !self.subscribing.is_empty()
    }

    /// Returns the number of subscriptions that unanswered requests may have started.
    pub(super) fn subscribing(&self) -> impl Iterator<Item = SubscriptionKey> {
        self.subscribing.iter().copied()
    }

    /// Drops all requests in flight: their replies need no room and no turn.
    pub(super) fn abandon(&mut self) {
        self.futures.clear();
    }

    /// Returns the next answer; `None` if nothing is in flight.
    pub(super) async fn next(&mut self) -> Option<Answered> {
        let answered = self.futures.next().await?;
        if let Addressee::Request(id) = &answered.to {
            self.ids.remove(id);
        }
        Some(answered)
    }

    /// Takes a line. Returns the answer if it is ready at once.
    pub(super) fn take(
        &mut self,
        line: &str,
        subscriptions: &mut Subscriptions,
    ) -> Option<Answered> {
        let incoming = match Incoming::parse(line) {
            Ok(incoming) => incoming,
            // Malformed input is reported even without an id.
            Err(refused) => {
                let to = refused.id.map_or(Addressee::Unknown, Addressee::Request);
                return Some(Answered::new(to, Err(refused.error)));
            }
        };
        let to = Addressee::of(incoming.id.clone());
        match self.admit(&incoming) {
            Ok(request) => {
                self.start(to, request, subscriptions);
                None
            }
            Err(error) => Some(Answered::new(to, Err(error))),
        }
    }

    fn admit(&mut self, incoming: &Incoming) -> Result<Request, RpcError> {
        let request = self.translator.admit(&incoming.method, incoming.params)?;
        let most = self.translator.settings.limits.requests_in_flight;
        if self.futures.len() >= most {
            let message = format!("{most} requests are unanswered, the most a connection may have");
            return Err(RpcError::new(ErrorCode::TooManyInFlight, message));
        }
        if let Some(id) = &incoming.id
            && !self.ids.insert(id.clone())
        {
            let message = format!("id: a request with the id {id:?} is unanswered yet");
            return Err(RpcError::new(ErrorCode::InvalidRequest, message));
        }
        Ok(request)
    }

    fn start(&mut self, to: Addressee, request: Request, subscriptions: &mut Subscriptions) {
        let translator = self.translator.clone();
        let future: LocalBoxFuture<'static, Answered> = match request {
            Request::EventsSubscribe(params) => {
                match subscriptions.draft(&params, self.subscribing.len()) {
                    Ok((key, interest)) => {
                        self.subscribing.insert(key);
                        let queue = subscriptions.queue.clone();
                        Box::pin(subscribe(translator, to, key, interest, params, queue))
                    }
                    Err(error) => Box::pin(std::future::ready(Answered::new(to, Err(error)))),
                }
            }
            Request::EventsUnsubscribe(params) => {
                let ended = subscriptions.end(&params.subscription);
                Box::pin(async move {
                    Answered::new(to, unsubscribe(&translator, ended, &params.subscription).await)
                })
            }
            request => Box::pin(async move {
                let (reply, reserved) = translator.answer(request).await;
                Answered { reserved, ..Answered::with_response(to, reply) }
            }),
        };
        self.futures.push(future);
    }

    /// Notes that a subscription's reply is sent, or that its request failed.
    pub(super) fn subscribed(&mut self, key: SubscriptionKey) {
        self.subscribing.remove(&key);
    }

    /// Ends a subscription in the background.
    pub(super) fn detach(&self, key: SubscriptionKey) {
        let translator = self.translator.clone();
        self.futures.push(Box::pin(async move {
            let ended = translator.ask(|reply| Query::Unsubscribe(key, reply)).await;
            Answered::new(Addressee::Nobody, ended.map(|()| Reply::EventsUnsubscribe(Done {})))
        }));
    }

    /// Requests a reset of a subscription in the background, as soon as there is room for it.
    pub(super) fn resume(&self, resume: Resume, key: SubscriptionKey, interest: Interest) {
        let translator = self.translator.clone();
        self.futures.push(Box::pin(async move {
            let room = translator.settings.limits.frame_out;
            let fresh_start = Some((resume, translator.account.reserve(room).await));
            let _turn = translator.account.acquire_user_turn().await;
            // Nothing else would resume the subscription.
            let fresh = |reply| Query::Resume(key, interest.clone(), room, reply);
            while let Err(error) = translator.ask(fresh).await {
                if error.data.code != ErrorCode::Timeout {
                    return Answered::new(Addressee::Nobody, Err(error));
                }
            }
            Answered { fresh_start, ..Answered::new(Addressee::Nobody, Ok(Reply::Ping(Done {}))) }
        }));
    }
}

async fn subscribe(
    translator: Translator,
    to: Addressee,
    key: SubscriptionKey,
    interest: Interest,
    params: SubscribeParams,
    queue: Arc<EventQueue>,
) -> Answered {
    let room = translator.settings.limits.frame_out;
    let (snapshot, reserved) = match params.snapshot {
        true => {
            let all = |all: &_| bytes_of_parties(all) + bytes_of_relays(all);
            let reserved = match interest.party_id {
                Some(_) if !interest.covers(Topic::Relay) => translator.reserve_party().await,
                _ => translator.reserve_turn(all).await,
            };
            match reserved {
                Ok(reserved) => (Some(room), Some(reserved)),
                Err(error) => {
                    let subscription = Some((key, interest));
                    return Answered { subscription, ..Answered::new(to, Err(error)) };
                }
            }
        }
        false => (None, None),
    };
    let subscription = Some((key, interest.clone()));
    let is_wide = interest.party_id.is_none()
        && (interest.covers(Topic::Party) || interest.covers(Topic::Peer));
    let too_long = |error: RpcError| match error.data.code {
        ErrorCode::FrameTooLarge => error.hint(SNAPSHOT_TOO_LONG),
        _ => error,
    };
    let snapshot = match snapshot {
        Some(room) if is_wide => follow(&translator, key, interest, queue, room).await,
        _ => {
            let subscribed = |reply| Query::Subscribe { key, interest, queue, snapshot, reply };
            translator.ask(subscribed).await
        }
    };
    let reply = match snapshot.map_err(too_long) {
        Ok(snapshot) => {
            let result = SubscribeResult { subscription: name(key), seq: 0, snapshot };
            translator.encoded(Reply::EventsSubscribe(result)).await
        }
        Err(error) => Err(error),
    };
    Answered { subscription, reserved, ..Answered::with_response(to, reply) }
}

/// Subscribes to the events of all parties. Many parties are read in parts before.
async fn follow(
    translator: &Translator,
    key: SubscriptionKey,
    interest: Interest,
    queue: Arc<EventQueue>,
    room: usize,
) -> Result<Option<Snapshot>, RpcError> {
    let (wanted, events) = (interest.clone(), queue.clone());
    let at_once = |room| {
        let (interest, queue, snapshot) = (wanted, events, Some(room));
        move |reply| Query::Subscribe { key, interest, queue, snapshot, reply }
    };
    if let Some(snapshot) = translator.ask_in_one_turn(at_once).await? {
        return Ok(snapshot);
    }
    let gathered = translator.gather().await?;
    let changed = gathered.changed.clone();
    let subscribed = |reply| Query::SubscribeAfter { key, interest, queue, changed, room, reply };
    let (changed, rest) = translator.ask(subscribed).await?;
    Ok(Some(Snapshot { parties: Some(gathered.with(changed)), ..rest }))
}

async fn unsubscribe(
    translator: &Translator,
    ended: Option<SubscriptionKey>,
    name: &str,
) -> Result<Reply, RpcError> {
    let Some(key) = ended else {
        let shown: String = name.chars().take(64).collect();
        let rule = format!("this connection has no subscription {shown:?}");
        return Err(RpcError::invalid_params("subscription", rule));
    };
    translator.ask(|reply| Query::Unsubscribe(key, reply)).await?;
    Ok(Reply::EventsUnsubscribe(Done {}))
}
