//! The remote control plane: it forwards commands to the control server, replicates the result, and
//! keeps intents while the server is out of reach.

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
