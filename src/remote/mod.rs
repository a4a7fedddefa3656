//! Remote control plane: forwards commands to the control server, replicates the results, and
//! stores intents while the server is unreachable.
//!
//! | file | |
//! |---|---|
//! | `actor` | the control plane: dispatches calls, and orders the commands of each party |
//! | `mutation`, `relays`, `release` | commands that involve the server |
//! | `link` | actor of the connection: executes the state machine `core::upstream::link` |
//! | `driver` | moves the inputs and outputs of a session (`core::upstream`) |
//! | `transport` | carries messages over WebSocket or HTTP |
//! | `diagnostics` | messages for the user about failed connections and requests |

mod actor;
pub(crate) mod diagnostics;
mod driver;
mod link;
mod mutation;
mod relays;
mod release;
pub(crate) mod transport;

pub(crate) use actor::{LinkRecipients, RemoteControlPlane, SetSettings, Start, Stop};
pub(crate) use driver::SessionContext;
pub(crate) use link::{CurrentSession, Link, RemoteSettings};
