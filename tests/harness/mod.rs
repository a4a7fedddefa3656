//! Starts real daemons and servers, and speaks to them byte by byte.

mod bad_server;
mod chaos;
mod client;
mod copy;
mod ctl;
mod daemon;
mod early_signal;
mod extent;
mod files;
mod forward_proxy;
mod full_disk;
mod http;
mod methods;
mod modes;
mod mutate;
mod port;
mod preload;
mod proxy;
mod random;
mod setup;
mod skip;
mod slow_disk;
mod stepped_clock;
mod stranger;
mod tls;
mod unread;
mod wire;
mod ws;

pub(crate) use bad_server::{
    BadServer, Behaviour, Certificate, Change, Ledger, Lie, Request, SharedLedger, Step, Trick,
    Twist, Victim, polite, welcome,
};
pub(crate) use chaos::{Chaos, Fault};
pub(crate) use client::{Client, peer};
pub(crate) use copy::{Copy, mark};
pub(crate) use ctl::Ctl;
pub(crate) use daemon::{Daemon, PATIENCE, end_of, exists};
pub(crate) use extent::cases;
pub(crate) use files::{eventually, json_file, pause, write_secret};
pub(crate) use forward_proxy::ForwardProxy;
pub(crate) use full_disk::{
    limit_descriptors, limit_files, start_with_file_limits, with_file_descriptors,
};
pub(crate) use http::{
    Http, Response, announced, announced_at, connect_from, is_open, read_response,
};
pub(crate) use methods::methods;
pub(crate) use modes::{disk_of_run, is_long_run};
pub(crate) use mutate::{change, garble};
pub(crate) use port::Port;
pub(crate) use proxy::{Direction, Proxy};
pub(crate) use random::Random;
pub(crate) use setup::{FAST_REMOTE, Setup, fast_remote, impatient_remote};
pub(crate) use skip::{has_root, skip};
pub(crate) use slow_disk::SlowDisk;
pub(crate) use stepped_clock::SteppedClock;
pub(crate) use stranger::{
    NOBODY, OtherUser, crowd, is_root, stranger, system_daemon, system_setup,
};
pub(crate) use tls::{Certified, TlsStream, certify, get_over_tls, shake_hands, write_certificate};
pub(crate) use unread::{STATUS_LINE, narrow, register_relays, status_line};
pub(crate) use wire::{assert_chosen_id, assert_error, await_clients, keys, lock, memory};
pub(crate) use ws::Ws;
