//! Long replies, whose parties are read and encoded in parts: other requests run between them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lanrage_ipc::envelope::bounded_result;
use lanrage_ipc::model::{Party, PartyId};
use lanrage_ipc::{ErrorCode, Reply, RpcError};

use super::{Response, Translator, internal};
use crate::config::Limits;
use crate::control_plane::dirty_parties::DirtyParties;
use crate::control_plane::{Ask, ChangedParties, Failure, IntoAsk, Page, Query};
use crate::core::DirtySet;
use crate::ipc::errors::{EXPORT_TOO_LONG, SNAPSHOT_TOO_LONG, wire};

/// Bounds of the parties that are read in one turn of the control plane.
const SLICE: usize = 128;
const SLICE_BYTES: usize = 64 * 1024;

/// Number of parties from which a reply is encoded on another thread.
const LONG: usize = 64;

/// All parties, read one slice after the other. Some may have changed since.
pub(in crate::ipc) struct Gathered {
    parties: BTreeMap<PartyId, Party>,
    /// Changes since the first slice.
    pub(in crate::ipc) changed: Arc<DirtyParties>,
}

impl Gathered {
    /// Returns the parties at the moment at which the changes were read.
    pub(in crate::ipc) fn with(
        mut self,
        ChangedParties { stale, parties }: ChangedParties,
    ) -> Vec<Party> {
        match stale {
            DirtySet::Some(ids) => ids.iter().for_each(|id| {
                self.parties.remove(id);
            }),
            DirtySet::Any => self.parties.clear(),
        }
        self.parties.extend(parties.into_iter().map(|party| (party.party_id.clone(), party)));
        self.parties.into_values().collect()
    }
}

impl Translator {
    /// Asks for all parties if they are few enough for one turn of the control plane, so that the
    /// answer is in the order of the requests. Returns `None` if they are not, but may fit a frame.
    ///
    /// # Errors
    /// `frame_too_large` if they can't fit; the errors of [`Translator::ask`].
    pub(in crate::ipc) async fn ask_in_one_turn<T, R: IntoAsk<T>>(
        &self,
        request: impl FnOnce(usize) -> R,
    ) -> Result<Option<T>, RpcError> {
        let Limits { frame_out: room, request_timeout, .. } = self.settings.limits;
        let request = request(room.min(SLICE_BYTES));
        let control_plane = &self.server.control_plane;
        match control_plane.ask_within(request_timeout, self.caller.clone(), request).await {
            Err(Failure::TooLong { least, .. }) if least <= room => Ok(None),
            Err(Failure::TooLong { least, .. }) => Err(wire(&Failure::TooLong { least, room })),
            answer => answer.map(Some).map_err(|failure| wire(&failure)),
        }
    }

    /// Reads all parties.
    ///
    /// # Errors
    /// `frame_too_large` if they can't fit into a frame; the errors of [`Translator::ask`].
    pub(in crate::ipc) async fn gather(&self) -> Result<Gathered, RpcError> {
        let room = self.settings.limits.frame_out;
        let changed = self.ask(|reply| Ask::Watch(room, reply)).await?;
        let (mut parties, mut after) = (BTreeMap::new(), None);
        loop {
            let (limit, room) = (SLICE, SLICE_BYTES);
            let page = self.ask(|reply| Ask::Slice { after, limit, room, reply }).await?;
            after = page.parties.last().map(|party| party.party_id.to_string());
            parties.extend(page.parties.into_iter().map(|party| (party.party_id.clone(), party)));
            if !page.more {
                return Ok(Gathered { parties, changed });
            }
        }
    }

    /// Returns all parties at one moment.
    ///
    /// # Errors
    /// Those of [`Translator::gather`].
    pub(super) async fn all_parties(&self) -> Result<Vec<Party>, RpcError> {
        let all = Arc::<DirtyParties>::default();
        all.note_any();
        let at_once = |room| move |reply| Query::ChangedParties(all, room, reply);
        if let Some(all) = self.ask_in_one_turn(at_once).await? {
            return Ok(all.parties);
        }
        let gathered = self.gather().await?;
        let (changed, room) = (gathered.changed.clone(), self.settings.limits.frame_out);
        let changed = self.ask(|reply| Query::ChangedParties(changed, room, reply)).await?;
        Ok(gathered.with(changed))
    }

    /// Reads the next parties: at most `limit`, and at most as many as may fit into `room` bytes
    /// plus one, but no more than one turn of the control plane is for.
    pub(super) async fn slice(
        &self,
        after: Option<String>,
        limit: usize,
        room: usize,
    ) -> Result<Page, RpcError> {
        let (limit, room) = (limit.min(SLICE), room.min(SLICE_BYTES));
        self.ask(|reply| Query::Parties { after, limit, room, reply }).await
    }

    /// Encodes a long reply on another thread.
    ///
    /// # Errors
    /// `frame_too_large`.
    pub(in crate::ipc) async fn encoded(&self, reply: Reply) -> Result<Response, RpcError> {
        if parties(&reply) < LONG {
            return Ok(reply.into());
        }
        let (hint, most) = (hint(&reply), self.settings.limits.frame_out);
        let encoding = tokio::task::spawn_blocking(move || bounded_result(&reply, most));
        match encoding.await.map_err(internal)?.map_err(internal)? {
            Some(json) => Ok(Response::Encoded(json, hint)),
            None => Err(too_large(most, hint)),
        }
    }
}

/// Returns the number of parties in a reply.
fn parties(reply: &Reply) -> usize {
    match reply {
        Reply::EventsSubscribe(result) => {
            let parties = result.snapshot.as_ref().and_then(|snapshot| snapshot.parties.as_ref());
            parties.map_or(0, Vec::len)
        }
        Reply::PartyList(result) => result.parties.len(),
        Reply::PartyDiscover(result) => result.parties.len(),
        Reply::StateExport(result) => result.state.parties.len(),
        _ => 0,
    }
}

/// Returns the hint for a reply that is too long.
pub(in crate::ipc) fn hint(reply: &Reply) -> Option<&'static str> {
    match reply {
        Reply::EventsSubscribe(_) => Some(SNAPSHOT_TOO_LONG),
        Reply::StateExport(_) => Some(EXPORT_TOO_LONG),
        _ => None,
    }
}

/// Returns the error of a reply above the limit of a frame.
pub(in crate::ipc) fn too_large(limit: usize, hint: Option<&'static str>) -> RpcError {
    let message = format!("the reply has more than {limit} bytes, the most that it may have");
    let error = RpcError::new(ErrorCode::FrameTooLarge, message);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}
