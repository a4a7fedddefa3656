//! Messages of the writer.

use actix::Message;

use super::database::Committed;
use super::error::StoreError;
use crate::core::{Seen, Write};

/// Commits changes, all or none; answered once they are durable.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Committed, StoreError>")]
pub(crate) struct Commit {
    /// Rows to write, oldest first.
    pub(crate) writes: Vec<Write>,
    /// Signs of life, written after `writes`; those of removed members are ignored. A commit of
    /// signs of life alone needs no flush.
    pub(crate) seen: Vec<Seen>,
}

/// Closes the database: the log is merged into it and removed. Sent last before a stop.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(crate) struct Close;
