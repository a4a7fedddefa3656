//! Reads what LANrage's clients send: leniently, and all mistakes at once, each in the shape in
//! which FastAPI tells of it.
//!
//! A [`Reader`] is asked for the fields of an object one by one, each with one of the [`rules`].
//! What breaks its rule becomes a [`Mistake`]; what nobody asks for is ignored.

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
