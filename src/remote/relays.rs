//! Relays. Relay programs announce them periodically, so they need no intents for the server. The
//! server's relays are requested on demand.

use std::rc::Rc;
use std::time::Duration;

use lanrage_ipc::model::{Name, Relay};
use tokio::time::Instant;

use super::actor::RemoteDispatcher;
use super::driver::Driver;
use crate::control_plane::{Ask, Failure, Query};
use crate::core::upstream::ClientError;
use crate::core::{Caller, Command, RelayInput, command};

/// Upper bound of the cached relays: the default limit of a server.
const MOST_RELAYS: usize = 1024;

/// Wait for the server's relays; afterwards the reply has the cached ones.
const QUERY_WAIT: Duration = Duration::from_millis(60);

impl RemoteDispatcher {
    /// Announces a relay, to the server first while it is online.
    pub(super) async fn register_relay(
        self: &Rc<Self>,
        caller: Caller,
        relay: RelayInput,
    ) -> Result<Relay, Failure> {
        if let Some(session) = self.current.online() {
            let register = Command::RegisterRelay(relay.clone());
            self.context.local.ask(caller.clone(), |reply| Ask::Plan(register, reply)).await?;
            let announced = session.announce(relay.clone(), caller.user());
            let announced = session.in_time(Instant::now(), announced).await;
            if let Some(Err(ClientError::Rejected { code, message })) = announced {
                return Err(Failure::Rejected { code, message });
            }
        }
        self.context.local.ask(caller, command!(RegisterRelay(relay))).await
    }

    /// Returns the server's relays as of its last answer, and this machine's own while it is
    /// offline.
    pub(super) async fn list_relays(
        self: &Rc<Self>,
        caller: Caller,
        region: Option<Name>,
    ) -> Result<Vec<Relay>, Failure> {
        let session = self.current.online();
        let is_online = session.is_some();
        // Concurrent calls share the query in flight.
        if let Some(session) = session.filter(|_| !self.is_querying_relays.replace(true)) {
            let query = actix::spawn(self.clone().query_relays(session));
            tokio::time::timeout(QUERY_WAIT, query).await.ok();
        }
        let cached = self.relays.borrow().clone();
        let of_region = region.clone();
        let own = self.context.local.ask(caller, |reply| Query::Relays(of_region, reply)).await?;
        let Some(mut relays) = cached else { return Ok(own) };
        if !is_online {
            relays.retain(|relay| own.iter().all(|own| own.relay_id != relay.relay_id));
            relays.extend(own);
        }
        relays.retain(|relay| region.as_ref().is_none_or(|region| relay.region == *region));
        relays.sort_by(|a, b| (&a.region, &a.relay_id).cmp(&(&b.region, &b.relay_id)));
        Ok(relays)
    }

    async fn query_relays(self: Rc<Self>, session: Driver) {
        let answer = session.relays().await;
        self.is_querying_relays.set(false);
        match answer {
            // The daemon may have switched to another server.
            Ok(_) if !session.is_online() => {}
            Ok(mut relays) => {
                relays.truncate(MOST_RELAYS);
                *self.relays.borrow_mut() = Some(relays);
            }
            Err(ClientError::Rejected { message, .. }) => {
                session.warn(format_args!("list of relays refused: {message}"));
            }
            Err(_) => {}
        }
    }
}

/// Cached relays of the server; `None` before its first response.
pub(super) type Relays = Option<Vec<Relay>>;
