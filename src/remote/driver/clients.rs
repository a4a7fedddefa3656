//! Requests of clients to a driven session, and their replies.

use std::collections::HashMap;

use lanrage_ipc::control::Secret;
use lanrage_ipc::model::{PartyId, PeerId, Relay};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Driver;
use crate::core::upstream::{ClientCommand, ClientError, ClientId, CommandReply};
use crate::core::{Membership, RelayInput, User};

/// Reply channels of clients, by kind of request.
#[derive(Default)]
pub(super) struct Clients {
    /// Last id of a client.
    last_id: u64,
    pub(super) commands: Waiting<CommandReply>,
    pub(super) relays: Waiting<Result<Vec<Relay>, ClientError>>,
    pub(super) announcements: Waiting<Result<(), ClientError>>,
    /// Notified when the local peers have left.
    pub(super) departure: Option<oneshot::Sender<()>>,
}

/// Reply channels of one kind.
type Waiting<T> = HashMap<ClientId, oneshot::Sender<T>>;

impl Driver {
    /// Executes a client's command on the server, and then in the registry.
    pub(in crate::remote) async fn request(&self, request: ClientCommand) -> CommandReply {
        let (id, reply) = self.register(|clients| &mut clients.commands);
        self.change(|session, now| session.handle_request(id, request, now));
        reply.await.unwrap_or(Err(ClientError::Lost))
    }

    /// Requests the server's relays.
    pub(in crate::remote) async fn relays(&self) -> Result<Vec<Relay>, ClientError> {
        let (id, reply) = self.register(|clients| &mut clients.relays);
        self.change(|session, now| session.handle_relay_query(id, now));
        reply.await.unwrap_or(Err(ClientError::Lost))
    }

    /// Announces a relay to the server.
    pub(in crate::remote) async fn announce(
        &self,
        relay: RelayInput,
        user: Option<User>,
    ) -> Result<(), ClientError> {
        let (id, reply) = self.register(|clients| &mut clients.announcements);
        self.change(|session, now| session.handle_announcement(id, relay, user, now));
        reply.await.unwrap_or(Err(ClientError::Lost))
    }

    /// Registers a client that waits for a reply.
    fn register<T>(
        &self,
        kind: impl FnOnce(&mut Clients) -> &mut Waiting<T>,
    ) -> (ClientId, oneshot::Receiver<T>) {
        let (reply, receiver) = oneshot::channel();
        let mut clients = self.0.clients.borrow_mut();
        clients.last_id += 1;
        let id = ClientId(clients.last_id);
        kind(&mut clients).insert(id, reply);
        (id, receiver)
    }

    /// Waits for the server until four fifths of the request timeout have passed since `begun`;
    /// `None` after that.
    pub(in crate::remote) async fn in_time<T>(
        &self,
        begun: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::time::timeout_at(begun + self.0.endpoint.request_timeout * 4 / 5, work).await.ok()
    }

    /// Has local peers leave. Waits until the server has confirmed it, for a limited time.
    pub(in crate::remote) async fn depart(&self, memberships: Vec<Membership>) {
        let (departed, departure) = oneshot::channel();
        self.0.clients.borrow_mut().departure = Some(departed);
        self.change(|session, now| session.depart(memberships, now));
        departure.await.ok();
    }

    /// Has a peer leave that the server may have added although its client got an error.
    pub(in crate::remote) fn withdraw(&self, party_id: PartyId, peer_id: PeerId) {
        self.change(|session, now| session.handle_withdrawal(party_id, peer_id, now));
    }

    /// Revokes the tokens of a peer on the server. Returns their number; `None` if the server does
    /// not revoke them, so that they expire.
    pub(in crate::remote) async fn revoke(&self, peer_id: &PeerId, token: &Secret) -> Option<u64> {
        self.change(|session, _| session.note_revocation(peer_id, true));
        match self.0.api().revoke(token).await {
            Ok(tokens) => Some(tokens),
            Err(error) => {
                self.change(|session, _| session.note_revocation(peer_id, false));
                log::warn!("tokens not revoked, they will expire: peer={peer_id} {error}");
                None
            }
        }
    }
}

/// Sends a reply to a client, which may be gone.
pub(super) fn answer<T>(waiting: &mut Waiting<T>, id: ClientId, reply: T) {
    if let Some(client) = waiting.remove(&id) {
        client.send(reply).ok();
    }
}
