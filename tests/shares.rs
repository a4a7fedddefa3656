//! Every limit that clients share, with an attack on it: a client at another address is served all
//! the same.
//!
//! A row has a limit, an attack that reaches it and goes on, and the requests of an honest client.
//! They are sent before and during the attack, and each must succeed. The ratio of the two 99th
//! percentiles of their duration is printed, and never judged.
//!
//! To add one, write a [`Row`] into a file below and name it in a `rows!`: that makes it a test.
//! `complete` lists the files, and the limits without a row with the reason.

mod complete;
mod connections;
mod daemons;
mod handshakes;
mod kept;
mod local;
mod memory;
mod programs;
mod requests;
mod sockets;
mod table;
mod tables;
mod users;
mod visitor;

use table::rows;
