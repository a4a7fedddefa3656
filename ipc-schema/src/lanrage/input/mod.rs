//! Decodes the input of LANrage's clients leniently. It reports all mistakes at once, in FastAPI's
//! format.
//!
//! A [`Reader`] decodes the fields of an object one by one, each by one of the [`rules`]. A value
//! that breaks its rule becomes a [`Mistake`]; other fields are ignored.

mod mistake;
mod peer;
mod reader;
pub mod rules;
#[cfg(test)]
mod tests;

pub use mistake::{Loc, MOST_MISTAKES, Mistake};
pub use peer::{PeerForm, read_peer};
pub use reader::Reader;
pub use rules::Refusal;
