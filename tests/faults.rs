//! What stands in for a bad network and for bad servers does what it says.

mod bad_server;
mod proxy;
mod setup;
