//! Messages of the writer.

use actix::Message;

use super::database::Committed;
use super::error::StoreError;
use crate::core::{Seen, Write};

/// Makes changes durable, all or none. Answered once they are.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Committed, StoreError>")]
pub(crate) struct Commit {
    /// The rows to write, oldest first.
    pub(crate) writes: Vec<Write>,
    /// Signs of life. They come after `writes`; those of members that are gone are passed over.
    /// A commit of nothing else waits for no disk.
    pub(crate) seen: Vec<Seen>,
}

/// Closes the database: the log is merged into it and removed. The last message before a stop.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Close;
