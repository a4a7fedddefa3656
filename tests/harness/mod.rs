//! Starts real daemons and speaks to them line by line.

mod client;
mod copy;
mod ctl;
mod daemon;
mod files;
mod random;
mod stranger;
mod wire;

pub(crate) use client::{Client, peer};
pub(crate) use copy::{Copy, mark};
pub(crate) use ctl::Ctl;
pub(crate) use daemon::{Daemon, Setup, end_of, exists};
pub(crate) use files::{eventually, json_file};
pub(crate) use random::Random;
pub(crate) use stranger::{NOBODY, is_root, stranger};
pub(crate) use wire::{assert_error, await_clients, keys, lock, memory};
