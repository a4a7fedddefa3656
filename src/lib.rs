//! lanragectl: the control plane of a virtual LAN for games.

mod cleanup;
mod cli;
mod clock;
mod config;
mod control_plane;
mod core;
mod daemon;
mod discovery;
mod engine;
mod events;
mod fair_turns;
mod health;
mod http;
mod import;
mod instance;
mod ipc;
mod logging;
mod os;
pub mod programs;
mod random_id;
mod remote;
mod server;
mod server_url;
mod service;
mod store;
mod terminal;
mod token;
mod ws;

// The harness of the tests from outside has the one rule for the extent of a run.
#[cfg(test)]
#[path = "../tests/harness/extent.rs"]
mod extent;
