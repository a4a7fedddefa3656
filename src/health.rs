//! Whether the actors still turn: each answers a [`Ping`].

use std::time::Duration;

use actix::prelude::*;

/// Answered by an actor that is alive and not stuck.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Ping;

/// Answers [`Ping`] for an actor.
#[macro_export]
macro_rules! answers_ping {
    ($actor:ty) => {
        impl actix::Handler<$crate::health::Ping> for $actor {
            type Result = ();

            fn handle(&mut self, _: $crate::health::Ping, _: &mut Self::Context) {}
        }
    };
}

/// Every actor that the daemon can't do without.
#[derive(Debug, Clone, Default)]
pub struct Vitals(Vec<(&'static str, Recipient<Ping>)>);

impl Vitals {
    /// Adds an actor.
    pub fn add(&mut self, name: &'static str, actor: Recipient<Ping>) {
        self.0.push((name, actor));
    }

    /// Asks all of them.
    ///
    /// # Errors
    /// The name of the first that did not answer within `patience`.
    pub async fn check(&self, patience: Duration) -> Result<(), &'static str> {
        for (name, actor) in &self.0 {
            let answer = tokio::time::timeout(patience, actor.send(Ping)).await;
            if !matches!(answer, Ok(Ok(()))) {
                return Err(name);
            }
        }
        Ok(())
    }
}
