//! lanragectl: the control plane of a virtual LAN for games.

pub mod config;
pub mod core;
pub mod discovery;
pub mod logging;
pub mod store;
