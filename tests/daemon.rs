//! The daemon as a process: how it is configured, starts, is told things, and ends.

mod config;
mod memory;
mod signals;
mod socket_file;
mod start;
