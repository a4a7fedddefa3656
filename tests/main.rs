//! The daemon from outside: a real process, a real socket, a real database. One file per
//! capability; `harness` starts and stops the programs.
#![cfg(unix)]
#![allow(clippy::print_stderr, reason = "a test may say why it proves less here")]

mod harness;

mod byte_order_marks;
mod cli;
mod daemon;
mod discovery;
mod events;
mod expiry;
mod faults;
mod hostile;
mod life;
mod limits;
mod local_files;
mod protocol;
mod python;
mod readme;
mod remote;
mod remote_faults;
mod remote_herd;
mod restart;
mod roles;
mod server;
mod shares;
mod systemd;
mod tidy;
