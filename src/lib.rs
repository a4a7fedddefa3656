//! lanragectl: the control plane of a virtual LAN for games.

pub mod cleanup;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control_plane;
pub mod core;
pub mod daemon;
pub mod discovery;
mod engine;
pub mod events;
mod fair_turns;
pub mod health;
pub mod http;
mod import;
pub mod instance;
pub mod ipc;
pub mod logging;
pub mod os;
mod random_id;
pub mod remote;
pub mod server;
pub mod server_url;
pub mod service;
pub mod store;
mod terminal;
pub mod token;
pub mod ws;
