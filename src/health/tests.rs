//! Liveness of actors.

use super::*;

/// Stops at the first ping, and answers further ones.
#[derive(Default)]
struct Restless {
    was_pinged: bool,
}

impl Actor for Restless {
    type Context = Context<Self>;
}

impl Supervised for Restless {}

impl Handler<Ping> for Restless {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Ping, ctx: &mut Self::Context) -> Self::Result {
        if !std::mem::replace(&mut self.was_pinged, true) {
            ctx.stop();
            return Box::pin(std::future::pending::<()>().into_actor(self));
        }
        Box::pin(std::future::ready(()).into_actor(self))
    }
}

/// Never answers.
struct Stuck;

impl Actor for Stuck {
    type Context = Context<Self>;
}

impl Handler<Ping> for Stuck {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Ping, _: &mut Self::Context) -> Self::Result {
        Box::pin(std::future::pending())
    }
}

#[actix::test]
async fn restarting_actor_counts_as_alive() {
    let mut vitals = Vitals::default();
    vitals.add("restless", Supervisor::start(|_| Restless::default()).recipient());
    assert_eq!(vitals.check(Duration::from_secs(60)).await, Ok(()));
}

#[actix::test]
async fn stuck_or_ended_actor_is_named() {
    let gone = Restless::default().start();
    let mut vitals = Vitals::default();
    vitals.add("gone", gone.recipient());
    assert_eq!(vitals.check(Duration::from_secs(60)).await, Err("gone"));
    let mut vitals = Vitals::default();
    vitals.add("stuck", Stuck.start().recipient());
    assert_eq!(vitals.check(Duration::from_millis(1)).await, Err("stuck"));
}
