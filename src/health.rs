//! Health check of the actors: each answers a [`Ping`].

#[cfg(test)]
mod tests;

use std::time::Duration;

use actix::prelude::*;

/// Attempts for an actor that loses a [`Ping`]: a supervised actor loses its mailbox at each
/// restart.
const TRIES: usize = 3;

/// Message that an actor answers unless it is dead or stuck.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Ping;

/// Answers [`Ping`] for an actor.
macro_rules! answers_ping {
    ($actor:ty) => {
        impl actix::Handler<$crate::health::Ping> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::health::Ping, _: &mut Self::Context) {}
        }
    };
}
pub(crate) use answers_ping;

/// Actors that the program can't do without.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vitals(Vec<(&'static str, Recipient<Ping>)>);

impl Vitals {
    /// Adds an actor.
    pub(crate) fn add(&mut self, name: &'static str, actor: Recipient<Ping>) {
        self.0.push((name, actor));
    }

    /// Pings all of them.
    ///
    /// # Errors
    /// The name of the first actor that did not answer within `patience`.
    pub(crate) async fn check(&self, patience: Duration) -> Result<(), &'static str> {
        for (name, actor) in &self.0 {
            let answers = tokio::time::timeout(patience, answers(actor)).await;
            if answers != Ok(true) {
                return Err(name);
            }
        }
        Ok(())
    }
}

async fn answers(actor: &Recipient<Ping>) -> bool {
    for _ in 0..TRIES {
        if actor.send(Ping).await.is_ok() {
            return true;
        }
    }
    false
}
