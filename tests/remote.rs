//! The daemon in remote mode: two of them and a server that comes and goes.

mod http;
mod identity;
mod migration;
mod offline;
mod online;
mod states;
mod world;
