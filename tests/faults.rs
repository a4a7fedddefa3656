//! Tests of the stand-ins for a bad network and for bad servers.

mod bad_server;
mod proxy;
mod setup;
