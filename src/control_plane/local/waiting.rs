//! What has been done in memory and waits for the disk.

use std::sync::Arc;

use lanrage_ipc::event::Event;
use lanrage_ipc::model::{Party, PartyId};
use tokio::sync::oneshot;

use crate::control_plane::{Answer, Ask, Failure};
use crate::core::{Caller, Change, Effect, Outcome};
use crate::events::Bulletin;

/// Where an answer goes. Nobody may be there to hear it any more.
pub(super) type ReplyTo = oneshot::Sender<Result<Answer, Failure>>;

/// A call that was taken in, in the order of calls.
pub(super) enum Waiting {
    /// It changed something.
    Changed(Box<Changed>),
    /// It changed nothing, but what came before it shows in its answer.
    Unchanged(Box<Unchanged>),
    /// It reads.
    Read(Box<Read>),
}

/// A reading whose answer is that of its place in the order of calls.
pub(super) struct Read {
    /// Who asks.
    pub(super) caller: Caller,
    /// To be asked again if what came before is undone.
    pub(super) ask: Ask,
    /// The answer, if all before it becomes durable.
    pub(super) answer: Result<Answer, Failure>,
    /// What the hub is to do with the answer.
    pub(super) bulletin: Option<Bulletin>,
    /// Where it goes.
    pub(super) reply: ReplyTo,
}

/// A command that changed nothing durable. Should what came before it be undone, it is refused: to do it
/// then could change something, for a connection that has closed meanwhile.
pub(super) struct Unchanged {
    /// The answer, if all before it becomes durable.
    pub(super) answer: Result<Answer, Failure>,
    /// To be taken back if it is refused.
    pub(super) effect: Option<Effect>,
    /// Where it goes.
    pub(super) reply: ReplyTo,
}

/// What a command did.
pub(super) struct Changed {
    pub(super) changes: Vec<Change>,
    pub(super) effect: Option<Effect>,
    pub(super) events: Vec<Event>,
    /// The parties it touched, as they are after it.
    pub(super) announcements: Vec<(PartyId, Option<Arc<Party>>)>,
    pub(super) outcome: Outcome,
    pub(super) reply: ReplyTo,
}
