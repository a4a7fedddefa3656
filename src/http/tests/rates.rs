//! Rate limits that apply before the control plane is asked.

use std::sync::atomic::{AtomicUsize, Ordering};

use actix::prelude::*;

use super::*;
use crate::control_plane::{Ask, Call};
use crate::token;

/// Passes calls on, and counts the token lookups.
struct Counter {
    to: ControlPlane,
    looked_up: Arc<AtomicUsize>,
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Call> for Counter {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, call: Call, _: &mut Self::Context) -> Self::Result {
        if let Ask::Authenticate(..) | Ask::AuthenticateClaim(..) = call.ask {
            self.looked_up.fetch_add(1, Ordering::Relaxed);
        }
        let taken = self.to.forward(call);
        Box::pin(async move { taken.await.unwrap_or_default() })
    }
}

/// Returns a server with that rate for an address, and its number of token lookups.
fn server(burst: usize) -> (Server, Arc<AtomicUsize>) {
    let limits =
        ServerLimits { requests_per_second: 1, requests_burst: burst, ..ServerLimits::default() };
    let looked_up = Arc::<AtomicUsize>::default();
    let counted = looked_up.clone();
    let settings = HttpSettings { limits, ..settings() };
    let wrap = |to| ControlPlane::new(Counter { to, looked_up: counted }.start().recipient());
    (Server::before(settings, wrap), looked_up)
}

#[actix::test]
async fn unknown_tokens_reach_the_control_plane_at_the_rate_of_their_address() {
    let (server, looked_up) = server(3);
    let mut unknown = 0;
    for n in 0..100 {
        match server.get("/relays", &format!("made-up-{n}")).await.status {
            401 => unknown += 1,
            429 => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(looked_up.load(Ordering::Relaxed), unknown);
    assert!(unknown < 100, "nothing was refused");
}

#[actix::test]
async fn flood_from_an_address_leaves_its_valid_tokens_their_rate() {
    let (server, looked_up) = server(3);
    let ann = server.token("ann").await;
    let flood = async || {
        for n in 0..100 {
            if server.get("/relays", &format!("made-up-{n}")).await.status == 429 {
                return;
            }
        }
        panic!("never refused");
    };
    flood().await;
    server.get("/relays", &ann).await.expect(200);
    // Its own rate applies, and the control plane is asked no more.
    let asked = looked_up.load(Ordering::Relaxed);
    let mut answered = 0;
    for _ in 0..100 {
        answered += usize::from(server.get("/relays", &ann).await.status == 200);
    }
    assert!((1..100).contains(&answered), "{answered} of 100");
    assert_eq!(looked_up.load(Ordering::Relaxed), asked);
}

/// A token is looked up once, and its proof is not used beyond its end.
#[actix::test]
async fn token_is_looked_up_again_once_a_token_has_ended() {
    let (server, looked_up) = server(1_000);
    let count = || looked_up.load(Ordering::Relaxed);
    let (ann, ben) = (server.token("ann").await, server.token("ben").await);
    let get = async |token: &str| server.get("/relays", token).await.status;
    for token in [&ann, &ben] {
        let asked = count();
        for _ in 0..3 {
            assert_eq!(get(token).await, 200);
        }
        assert_eq!(count() - asked, 1);
    }
    server.call("DELETE", "/auth/tokens?all=true", &ann, None).await.expect(200);
    assert_eq!([get(&ann).await, get(&ben).await, get(&ann).await], [401, 200, 401]);
}

/// The state after a restart, when no token has been used yet.
#[actix::test]
async fn valid_token_takes_nothing_from_the_bucket_of_its_address() {
    const PLAYERS: usize = 12;
    let (server, _) = server(PLAYERS + 1);
    let mut tokens = Vec::new();
    for n in 0..PLAYERS {
        tokens.push(server.token(&format!("peer-{n}")).await);
    }
    for token in tokens {
        server.state.note_unproven(&token::hash(token.as_bytes()));
        server.get("/relays", &token).await.expect(200);
    }
    server.get("/", "").await.expect(200);
}
