//! What the figures are taken with.

pub(crate) mod client;
pub(crate) mod echo;
pub(crate) mod figures;
pub(crate) mod process;
