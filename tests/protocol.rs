//! Every method of the protocol: what it takes, what it answers, how it fails.

mod document;
mod envelope;
mod errors;
mod keepalive;
mod lists;
mod new_values;
mod params;
mod shapes;
mod signals;
mod state;
