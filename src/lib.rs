//! lanragectl: the control plane of a virtual LAN for games.

pub mod core;
pub mod store;
