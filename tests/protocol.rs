//! Every method of the protocol: params, results and failures.

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
