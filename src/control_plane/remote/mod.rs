//! The control plane that asks a server: what it confirms is done here too, and what it can't be
//! asked now it is told later.

mod actor;
mod frames;
mod link;
mod mutation;
mod relays;
mod release;
mod session;
pub mod transport;

pub(crate) use actor::{RemoteControlPlane, SetSettings, Start, Stop, ToLink};
pub(crate) use link::{Line, Link, Settings};
pub(crate) use session::{Keys, SentSignals, Surroundings, Warnings};
