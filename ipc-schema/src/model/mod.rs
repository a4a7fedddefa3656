//! The model: parties, peers, relays and signals, with their validated values.

mod connection;
mod endpoint;
pub(crate) mod millis;
mod party;
mod raw;
mod relay;
mod signal;
mod text;
mod wall_clock;

pub use connection::{Connection, ConnectionState};
pub use endpoint::{Address, NatType};
pub use party::{Keepalive, KeyChange, Origin, Party, Peer, PeerInput, Sync};
pub use raw::RawJson;
pub use relay::Relay;
pub use signal::{Signal, SignalData};
pub use text::{CheckedText, Epoch, InvalidText, Name, PartyId, PeerId, PublicKey, RelayId};
pub use wall_clock::{LastSeen, UtcOffset, is_readable};
