//! The control plane that asks a server: what it confirms is done here too, and what it can't be
//! asked now it is told later.

mod actor;
pub(crate) mod diagnostics;
mod driver;
mod link;
mod mutation;
mod relays;
mod release;
pub(crate) mod transport;

pub(crate) use actor::{RemoteControlPlane, SetSettings, Start, Stop, ToLink};
pub(crate) use driver::SessionContext;
pub(crate) use link::{CurrentSession, Link, Settings};
