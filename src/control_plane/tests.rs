//! The handle, before an actor that answers as a test says.

use super::*;
use crate::core::{Left, Outcome, Principal, User, command};

/// Answers commands with this outcome, or drops them.
struct Answering(Option<Outcome>);

impl Actor for Answering {
    type Context = Context<Self>;
}

impl Handler<Call> for Answering {
    type Result = ();

    fn handle(&mut self, call: Call, _: &mut Self::Context) {
        if let (Ask::Command(_, reply), Some(outcome)) = (call.ask, self.0.clone()) {
            reply.send(Ok(outcome));
        }
    }
}

async fn leave(answered: Option<Outcome>) -> Result<Left, Failure> {
    let plane = ControlPlane::new(Answering(answered).start().recipient());
    let principal = Principal::User { user: User(0), admin: true };
    let caller = Caller { principal, connection: ConnectionId(0), address: None };
    let (party_id, peer_id) = ("lan".parse().unwrap(), "ann".parse().unwrap());
    plane.ask(caller, command!(Leave { party_id, peer_id })).await
}

#[actix::test]
async fn command_gets_its_own_outcome_and_no_other() {
    let left = Left { party_deleted: true };
    assert_eq!(leave(Some(Outcome::Left(left))).await, Ok(left));
    assert_eq!(leave(Some(Outcome::Done)).await, Err(Failure::Mistake));
}

#[actix::test]
async fn request_whose_reply_is_dropped_fails_as_at_a_stop() {
    assert_eq!(leave(None).await, Err(Failure::Stopping));
}
