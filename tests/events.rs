//! Subscriptions: snapshots, events in order, fresh starts for who lags, and the goodbye.

mod deltas;
mod filters;
mod goodbye;
mod laggards;
