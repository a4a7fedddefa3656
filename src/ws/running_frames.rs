//! Concurrency of a client's frames. Independent frames are processed at the same time, so that
//! their changes share commits. Their answers keep the order of the frames.

use std::collections::VecDeque;
use std::future::Future;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use lanrage_ipc::control::ClientFrame;
use lanrage_ipc::model::{PartyId, PeerId};

/// Class of a frame; it decides which other frames may run beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FrameClass {
    /// A hello: beside those of other peers.
    Greeting(PeerId),
    /// A request: beside those about other parties. If the connection does not speak for the peer
    /// yet, it claims the id first, so it runs beside those for other peers.
    Request { party: Option<PartyId>, newcomer: Option<PeerId> },
    /// Anything else: beside nothing.
    Alone,
}

impl FrameClass {
    /// Returns the class of a frame; `speaks_for` tests the connection's peers.
    pub(super) fn of(frame: &ClientFrame, speaks_for: impl Fn(&PeerId) -> bool) -> Self {
        match (frame, frame.peer_id()) {
            (ClientFrame::Hello { .. }, Some(peer_id)) => Self::Greeting(peer_id.clone()),
            (ClientFrame::Hello { .. }, None) => Self::Alone,
            (_, peer_id) => Self::Request {
                party: frame.party_id().cloned(),
                newcomer: peer_id.filter(|peer_id| !speaks_for(peer_id)).cloned(),
            },
        }
    }

    fn may_run_beside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Greeting(one), Self::Greeting(other)) => one != other,
            (
                Self::Request { party: one_party, newcomer: one },
                Self::Request { party: other_party, newcomer: other },
            ) => {
                let is_same_party = one_party.is_some() && one_party == other_party;
                let is_same_peer = one.is_some() && one == other;
                !is_same_party && !is_same_peer
            }
            _ => false,
        }
    }
}

/// Running frames, each with an answer of type `A`; oldest first.
pub(super) struct RunningFrames<A> {
    running: FuturesOrdered<LocalBoxFuture<'static, A>>,
    classes: VecDeque<FrameClass>,
    most: usize,
}

impl<A> RunningFrames<A> {
    /// Creates an empty set with room for `most` frames.
    pub(super) fn new(most: usize) -> Self {
        Self { running: FuturesOrdered::new(), classes: VecDeque::new(), most }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }

    /// True if a frame may run beside all that run now.
    pub(super) fn admits(&self, class: &FrameClass) -> bool {
        self.classes.len() < self.most
            && self.classes.iter().all(|running| running.may_run_beside(class))
    }

    /// Starts an admitted frame. Frames send their commands in the order in which they start.
    pub(super) fn start(&mut self, class: FrameClass, action: impl Future<Output = A> + 'static) {
        self.classes.push_back(class);
        self.running.push_back(Box::pin(action));
    }

    /// Returns the answer of the oldest frame when it has ended; `None` if none runs.
    pub(super) async fn next(&mut self) -> Option<A> {
        let answer = self.running.next().await?;
        self.classes.pop_front();
        Some(answer)
    }
}

#[cfg(test)]
mod tests {
    use lanrage_ipc::control::decode;
    use serde_json::{Value, json};

    use super::*;

    fn class(frame: Value) -> FrameClass {
        let frame = decode(&frame.to_string()).expect("a frame").frame;
        FrameClass::of(&frame, |peer_id| peer_id.as_str().starts_with("own"))
    }

    fn hello(peer: Option<&str>) -> FrameClass {
        class(json!({"type": "hello", "peer_id": peer}))
    }

    fn beat(party: &str, peer: &str) -> FrameClass {
        class(json!({"type": "heartbeat", "party_id": party, "peer_id": peer}))
    }

    #[test]
    fn independent_frames_run_concurrently() {
        for (one, other, expected) in [
            (hello(Some("a")), hello(Some("b")), true),
            (hello(Some("a")), hello(Some("a")), false),
            (hello(Some("a")), hello(None), false),
            (hello(Some("a")), beat("lan", "own"), false),
            (beat("lan", "own"), beat("den", "own"), true),
            (beat("lan", "own"), beat("lan", "own-2"), false),
            (beat("lan", "new"), beat("den", "new"), false),
            (beat("lan", "new"), beat("den", "newer"), true),
            (beat("lan", "own"), class(json!({"type": "sync", "party_id": "lan"})), false),
            (beat("lan", "own"), class(json!({"type": "list_relays"})), true),
            (FrameClass::Alone, FrameClass::Alone, false),
        ] {
            assert_eq!(one.may_run_beside(&other), expected, "{one:?} {other:?}");
            assert_eq!(other.may_run_beside(&one), expected, "{other:?} {one:?}");
        }
    }

    #[tokio::test]
    async fn answers_keep_the_order_of_the_frames() {
        let mut frames = RunningFrames::new(2);
        let (done, waits) = tokio::sync::oneshot::channel();
        frames.start(beat("lan", "own"), async move { waits.await.expect("a word") });
        frames.start(beat("den", "own"), async move {
            done.send(1).expect("somebody waits");
            2
        });
        assert!(!frames.admits(&beat("third", "own")), "two are the most");
        assert_eq!(
            (frames.next().await, frames.next().await, frames.next().await),
            (Some(1), Some(2), None)
        );
        assert!(frames.is_empty() && frames.admits(&FrameClass::Alone));
    }
}
